"""The methods of `smp_lab.methods`: what each does to the prunable weights. One file each.

A new method is a new file here that defines `weights`, a line in `METHOD_WEIGHTS`, and an entry in `smp_lab.methods`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smp_lab.training.methods import (
    dense,
    l0,
    magnitude,
    magnitude_frozen,
    movement,
    random,
    smp_g,
    smp_l,
    smp_s,
    smp_t,
    soft_movement,
)
from smp_lab.training.methods.base import Prunable
from smp_lab.training.pruned_weights import PrunedWeights

METHOD_WEIGHTS: Mapping[str, Callable[[Prunable], PrunedWeights]] = {
    "smp_l": smp_l.weights,
    "smp_s": smp_s.weights,
    "smp_g": smp_g.weights,
    "smp_t": smp_t.weights,
    "dense": dense.weights,
    "magnitude": magnitude.weights,
    "movement": movement.weights,
    "soft_movement": soft_movement.weights,
    "l0": l0.weights,
    "random": random.weights,
    "magnitude_frozen": magnitude_frozen.weights,
}

__all__ = ["METHOD_WEIGHTS", "Prunable"]
