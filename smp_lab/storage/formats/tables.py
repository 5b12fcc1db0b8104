"""Tables of named arrays, as files of models and of masks are: read from safetensors, npz, npy and files of torch.

What a file is, its first bytes say, not its name. Only numbers are read, of sizes that were known before.
"""

from __future__ import annotations

import json
import zipfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ml_dtypes  # noqa: F401 - numpy knows bfloat16 and float8 by it
import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from smp_lab.encoder_families import FAMILIES
from smp_lab.errors import MaskFormatError
from smp_lab.layout import MatrixId
from smp_lab.storage.archives import from_npy, from_npz
from smp_lab.storage.sealed import read_regular
from smp_lab.storage.store import cut, fenced
from smp_lab.tasks.rows import require_fetched

Array = npt.NDArray[Any]

WEIGHTS_FILE, TORCH_FILE, INDEX = "model.safetensors", "pytorch_model.bin", ".index.json"
# The forms "bits" and "dictionary" of `smp-lab export`.
BITS_FILE, BITS_FACTS, DICTIONARY_FILE = "mask.npz", "mask.json", "masks.npz"
# The largest encoders of the families here, with room.
MAX_BYTES = 2**34
_MAX_JSON_BYTES = 2**22


class Stored(NamedTuple):
    """An array that is read when it is asked for."""

    shape: tuple[int, ...]
    read: Callable[[], Array]


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a file or a folder holds.

    Parameters
    ----------
    arrays
        By name. A file of one array without a name has it under "".
    config
        Of the model's config.json, or of the facts beside a mask of this project; empty where there is neither.
    """

    arrays: Mapping[str, Stored]
    config: Mapping[str, Any] = field(default_factory=dict)


TorchFile = Callable[[Path], Mapping[str, Stored]]


def read_table(path: Path, torch_file: TorchFile) -> Table:
    """The arrays of a file, or of the model in a folder; `torch_file` reads those of torch, which is not imported here.

    Raises
    ------
    MaskFormatError
        If it is nothing that is read here, cut off, or too large.
    """
    with fenced(cut(str(path)), "is cut off or of another kind", MaskFormatError):
        return _folder(path, torch_file) if path.is_dir() else Table(arrays=_arrays(path, torch_file))


def _folder(folder: Path, torch_file: TorchFile) -> Table:
    if (folder / BITS_FILE).is_file() and (folder / BITS_FACTS).is_file():
        facts = _json(folder / BITS_FACTS)
        return Table(arrays=_unpacked(_arrays(folder / BITS_FILE, torch_file), facts["shapes"]), config=facts)
    config = _json(folder / "config.json") if (folder / "config.json").is_file() else {}
    try:
        names = weight_files(folder)
    except MaskFormatError as error:
        raise MaskFormatError(f"Folder {folder.name} {error}") from None
    names = names or tuple(name for name in [DICTIONARY_FILE] if (folder / name).is_file())
    if not names:
        raise MaskFormatError(
            f"Folder {folder.name} has no {WEIGHTS_FILE} and no {TORCH_FILE}. "
            + (of_another_library(folder) or "Name the file that holds the mask.")
        )
    arrays: dict[str, Stored] = {}
    for name in names:
        if not name.endswith(INDEX):
            arrays.update(_arrays(folder / name, torch_file))
    return Table(arrays=arrays, config=config)


def weight_files(folder: Path) -> tuple[str, ...]:
    """Names of the files with a model's weights, an index of several first; none where there are none.

    Raises
    ------
    MaskFormatError
        If an index cannot be read; for a sentence about a folder.
    """
    for name in (WEIGHTS_FILE, f"{WEIGHTS_FILE}{INDEX}", TORCH_FILE, f"{TORCH_FILE}{INDEX}"):
        if not (folder / name).is_file():
            continue
        if not name.endswith(INDEX):
            return (name,)
        try:
            shards = sorted(set(json.loads((folder / name).read_bytes())["weight_map"].values()))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise MaskFormatError(
                f"has no list of its weights in {name}: the file is cut off or another one."
            ) from None
        if other := [shard for shard in shards if not isinstance(shard, str) or Path(shard).name != shard]:
            raise MaskFormatError(f"names {str(other[0])[:80]!r} in {name}; expected names of files in its own folder.")
        return (name, *shards)
    return ()


def of_another_library(folder: Path) -> str:
    """What helps where a folder has the weights of another library; empty where it has none."""
    for file in sorted(folder.iterdir()):
        if file.name.endswith((".h5", ".msgpack", ".onnx")):
            return (
                f"Its {file.name} is of another library: save the model as {WEIGHTS_FILE} with transformers 4 (from_tf "
                "or from_flax), or fetch a copy that has it."
            )
    return ""


def _json(file: Path) -> dict[str, Any]:
    content = json.loads(read_regular(file, _MAX_JSON_BYTES))
    if not isinstance(content, dict):
        raise ValueError(f"{file.name} holds no table")
    return content


def _arrays(file: Path, torch_file: TorchFile) -> Mapping[str, Stored]:
    if file.exists() and not file.is_file():
        # To open a pipe would wait for somebody to write into it.
        raise MaskFormatError(f"{file.name} is no regular file.")
    require_fetched(file, file.name)
    with file.open("rb") as opened:
        first = opened.read(16)
    if first.startswith(b"\x93NUMPY"):
        return {"": _stored(from_npy(read_regular(file, MAX_BYTES)))}
    # Before the others: the length of its header may begin as they do.
    if first[8:9] == b"{":
        return _safetensors(file)
    if first.startswith(b"PK"):
        # Files of torch are archives too.
        with zipfile.ZipFile(file) as archive:
            if any(name.endswith("data.pkl") for name in archive.namelist()):
                return torch_file(file)
        arrays = from_npz(read_regular(file, MAX_BYTES), MAX_BYTES)
        return {name: _stored(array) for name, array in arrays.items()}
    if first.startswith(b"\x80"):
        return torch_file(file)
    raise MaskFormatError(
        f"{file.name} is none of the files that are read here (safetensors, npz, npy, files of torch)."
    )


def _safetensors(file: Path) -> Mapping[str, Stored]:
    def read(name: str) -> Array:
        with safe_open(file, "np") as opened:
            try:
                array: Array = opened.get_tensor(name)
            except (AttributeError, TypeError, SafetensorError):
                # numpy has no such numbers.
                kind = opened.get_slice(name).get_dtype()
                raise MaskFormatError(f"its numbers are {kind}, which is not read here. Save it as float32.") from None
            return array

    with safe_open(file, "np") as opened:
        shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118 - no mapping
    return {name: Stored(shape, partial(read, name)) for name, shape in shapes.items()}


def _stored(array: Array) -> Stored:
    return Stored(array.shape, lambda: array)


def _unpacked(packed: Mapping[str, Stored], shapes: Mapping[str, list[int]]) -> Mapping[str, Stored]:
    def read(name: str) -> Array:
        n_out, n_in = shapes[name]
        bits = packed[name].read()
        if bits.dtype != np.uint8 or bits.size != (n_out * n_in + 7) // 8:
            raise MaskFormatError(f"{cut(name)} holds {bits.size} bytes; its shape is {n_out} x {n_in} bits.")
        return np.unpackbits(bits, count=n_out * n_in).view(np.bool_).reshape(n_out, n_in)

    return {name: Stored(tuple(shapes[name]), partial(read, name)) for name in packed}


def prunable(table: Table, file: str) -> Mapping[str, Mapping[MatrixId, Stored]]:
    """The arrays of prunable matrices, by what their names end with, such as "weight" or "mask_scores".

    Of the families here the one with most matrices among the names is taken: where two have the same names, they mean
    the same. Whatever stands before the name in the family's encoder is let be. `file` is the name for sentences.

    Raises
    ------
    MaskFormatError
        If there are two encoders.
    """
    found: Mapping[tuple[MatrixId, str], list[str]] = {}
    for family in FAMILIES.values():
        names = defaultdict(list)
        for name in table.arrays:
            if (place := family.locate(name)) is not None:
                names[place].append(name)
        if len(names) > len(found):
            found = names
    parts: dict[str, dict[MatrixId, Stored]] = {}
    for (matrix, ending), (first, *others) in found.items():
        if others:
            raise MaskFormatError(
                f"{file} holds two encoders: its {matrix} is {cut(first)} and {cut(others[0])}. Save the one that the "
                "mask is of by itself."
            )
        parts.setdefault(ending, {})[matrix] = table.arrays[first]
    return parts
