"""Archives of arrays, read with care: numbers alone, of a size that was known before anything is unpacked."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]

MAX_DIMENSIONS = 3
# Of the header of an array: numpy writes 118 bytes and pads to 128.
MAX_HEADER_BYTES = 1024
# LZMA unpacks all that it is given at once: these, to at most thirty megabytes.
_BYTES_AT_ONCE = 4096


def to_npz(arrays: Arrays, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of arrays, packed by a method of zipfile, that numpy opens."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def from_npz(content: bytes, most: int) -> Arrays:
    """Inverse of `to_npz`, for bytes of unknown origin.

    Parameters
    ----------
    content
        Of the archive.
    most
        Bytes that its arrays may take in all.

    Raises
    ------
    Exception
        Whatever zipfile, lzma, zlib and numpy raise on bytes that are no archive; ValueError if it holds anything but
        arrays of booleans, integers and floating point numbers, or unpacks to more.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        n_bytes = sum(entry.file_size for entry in entries)
        if n_bytes > most + len(entries) * MAX_HEADER_BYTES:
            raise ValueError(f"unpacks to {n_bytes:,} bytes; at most {most:,} are read")
        for entry in entries:
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
                raise ValueError(f"{entry.filename} is packed by method {entry.compress_type}")
            name = entry.filename.removesuffix(".npy")
            if name in arrays:
                raise ValueError(f"{name} is there twice")
            # Never more than the size that was looked at: zipfile cuts what follows it.
            with archive.open(entry) as file:
                at_once = _BYTES_AT_ONCE if entry.compress_type == zipfile.ZIP_LZMA else -1
                arrays[name] = from_npy(b"".join(iter(partial(file.read, at_once), b"")))
    return arrays


def from_npy(content: bytes) -> npt.NDArray[Any]:
    """One array from the bytes of a ``.npy``, read-only.

    Its shape is compared with the bytes that are there before any memory is taken for it.

    Raises
    ------
    Exception
        As `from_npz`.
    """
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version != (1, 0):
        raise ValueError(f"an array of format {version}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=MAX_HEADER_BYTES)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise ValueError(f"holds {dtype}" + (", and Object arrays cannot be loaded" if dtype.hasobject else ""))
    start = file.tell()
    n_bytes = math.prod(shape) * dtype.itemsize
    if len(shape) > MAX_DIMENSIONS or min(shape, default=0) < 0 or n_bytes != len(content) - start:
        raise ValueError(f"{len(content) - start:,} bytes for an array of shape {shape} of {dtype}")
    return np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if fortran else "C")
