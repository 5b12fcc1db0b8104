"""Masking functions: from scores and a remaining fraction to masks. One file each.

A masking function is called once a step, with all scores, and writes all masks. A new one is a new file here, a line in
`MASKING_FUNCTIONS` and an entry in `smp_lab.methods`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smp_lab.bert_layout import EncoderLayout
from smp_lab.training.masking.base import MaskingFunction
from smp_lab.training.masking.local import Local
from smp_lab.training.masking.share import Share

MASKING_FUNCTIONS: Mapping[str, Callable[[EncoderLayout], MaskingFunction]] = {
    "smp_l": Local,
    "smp_s": Share,
}

__all__ = ["MASKING_FUNCTIONS", "MaskingFunction"]
