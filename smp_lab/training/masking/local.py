"""smp_l: the same fraction of every matrix (Jiang et al. 2023, "local")."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from smp_lab.masks import kept_count
from smp_lab.training.masking.base import Prunable, keep_top


def local(part: Prunable, scores: Sequence[Tensor], step: int, masks: Sequence[Tensor]) -> None:
    """Keep the top ``floor(v * n)`` scores of each matrix of n weights."""
    remaining = part.schedule.remaining(step)
    keep_top(scores, [kept_count(remaining, score.numel()) for score in scores], masks)
