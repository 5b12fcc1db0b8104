"""Each method against a direct transcription, against the torch engine, and what a training is said to learn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from smp_lab.errors import ConfigError
from smp_lab.lesson.network import accuracy, random_network
from smp_lab.lesson.shapes import draw_points
from smp_lab.lesson.training import (
    FINE_TUNING,
    MAGNITUDE,
    MOVEMENT,
    N_POINTS,
    N_SNAPSHOTS,
    N_TEST_POINTS,
    RANDOM,
    SMP,
    Settings,
    answers,
    train,
    walk,
)
from smp_lab.ui.lesson import trainings

STEPS, SCHEDULE, LEVEL = 50, 30, 0.4
SETTINGS = Settings(steps=STEPS, schedule_fraction=SCHEDULE / STEPS, remaining=LEVEL, regularizer=2.0)


def start(width, n_layers):
    """A float64 network with 40 points: float32 would leave the order of a sum to decide a rank."""
    rng = np.random.default_rng(2)
    network = random_network(width, rng, n_layers).in_float64()
    points, labels = draw_points("moons", 40, rng)
    return network, points.astype(float), labels


def transcribed(network, points, labels, method):
    """The masks of every step: the formulas one after another, with none of the lesson's functions."""
    weights = [weight.copy() for weight in network.weights]
    scores = [np.zeros_like(weight) for weight in weights]
    memory = {name: [[0.0, 0.0] for _ in weights] for name in ("score", "weight")}
    for t in range(STEPS + 1):
        v = LEVEL + (1 - LEVEL) * (1 - t / SCHEDULE) ** 3 if t < SCHEDULE else LEVEL
        masks = []
        for weight, score in zip(weights, scores, strict=True):
            importance = (np.abs(weight) if method == MAGNITUDE else score).ravel()
            ranked = sorted(range(importance.size), key=lambda place: -importance[place])
            mask = np.zeros(importance.size)
            mask[ranked[: int(v * importance.size)]] = 1
            masks.append(mask.reshape(weight.shape))
        yield masks
        h = [np.maximum(0, np.einsum("ni,oi->no", points, network.embedding) + network.biases[0])]
        for layer, weight in enumerate(weights):
            h.append(np.maximum(0, np.einsum("ni,oi->no", h[-1], weight * masks[layer]) + network.biases[layer + 1]))
        p = 1 / (1 + np.exp(-h[-1] @ network.head))
        d = np.outer((p - labels) / len(points), network.head)
        rate = 1 - t / STEPS
        for layer in reversed(range(len(weights))):
            d = d * (h[layer + 1] > 0)
            dw = np.einsum("no,ni->oi", d, h[layer])
            d = d @ (weights[layer] * masks[layer])
            s = 1 / (1 + np.exp(-scores[layer]))
            pull = 2.0 * (1 - (1 - t / STEPS) ** 3) / len(weights) / dw.size
            steps = {"score": (0.05, dw * weights[layer] + pull * s * (1 - s)), "weight": (0.01, dw * masks[layer])}
            for name, values in (("score", scores), ("weight", weights)):
                if name == "weight" and method == SMP:
                    continue
                size, gradient = steps[name]
                m, u = memory[name][layer]
                m, u = 0.9 * m + 0.1 * gradient, 0.999 * u + 0.001 * gradient**2
                memory[name][layer] = [m, u]
                m, u = m / (1 - 0.9 ** (t + 1)), u / (1 - 0.999 ** (t + 1))
                values[layer] = values[layer] - size * rate * m / (np.sqrt(u) + 1e-8)


def masks_of(method, network, points, labels, **changes):
    settings = replace(SETTINGS, method=method, **changes)
    return [state.masks for state, _ in walk(network, points, labels, settings, np.random.default_rng(0))]


