"""Masking functions: from scores to masks. One file each; which method uses which stands in `smp_lab.methods`.

A masking function is called once a step with all scores and writes all masks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from smp_lab import methods
from smp_lab.training.masking.base import MaskingFunction
from smp_lab.training.masking.given import Given
from smp_lab.training.masking.global_ import Global
from smp_lab.training.masking.local import Local
from smp_lab.training.masking.share import Share
from smp_lab.training.masking.threshold import Threshold

if TYPE_CHECKING:
    from smp_lab.training.pruned_weights import Prunable

MASKING: Mapping[str, Callable[[Prunable], MaskingFunction]] = {
    methods.LOCAL: lambda part: Local(),
    methods.SHARE: lambda part: Share(part.layout, part.share_temperature),
    methods.GLOBAL: lambda part: Global(),
    methods.THRESHOLD: lambda part: Threshold(),
}

__all__ = ["MASKING", "Given", "Global", "Local", "MaskingFunction", "Share", "Threshold"]
