"""What masking functions have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

from smp_lab.layout import EncoderLayout
from smp_lab.schedule import Schedule
from smp_lab.training.topk import select_top_k


@dataclass(frozen=True)
class Prunable:
    """The prunable part of one encoder and the run's settings that matter to a method.

    Parameters
    ----------
    layout
        Shapes of the matrices.
    weights
        The encoder's own prunable parameters, ``(n_out, n_in)`` each, in the order of ``layout.matrices``.
    schedule
        Remaining fraction, threshold and regulariser weight by step.
    dtype
        Of W': the precision of the matrix products.
    seed
        Of the run.
    share_temperature
        p of the share rule.
    """

    layout: EncoderLayout
    weights: Sequence[nn.Parameter]
    schedule: Schedule
    dtype: torch.dtype = torch.float32
    seed: int = 0
    share_temperature: float = 1.0


# Is called once a step with all scores, float32 ``(n_out, n_in)`` per matrix, in the order of ``layout.matrices``, and
# writes all masks, bool, of the same shapes.
MaskingFunction: TypeAlias = Callable[[Prunable, Sequence[Tensor], int, Sequence[Tensor]], None]


def keep_top(scores: Sequence[Tensor], counts: Sequence[int] | Tensor, masks: Sequence[Tensor]) -> None:
    """Keep the top of each matrix, so many weights as `counts` says; a tensor where that follows from the scores.

    On as many threads as torch uses: numpy's own selection takes one.
    """
    arguments = scores, list(counts), masks
    threads = torch.get_num_threads()
    if threads == 1 or scores[0].device.type != "cpu":
        for row in zip(*arguments, strict=True):
            select_top_k(*row)
        return
    with ThreadPoolExecutor(threads) as pool:
        # The list waits for all of them and raises what one of them raised.
        list(pool.map(select_top_k, *arguments))
