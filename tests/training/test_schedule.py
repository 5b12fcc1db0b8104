"""Schedules against values worked out by hand."""

import pytest
from conftest import tiny_config

from smp_lab.training.schedule import Schedule

# What the shape leaves of the way at steps 0, 2, 4, 6, 8 and 10 of 10, with N = 8.
LEFT = {"cubic": [1, 27 / 64, 1 / 8, 1 / 64, 0, 0], "linear": [1, 3 / 4, 1 / 2, 1 / 4, 0, 0]}
STEPS = range(0, 11, 2)


@pytest.mark.parametrize("shape", LEFT)
def test_remaining_falls_and_threshold_grows_along_the_shape_until_n(shape):
    schedule = Schedule(10, 8, 0.2, shape=shape, final_threshold=0.4)
    assert [schedule.remaining(step) for step in STEPS] == pytest.approx([0.2 + 0.8 * left for left in LEFT[shape]])
    assert [schedule.threshold(step) for step in STEPS] == pytest.approx([0.4 - 0.4 * left for left in LEFT[shape]])


@pytest.mark.parametrize("shape", LEFT)
def test_the_papers_ramp_is_sparsity_over_final_sparsity(shape):
    schedule = Schedule(10, 8, 0.2, shape=shape, regularizer=400, regularizer_ramp="paper")
    want = [400 * (1 - schedule.remaining(step)) / (1 - 0.2) for step in STEPS]
    assert [schedule.regularizer_weight(step) for step in STEPS] == pytest.approx(want)
    assert want[1] == pytest.approx(400 * (1 - LEFT[shape][1]))


@pytest.mark.parametrize("shape", LEFT)
def test_the_codes_ramp_is_cubic_over_all_steps_whatever_the_shape(shape):
    schedule = Schedule(10, 8, 0.2, shape=shape, regularizer=400)
    want = [0, 400 * (1 - 0.512), 400 * (1 - 0.216), 400 * (1 - 0.064), 400 * (1 - 0.008), 400]
    assert [schedule.regularizer_weight(step) for step in STEPS] == pytest.approx(want)


@pytest.mark.parametrize(("fraction", "n"), [(0.29, 29), (0.7, 70), (0.295, 29), (1.0, 100)])
def test_n_is_the_fraction_of_all_steps_rounded_down(fraction, n):
    # 0.29 * 100 is 28.999999999999996 in floating point.
    assert Schedule.from_config(tiny_config(schedule_fraction=fraction), 100).schedule_steps == n


def test_a_config_says_shape_ramp_and_number_of_steps():
    config = tiny_config(schedule="linear", regularizer_ramp="paper", schedule_fraction=None, schedule_steps=30)
    schedule = Schedule.from_config(config, 100)
    assert schedule == Schedule(100, 30, 0.5, "linear", config.regularizer, "paper")
    assert Schedule.from_config(config, 20).schedule_steps == 20
