"""What a method is given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from smp_lab.layout import EncoderLayout
from smp_lab.schedule import Schedule


@dataclass(frozen=True)
class Prunable:
    """The prunable part of one encoder and the run's settings that matter to a method.

    Parameters
    ----------
    layout, weights, schedule, dtype
        As in `PrunedWeights`.
    seed
        Of the run.
    """

    layout: EncoderLayout
    weights: Sequence[nn.Parameter]
    schedule: Schedule
    dtype: torch.dtype
    seed: int
