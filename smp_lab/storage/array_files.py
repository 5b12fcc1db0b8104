"""Files of arrays that a record seals, and the masks in them."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from smp_lab.errors import MaskFormatError, RunFormatError
from smp_lab.layout import HEAD_TYPES, MATRIX_TYPES, EncoderLayout, MatrixId
from smp_lab.masks import MaskSet, compress_bits, decompress_bits
from smp_lab.paths import MASKS_FILE, SHARED_MASKS_FOLDER
from smp_lab.storage.archives import Arrays, from_npz, to_npz
from smp_lab.storage.sealed import read_regular, why
from smp_lab.storage.store import fenced, leads_out
from smp_lab.storage.versions import Seal

T = TypeVar("T")


def read_arrays(
    file: Path, seal: Seal, most: int, build: Callable[[Arrays], T], *, what: str, name: str, again: str
) -> T:
    """What `build` makes of the arrays of a sealed file.

    They take at most so many bytes. For sentences: what record it is of, its name there, and what helps if damaged.

    Raises
    ------
    RunFormatError, MaskFormatError
        If the file is missing, altered, no archive of numbers, or `build` refuses what is in it.
    """
    try:
        # Names and headers of the arrays lie between them.
        content = read_regular(file, most + 2**20)
    except OSError as error:
        where = f"{file.parent.name}/{file.name}"
        if file.parent.name == SHARED_MASKS_FOLDER:
            again = f"Copy {where} from the folder of runs that the run came from to {file.parents[1]}."
        raise RunFormatError(f"{what}: {where} cannot be read ({why(error)}). {again}") from None
    if seal.size not in (None, len(content)) or hashlib.sha256(content).hexdigest() != seal.sha256:
        raise RunFormatError(
            f"{what}: {name} is cut off or was altered (its sha256 is not the one in its record). {again}"
        )
    with fenced(f"{what}: {name}", "is not a plain archive of numbers"):
        return build(from_npz(content, most))


def shared_masks_folder(runs: Path) -> Path:
    """Where a folder of runs has the masks that several of its runs share.

    Raises
    ------
    RunFormatError
        If it is a link out of that.
    """
    folder = runs.resolve() / SHARED_MASKS_FOLDER
    if leads_out(folder):
        raise RunFormatError(f"{folder} is a link out of its folder. Copy there what it names.")
    return folder


def shared_masks_file(runs: Path, sha256: str) -> Path:
    """A mask that several runs share, by the sha256 of its file; raises as `shared_masks_folder`."""
    return shared_masks_folder(runs) / f"{sha256}.npz"


def masks_to_bytes(masks: MaskSet, base: MaskSet | None = None) -> bytes:
    """Content of masks.npz: of the mask, or with a base of the difference between the two."""
    differing = (bits ^ base.bits[matrix] if base else bits for matrix, bits in masks.bits.items())
    # zlib lets other threads work. With one, BERT-base takes ten seconds, nearly all of the time of an import.
    with ThreadPoolExecutor() as pool:
        streams = pool.map(compress_bits, differing)
        names = (f"{matrix.layer}.{matrix.matrix_type}" for matrix in masks.bits)
        return to_npz(dict(zip(names, streams, strict=True)), zipfile.ZIP_STORED)


def read_masks(
    file: Path, seal: Seal, layout: EncoderLayout, counts: Mapping[str, Any], *, what: str, again: str
) -> MaskSet:
    """The mask of a record, whose results hold `counts`, as of `kept_counts`; else as `read_arrays`.

    Its base, where it has one, lies in shared_masks/ beside the folder of the record.
    """
    # Streams of masks at random are a little longer than their bits.
    most = layout.n_weights // 8 + layout.n_weights // 800 + 2**16
    bits = partial(_bits_from_arrays, layout, what)
    found = read_arrays(file, seal, most, bits, what=what, name=MASKS_FILE, again=again)
    if seal.base:
        shared = shared_masks_file(file.parent.resolve().parent, seal.base)
        name, seal = f"{shared.parent.name}/{shared.name}", Seal(sha256=seal.base, size=None)
        base = read_arrays(shared, seal, most, bits, what=what, name=name, again=again)
        found = {matrix: differing ^ base[matrix] for matrix, differing in found.items()}
    masks = MaskSet(layout, found)
    if any(counts[name] != kept for name, kept in kept_counts(masks).items()):
        raise MaskFormatError(f"{what}: {MASKS_FILE} keeps other weights than its record says.")
    return masks


def _bits_from_arrays(layout: EncoderLayout, what: str, arrays: Arrays) -> dict[MatrixId, npt.NDArray[np.uint8]]:
    bits = {}
    for matrix in layout.matrices:
        stream = arrays.get(f"{matrix.layer}.{matrix.matrix_type}")
        if stream is None or stream.dtype != np.uint8 or stream.ndim != 1:
            raise MaskFormatError(f"{what}: no mask of {matrix} in {MASKS_FILE}.")
        try:
            bits[matrix] = decompress_bits(stream, layout.size(matrix.matrix_type))
        except MaskFormatError as error:
            raise MaskFormatError(f"{what}, {matrix}: {error}") from None
    if len(arrays) != len(bits):
        raise MaskFormatError(f"{what}: {MASKS_FILE} holds {len(arrays)} masks; its encoder has {len(bits)}.")
    return bits


def kept_counts(masks: MaskSet) -> dict[str, Any]:
    """Counts of a mask as records hold them: kept, ``(n_layers, 6)``, and kept_per_head, ``(n_layers, 4, n_heads)``."""
    return {"kept": masks.kept_per_matrix.tolist(), "kept_per_head": masks.kept_per_head_and_matrix.tolist()}


def counts_fit(layout: EncoderLayout, kept: Sequence[Any], kept_per_head: Sequence[Any]) -> bool:
    """Whether the counts of a record, none below 0, could be those of a mask of this encoder."""
    try:
        matrices, heads = np.array(kept, np.int64), np.array(kept_per_head, np.int64)
    except ValueError:
        # Lists of unequal lengths.
        return False
    return (
        matrices.shape == (layout.n_layers, len(MATRIX_TYPES))
        and heads.shape == (layout.n_layers, len(HEAD_TYPES), layout.n_heads)
        and bool((matrices <= [layout.size(kind) for kind in MATRIX_TYPES]).all())
        and np.array_equal(heads.sum(axis=2), matrices[:, : len(HEAD_TYPES)])
    )