@pytest.mark.parametrize("method", [SMP, MOVEMENT, MAGNITUDE])
def test_masks_are_those_of_a_direct_transcription(method):
    network, points, labels = start(8, 2)
    got = masks_of(method, network, points, labels)
    changed = 0
    for step, (masks, wanted) in enumerate(zip(got, transcribed(network, points, labels, method), strict=True)):
        for mask, want in zip(masks, wanted, strict=True):
            np.testing.assert_array_equal(mask, want, err_msg=f"step {step}")
        changed += step > SCHEDULE and any((a & ~b).any() for a, b in zip(masks, got[step - 1], strict=True))
    assert changed or method == MAGNITUDE, "after the schedule weights still swap"


@pytest.mark.parametrize(
    ("name", "method", "masking"),
    [
        ("smp_l", SMP, "local"),
        ("smp_g", SMP, "global"),
        ("movement", MOVEMENT, "local"),
        ("magnitude", MAGNITUDE, "local"),
    ],
)
def test_masks_are_those_of_the_torch_engine(name, method, masking):
    torch = pytest.importorskip("torch")
    from torch.nn.functional import binary_cross_entropy_with_logits, linear, relu

    from smp_lab.layout import EncoderLayout
    from smp_lab.methods import METHODS
    from smp_lab.training.masking import Prunable
    from smp_lab.training.methods import prune

    network, points, labels = start(8, 6)
    # One encoder layer has six matrices, here square and one behind the other.
    layout = EncoderLayout(n_layers=1, hidden_size=8, intermediate_size=8, n_heads=1, n_parameters=1000)
    parameters = [torch.nn.Parameter(torch.from_numpy(weight.copy())) for weight in network.weights]
    trains_weights = method != SMP
    for parameter in parameters:
        parameter.requires_grad_(trains_weights)
    part = Prunable(layout=layout, weights=parameters, schedule=SETTINGS.schedule, dtype=torch.float64, seed=0)
    pruned = prune(METHODS[name], part)
    groups = [{"params": list(pruned.scores), "lr": 0.05}] if len(pruned.scores) else []
    groups += [{"params": parameters, "lr": 0.01}] if trains_weights else []
    optimizer = torch.optim.AdamW(groups, weight_decay=0)
    rates = [group["lr"] for group in groups]
    embedding, head, *biases = (torch.from_numpy(part) for part in (network.embedding, network.head, *network.biases))
    x, y = torch.from_numpy(points), torch.from_numpy(labels).double()
    got = masks_of(method, network, points, labels, masking=masking)
    for step, masks in enumerate(got):
        pruned.update(step)
        for mask, want in zip(masks, pruned.masks, strict=True):
            np.testing.assert_array_equal(mask, want.numpy(), err_msg=f"step {step}")
        h = relu(linear(x, embedding, biases[0]))
        for weight, bias in zip(pruned(), biases[1:], strict=True):
            h = relu(linear(h, weight, bias))
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * (1 - step / STEPS)
        optimizer.zero_grad()
        binary_cross_entropy_with_logits(h @ head, y).backward()
        optimizer.step()
    moved = sum(int((a != b).sum()) for a, b in zip(got[SCHEDULE], got[-1], strict=True))
    assert moved or method == MAGNITUDE


@pytest.mark.parametrize(("shape", "bound"), [("moons", 0.94), ("circles", 0.94), ("xor", 0.87), ("spiral", 0.6)])
def test_half_of_random_weights_learn_a_shape_and_a_random_half_does_not(shape, bound):
    learned = [train(Settings(shape=shape, seed=seed)).test_accuracy[-1] for seed in range(5)]
    assert min(learned) > bound
    drawn = [train(Settings(shape=shape, seed=seed, method=RANDOM, steps=20)).test_accuracy[-1] for seed in range(5)]
    assert np.mean(drawn) < 0.65


def test_width_is_what_a_mask_lives_on():
    at_three_percent = {
        width: np.mean([train(Settings(remaining=0.03, width=width, seed=seed)).test_accuracy[-1] for seed in range(3)])
        for width in (8, 32)
    }
    assert at_three_percent[8] < 0.6
    assert at_three_percent[32] > 0.8


