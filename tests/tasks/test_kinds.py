"""What a kind says of predictions, by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from smp_lab.tasks import TASKS
from smp_lab.tasks.kinds import CLASSES, KINDS, NUMBER, SPAN, kind_of_columns


def predictions(**columns):
    return pd.DataFrame(columns)


def test_a_kind_is_known_by_its_columns():
    for kind in KINDS:
        assert kind_of_columns(kind.columns) is kind_of_columns(["split", *kind.columns]) is kind
        assert {kind.right, *kind.means.values()} - {None} <= kind.columns.keys()
        assert kind.right is None or kind.columns[kind.right] is np.bool_
    assert kind_of_columns(["prediction"]) is None


def test_stsb_asks_for_a_number_and_two_tasks_for_a_span():
    assert {name for name, task in TASKS.items() if task.kind is NUMBER} == {"stsb"}
    assert {name for name, task in TASKS.items() if task.kind is SPAN} == {"squad", "toy-span"}


def test_a_wrong_prediction_of_two_classes_tells_the_target_and_one_of_three_does_not():
    two = predictions(prediction=[0, 1, 1], correct=[True, False, True])
    assert CLASSES.targets(two).tolist() == [0, 0, 1]
    three = predictions(prediction=[2, 1, 0], correct=[True, False, True])
    np.testing.assert_array_equal(CLASSES.targets(three), [2, np.nan, 0])


def test_the_target_of_a_number_is_its_prediction_without_the_error():
    assert NUMBER.targets(predictions(prediction=[3.5, 1.0], error=[0.5, -1.0])).tolist() == [3.0, 2.0]


def test_majority_class_baseline():
    found = predictions(prediction=[0, 0, 1, 1, 1], correct=[True, False, True, True, False])
    assert CLASSES.majority(found, "accuracy") == pytest.approx(3 / 5)
    assert CLASSES.majority(found, "matthews_correlation") == 0
    assert math.isnan(CLASSES.majority(found, "f1"))
    assert math.isnan(NUMBER.majority(predictions(prediction=[1.0], error=[0.0]), "pearson"))
    assert math.isnan(SPAN.majority(predictions(f1=[1.0]), "f1"))


@pytest.mark.parametrize(
    ("task", "columns", "problem"),
    [
        ("rte", {"prediction": [0, 1]}, None),
        ("rte", {"prediction": [0, 2]}, "predicts a class that task 'rte' does not have"),
        ("mnli", {"prediction": [0, 2]}, None),
        ("stsb", {"prediction": [7.5], "error": [7.0]}, None),
    ],
)
def test_what_predictions_cannot_be(task, columns, problem):
    arrays = {name: np.array(values) for name, values in columns.items()}
    assert TASKS[task].kind.problem(TASKS[task], arrays) == problem


@pytest.mark.parametrize(
    ("start", "end", "exact_match", "f1", "can_be"),
    [
        (0, 0, False, 0.0, True),
        (3, 9, True, 1.0, True),
        (3, 6, True, 0.0, True),
        (9, 3, True, 1.0, False),
        (3, 9, True, 0.5, False),
        (3, 9, False, 1.5, False),
    ],
)
def test_a_span_ends_behind_its_start_and_a_right_one_has_an_f1_of_1_or_no_word(start, end, exact_match, f1, can_be):
    columns = {"start": [start], "end": [end], "exact_match": [exact_match], "f1": [f1]}
    found = SPAN.problem(TASKS["rte"], {name: np.array(values) for name, values in columns.items()})
    assert (found is None) == can_be
