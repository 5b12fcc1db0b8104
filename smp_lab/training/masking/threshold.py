"""smp_t and soft_movement: every weight whose sigmoid(S) is above tau (Sanh et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smp_lab.schedule import Schedule


class Threshold:
    """Keep sigmoid(S) > tau(t). How much that is comes out of training."""

    def __call__(self, scores: Sequence[Tensor], schedule: Schedule, step: int, masks: Sequence[Tensor]) -> None:
        """Write the masks; see `MaskingFunction`."""
        tau = schedule.threshold(step)
        for score, mask in zip(scores, masks, strict=True):
            torch.gt(torch.sigmoid(score), tau, out=mask)
