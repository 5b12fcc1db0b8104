"""How the small network learns: by its mask, by its weights, or by both. Full batches, Adam, a few hundred steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from smp_lab.errors import ConfigError
from smp_lab.lesson.masking import RANKED, threshold
from smp_lab.lesson.network import Floats, Network, accuracy, backward, embed, forward, loss, random_network, sigmoid
from smp_lab.lesson.shapes import draw_points
from smp_lab.masks import BoolArray
from smp_lab.schedule import Schedule

SMP, MOVEMENT, MAGNITUDE, RANDOM, FINE_TUNING = METHODS = ("smp", "movement", "magnitude", "random", "fine-tuning")
MASKINGS = (*RANKED, "threshold")
# Magnitude pruning notes scores and never looks at them: so one sees what it does not use.
HAS_SCORES, TRAINS_WEIGHTS = {SMP, MOVEMENT, MAGNITUDE}, {MOVEMENT, MAGNITUDE, FINE_TUNING}

N_POINTS, N_TEST_POINTS, N_STEPS, N_SNAPSHOTS = 256, 1000, 300, 21
WEIGHT_LEARNING_RATE = 0.01


@dataclass(frozen=True)
class Settings:
    """One training.

    Parameters
    ----------
    shape
        What is learned, one of `SHAPES`.
    method
        One of `METHODS`. "random" keeps weights at random and trains nothing, "fine-tuning" trains the same matrices
        that the others lay masks over, and prunes nothing.
    masking
        One of `MASKINGS`, of the scores. Magnitude pruning and random masks keep the same share of each layer.
    remaining
        v.
    threshold
        tau at the end, for the masking function of that name.
    regularizer
        lambda_max of the objective's lambda(t) * R, R = mean over layers of mean(sigmoid(S)).
    schedule_fraction
        N as a fraction of the steps: from then on v remain.
    learning_rate
        Of the scores.
    width
        Units in each layer.
    seed
        Of points and weights.
    steps
        T.
    pretrained
        A shape that the network was fine-tuned on before; None for random weights.
    straight_through
        False for the true gradient of the mask, which is 0.
    """

    shape: str = "moons"
    method: str = SMP
    masking: str = "local"
    remaining: float = 0.5
    threshold: float = 0.5
    regularizer: float = 0.0
    schedule_fraction: float = 0.6
    learning_rate: float = 0.05
    width: int = 32
    seed: int = 0
    steps: int = N_STEPS
    pretrained: str | None = None
    straight_through: bool = True

    def __post_init__(self) -> None:
        for name, allowed in (("method", METHODS), ("masking", MASKINGS)):
            if getattr(self, name) not in allowed:
                raise ConfigError(f"Unknown {name} {getattr(self, name)!r}. Choose one of: {', '.join(allowed)}.")

    @property
    def schedule(self) -> Schedule:
        """How the remaining fraction falls and lambda grows."""
        return Schedule(
            self.steps,
            round(self.schedule_fraction * self.steps),
            self.remaining,
            regularizer=self.regularizer,
            final_threshold=self.threshold,
        )


@dataclass
class Adam:
    """Adam (Kingma and Ba 2015) over one list of arrays; its learning rate falls to 0 in a straight line."""

    learning_rate: float
    steps: int
    _mean: list[Floats] = field(default_factory=list)
    _square: list[Floats] = field(default_factory=list)

    def update(self, values: Sequence[Floats], gradients: Sequence[Floats], step: int) -> list[Floats]:
        """The values one step further down; `step` counts from 0."""
        if not self._mean:
            self._mean, self._square = ([np.zeros_like(value) for value in values] for _ in range(2))
        rate = self.learning_rate * (1 - step / self.steps)
        moved = []
        for value, gradient, mean, square in zip(values, gradients, self._mean, self._square, strict=True):
            mean += 0.1 * (gradient - mean)
            square += 0.001 * (gradient * gradient - square)
            first, second = mean / (1 - 0.9 ** (step + 1)), square / (1 - 0.999 ** (step + 1))
            moved.append(value - rate * first / (np.sqrt(second) + 1e-8))
        return moved


@dataclass(frozen=True)
class State:
    """A training at one step, after so many updates. Lists have an entry per layer, ``(width, width)``."""

    step: int
    weights: list[Floats]
    scores: list[Floats]
    masks: list[BoolArray]

    @property
    def masked(self) -> list[Floats]:
        """W' = W * M: what the layers compute with."""
        return [weight * mask for weight, mask in zip(self.weights, self.masks, strict=True)]


@dataclass(frozen=True)
class Training:
    """What came out of one training.

    Parameters
    ----------
    settings
        Of it.
    network
        As it was before.
    loss
        On the training points at every step, ``(steps + 1,)``.
    kept, flips_in, flips_out
        Weights in the mask, and those that came in and left since the step before, ``(steps + 1,)``.
    snapshots
        Some `N_SNAPSHOTS` states, evenly spread from the first step to the last.
    points, labels
        The training points.
    test_accuracy
        On points that were not trained on, at each snapshot.
    """

    settings: Settings
    network: Network
    loss: Floats
    kept: npt.NDArray[np.int64]
    flips_in: npt.NDArray[np.int64]
    flips_out: npt.NDArray[np.int64]
    snapshots: Sequence[State]
    points: Floats
    labels: npt.NDArray[np.int8]
    test_accuracy: Floats

    @property
    def steps(self) -> npt.NDArray[np.int64]:
        """Step of each snapshot."""
        return np.array([state.step for state in self.snapshots])


