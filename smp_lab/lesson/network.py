"""A small network with its own backpropagation. It is built as an encoder is under Static Model Pruning.

    h_0 = relu(A x + b_0)                        embedding: frozen, dense
    h_l = relu((W_l * M_l) h_{l-1} + b_l)        layers: frozen weights, a learned mask
    z   = c . h_L                                head: frozen, dense

A point is of class 1 where z > 0. The loss is the cross-entropy of sigmoid(z), as a mean over the points.
Source of the way the mask is laid over the weights: Jiang et al. (2023).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

N_LAYERS = 2
# Random weights have so many times the spread of He et al. (2015): a mask can only take away.
SPREAD = 1.5


@dataclass(frozen=True)
class Network:
    """Weights and biases.

    Parameters
    ----------
    embedding
        A, ``(width, 2)``.
    biases
        b_0 to b_L, ``(width,)`` each.
    weights
        W_1 to W_L, ``(width, width)`` each: the prunable ones.
    head
        c, ``(width,)``.
    """

    embedding: Floats
    biases: Sequence[Floats]
    weights: Sequence[Floats]
    head: Floats

    @property
    def n_weights(self) -> int:
        """Prunable weights."""
        return sum(weight.size for weight in self.weights)

    def in_float64(self) -> Network:
        """The same, for finite differences and for ranks that no order of a sum decides."""
        biases, weights = ([part.astype(float) for part in parts] for parts in (self.biases, self.weights))
        return Network(self.embedding.astype(float), biases, weights, self.head.astype(float))


def random_network(width: int, rng: np.random.Generator, n_layers: int = N_LAYERS) -> Network:
    """A network that has learned nothing, float32."""

    def normal(*shape: int) -> Floats:
        return rng.standard_normal(shape).astype(np.float32)

    he = np.float32(np.sqrt(2 / width))
    return Network(
        embedding=np.float32(SPREAD) * normal(width, 2),
        biases=[np.float32(0.5) * normal(width) for _ in range(n_layers + 1)],
        weights=[np.float32(SPREAD) * he * normal(width, width) for _ in range(n_layers)],
        head=he * normal(width),
    )


def embed(network: Network, points: Floats) -> Floats:
    """h_0 of points ``(n, 2)``, ``(n, width)``: no mask changes it."""
    return relu(points @ network.embedding.T + network.biases[0])


def forward(network: Network, embedded: Floats, masked: Sequence[Floats]) -> tuple[Floats, list[Floats]]:
    """The network's answers.

    Parameters
    ----------
    network
        Of L layers.
    embedded
        h_0 of the points, from `embed`.
    masked
        W' = W * M of each layer, ``(width, width)``: what the layers compute with.

    Returns
    -------
    z, hidden
        ``(n,)``, and h_0 to h_L, ``(n, width)`` each.
    """
    hidden = [embedded]
    for weight, bias in zip(masked, network.biases[1:], strict=True):
        hidden.append(relu(hidden[-1] @ weight.T + bias))
    return hidden[-1] @ network.head, hidden


def backward(
    network: Network, masked: Sequence[Floats], hidden: Sequence[Floats], z: Floats, labels: npt.NDArray[np.int8]
) -> list[Floats]:
    """dL/dW' of each layer, by the chain rule from the last layer to the first.

    Parameters
    ----------
    network, masked
        As in `forward`.
    hidden, z
        What `forward` gave.
    labels
        0 or 1, ``(n,)``.

    Returns
    -------
    list of ndarray
        ``(width, width)`` per layer.
    """
    # d cross-entropy / dz is p - y, in every textbook.
    gradient = ((sigmoid(z) - labels) / len(z))[:, None] * network.head
    gradients: list[Floats] = []
    for layer in reversed(range(len(masked))):
        gradient = gradient * (hidden[layer + 1] > 0)
        gradients.append(gradient.T @ hidden[layer])
        if layer:
            gradient = gradient @ masked[layer]
    return gradients[::-1]


def loss(z: Floats, labels: npt.NDArray[np.int8]) -> Floats:
    """Cross-entropy of sigmoid(z), as a mean over the points: z is ``(..., n)``, one mean for each row of it."""
    return np.mean(np.logaddexp(0, z) - labels * z, axis=-1)


def accuracy(z: Floats, labels: npt.NDArray[np.int8]) -> Floats:
    """Share of points on the right side of z = 0, as a mean like that of `loss`."""
    return np.mean((z > 0) == labels, axis=-1)


def relu(values: Floats) -> Floats:
    """What is above 0."""
    return np.maximum(values, 0)


def sigmoid(values: Floats) -> Floats:
    """1 / (1 + exp(-x)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * values))
