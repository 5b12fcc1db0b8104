"""What masks answer, as tables; the numbers by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from smp_lab.analysis.answers import (
    answer_table,
    by_answers,
    changes,
    disagreements,
    in_words,
    majority_class,
    part_table,
    toggled,
    token_table,
)
from smp_lab.layout import MatrixId
from smp_lab.tasks import TASKS, get_task

SST2 = get_task("sst2")


def predictions(said, right):
    return pd.DataFrame({"split": 0, "prediction": np.array(said, np.uint8), "correct": np.array(right, bool)})


def test_the_most_frequent_class_follows_from_predictions_and_hits():
    # Targets 0, 0, 1.
    assert majority_class(predictions([0, 1, 1], [True, False, True]), SST2) == "negative"
    assert majority_class(predictions([0, 1, 1], [True, False, True]), TASKS["mnli"]) is None


def test_answers_stand_beside_the_most_frequent_class():
    said = {"label": "positive", "prediction": 1, "probabilities": {"terrible": 0.2, "great": 0.8}}
    table = answer_table(
        {
            "a": {**said, "n_tokens": 5, "cut": True},
            "b": "No such encoder.",
            "c": {"label": None, "prediction": 2.345, "probabilities": {}, "n_tokens": 4, "cut": False},
        },
        {"a": "negative", "b": None, "c": None},
    )
    assert table["answer"].tolist() == ["positive", "", "2.35"]
    assert table["word"].tolist() == ["great", "", ""]
    assert table["probability"].tolist() == pytest.approx([0.8, np.nan, np.nan], nan_ok=True)
    assert table["as_baseline"].tolist() == ["no", "", ""]
    assert table["problem"].tolist() == ["Cut to 5 tokens.", "No such encoder.", ""]
    assert in_words(table) == "a says positive, c says 2.35."
    assert in_words(table[1:2]) == ""
    many = pd.concat([table[:1]] * 8)
    assert in_words(many) == ", ".join(["a says positive"] * 6) + ", and 2 more below."


def test_changes_are_those_of_the_first_answer():
    assert changes([[0.2, 0.8], [0.3, 0.7], [0.9, 0.1]]).tolist() == pytest.approx([-0.1, -0.7])
    assert changes([[2.0], [2.5]]).tolist() == [0.5]
    tokens = token_table(["[CLS]", "<b>"], [[0.2, 0.8], [0.3, 0.7], [0.9, 0.1]])
    assert tokens["token"].tolist() == ["[CLS]", "(b)"]
    parts = part_table([(0, 1), MatrixId(2, "query")], [[0.2, 0.8], [0.3, 0.7], [0.9, 0.1]])
    assert parts[["layer", "part"]].to_numpy().tolist() == [[0, 1], [2, "query"]]


def test_two_runs_disagree_where_their_answers_differ():
    runs = predictions([0, 1, 1, 0], [1, 1, 0, 0]), predictions([0, 0, 0, 0], [1, 0, 1, 0])
    # A second split is left out.
    table = disagreements(*(pd.concat([run, run.assign(split=1)]) for run in runs), SST2)
    assert table["example"].tolist() == [1, 2]
    assert table["a"].tolist() == ["positive", "positive"] and table["b"].tolist() == ["negative", "negative"]
    assert table["right"].tolist() == ["A", "B"]
    assert by_answers(table).to_numpy().tolist() == [["positive", "negative", 2, 1, 1]]


def test_a_click_takes_parts_out_and_back():
    heads = [(0, 0), (0, 1), (1, 0), (1, 1)]
    out = toggled([(0, "query")], heads, 1, 0)
    assert out == [(0, "query"), (1, 0)]
    assert toggled(out, heads, 1, 0) == [(0, "query")]
    row = toggled(out, heads, 1, None)
    assert row == [(0, "query"), (1, 0), (1, 1)]
    assert toggled(row, heads, 1, None) == [(0, "query")]
    assert toggled([], heads, None, 1) == [(0, 1), (1, 1)]
