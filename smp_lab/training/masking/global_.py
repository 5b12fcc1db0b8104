"""smp_g: one top-k over all scores of the encoder (Jiang et al. 2023, "global")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smp_lab.masks import kept_count
from smp_lab.schedule import Schedule
from smp_lab.training.topk import select_top_k


class Global:
    """Keep the top ``floor(v * n)`` of the encoder's n scores; among equal ones earlier matrices go first."""

    def __call__(self, scores: Sequence[Tensor], schedule: Schedule, step: int, masks: Sequence[Tensor]) -> None:
        """Write the masks; see `MaskingFunction`."""
        flat = torch.cat([score.reshape(-1) for score in scores])
        kept = torch.empty_like(flat, dtype=torch.bool)
        select_top_k(flat, kept_count(schedule.remaining(step), flat.numel()), kept)
        for mask, part in zip(masks, kept.split([mask.numel() for mask in masks]), strict=True):
            mask.copy_(part.view_as(mask))
