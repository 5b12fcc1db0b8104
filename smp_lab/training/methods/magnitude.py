"""magnitude: fine-tuned weights, the top v of the present abs(W) of every matrix (Zhu and Gupta 2017)."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from smp_lab.training.masking import Local
from smp_lab.training.methods.base import Prunable
from smp_lab.training.pruned_weights import MaskedWeights


class MagnitudeMasked(MaskedWeights):
    """Importance is abs(W), whatever W is now."""

    def importance(self) -> Iterable[Tensor]:
        """abs(W) of each matrix."""
        return (weight.detach().abs() for weight in self.weights)


def weights(part: Prunable) -> MagnitudeMasked:
    """W * M with M from abs(W)."""
    return MagnitudeMasked(
        part.layout, part.weights, part.schedule, part.dtype, masking=Local(part.layout), with_scores=False
    )
