"""smp_s: layers compete for the weights of a matrix type (Jiang et al. 2023, "S")."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from smp_lab.bert_layout import MATRIX_TYPES
from smp_lab.masks import kept_count
from smp_lab.training.masking.base import PerMatrix


class Share(PerMatrix):
    """Matrix type t of layer l keeps ``v_tl = v * L * r_tl / sum_l'(r_tl')``, r the mean of sigmoid(S).

    So every type keeps v over the layers together, and a layer keeps more of it where its scores are high.
    """

    def kept_counts(self, scores: Sequence[Tensor], remaining: float) -> list[int]:
        """v_tl * n for every matrix, rounded so that each type keeps exactly floor(v * L * n)."""
        means = torch.stack([torch.sigmoid(score.detach()).mean() for score in scores]).double().cpu().numpy()
        shares = share_among_layers(means.reshape(self.layout.n_layers, len(MATRIX_TYPES)), remaining)
        counts = np.empty(shares.shape, np.int64)
        for column, matrix_type in enumerate(MATRIX_TYPES):
            size = self.layout.size(matrix_type)
            total = kept_count(remaining, self.layout.n_layers * size)
            counts[:, column] = whole_counts(shares[:, column], size, total)
        return counts.reshape(-1).tolist()


def whole_counts(shares: npt.NDArray[np.float64], n_weights: int, total: int) -> npt.NDArray[np.int64]:
    """Shares of one matrix type as whole numbers of weights that add up to `total`.

    Each layer gets ``floor(share * n_weights)``; what is left, less than one weight a layer, goes to the largest
    fractional parts, earlier layers first (the authors' code leaves it out).

    Parameters
    ----------
    shares
        ``(n_layers,)`` in [0, 1].
    n_weights
        In each matrix of the type.
    total
        To be kept over all layers.
    """
    exact = shares * n_weights
    # Shares are products of floats: a hair above a whole number must not claim one weight more than there is to share.
    counts = np.floor(exact - 1e-6).clip(0).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    order = order[counts[order] < n_weights]
    counts[order[: total - counts.sum()]] += 1
    return counts


def share_among_layers(means: npt.NDArray[np.float64], remaining: float) -> npt.NDArray[np.float64]:
    """Keep fraction of each layer and matrix type.

    Parameters
    ----------
    means
        ``(n_layers, n_types)`` mean sigmoid of the scores, above 0.
    remaining
        v, in (0, 1].

    Returns
    -------
    ndarray
        ``(n_layers, n_types)`` fractions in [0, 1]; their mean over layers is v for each type. Where the formula asks
        for more than a whole matrix, the matrix is kept whole and the other layers share what is cut off by the same
        rule, again until no share is above 1 (the authors' code loses it).
    """
    n_layers = len(means)
    shares = np.empty_like(means)
    for column, mean in enumerate(means.T):
        open_layers = np.ones(n_layers, bool)
        share = np.ones(n_layers)
        while open_layers.any():
            budget = remaining * n_layers - (~open_layers).sum()
            share[open_layers] = budget * mean[open_layers] / mean[open_layers].sum()
            whole = open_layers & (share >= 1)
            if not whole.any():
                break
            share[whole] = 1
            open_layers &= ~whole
        shares[:, column] = share
    return shares
