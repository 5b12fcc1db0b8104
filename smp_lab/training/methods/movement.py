"""movement: W and S both trained, dL/dS = dL/dW' * W with W moving, top v of every matrix (Sanh et al. 2020)."""

from __future__ import annotations

from smp_lab.training.methods import smp_l
from smp_lab.training.methods.base import Prunable
from smp_lab.training.pruned_weights import MaskedWeights


def weights(part: Prunable) -> MaskedWeights:
    """The mask of smp_l over weights that the optimiser moves as well."""
    return smp_l.weights(part)
