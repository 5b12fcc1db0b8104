"""Exact top-k over scores in torch: the k largest, and among equal ones the earlier position.

A step moves scores by little, so the score_cut of the step before tells where the new one must lie. On the processor
the selection counts what is above a narrow bracket round the old cut and ranks only what is inside it; where the
bracket misses, it ranks everything. Both ways give the same mask.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


class TopK:
    """Repeated exact top-k over one pool of scores that change a little between calls."""

    def __init__(self) -> None:
        self.score_cut = math.nan
        self._reach = 0.0

    def select(self, scores: Tensor, k: int, mask: Tensor) -> None:
        """Write the mask of the `k` largest scores.

        Parameters
        ----------
        scores
            float32, any shape, contiguous; positions count in C order.
        k
            0 to ``scores.numel()``.
        mask
            bool, same shape, contiguous; overwritten.
        """
        if k <= 0:
            mask.zero_()
        elif k >= scores.numel():
            mask.fill_(True)
        elif scores.device.type == "cpu":
            self._select_on_processor(scores.detach().numpy().reshape(-1), k, mask.numpy().reshape(-1))
        else:
            _select_by_sorting(scores.detach().reshape(-1), k, mask.view(-1))

    def _select_on_processor(self, scores: np.ndarray, k: int, mask: np.ndarray) -> None:
        cut = self._cut_in_bracket(scores, k, mask)
        if cut is None:
            cut = np.partition(scores, scores.size - k)[scores.size - k]
        moved = abs(float(cut) - self.score_cut)
        # Wide enough for a cut that moves twice as far next time; the floor keeps a resting cut's bracket open.
        self._reach = max(2 * moved, 1e-6 * abs(float(cut)), 1e-9) if math.isfinite(moved) else 0.0
        self.score_cut = float(cut)
        np.greater(scores, cut, out=mask)
        missing = k - np.count_nonzero(mask)
        if missing:
            ties = np.flatnonzero(scores == cut)[:missing]
            if ties.size < missing:
                raise FloatingPointError("scores hold NaN")
            mask[ties] = True

    def _cut_in_bracket(self, scores: np.ndarray, k: int, scratch: np.ndarray) -> np.float32 | None:
        """k-th largest score if it lies in the bracket round the last cut; `scratch` is overwritten."""
        if not self._reach:
            return None
        low = np.float32(self.score_cut - self._reach)
        high = np.float32(self.score_cut + self._reach)
        np.greater(scores, high, out=scratch)
        above = np.count_nonzero(scratch)
        if above >= k:
            return None
        candidates = scores[np.greater_equal(scores, low, out=scratch)]
        if candidates.size < k:
            return None
        candidates = candidates[candidates <= high]
        rank = k - above
        return np.partition(candidates, candidates.size - rank)[candidates.size - rank]


def _select_by_sorting(scores: Tensor, k: int, mask: Tensor) -> None:
    """Without a value that the host must wait for; a stable sort keeps equal scores in order of position."""
    order = torch.sort(scores, descending=True, stable=True).indices
    mask.zero_()
    mask[order[:k]] = True
