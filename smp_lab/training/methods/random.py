"""random: weights drawn from the run's seed; nothing is trained (a control)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from smp_lab.training.masking import Prunable
from smp_lab.training.pruned_weights import MaskedWeights


class RandomMasked(MaskedWeights):
    """Importance is drawn once."""

    def __init__(self, part: Prunable, **settings: Any) -> None:
        super().__init__(part, **settings)
        generator = torch.Generator().manual_seed(part.seed)
        self._drawn: Sequence[Tensor] = [torch.rand(weight.shape, generator=generator) for weight in part.weights]

    def importance(self) -> Iterable[Tensor]:
        """The draw."""
        return (drawn.to(weight.device) for drawn, weight in zip(self._drawn, self.weights, strict=True))
