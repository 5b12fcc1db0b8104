"""What a method does to the prunable weights, by what its mask is made of. A file each where that is more than a line.

A new importance is a new file here, a line in `_BY_IMPORTANCE`, and a name in `smp_lab.methods`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from smp_lab import methods
from smp_lab.methods import Method
from smp_lab.training.masking import MASKING, Prunable
from smp_lab.training.methods.l0 import GatedWeights
from smp_lab.training.methods.magnitude import MagnitudeMasked
from smp_lab.training.methods.random import RandomMasked
from smp_lab.training.pruned_weights import MaskedWeights, PrunedWeights, WholeWeights

_BY_IMPORTANCE: Mapping[str | None, Callable[..., PrunedWeights]] = {
    methods.SCORES: MaskedWeights,
    methods.MAGNITUDE: MagnitudeMasked,
    methods.RANDOM: RandomMasked,
    methods.GATES: GatedWeights,
    None: WholeWeights,
}


def prune(method: Method, part: Prunable) -> PrunedWeights:
    """The prunable weights as a method uses them, before its first step."""
    make = _BY_IMPORTANCE[method.importance]
    if method.masking is None:
        return make(part)
    return make(part, masking=MASKING[method.masking], with_scores=method.trains_scores)
