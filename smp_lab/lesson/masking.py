"""The masking functions in numpy: from the scores of all layers to their masks.

They are those of `smp_lab.training.masking`, for layers of one matrix type. Source: Jiang et al. (2023).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from smp_lab.lesson.network import Floats, sigmoid
from smp_lab.masks import BoolArray, kept_count, top_k


def local(scores: Sequence[Floats], remaining: float) -> list[BoolArray]:
    """SMP-L: every layer keeps the top v of its own scores."""
    return [top_k(score, kept_count(remaining, score.size)) for score in scores]


def share(scores: Sequence[Floats], remaining: float) -> list[BoolArray]:
    """SMP-S: a layer keeps more where its scores are higher."""
    sizes = [score.size for score in scores]
    shares = share_fractions(mean_sigmoids(scores), remaining)
    counts = whole_counts(shares, sizes[0], kept_count(remaining, sum(sizes)))
    return [top_k(score, count) for score, count in zip(scores, counts, strict=True)]


def global_(scores: Sequence[Floats], remaining: float) -> list[BoolArray]:
    """SMP-G: one top-k over the scores of all layers together."""
    every = np.concatenate([score.ravel() for score in scores])
    mask = top_k(every, kept_count(remaining, every.size))
    ends = np.cumsum([score.size for score in scores])[:-1]
    return [part.reshape(score.shape) for part, score in zip(np.split(mask, ends), scores, strict=True)]


def threshold(scores: Sequence[Floats], tau: float) -> list[BoolArray]:
    """SMP-T: every weight whose sigmoid(S) is above tau. How many that are comes out of training."""
    return [sigmoid(score) > tau for score in scores]


# All that keep a set fraction.
RANKED: Mapping[str, Callable[[Sequence[Floats], float], list[BoolArray]]] = {
    "local": local,
    "share": share,
    "global": global_,
}


def mean_sigmoids(scores: Sequence[Floats]) -> Floats:
    """r_l, the mean of sigmoid(S) in each layer, float64."""
    return np.array([sigmoid(score).mean() for score in scores], np.float64)


def share_fractions(means: Floats, remaining: float) -> Floats:
    """v_l = v L r_l / (r_1 + ... + r_L), ``(n_layers,)`` in [0, 1] with mean v; r_l are above 0.

    Where the formula asks for more than a whole layer, that layer is kept whole, and the others share the rest by the
    same rule.
    """
    shares = asked_shares(means, remaining)
    whole = np.zeros(len(means), bool)
    while (shares > 1).any():
        whole |= shares >= 1
        rest = remaining * len(means) - whole.sum()
        shares = np.where(whole, 1.0, rest * means / means[~whole].sum())
    return shares


def asked_shares(means: Floats, remaining: float) -> Floats:
    """What the formula asks for, ``(n_layers,)``: it may be more than 1."""
    return remaining * len(means) * means / means.sum()


def whole_counts(shares: Floats, size: int, total: int) -> list[int]:
    """Shares of layers of `size` weights as whole numbers that add up to `total`.

    Each gets the floor of its share; what is left goes to the largest fractional parts, earlier layers first.
    """
    exact = shares * size
    # A hair above a whole number, from rounding, must not claim one weight more than there is to share.
    counts = np.maximum(np.floor(exact - 1e-6), 0).astype(int)
    fractions = np.where(counts < size, exact - counts, -1.0)
    for layer in np.argsort(-fractions, kind="stable")[: total - counts.sum()]:
        counts[layer] += 1
    return [int(count) for count in counts]