@pytest.mark.parametrize("masking", ["local", "global"])
def test_without_the_regulariser_the_learning_rate_changes_nothing(masking):
    """Adam's steps are as many times as large, exactly so for a power of two; ranks are what they were."""
    settings = Settings(width=8, masking=masking)
    low, high = (train(replace(settings, learning_rate=rate)) for rate in (0.0125, 0.2))
    for one, other in zip(low.snapshots, high.snapshots, strict=True):
        np.testing.assert_array_equal(one.masks, other.masks)
        np.testing.assert_array_equal(16 * np.array(one.scores), other.scores)
    pulled = [train(replace(settings, learning_rate=rate, regularizer=5.0)) for rate in (0.0125, 0.2)]
    assert (np.array(pulled[0].snapshots[-1].masks) != pulled[1].snapshots[-1].masks).any()


def test_the_true_gradient_teaches_nothing():
    settings = Settings(schedule_fraction=0, width=16)
    true = train(replace(settings, straight_through=False))
    assert np.ptp(true.loss) == 0
    assert not true.flips_in[1:].any()
    assert train(settings).loss[-1] < 0.5 * true.loss[-1]


def test_fine_tuning_is_above_every_mask_and_what_it_leaves_can_be_pruned():
    assert train(Settings(shape="spiral", method=FINE_TUNING)).test_accuracy[-1] > 0.9
    moved = train(Settings(shape="moons", pretrained="circles", steps=30))
    fresh = train(Settings(shape="moons", steps=30))
    assert (moved.network.weights[0] != fresh.network.weights[0]).any()
    np.testing.assert_array_equal(moved.network.embedding, fresh.network.embedding)


@pytest.mark.parametrize("method", [SMP, MOVEMENT, MAGNITUDE, RANDOM, FINE_TUNING])
def test_a_training_moves_what_it_says(method):
    done = train(Settings(method=method, width=8, steps=20, remaining=0.3, schedule_fraction=0.5))
    first, last = done.snapshots[0], done.snapshots[-1]
    same = all(np.array_equal(a, b) for a, b in zip(first.weights, last.weights, strict=True))
    assert same == (method in (SMP, RANDOM))
    assert len(done.loss) == len(done.kept) == 21
    assert done.steps[[0, -1]].tolist() == [0, 20]
    np.testing.assert_array_equal(np.diff(done.kept), (done.flips_in - done.flips_out)[1:])
    assert done.kept[-1] == (128 if method == FINE_TUNING else 2 * 19)
    assert answers(done.network, done.snapshots, done.points[:5]).shape == (N_SNAPSHOTS, 5)


def test_accuracy_is_that_of_points_that_were_not_trained_on():
    done, rng = train(Settings(width=8, steps=20)), np.random.default_rng(0)
    trained, (points, labels) = (draw_points("moons", n, rng) for n in (N_POINTS, N_TEST_POINTS))
    np.testing.assert_array_equal(done.points, trained[0])
    np.testing.assert_allclose(done.test_accuracy, accuracy(answers(done.network, done.snapshots, points), labels))


def test_threshold_keeps_what_comes_out():
    low, high = (train(Settings(width=8, masking="threshold", threshold=tau)).kept[-1] for tau in (0.3, 0.7))
    assert 0 < high < low < 128


@pytest.mark.parametrize(
    ("name", "value"), [("shape", "star"), ("method", "guessing"), ("masking", "by hand"), ("pretrained", "star")]
)
def test_what_does_not_exist_is_named(name, value):
    with pytest.raises(ConfigError, match=f"Unknown .*{value}.*Choose one of"):
        train(Settings(**{name: value}))


def test_the_page_trains_on_one_thread(monkeypatch):
    monkeypatch.setattr(trainings, "train", lambda _: threadpool_info())
    products = [pool["num_threads"] for pool in trainings.training(Settings(seed=98)) if pool["user_api"] == "blas"]
    assert set(products) <= {1}
