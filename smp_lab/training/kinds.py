"""Head and loss of each kind of task. What of a kind needs no torch is in `smp_lab.tasks.kinds`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smp_lab.config import RunConfig
from smp_lab.tasks import Task
from smp_lab.tasks.kinds import CLASSES, NUMBER
from smp_lab.training.heads import Classes, Poles, SquaredError, Target


@dataclass(frozen=True)
class TrainedKind:
    """How one kind is trained.

    Parameters
    ----------
    n_outputs
        Scores that a linear head gives.
    target
        What the scores are trained towards.
    """

    n_outputs: Callable[[Task], int]
    target: Callable[[RunConfig], Target]


def _number_target(config: RunConfig) -> Target:
    return Poles(*config.task_info.target_range) if config.regression_head == "poles" else SquaredError()


_TRAINED: Mapping[str, TrainedKind] = {
    CLASSES.name: TrainedKind(lambda task: len(task.classes), lambda config: Classes()),
    NUMBER.name: TrainedKind(lambda task: 1, _number_target),
}


def trained_kind(task: Task) -> TrainedKind:
    """How a task of its kind is trained."""
    return _TRAINED[task.kind.name]
