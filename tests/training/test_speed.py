"""A run is measured by its own steps."""

import itertools
from dataclasses import replace

import pytest

from smp_lab.errors import ConfigError
from smp_lab.training import speed
from smp_lab.training.trainer import N_EVALUATIONS


@pytest.mark.parametrize(
    ("task", "method", "remaining"), [("rte", "smp_s", 0.4), ("rte", "dense", None), ("toy-span", "smp_s", 0.4)]
)
def test_all_steps_and_evaluations_are_counted(prepared, task, method, remaining, monkeypatch):
    """A clock that ticks once a reading makes a step, and the evaluation of a batch, a second each."""
    ticks = itertools.count()
    monkeypatch.setattr(speed, "_now", lambda device: next(ticks))
    ready = prepared(task, method, remaining=remaining, n_train=96, epochs=2, batch_size=8)
    n_evaluated = sum(map(len, ready.data.development.values()))
    found = speed.estimate(ready, seconds=6)
    assert found == {"steps": 24, "seconds": 24 + N_EVALUATIONS * n_evaluated / 8}


def test_a_teachers_answers_take_time_too(prepared, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(speed, "_now", lambda device: next(ticks))
    alone = prepared(n_train=96, epochs=2, batch_size=8)
    taught = replace(alone, teacher=object())
    more = speed.estimate(taught, seconds=6)["seconds"] - speed.estimate(alone, seconds=6)["seconds"]
    assert more == 96 / 8


def test_a_question_is_trained_on_in_as_many_windows_as_its_text_takes(prepared, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(speed, "_now", lambda device: next(ticks))
    ready = prepared("toy-span", n_train=96, epochs=2, batch_size=8, max_length=12)
    assert speed.estimate(ready, seconds=6)["steps"] > 24


def test_what_trains_nothing_is_not_measured(prepared):
    with pytest.raises(ConfigError, match="a run is one evaluation"):
        speed.estimate(prepared(method="random", epochs=None))
