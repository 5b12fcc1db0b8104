"""A pruned checkpoint: what is exactly 0 in it was removed."""

from __future__ import annotations

import numpy as np

from smp_lab.errors import MaskFormatError
from smp_lab.masks import BoolArray
from smp_lab.storage.formats.format import Asked, Format
from smp_lab.storage.formats.tables import Array


def _mask(array: Array, _: Asked) -> BoolArray:
    if array.dtype.kind in "iu":
        raise MaskFormatError(
            f"its weights are of {array.dtype}: they are quantised, and a 0 may be a small weight. Import the model "
            "from before."
        )
    if not np.isfinite(array).all():
        raise MaskFormatError("its weights hold NaN or infinite numbers. Save the model once more.")
    kept: BoolArray = array != 0
    return kept


FORMAT = Format(
    title="weights with exact zeros",
    endings=("weight",),
    mask=_mask,
    assumed=lambda _: "A weight counts as removed where it is exactly 0.",
)
