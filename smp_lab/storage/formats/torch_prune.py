"""`torch.nn.utils.prune`: ``X.weight_orig`` and ``X.weight_mask``."""

from __future__ import annotations

from smp_lab.errors import MaskFormatError
from smp_lab.masks import BoolArray
from smp_lab.storage.formats.format import Asked, Format, is_binary
from smp_lab.storage.formats.tables import Array

ENDING = "weight_mask"


def _mask(array: Array, _: Asked) -> BoolArray:
    if not is_binary(array):
        raise MaskFormatError(f"its {ENDING} holds other numbers than 0 and 1.")
    return array.astype(bool)


FORMAT = Format(
    title="torch.nn.utils.prune",
    endings=(ENDING,),
    mask=_mask,
    assumed=lambda _: "A weight is kept where its weight_mask is 1.",
)
