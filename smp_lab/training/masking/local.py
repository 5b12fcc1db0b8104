"""smp_l: the same fraction of every matrix (Jiang et al. 2023, "local")."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from smp_lab.masks import kept_count
from smp_lab.training.masking.base import PerMatrix


class Local(PerMatrix):
    """Keep the top ``floor(v * n)`` scores of each matrix of n weights."""

    def kept_counts(self, scores: Sequence[Tensor], remaining: float) -> list[int]:
        """floor(v * n) for every matrix."""
        return [kept_count(remaining, score.numel()) for score in scores]
