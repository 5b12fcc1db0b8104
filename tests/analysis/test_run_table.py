import math

import pandas as pd
from conftest import make_run

from smp_lab.analysis.labels import run_labels
from smp_lab.analysis.run_table import COLUMNS, run_table, search, tables_of_runs

L0 = {
    "method": "l0",
    "remaining": None,
    "head": "linear",
    "label_words": None,
    "weight_learning_rate": 3e-5,
    "schedule": None,
    "schedule_fraction": None,
}


def test_a_row_holds_the_facts_of_the_record(runs):
    run = make_run(runs, accuracy=0.61, remaining=0.1)
    (row,) = run_table([run]).to_dict("records")
    assert list(row) == list(COLUMNS)
    assert (row["level"], row["remaining"]) == (0.1, run.kept.sum() / run.layout.n_weights)
    assert (row["metric"], row["value"], row["n_examples"]) == ("accuracy", 0.61, 40)
    assert row["variant"] == ""


def test_columns_have_their_types_with_runs_and_without(runs):
    table = run_table([make_run(runs), make_run(runs, **L0)])
    assert math.isnan(table["level"][1])
    for found in (table, run_table([])):
        assert {name: str(kind) for name, kind in found.dtypes.items()} == COLUMNS


def test_seeds_have_the_same_settings_and_others_have_not(runs):
    first, second, other = run_table([make_run(runs), make_run(runs, seed=1), make_run(runs, epochs=60)])["settings"]
    assert first == second != other


def test_encoders_of_one_name_are_two(runs):
    first, second, other = (
        make_run(runs),
        make_run(runs, base_model_sha256="f" * 64),
        make_run(runs, base_model="other", base_model_sha256="e" * 64),
    )
    table = run_table([first, second, other])
    assert list(table["base_model"]) == ["tiny-test-encoder aaaaaaaa", "tiny-test-encoder ffffffff", "other"]
    assert len(set(run_labels(table).values())) == 3
    assert list(run_table([first, other])["base_model"]) == ["tiny-test-encoder", "other"]


def test_search_takes_rows_with_every_word(runs):
    table = run_table([make_run(runs), make_run(runs, seed=1), make_run(runs, task="cola", remaining=0.1)])

    def found(words):
        return search(table, run_labels(table), words)["task"].tolist()

    assert found("smp-s COLA") == found("10 %") == ["cola"]
    assert found("seed 1") == ["rte"]
    assert found("") == ["rte", "rte", "cola"]
    assert found("nonsense") == []


def test_a_line_holds_replicates_alone(runs):
    other = "c" * 64
    many = [make_run(runs, seed=seed) for seed in (10, 11)]
    many += [make_run(runs, seed=seed, data_sha256=other) for seed in (10, 12)]
    labels = run_labels(run_table(many))
    lines = tables_of_runs([(run, pd.DataFrame({"step": [1]})) for run in many], labels)["line"].tolist()
    # No label says the data, so that the hash tells the second line from the first.
    name = "RTE · SMP-S · 50 % · 2 seeds"
    assert lines == [name, name, *[f"{name} · {many[2].run_id[-8:]}"] * 2]
