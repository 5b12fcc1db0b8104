"""smp_s: layers compete for the weights of a matrix type (Jiang et al. 2023, "S")."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from smp_lab.layout import MATRIX_TYPES
from smp_lab.masks import kept_count
from smp_lab.training.masking.base import Prunable, keep_top


def share(part: Prunable, scores: Sequence[Tensor], step: int, masks: Sequence[Tensor]) -> None:
    """Matrix type t of layer l keeps ``v_tl = v * L * r_tl / sum_l'(r_tl')``, r the mean of sigmoid(S / p).

    So every type keeps v over the layers together, and a layer keeps more of it where its scores are high.
    """
    keep_top(scores, kept_counts(part, scores, part.schedule.remaining(step)), masks)


def kept_counts(part: Prunable, scores: Sequence[Tensor], remaining: float) -> Tensor:
    """v_tl * n for every matrix, int64 ``(n_matrices,)``, rounded so that each type keeps exactly floor(v * L * n)."""
    # One place for all: memory that is fresh for each matrix takes three times as long to write to.
    place = scores[0].new_empty(max(score.numel() for score in scores))
    scaled = (
        torch.div(score.detach(), part.share_temperature, out=place[: score.numel()].view_as(score)) for score in scores
    )
    means = torch.stack([values.sigmoid_().mean() for values in scaled]).double()
    n_layers = part.layout.n_layers
    sizes = torch.tensor([part.layout.size(matrix_type) for matrix_type in MATRIX_TYPES], dtype=torch.float64)
    totals = torch.tensor([kept_count(remaining, n_layers * int(size)) for size in sizes])
    shares = share_among_layers(means.view(n_layers, len(MATRIX_TYPES)), remaining)
    # Blocking, a copy would wait for all that an accelerator still has to do.
    sizes, totals = (numbers.to(means.device, non_blocking=True) for numbers in (sizes, totals))
    return whole_counts(shares, sizes, totals).view(-1)


def whole_counts(shares: Tensor, sizes: Tensor, totals: Tensor) -> Tensor:
    """Shares as whole numbers of weights that add up to the totals of their matrix types.

    Each layer gets ``floor(share * size)``; what is left, less than one weight a layer, goes to the largest fractional
    parts, earlier layers first (the authors' code leaves it out). Nothing here waits for an accelerator.

    Parameters
    ----------
    shares
        float64 ``(n_layers, n_types)`` in [0, 1].
    sizes
        float64 ``(n_types,)`` weights in each matrix.
    totals
        int64 ``(n_types,)`` weights to be kept over all layers.

    Returns
    -------
    Tensor
        int64 ``(n_layers, n_types)``.
    """
    exact = shares * sizes
    # Shares are products of floats: a hair above a whole number must not claim one weight more than there is to share.
    counts = torch.floor(exact - 1e-6).clamp(min=0)
    # A full matrix has no room for one more, and comes last.
    fractions = torch.where(counts < sizes, exact - counts, -1.0)
    order = torch.argsort(fractions, dim=0, descending=True, stable=True)
    ranks = torch.argsort(order, dim=0)
    missing = totals - counts.sum(dim=0)
    return (counts + (ranks < missing)).long()


def share_among_layers(means: Tensor, remaining: float | Tensor) -> Tensor:
    """Keep fraction of each layer and matrix type.

    Parameters
    ----------
    means
        float64 ``(n_layers, n_types)`` mean sigmoid of the scores, above 0.
    remaining
        v, in (0, 1]; a float64 tensor ``(n_types,)`` where the columns of `means` have one each.

    Returns
    -------
    Tensor
        float64 ``(n_layers, n_types)`` fractions in [0, 1]; their mean over layers is v for each type. Where the
        formula asks for more than a whole matrix, the matrix is kept whole and the other layers share what is cut off
        by the same rule, again until no share is above 1 (the authors' code loses it).
    """
    n_layers = len(means)
    whole = torch.zeros_like(means, dtype=torch.bool)
    shares = torch.ones_like(means)
    # Each round fills at least one layer of a type or changes nothing more; asking which would wait for an accelerator.
    for _ in range(n_layers):
        still = torch.where(whole, 0.0, means)
        budget = remaining * n_layers - whole.sum(dim=0, dtype=means.dtype)
        shares = torch.where(whole, 1.0, budget * still / still.sum(dim=0).clamp(min=torch.finfo(still.dtype).tiny))
        whole = whole | (shares >= 1)
    return shares.clamp(max=1)
