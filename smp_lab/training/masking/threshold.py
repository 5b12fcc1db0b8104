"""smp_t and soft_movement: every weight whose sigmoid(S) is above tau (Sanh et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smp_lab.training.masking.base import Prunable


def threshold(part: Prunable, scores: Sequence[Tensor], step: int, masks: Sequence[Tensor]) -> None:
    """Keep sigmoid(S) > tau(t). How much that is comes out of training."""
    tau = part.schedule.threshold(step)
    for score, mask in zip(scores, masks, strict=True):
        torch.gt(torch.sigmoid(score), tau, out=mask)
