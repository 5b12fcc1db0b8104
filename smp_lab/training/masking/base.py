"""What every masking function does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import torch
from torch import Tensor

from smp_lab.schedule import Schedule
from smp_lab.training.topk import select_top_k


class MaskingFunction(Protocol):
    """Turns scores into masks.

    Lists are in the order of `EncoderLayout.matrices`.
    """

    def __call__(self, scores: Sequence[Tensor], schedule: Schedule, step: int, masks: Sequence[Tensor]) -> None:
        """Write the masks.

        Parameters
        ----------
        scores
            float32 ``(n_out, n_in)`` per matrix.
        schedule, step
            What tells how much is kept now.
        masks
            bool, same shapes, overwritten.
        """


class PerMatrix:
    """Base of the functions that take an exact top-k inside each matrix; they differ in how many each one keeps."""

    def kept_counts(self, scores: Sequence[Tensor], remaining: float) -> Sequence[int] | Tensor:
        """Weights to keep in each matrix; a tensor ``(n_matrices,)`` where they follow from the scores."""
        raise NotImplementedError

    def __call__(self, scores: Sequence[Tensor], schedule: Schedule, step: int, masks: Sequence[Tensor]) -> None:
        """Write the masks; see `MaskingFunction`."""
        counts = self.kept_counts(scores, schedule.remaining(step))
        for_each(select_top_k, scores, list(counts), masks)


def for_each(action: Callable[..., None], *arguments: Sequence[Any]) -> None:
    """Call `action` for each matrix, on as many threads as torch uses: numpy's own selection takes one."""
    threads = torch.get_num_threads()
    if threads == 1 or arguments[0][0].device.type != "cpu":
        for row in zip(*arguments, strict=True):
            action(*row)
        return
    with ThreadPoolExecutor(threads) as pool:
        # The list waits for all of them and raises what one of them raised.
        list(pool.map(action, *arguments))
