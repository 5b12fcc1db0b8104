"""Masking functions: from scores to masks. One file each; which method uses which stands in `smp_lab.methods`.

A masking function is called once a step with all scores and writes all masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smp_lab import methods
from smp_lab.layout import EncoderLayout
from smp_lab.training.masking.base import MaskingFunction
from smp_lab.training.masking.given import Given
from smp_lab.training.masking.global_ import Global
from smp_lab.training.masking.local import Local
from smp_lab.training.masking.share import Share
from smp_lab.training.masking.threshold import Threshold

MASKING: Mapping[str, Callable[[EncoderLayout], MaskingFunction]] = {
    methods.LOCAL: Local,
    methods.SHARE: Share,
    methods.GLOBAL: Global,
    methods.THRESHOLD: Threshold,
}

__all__ = ["MASKING", "Given", "Global", "Local", "MaskingFunction", "Share", "Threshold"]
