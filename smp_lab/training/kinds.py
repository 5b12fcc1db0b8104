"""Examples, head and loss of each kind of task. What of a kind needs no torch is in `smp_lab.tasks.kinds`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from smp_lab.config import RunConfig
from smp_lab.tasks import Task
from smp_lab.tasks.kinds import CLASSES, MANY_CLASSES, NUMBER, SPAN
from smp_lab.training.data import Examples, TaskData
from smp_lab.training.examples import DevelopmentSplit, TokenizedExamples, development_split, tokenize
from smp_lab.training.heads import Classes, Poles, SquaredError, StartEnd, Target
from smp_lab.training.windows import question_split, tokenize_windows


@dataclass(frozen=True)
class TrainedKind:
    """How one kind is trained.

    Parameters
    ----------
    n_outputs
        Scores that a linear head gives.
    target
        What the scores are trained towards.
    tokenize
        From examples, a tokenizer and the most tokens to what is trained on.
    split
        From a suffix and the same to what is evaluated.
    by_token
        Whether each token is scored, and not an example.
    """

    n_outputs: Callable[[Task], int]
    target: Callable[[RunConfig], Target]
    tokenize: Callable[[Examples, PreTrainedTokenizerBase, int], TokenizedExamples] = tokenize
    split: Callable[[str, Examples, PreTrainedTokenizerBase, int], DevelopmentSplit] = development_split
    by_token: bool = False


def _number_target(config: RunConfig) -> Target:
    return Poles(*config.task_info.target_range) if config.regression_head == "poles" else SquaredError()


_CLASSES = TrainedKind(lambda task: len(task.classes), lambda config: Classes())
_TRAINED: Mapping[str, TrainedKind] = {
    CLASSES.name: _CLASSES,
    MANY_CLASSES.name: _CLASSES,
    NUMBER.name: TrainedKind(lambda task: 1, _number_target),
    SPAN.name: TrainedKind(lambda task: 2, lambda config: StartEnd(), tokenize_windows, question_split, by_token=True),
}


def trained_kind(task: Task) -> TrainedKind:
    """How a task of its kind is trained."""
    return _TRAINED[task.kind.name]


def development_splits(data: TaskData, tokenizer: PreTrainedTokenizerBase, max_length: int) -> list[DevelopmentSplit]:
    """The development splits of a task as `PruningTrainer` evaluates them."""
    split = trained_kind(data.task).split
    return [split(suffix, data.development[name], tokenizer, max_length) for suffix, name in data.task.splits]
