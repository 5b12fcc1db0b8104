"""smp_l: frozen weights, the same fraction of every matrix (Jiang et al. 2023)."""

from __future__ import annotations

from smp_lab.training.masking import Local
from smp_lab.training.methods.base import Prunable
from smp_lab.training.pruned_weights import MaskedWeights


def weights(part: Prunable) -> MaskedWeights:
    """W * M with M from trained scores."""
    return MaskedWeights(part.layout, part.weights, part.schedule, part.dtype, masking=Local(part.layout))
