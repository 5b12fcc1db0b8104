"""dense: ordinary fine-tuning of all weights, no mask."""

from __future__ import annotations

from smp_lab.training.methods.base import Prunable
from smp_lab.training.pruned_weights import WholeWeights


def weights(part: Prunable) -> WholeWeights:
    """W itself."""
    return WholeWeights(part.layout, part.weights, part.schedule, part.dtype)
