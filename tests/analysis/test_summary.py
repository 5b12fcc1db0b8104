import pytest

from smp_lab.analysis.summary import COLUMNS, summarize


def run(task="rte", method="smp_s", level=0.5, remaining=0.5, value=0.6, **rest):
    facts = {"task": task, "method": method, "level": level, "remaining": remaining, "value": value}
    return {**facts, "metric": "accuracy", "n_examples": 277, "base_model": "tiny", **rest}


def test_seeds_of_one_level_are_one_row():
    table = summarize([run(value=0.6), run(value=0.7), run(level=0.1, remaining=0.1, value=0.5)])
    assert list(table.columns) == COLUMNS
    first, second = table.to_dict("records")
    assert first["n_seeds"] == 2 and second["n_seeds"] == 1
    assert first["mean"] == pytest.approx(0.65)
    assert (first["lowest"], first["highest"]) == (0.6, 0.7)
    assert first["remaining"] > second["remaining"]


def test_measured_levels_encoders_and_development_sets_are_kept_apart():
    rows = [
        run(level=None, remaining=0.31),
        run(level=None, remaining=0.33),
        run(base_model="other"),
        run(n_examples=5),
    ]
    table = summarize(rows)
    assert sorted(table["n_seeds"]) == [1, 1, 2]
    assert table.loc[table["n_seeds"] == 2, "remaining"].item() == pytest.approx(0.32)


def test_no_runs_give_an_empty_table():
    assert summarize([]).empty
    assert list(summarize([]).columns) == COLUMNS
