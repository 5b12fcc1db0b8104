"""Schedules that the authors' numbers do not cover, by hand."""

import pytest
from conftest import tiny_config

from smp_lab.schedule import Schedule, note_on_length


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


@pytest.mark.parametrize(
    ("settings", "schedule"),
    [
        # 0.29 of 100 steps are 28.999999999999996 in floating point.
        ({"remaining": 0.2, "schedule_fraction": 0.29}, Schedule(100, 29, 0.2, "cubic", 400.0, "code")),
        (
            {"schedule": "linear", "schedule_fraction": None, "schedule_steps": 40, "regularizer_ramp": "paper"},
            Schedule(100, 40, 0.5, "linear", 400.0, "paper"),
        ),
        # N is no later than the end.
        ({"schedule_fraction": None, "schedule_steps": 3500, "regularizer": 0}, Schedule(100, 100, 0.5)),
        (
            {"method": "smp_t", "remaining": None, "threshold": 0.3},
            Schedule(100, 70, 1.0, "cubic", 400.0, "code", final_threshold=0.3),
        ),
        ({"method": "dense", "remaining": 1}, Schedule(100, 0, 1.0)),
    ],
)
def test_a_schedule_follows_from_settings(settings, schedule):
    assert Schedule.from_config(tiny_config(**settings), 100) == schedule


def test_a_schedule_that_is_longer_than_its_run_is_said():
    config = tiny_config(schedule_fraction=None, schedule_steps=3500)
    assert note_on_length(config, 2340).startswith("The schedule has 3,500 steps and the run 2,340: it is cut")
    assert note_on_length(config, 3500) is note_on_length(tiny_config(), 1) is None
