"""What a task asks for: a class, a number, or a span of a text. One entry each.

All that depends on the kind and needs no torch stands here; head and loss in `smp_lab.training.kinds`, its twin.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from smp_lab.tasks.spans import Span, exact_match, f1

if TYPE_CHECKING:
    from smp_lab.tasks import Task

Floats = npt.NDArray[np.float64]
# Class numbers, numbers, or tuples of the `Span` objects that are taken for right.
Targets = npt.NDArray[np.int64] | npt.NDArray[np.float32] | npt.NDArray[np.object_]


class Kind:
    """One kind of task.

    Attributes
    ----------
    name
        Of the kind.
    columns
        Of a run's predictions, beside ``split``: their types as they are stored.
    right
        The column that says whether an example was predicted right; None where there is more than right and wrong.
    means
        Metrics that are means over the examples, with the column whose mean they are. All others are measured on all
        examples at once.
    gives_probabilities
        Whether its models give class probabilities, which a teacher can teach.
    target_type
        Of targets while training.
    """

    name: ClassVar[str]
    columns: ClassVar[Mapping[str, type[np.generic]]]
    right: ClassVar[str | None] = None
    means: ClassVar[Mapping[str, str]] = {}
    gives_probabilities: ClassVar[bool] = True
    target_type: ClassVar[type[np.generic]]

    def targets(self, predictions: pd.DataFrame) -> Floats:
        """What was to be predicted, ``(n_examples,)``; NaN where the predictions do not tell it."""
        return np.full(len(predictions), np.nan)

    def majority(self, predictions: pd.DataFrame, metric: str) -> float:
        """What the majority-class baseline scores by a metric; NaN where there is none, or the predictions hide it."""
        return math.nan

    def problem(self, task: Task, columns: Mapping[str, npt.NDArray[Any]]) -> str | None:
        """What in columns of predictions cannot be, for a sentence about them; None where all can."""
        return None

    def constant(self, targets: Targets) -> Any:
        """The prediction of the majority-class baseline."""
        raise NotImplementedError

    def parse(self, task: Task, label: Any, spelled: Sequence[str]) -> float:
        """From a target as data spell it to a number; `spelled` are their classes in the task's order.

        Raises ValueError with a sentence.
        """
        raise NotImplementedError

    def table(self, predictions: npt.NDArray[Any], targets: Targets) -> dict[str, npt.NDArray[Any]]:
        """Predictions by `columns`, before they are rounded to their types."""
        raise NotImplementedError


class _Classes(Kind):
    name = "classes"
    columns: ClassVar = {"prediction": np.uint8, "correct": np.bool_}
    right = "correct"
    means: ClassVar = {"accuracy": "correct"}
    target_type = np.int64

    def targets(self, predictions: pd.DataFrame) -> Floats:
        # Of two classes; of more a wrong prediction does not tell the target.
        predicted = predictions["prediction"].to_numpy(np.float64)
        other = 1 - predicted if predicted.size and predicted.max() <= 1 else np.full(predicted.shape, np.nan)
        return np.where(predictions["correct"].to_numpy(bool), predicted, other)

    def majority(self, predictions: pd.DataFrame, metric: str) -> float:
        if metric == "matthews_correlation":
            return 0.0
        targets = self.targets(predictions)
        if metric != "accuracy" or np.isnan(targets).any():
            return math.nan
        return float(np.unique(targets, return_counts=True)[1].max() / len(targets))

    def problem(self, task: Task, columns: Mapping[str, npt.NDArray[Any]]) -> str | None:
        predicted = columns["prediction"]
        if predicted.min() >= 0 and predicted.max() < len(task.classes):
            return None
        return f"predicts a class that task {task.name!r} does not have"

    def constant(self, targets: Targets) -> float:
        return int(np.bincount(targets).argmax())

    def parse(self, task: Task, label: Any, spelled: Sequence[str]) -> float:
        if label not in spelled:
            raise ValueError(f"unknown label {label!r}; expected one of: {', '.join(spelled)}.")
        return spelled.index(label)

    def table(self, predictions: npt.NDArray[Any], targets: Targets) -> dict[str, npt.NDArray[Any]]:
        return {"prediction": predictions, "correct": predictions == targets}


class _ManyClasses(_Classes):
    """The same with the target beside the prediction, so that a wrong prediction tells it too."""

    name = "many classes"
    columns: ClassVar = {"prediction": np.uint8, "correct": np.bool_, "target": np.uint8}

    def targets(self, predictions: pd.DataFrame) -> Floats:
        return predictions["target"].to_numpy(np.float64)

    def problem(self, task: Task, columns: Mapping[str, npt.NDArray[Any]]) -> str | None:
        predicted, target = columns["prediction"], columns["target"]
        if target.max() >= len(task.classes) or not np.array_equal(predicted == target, columns["correct"]):
            return "has targets that do not fit its predictions"
        return super().problem(task, columns)

    def table(self, predictions: npt.NDArray[Any], targets: Targets) -> dict[str, npt.NDArray[Any]]:
        return {**super().table(predictions, targets), "target": targets}


class _Number(Kind):
    name = "number"
    columns: ClassVar = {"prediction": np.float32, "error": np.float32}
    gives_probabilities = False
    target_type = np.float32

    def targets(self, predictions: pd.DataFrame) -> Floats:
        return predictions["prediction"].to_numpy(np.float64) - predictions["error"].to_numpy(np.float64)

    def constant(self, targets: Targets) -> float:
        # A correlation with any number is 0.
        return 0.0

    def parse(self, task: Task, label: Any, spelled: Sequence[str]) -> float:
        low, high = task.target_range or (-math.inf, math.inf)
        try:
            value = float(label)
        except (TypeError, ValueError):
            value = math.nan
        if not low <= value <= high:
            raise ValueError(f"score {label!r} is not a number from {low:g} to {high:g}.")
        return value

    def table(self, predictions: npt.NDArray[Any], targets: Targets) -> dict[str, npt.NDArray[Any]]:
        return {"prediction": predictions, "error": predictions - targets}


class _Spans(Kind):
    """A row per question; start and end are characters of the context, the end outside.

    Predictions are `Span` objects, and each target a tuple of those that are taken for right.
    """

    name = "span"
    columns: ClassVar = {"start": np.int32, "end": np.int32, "exact_match": np.bool_, "f1": np.float32}
    right = "exact_match"
    means: ClassVar = {"exact_match": "exact_match", "f1": "f1"}
    target_type = np.object_

    def problem(self, task: Task, columns: Mapping[str, npt.NDArray[Any]]) -> str | None:
        f1, whole = columns["f1"], ((columns["start"] >= 0) & (columns["start"] <= columns["end"])).all()
        # Of an exact match without a word, such as "the", the F1 is 0.
        graded = ((f1 >= 0) & (f1 <= 1) & (~columns["exact_match"].astype(bool) | (f1 == 0) | (f1 == 1))).all()
        return None if whole and graded else "has a span that ends before it begins, or an F1 that cannot be"

    def constant(self, targets: Targets) -> Span:
        # No answer.
        return Span("", 0)

    def table(self, predictions: npt.NDArray[Any], targets: Targets) -> dict[str, npt.NDArray[Any]]:
        pairs = list(zip(predictions, targets, strict=True))
        return {
            "start": np.array([predicted.start for predicted, _ in pairs]),
            "end": np.array([predicted.start + len(predicted.text) for predicted, _ in pairs]),
            "exact_match": np.array([exact_match(*pair) for pair in pairs]),
            "f1": np.array([f1(*pair) for pair in pairs]),
        }


KINDS = CLASSES, MANY_CLASSES, NUMBER, SPAN = (_Classes(), _ManyClasses(), _Number(), _Spans())


def kind_of_columns(columns: Collection[str]) -> Kind | None:
    """The kind whose predictions have these columns, with ``split`` or without; None where there is none."""
    names = set(columns) - {"split"}
    return next((kind for kind in KINDS if names == kind.columns.keys()), None)
