"""smp_g: frozen weights, one top-k over all scores of the encoder (Jiang et al. 2023)."""

from __future__ import annotations

from smp_lab.training.masking import Global
from smp_lab.training.methods.base import Prunable
from smp_lab.training.pruned_weights import MaskedWeights


def weights(part: Prunable) -> MaskedWeights:
    """W * M with M from trained scores."""
    return MaskedWeights(part.layout, part.weights, part.schedule, part.dtype, masking=Global(part.layout))
