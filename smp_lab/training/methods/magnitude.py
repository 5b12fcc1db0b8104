"""magnitude and magnitude_frozen: the largest of the present abs(W) (Zhu and Gupta 2017)."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from smp_lab.training.pruned_weights import MaskedWeights


class MagnitudeMasked(MaskedWeights):
    """Importance is abs(W), whatever W is now."""

    def importance(self) -> Iterable[Tensor]:
        """abs(W) of each matrix."""
        return (weight.detach().abs() for weight in self.weights)
