"""Backpropagation against finite differences, and the straight-through gradient against a slow loop."""

import numpy as np
import pytest

from smp_lab.lesson.network import accuracy, backward, embed, forward, loss, random_network, sigmoid
from smp_lab.lesson.shapes import SHAPES, draw_points
from smp_lab.lesson.training import score_gradients


@pytest.fixture
def small():
    """A network of 6 units, its masks, and 20 points."""
    rng = np.random.default_rng(4)
    points, labels = draw_points("moons", 20, rng)
    network = random_network(6, rng).in_float64()
    masks = [rng.random(weight.shape) < 0.6 for weight in network.weights]
    return network, masks, points.astype(float), labels


def loss_with(network, masked, points, labels):
    return loss(forward(network, embed(network, points), masked)[0], labels)


def slopes(value, parts):
    """Finite differences of a function of arrays, one for each of their numbers."""
    found = [np.zeros_like(part) for part in parts]
    for part, slope in zip(parts, found, strict=True):
        for place, here in np.ndenumerate(part.copy()):
            ends = []
            for change in (1e-6, -1e-6):
                part[place] = here + change
                ends.append(value(parts))
            part[place] = here
            slope[place] = (ends[0] - ends[1]) / 2e-6
    return found


def by_loops(network, masked, point):
    """z of one point, unit by unit."""
    hidden = [
        max(0.0, sum(a * x for a, x in zip(row, point, strict=True)) + bias)
        for row, bias in zip(network.embedding, network.biases[0], strict=True)
    ]
    for weight, biases in zip(masked, network.biases[1:], strict=True):
        hidden = [
            max(0.0, sum(w * h for w, h in zip(row, hidden, strict=True)) + bias)
            for row, bias in zip(weight, biases, strict=True)
        ]
    return sum(c * h for c, h in zip(network.head, hidden, strict=True))


def test_forward_is_a_loop_over_units(small):
    network, masks, points, _ = small
    masked = [weight * mask for weight, mask in zip(network.weights, masks, strict=True)]
    z, hidden = forward(network, embed(network, points), masked)
    np.testing.assert_allclose(z, [by_loops(network, masked, point) for point in points])
    assert [h.shape for h in hidden] == [(20, 6)] * 3


def test_backpropagation_is_the_slope_of_the_loss(small):
    network, masks, points, labels = small
    masked = [weight * mask for weight, mask in zip(network.weights, masks, strict=True)]
    z, hidden = forward(network, embed(network, points), masked)
    wanted = slopes(lambda moved: loss_with(network, moved, points, labels), masked)
    np.testing.assert_allclose(backward(network, masked, hidden, z, labels), wanted, atol=1e-7)


def test_straight_through_is_the_slope_in_the_mask(small):
    """dL/dS := dL/dM, as if the mask could take any value: of kept and of removed weights."""
    network, masks, points, labels = small
    masked = [weight * mask for weight, mask in zip(network.weights, masks, strict=True)]
    z, hidden = forward(network, embed(network, points), masked)
    scores = [np.zeros_like(weight) for weight in network.weights]
    got = score_gradients(backward(network, masked, hidden, z, labels), network.weights, scores, 0)
    numbers = [mask.astype(float) for mask in masks]
    wanted = slopes(
        lambda moved: loss_with(network, [w * m for w, m in zip(network.weights, moved, strict=True)], points, labels),
        numbers,
    )
    np.testing.assert_allclose(got, wanted, atol=1e-7)
    assert all((np.abs(gradient[~mask]) > 1e-9).any() for gradient, mask in zip(got, masks, strict=True))


def test_regulariser_is_the_slope_of_its_formula():
    """lambda * R, R the mean over layers of mean(sigmoid(S)), in closed form by finite differences."""
    rng = np.random.default_rng(0)
    scores = [rng.normal(size=(3, 3)) for _ in range(2)]
    nothing = [np.zeros((3, 3))] * 2

    def penalty(scores):
        return 40 * np.mean([np.mean(1 / (1 + np.exp(-score))) for score in scores])

    got = score_gradients(nothing, nothing, scores, 40)
    np.testing.assert_allclose(got, slopes(penalty, scores), atol=1e-6)


def test_loss_and_accuracy_by_hand():
    z, labels = np.array([0.0, np.log(3), -np.log(3)]), np.array([1, 1, 1])
    # p = 1/2, 3/4, 1/4.
    assert loss(z, labels) == pytest.approx((np.log(2) + np.log(4 / 3) + np.log(4)) / 3)
    assert accuracy(z, labels) == pytest.approx(1 / 3)
    np.testing.assert_allclose(sigmoid(z), [0.5, 0.75, 0.25])
    assert sigmoid(np.array([-1000.0, 1000.0])).tolist() == [0, 1]


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_are_balanced_and_follow_from_their_seed(shape):
    points, labels = draw_points(shape, 100, np.random.default_rng(1))
    again, _ = draw_points(shape, 100, np.random.default_rng(1))
    assert points.shape == (100, 2)
    assert labels.sum() == 50
    np.testing.assert_array_equal(points, again)
    assert np.abs(points).max() < 2


def test_xor_is_told_by_the_product_of_its_coordinates():
    points, labels = draw_points("xor", 1000, np.random.default_rng(0))
    assert np.mean((points.prod(axis=1) > 0) == labels) > 0.85
