"""smp_g: one top-k over all scores of the encoder (Jiang et al. 2023, "global")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smp_lab.masks import kept_count
from smp_lab.training.masking.base import Prunable
from smp_lab.training.topk import select_top_k


def global_(part: Prunable, scores: Sequence[Tensor], step: int, masks: Sequence[Tensor]) -> None:
    """Keep the top ``floor(v * n)`` of the encoder's n scores; among equal ones earlier matrices go first."""
    flat = torch.cat([score.reshape(-1) for score in scores])
    kept = torch.empty_like(flat, dtype=torch.bool)
    select_top_k(flat, kept_count(part.schedule.remaining(step), flat.numel()), kept)
    for mask, of_matrix in zip(masks, kept.split([mask.numel() for mask in masks]), strict=True):
        mask.copy_(of_matrix.view_as(mask))
