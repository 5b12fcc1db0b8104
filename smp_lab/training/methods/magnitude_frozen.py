"""magnitude_frozen: the top v of abs(W) of every matrix of the pre-trained encoder; nothing is trained (a control)."""

from __future__ import annotations

from smp_lab.training.methods import magnitude
from smp_lab.training.methods.base import Prunable
from smp_lab.training.methods.magnitude import MagnitudeMasked


def weights(part: Prunable) -> MagnitudeMasked:
    """W * M with M from abs(W), W frozen."""
    return magnitude.weights(part)
