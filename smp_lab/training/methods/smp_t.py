"""smp_t: frozen weights, every weight with sigmoid(S) > tau. In the paper it does not converge."""

from __future__ import annotations

from smp_lab.training.masking import Threshold
from smp_lab.training.methods.base import Prunable
from smp_lab.training.pruned_weights import MaskedWeights


def weights(part: Prunable) -> MaskedWeights:
    """W * M with M from trained scores."""
    return MaskedWeights(part.layout, part.weights, part.schedule, part.dtype, masking=Threshold(part.layout))
