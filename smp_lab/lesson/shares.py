"""Two layers with scores of their own: how many weights each masking function keeps of either."""

from __future__ import annotations

import numpy as np

from smp_lab.lesson.masking import RANKED, asked_shares, mean_sigmoids
from smp_lab.lesson.network import Floats

N_WEIGHTS = 2500
SPREAD = 1.0


def two_layers(means: tuple[float, float]) -> list[Floats]:
    """Scores of two layers, `N_WEIGHTS` each, normal around these means; they differ in the means alone."""
    around = SPREAD * np.random.default_rng(0).standard_normal((50, 50))
    return [mean + around for mean in means]


def kept_counts(scores: list[Floats], remaining: float) -> dict[str, list[int]]:
    """Kept weights of each layer, by masking function."""
    return {name: [int(mask.sum()) for mask in function(scores, remaining)] for name, function in RANKED.items()}


def asked(scores: list[Floats], remaining: float) -> list[float]:
    """What the share rule asks for of each layer; above 1 it cannot be had."""
    return [float(share) for share in asked_shares(mean_sigmoids(scores), remaining)]
