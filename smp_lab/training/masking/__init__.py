"""Masking functions: from scores to masks. One file each; which method uses which stands in `smp_lab.training.methods`.

A masking function is called once a step with all scores and writes all masks.
"""

from __future__ import annotations

from smp_lab.training.masking.base import MaskingFunction
from smp_lab.training.masking.given import Given
from smp_lab.training.masking.global_ import Global
from smp_lab.training.masking.local import Local
from smp_lab.training.masking.share import Share
from smp_lab.training.masking.threshold import Threshold

__all__ = ["Given", "Global", "Local", "MaskingFunction", "Share", "Threshold"]
