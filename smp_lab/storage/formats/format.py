"""What a format of masks is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smp_lab.layout import MatrixId
from smp_lab.masks import BoolArray
from smp_lab.storage.formats.tables import Array, Stored

Matrices = Mapping[MatrixId, Stored]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody says of a file that does not say it itself.

    Parameters
    ----------
    scores
        How scores become a mask, such as ``"topK=0.1"``; see `smp_lab.storage.formats.mask_scores`.
    task
        Name of the task that it was learned on.
    """

    scores: str | None = None
    task: str | None = None


@dataclass(frozen=True, kw_only=True)
class Format:
    """One way to write a mask.

    Parameters
    ----------
    title
        What people call it.
    endings
        What the names of its arrays end with; one of them.
    mask
        ``mask(array, asked)``: boolean, of the shape of the array, True where a weight is kept. Raises
        `MaskFormatError`.
    assumed
        ``assumed(asked)``: a sentence on what the file does not say.
    knows
        Whether matrices of such a name are of this format.
    """

    title: str
    endings: tuple[str, ...]
    mask: Callable[[Array, Asked], BoolArray]
    assumed: Callable[[Asked], str]
    knows: Callable[[Matrices], bool] = lambda matrices: True


def is_binary(array: Array) -> bool:
    """Whether an array holds nothing but 0 and 1."""
    return array.dtype == bool or bool(((array == 0) | (array == 1)).all())
