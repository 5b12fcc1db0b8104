"""The loss of a small network against one weight's score, and against its mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smp_lab.lesson.masking import local
from smp_lab.lesson.network import Floats, Network, backward, embed, forward, loss, random_network
from smp_lab.lesson.shapes import draw_points
from smp_lab.lesson.training import score_gradients

_WIDTH, _N_POINTS, _SEED, _REMAINING = 8, 128, 3, 0.5
N_WEIGHTS = _WIDTH * _WIDTH
# So small that hardly a unit of the network is between on and off within it.
_STEP = 1e-6


@dataclass(frozen=True)
class Bench:
    """A small network with given scores, of which those of the first layer are looked at.

    Parameters
    ----------
    network
        float64, so that a finite difference can be compared with the gradient.
    points, labels
        What it is to learn.
    scores
        Of each layer.
    """

    network: Network
    points: Floats
    labels: npt.NDArray[np.int8]
    scores: Sequence[Floats]

    def loss_at_score(self, weight: int, score: float) -> float:
        """L where one weight has another score, and the top half of each layer is kept."""
        return self._loss(self._masks(weight, score))

    def loss_at_mask(self, weight: int, score: float, value: float) -> float:
        """L where the mask of that weight is `value`, as if it could be any number, and all others are as they are."""
        return self._loss(self._masks(weight, score, value))

    def cut(self, weight: int) -> float:
        """The score above which a weight is kept, given all others."""
        others = np.sort(np.delete(self.scores[0].ravel(), weight))[::-1]
        return float(others[N_WEIGHTS // 2 - 1])

    def gradient(self, weight: int, score: float) -> float:
        """dL/dS := dL/dW' * W of one weight, by backpropagation, where it has another score."""
        masked = [w * m for w, m in zip(self.network.weights, self._masks(weight, score), strict=True)]
        z, hidden = forward(self.network, embed(self.network, self.points), masked)
        gradients = backward(self.network, masked, hidden, z, self.labels)
        return float(score_gradients(gradients, self.network.weights, self.scores, 0)[0].ravel()[weight])

    def difference(self, weight: int, score: float) -> float:
        """(L(M + h) - L(M - h)) / 2h, h = 0.000001, of the same."""
        value = float(score > self.cut(weight))
        above, below = (self.loss_at_mask(weight, score, value + step) for step in (_STEP, -_STEP))
        return (above - below) / (2 * _STEP)

    def _masks(self, weight: int, score: float, value: float | None = None) -> list[Floats]:
        moved = [values.copy() for values in self.scores]
        moved[0].ravel()[weight] = score
        masks = [mask.astype(float) for mask in local(moved, _REMAINING)]
        if value is not None:
            masks[0].ravel()[weight] = value
        return masks

    def _loss(self, masks: Sequence[Floats]) -> float:
        masked = [weight * mask for weight, mask in zip(self.network.weights, masks, strict=True)]
        z, _ = forward(self.network, embed(self.network, self.points), masked)
        return float(loss(z, self.labels))


def bench() -> Bench:
    """The one that the lesson shows."""
    rng = np.random.default_rng(_SEED)
    points, labels = draw_points("moons", _N_POINTS, rng)
    network = random_network(_WIDTH, rng).in_float64()
    scores = [rng.normal(0, 0.4, weight.shape) for weight in network.weights]
    return Bench(network, points.astype(float), labels, scores)
