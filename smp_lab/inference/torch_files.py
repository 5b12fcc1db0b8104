"""Arrays of a file of torch: weights alone, nothing in it is run."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from smp_lab.errors import MaskFormatError
from smp_lab.storage.formats.tables import MAX_BYTES, Array, Stored
from smp_lab.storage.store import cut


def torch_file(file: Path) -> Mapping[str, Stored]:
    """The tensors of a file of `torch.save`, nested dictionaries with their keys joined by dots.

    Raises
    ------
    MaskFormatError
        If it unpacks to more than `MAX_BYTES`, holds more than tensors, or such as are no plain arrays.
    Exception
        Of a file that is cut off or no file of torch; `read_table` makes a sentence of it.
    """
    try:
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
            if size > MAX_BYTES:
                raise MaskFormatError(f"{file.name} unpacks to {size:,} bytes; at most {MAX_BYTES:,} are read.")
        content = torch.load(file, map_location="cpu", weights_only=True)
    except torch.serialization.pickle.UnpicklingError:
        # Reading it would run its code.
        raise MaskFormatError(
            f"{file.name} holds more than weights, which is not read: that would run its code. Save its state_dict "
            "where it comes from, best as safetensors."
        ) from None
    arrays = dict(_flat("", content))
    if not arrays:
        raise MaskFormatError(f"{file.name} holds no tensors.")
    return arrays


def _flat(name: str, content: Any) -> Iterator[tuple[str, Stored]]:
    if isinstance(content, Tensor):
        if content.layout != torch.strided or content.is_quantized or content.device.type != "cpu":
            raise MaskFormatError(
                f"{cut(name)} is sparse, quantised or empty; plain arrays alone are read. Save each tensor by "
                "to_dense(), or import the model from before."
            )
        if content.untyped_storage().nbytes() < content.numel() * content.element_size():
            # A few bytes may stand for any number of them.
            raise MaskFormatError(f"{cut(name)} declares {content.numel():,} numbers, and its file holds fewer.")
        yield name, Stored(tuple(content.shape), lambda: _array(content))
    elif isinstance(content, dict):
        for key, value in content.items():
            yield from _flat(f"{name}.{key}" if name else str(key), value)


def _array(tensor: Tensor) -> Array:
    if tensor.is_floating_point() and tensor.element_size() < 2:
        # What is small is 0 in them.
        kind = str(tensor.dtype).removeprefix("torch.")
        raise MaskFormatError(f"its numbers are {kind}, which is not read here. Save it as float32.")
    # numpy has no bfloat16, and what is 0 stays 0.
    array: Array = (tensor.float() if tensor.is_floating_point() else tensor).detach().numpy()
    return array
