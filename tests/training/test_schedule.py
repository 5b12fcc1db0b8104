"""Schedules that the authors' numbers do not cover, by hand."""

import pytest

from smp_lab.training.schedule import Schedule


@pytest.mark.parametrize(
    ("shape", "ramp", "step", "remaining", "threshold", "regularizer_weight"),
    [
        # v = 0.2, N = 4, T = 10, tau = 0.1, lambda_max = 400; a straight line has 3/4 of its way left after step 1.
        ("linear", "paper", 0, 1.0, 0.0, 0.0),
        ("linear", "paper", 1, 0.8, 0.025, 100.0),
        ("linear", "paper", 3, 0.4, 0.075, 300.0),
        ("linear", "paper", 4, 0.2, 0.1, 400.0),
        ("linear", "paper", 10, 0.2, 0.1, 400.0),
        # A cubic one has (1/2)^3 left after step 2.
        ("cubic", "paper", 2, 0.3, 0.0875, 350.0),
        ("cubic", "paper", 4, 0.2, 0.1, 400.0),
        # The ramp of the code goes over all T steps, whatever the shape: 400 (1 - (1/2)^3) half way.
        ("linear", "code", 5, 0.2, 0.1, 350.0),
        ("linear", "code", 1, 0.8, 0.025, 400 * (1 - 0.9**3)),
    ],
)
def test_shapes_and_ramps_by_hand(shape, ramp, step, remaining, threshold, regularizer_weight):
    schedule = Schedule(10, 4, 0.2, shape=shape, regularizer=400, regularizer_ramp=ramp, final_threshold=0.1)
    assert schedule.remaining(step) == pytest.approx(remaining)
    assert schedule.threshold(step) == pytest.approx(threshold)
    assert schedule.regularizer_weight(step) == pytest.approx(regularizer_weight)
