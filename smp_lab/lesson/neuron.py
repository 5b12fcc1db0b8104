"""One neuron, by hand: y = M_1 W_1 x_1 + ... + M_n W_n x_n, with the loss L = (y - target)^2 / 2."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smp_lab.lesson.network import Floats

RISES, FALLS, STAYS = DIRECTIONS = ("rises", "falls", "stays")
# Activations are never below 0, as behind a relu.
_INPUTS = (0.8, 0.6, 1.0, 0.5, 0.9, 0.7)
_OTHER_WEIGHTS = (-0.7, 0.5, -1.2, 0.3, -0.4)
MOST_INPUTS = len(_INPUTS)


@dataclass(frozen=True)
class Neuron:
    """Weights, mask and inputs of a neuron and what it should answer; all but the last ``(n,)``."""

    weights: Floats
    mask: npt.NDArray[np.bool_]
    inputs: Floats
    target: float = 0.0

    @property
    def output(self) -> float:
        """Y."""
        return float((self.mask * self.weights) @ self.inputs)

    @property
    def weight_gradients(self) -> Floats:
        """dL/dW' of each weight, W' = W * M: (y - target) x."""
        return (self.output - self.target) * self.inputs

    @property
    def score_gradients(self) -> Floats:
        """dL/dS := dL/dW' * W, the mask left out."""
        return self.weight_gradients * self.weights


def a_neuron(n_inputs: int, weight: float, *, kept: bool, up: bool) -> Neuron:
    """A neuron of 2 to `MOST_INPUTS` inputs, whose first weight is the one that is looked at; all others are kept.

    The target is 1 above the output where it should go `up`, else 1 below.
    """
    weights = np.array([weight, *_OTHER_WEIGHTS[: n_inputs - 1]])
    mask = np.array([kept, *[True] * (n_inputs - 1)])
    neuron = Neuron(weights, mask, np.array(_INPUTS[:n_inputs]))
    return replace(neuron, target=neuron.output + (1 if up else -1))


def direction(change: float) -> str:
    """Where a score goes."""
    return STAYS if change == 0 else RISES if change > 0 else FALLS
