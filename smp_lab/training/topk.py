"""Exact top-k over scores in torch: the k largest, and among equal ones the earlier position."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from smp_lab.errors import TrainingError
from smp_lab.masks import mask_at_cut

# Of a larger sample the sorting takes what the narrower bracket saves.
_N_SAMPLED = 4096
# Standard deviations between a rank in the sample and the ends of its bracket.
_MARGIN = 4.0


def select_top_k(scores: Tensor, k: int | Tensor, mask: Tensor) -> None:
    """Write the mask of the `k` largest scores.

    On a CPU the cut is looked for between two values of a sample, in a fourth of the time of a partition of all
    scores; elsewhere a stable sort gives the same mask without a value that the host must wait for.

    Parameters
    ----------
    scores
        float32, any shape, contiguous; positions count in C order.
    k
        0 to ``scores.numel()``; elsewhere than on a CPU it may be a tensor of its device.
    mask
        bool, same shape, contiguous; overwritten.

    Raises
    ------
    TrainingError
        If scores on a CPU hold NaN.
    """
    if scores.device.type == "cpu":
        _select_by_cut(scores.detach().numpy().reshape(-1), int(k), mask.numpy().reshape(-1))
    else:
        _select_by_sorting(scores.detach().reshape(-1), k, mask.view(-1))


def _select_by_cut(scores: npt.NDArray[np.float32], k: int, mask: npt.NDArray[np.bool_]) -> None:
    if np.isnan(scores.min()):
        raise TrainingError(
            "Scores hold NaN, which has no rank: training has diverged. Try a smaller --score-learning-rate."
        )
    if not 0 < k < scores.size:
        mask.fill(k > 0)
        return
    mask_at_cut(scores, _score_cut(scores, k), k, out=mask)


def _score_cut(scores: npt.NDArray[np.float32], k: int) -> np.float32:
    """The `k`-th largest score."""
    n = scores.size
    cut = _score_cut_by_sample(scores, k) if n > _N_SAMPLED else None
    return np.partition(scores, n - k)[n - k] if cut is None else cut


def _score_cut_by_sample(scores: npt.NDArray[np.float32], k: int) -> np.float32 | None:
    """The `k`-th largest score, from the few that lie where a sample has it; None where the sample says too little."""
    sample = np.sort(scores[_sampled_positions(scores.size)])
    below = 1 - k / scores.size
    place = below * sample.size
    middle = sample[int(place)]
    # The scores of a run's first steps are mostly one value: those that only the regulariser moves.
    tied = np.count_nonzero(sample == middle) > 1
    if tied and np.count_nonzero(scores > middle) < k <= np.count_nonzero(scores >= middle):
        return middle
    margin = _MARGIN * (sample.size * below * (1 - below)) ** 0.5 + 1
    first, last = int(place - margin), int(place + margin)
    low = sample[first] if first >= 0 else -np.inf
    high = sample[last] if last < sample.size else np.inf
    above = scores > high
    inside = scores[np.flatnonzero((scores >= low) ^ above)]
    rank = k - np.count_nonzero(above)
    if not 0 < rank <= inside.size < scores.size // 2:
        return None
    return np.partition(inside, inside.size - rank)[inside.size - rank]


@lru_cache(maxsize=16)
def _sampled_positions(n: int) -> npt.NDArray[np.int64]:
    """Where an array of `n` is sampled: always the same places."""
    return np.random.default_rng(n).integers(0, n, size=_N_SAMPLED)


def _select_by_sorting(scores: Tensor, k: int | Tensor, mask: Tensor) -> None:
    order = torch.sort(scores, descending=True, stable=True).indices
    mask[order] = torch.arange(scores.numel(), device=scores.device) < k
