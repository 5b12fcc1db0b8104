"""Masking functions: from scores to masks. One file each; which method uses which stands in `smp_lab.methods`."""

from __future__ import annotations

from collections.abc import Mapping

from smp_lab import methods
from smp_lab.training.masking.base import MaskingFunction, Prunable
from smp_lab.training.masking.given import given
from smp_lab.training.masking.global_ import global_
from smp_lab.training.masking.local import local
from smp_lab.training.masking.share import share
from smp_lab.training.masking.threshold import threshold

MASKING: Mapping[str, MaskingFunction] = {
    methods.LOCAL: local,
    methods.SHARE: share,
    methods.GLOBAL: global_,
    methods.THRESHOLD: threshold,
}

__all__ = ["MASKING", "MaskingFunction", "Prunable", "given", "global_", "local", "share", "threshold"]
