"""soft_movement: W and S both trained, sigmoid(S) > tau with tau growing from 0, and lambda * R (Sanh et al. 2020)."""

from __future__ import annotations

from smp_lab.training.methods import smp_t
from smp_lab.training.methods.base import Prunable
from smp_lab.training.pruned_weights import MaskedWeights


def weights(part: Prunable) -> MaskedWeights:
    """The mask of smp_t over weights that the optimiser moves as well."""
    return smp_t.weights(part)
