import numpy as np
import pandas as pd
import pytest

from smp_lab.analysis.overview import COLUMNS, answer, over_tasks


def runs(*rows):
    table = pd.DataFrame(rows, columns=["task", "method", "level", "seed", "value"])
    table = table.assign(base_model="tiny", base_model_sha256="a", metric="accuracy", variant="")
    return table.assign(settings=table["task"] + table["method"] + table["level"].astype(str), remaining=table["level"])


GRID = runs(
    ("rte", "smp_s", 0.5, 0, 0.60),
    ("rte", "smp_s", 0.5, 1, 0.64),
    ("rte", "smp_s", 0.5, 2, 0.68),
    ("cola", "smp_s", 0.5, 0, 0.30),
    ("cola", "smp_s", 0.5, 1, 0.20),
    ("rte", "smp_s", 0.1, 0, 0.55),
    ("cola", "smp_s", 0.1, 0, 0.15),
    ("rte", "smp_s", 0.3, 0, 0.90),
    ("rte", "random", 0.1, 0, 0.5),
    ("cola", "random", 0.1, 0, 0.0),
    ("rte", "dense", 1.0, 0, 0.66),
    ("cola", "dense", 1.0, 0, 0.34),
    ("sst2", "dense", 1.0, 0, 0.9),
)


def test_means_over_tasks_by_hand():
    table = over_tasks(GRID).set_index(["method", "level"])
    assert table.index.tolist() == [("smp_s", 0.1), ("smp_s", 0.5), ("random", 0.1), ("dense", 1.0)]
    assert table["mean"].tolist() == pytest.approx([0.35, (0.64 + 0.25) / 2, 0.25, 0.5])
    half = table.loc[("smp_s", 0.5)]
    assert (half["n_seeds"], half["n_tasks"], half["tasks"]) == (2, 2, "cola, rte")
    # Seed 2 has one of the two tasks: the mean has it, and a range of the others says nothing of that.
    assert np.isnan(half["lowest"]) and np.isnan(half["highest"])
    whole = over_tasks(GRID[GRID["seed"] < 2]).set_index(["method", "level"]).loc[("smp_s", 0.5)]
    assert (whole["lowest"], whole["highest"]) == (pytest.approx(0.42), pytest.approx(0.45))


def test_where_no_seed_has_every_task_there_is_no_spread():
    one, other = ("rte", "smp_s", 0.5, 0, 0.6), ("cola", "smp_s", 0.5, 1, 0.2)
    (row,) = over_tasks(runs(one, other)).to_dict("records")
    assert row["mean"] == pytest.approx(0.4)
    assert row["n_seeds"] == 0 and np.isnan(row["lowest"])


def test_unusual_runs_stand_aside():
    other = runs(("rte", "smp_s", 0.5, 5, 0.99), ("cola", "smp_s", 0.5, 5, 0.99))
    unusual = other.assign(settings="another", variant="epochs 3")
    pd.testing.assert_frame_equal(over_tasks(pd.concat([GRID, unusual])), over_tasks(GRID))


def test_each_encoder_has_its_own_tasks_and_follows_that_of_most_masks():
    other = runs(("mrpc", "smp_s", 0.5, 0, 0.8), ("mrpc", "dense", 1.0, 0, 0.9))
    other = other.assign(settings="another" + other["method"], base_model="large_1", base_model_sha256="b")
    table = over_tasks(pd.concat([other, GRID], ignore_index=True))
    pd.testing.assert_frame_equal(table[table["base_model"] == "tiny"], over_tasks(GRID))
    assert table.iloc[-2:][["base_model", "method", "mean", "tasks"]].to_numpy().tolist() == [
        ["large_1", "smp_s", 0.8, "mrpc"],
        ["large_1", "dense", 0.9, "mrpc"],
    ]
    first, second = answer(table).split("  \n")
    assert first == f"tiny: {answer(over_tasks(GRID))}"
    assert second.startswith(r"large\_1: **Half of the weights, none of them trained: 80.0 on MRPC, against 90.0")
    # One run of another encoder is nothing to compare.
    pd.testing.assert_frame_equal(over_tasks(pd.concat([GRID, other[:1]])), over_tasks(GRID))


def test_two_copies_of_the_data_are_not_counted_twice():
    copy = runs(("rte", "random", 0.1, 0, 0.9)).assign(settings="a copy")
    assert "random" not in set(over_tasks(pd.concat([GRID, copy]))["method"])


def test_no_learned_masks_give_an_empty_table_and_no_sentence():
    for table in (GRID[GRID["method"] == "dense"], GRID[:0]):
        found = over_tasks(table)
        assert found.empty and list(found) == list(COLUMNS)
        assert answer(found) == ""


def test_the_answer_in_words():
    assert answer(over_tasks(GRID)) == (
        "**Half of the weights, none of them trained: a mean of 44.5 over 2 tasks, against 50.0 for fine-tuning all of "
        "them.** At 10 % SMP-S has 35.0, random mask 25.0."
    )
    assert answer(over_tasks(runs(("rte", "smp_s", 0.1, 0, 0.55)))) == (
        "**10 % of the weights, none of them trained: 55.0 on RTE.**"
    )
    # Fewer weights that score as much as fine-tuning answer more than the level of the highest mean.
    levels = [("rte", "smp_s", level, 0, value) for level, value in ((0.1, 0.6), (0.3, 0.7), (0.5, 0.75), (0.8, 0.72))]
    assert answer(over_tasks(runs(*levels, ("rte", "dense", 1.0, 0, 0.7)))).startswith("**30 % of the weights")
    assert answer(over_tasks(runs(*levels, ("rte", "dense", 1.0, 0, 0.8)))).startswith("**Half of the weights")
    # The best is not of most weights; below it, of levels that have as many others, the lowest is told.
    values = {0.03: 0.5, 0.05: 0.6, 0.1: 0.7, 0.5: 0.6}
    rows = [("rte", method, level, 0, value) for level, value in values.items() for method in ("smp_s", "random")]
    assert answer(over_tasks(runs(*rows, ("rte", "magnitude", 0.5, 0, 0.4)))) == (
        "**10 % of the weights, none of them trained: 70.0 on RTE.** At 3 % SMP-S has 50.0, random mask 50.0."
    )


def test_generated_tasks_count_where_there_is_no_other():
    toy = runs(("toy-sentiment", "smp_s", 0.5, 0, 1.0))
    assert over_tasks(toy)["mean"].tolist() == [1.0]
    both = over_tasks(pd.concat([GRID, toy]))
    pd.testing.assert_frame_equal(both, over_tasks(GRID))
