"""Dictionaries of masks: ``{module: {"weight": 0 or 1}}`` or ``{name: boolean}``, 1 where a weight is kept."""

from __future__ import annotations

from smp_lab.storage.formats.format import Format, Matrices, is_binary


def _knows(matrices: Matrices) -> bool:
    return all(is_binary(stored.read()) for stored in matrices.values())


FORMAT = Format(
    title="dictionary of masks",
    endings=("", "weight", "mask", "weight.mask"),
    mask=lambda array, _: array.astype(bool),
    assumed=lambda _: "A weight is kept where the dictionary has 1.",
    knows=_knows,
)