def train(settings: Settings) -> Training:
    """One training from its settings alone."""
    rng = np.random.default_rng(settings.seed)
    points, labels = draw_points(settings.shape, N_POINTS, rng)
    test_points, test_labels = draw_points(settings.shape, N_TEST_POINTS, rng)
    network = starting_network(settings, rng)
    wanted = set(np.linspace(0, settings.steps, N_SNAPSHOTS).round().astype(int))
    answered, every, snapshots = [], [], []
    for state, z in walk(network, points, labels, settings, rng):
        answered.append(z)
        every.append(state.masks)
        if state.step in wanted:
            snapshots.append(state)
    masks = np.array(every)
    before = np.concatenate([np.ones_like(masks[:1]), masks[:-1]])
    return Training(
        settings=settings,
        network=network,
        loss=loss(np.array(answered), labels),
        kept=np.count_nonzero(masks, axis=(1, 2, 3)),
        flips_in=np.count_nonzero(masks & ~before, axis=(1, 2, 3)),
        flips_out=np.count_nonzero(before & ~masks, axis=(1, 2, 3)),
        snapshots=snapshots,
        points=points,
        labels=labels,
        test_accuracy=accuracy(answers(network, snapshots, test_points), test_labels),
    )


def starting_network(settings: Settings, rng: np.random.Generator) -> Network:
    """Random weights, or those that fine-tuning on another shape has left."""
    network = random_network(settings.width, rng)
    if settings.pretrained is None:
        return network
    points, labels = draw_points(settings.pretrained, N_POINTS, rng)
    before = replace(settings, shape=settings.pretrained, method=FINE_TUNING, pretrained=None)
    *_, (last, _) = walk(network, points, labels, before, rng)
    return replace(network, weights=last.weights)


def walk(
    network: Network,
    points: Floats,
    labels: npt.NDArray[np.int8],
    settings: Settings,
    rng: np.random.Generator,
) -> Iterator[tuple[State, Floats]]:
    """The training itself: at every step the state, and z of the points, ``(n,)``.

    The masks of a step are made before its update, those of the last step after the last update.
    """
    schedule, weights = settings.schedule, list(network.weights)
    scores = [np.zeros_like(weight) for weight in weights]
    score_adam = Adam(settings.learning_rate, settings.steps)
    weight_adam = Adam(WEIGHT_LEARNING_RATE, settings.steps)
    drawn = [rng.random(weight.shape) for weight in weights]
    embedded = embed(network, points)
    for step in range(settings.steps + 1):
        masks = make_masks(settings, schedule, step, weights, scores, drawn)
        state = State(step, weights, scores, masks)
        masked = state.masked
        z, hidden = forward(network, embedded, masked)
        yield state, z
        if step == settings.steps:
            return
        gradients = backward(network, masked, hidden, z, labels)
        if settings.method in HAS_SCORES and settings.straight_through:
            pull = schedule.regularizer_weight(step)
            scores = score_adam.update(scores, score_gradients(gradients, weights, scores, pull), step)
        if settings.method in TRAINS_WEIGHTS:
            through = [gradient * mask for gradient, mask in zip(gradients, masks, strict=True)]
            weights = weight_adam.update(weights, through, step)


def make_masks(
    settings: Settings,
    schedule: Schedule,
    step: int,
    weights: Sequence[Floats],
    scores: Sequence[Floats],
    drawn: Sequence[Floats],
) -> list[BoolArray]:
    """The masks of a step: by score, by abs(W), by draw, or all True."""
    if settings.method == FINE_TUNING:
        return [np.ones(weight.shape, bool) for weight in weights]
    if settings.method == RANDOM:
        return RANKED["local"](drawn, settings.remaining)
    if settings.method == MAGNITUDE:
        return RANKED["local"]([np.abs(weight) for weight in weights], schedule.remaining(step))
    if settings.masking == "threshold":
        return threshold(scores, schedule.threshold(step))
    return RANKED[settings.masking](scores, schedule.remaining(step))


def score_gradients(
    gradients: Sequence[Floats], weights: Sequence[Floats], scores: Sequence[Floats], pull: float
) -> list[Floats]:
    """dL/dS := dL/dW' * W, for kept and for removed weights alike, and the regulariser's own gradient.

    Parameters
    ----------
    gradients, weights, scores
        dL/dW', W and S of each layer.
    pull
        lambda(t).
    """
    found: list[Floats] = []
    for gradient, weight, score in zip(gradients, weights, scores, strict=True):
        trend = gradient * weight
        if pull:
            sigma = sigmoid(score)
            trend = trend + pull / len(scores) / score.size * sigma * (1 - sigma)
        found.append(trend)
    return found


def answers(network: Network, snapshots: Sequence[State], points: Floats) -> Floats:
    """The z of some points at each snapshot, ``(n_snapshots, n_points)``."""
    embedded = embed(network, points)
    return np.stack([forward(network, embedded, state.masked)[0] for state in snapshots])
