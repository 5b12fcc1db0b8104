"""random: v of every matrix, drawn from the run's seed; nothing is trained (a control)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from smp_lab.training.masking import Local
from smp_lab.training.methods.base import Prunable
from smp_lab.training.pruned_weights import MaskedWeights


class RandomMasked(MaskedWeights):
    """Importance is drawn once."""

    def __init__(self, part: Prunable) -> None:
        super().__init__(
            part.layout, part.weights, part.schedule, part.dtype, masking=Local(part.layout), with_scores=False
        )
        generator = torch.Generator().manual_seed(part.seed)
        self._drawn: Sequence[Tensor] = [torch.rand(weight.shape, generator=generator) for weight in part.weights]

    def importance(self) -> Iterable[Tensor]:
        """The draw."""
        return (drawn.to(weight.device) for drawn, weight in zip(self._drawn, self.weights, strict=True))


def weights(part: Prunable) -> RandomMasked:
    """W * M with M at random."""
    return RandomMasked(part)
