import pytest

from smp_lab.analysis.summary import COLUMNS, summarize


def run(settings="usual", seed=0, remaining=0.5, value=0.6, **rest):
    facts = {"settings": settings, "seed": seed, "remaining": remaining, "value": value}
    return {
        **facts,
        "task": "rte",
        "method": "smp_s",
        "metric": "accuracy",
        "n_examples": 277,
        "base_model": "tiny",
    } | rest


def test_seeds_of_one_level_are_one_row():
    table = summarize([run(value=0.6), run(seed=1, value=0.7), run("at 10 %", remaining=0.1, value=0.5)])
    assert list(table.columns) == COLUMNS
    first, second = table.to_dict("records")
    assert first["n_seeds"] == 2 and second["n_seeds"] == 1
    assert first["mean"] == pytest.approx(0.65)
    assert (first["lowest"], first["highest"]) == (0.6, 0.7)
    assert first["remaining"] > second["remaining"]


def test_recipes_encoders_and_development_sets_are_kept_apart():
    rows = [run(), run("longer", value=0.8), run(base_model="other"), run(n_examples=5)]
    table = summarize(rows)
    assert table["n_seeds"].tolist() == [1] * 4
    assert table["mean"].tolist() == [0.6, 0.8, 0.6, 0.6]


def test_measured_fractions_are_averaged_over_seeds():
    (row,) = summarize([run(remaining=0.31), run(seed=1, remaining=0.33)]).to_dict("records")
    assert (row["remaining"], row["n_seeds"]) == (pytest.approx(0.32), 2)


def test_no_runs_give_an_empty_table():
    assert summarize([]).empty
    assert list(summarize([]).columns) == COLUMNS
