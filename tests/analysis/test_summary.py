import math

import pandas as pd
import pytest

from smp_lab.analysis.run_table import run_table
from smp_lab.analysis.summary import COLUMNS, as_latex, as_markdown, caption, summarize, summary_cells


def run(settings="usual", seed=0, remaining=0.5, value=0.6, **rest):
    facts = {"remaining": remaining, "level": remaining, "value": value, "low": value - 0.05, "high": value + 0.07}
    others = {"task": "rte", "method": "smp_s", "variant": "", "metric": "accuracy", "n_examples": 277}
    row = {"settings": settings, "seed": seed, **facts, **others, "base_model": "tiny"} | rest
    # Runs that differ in anything but the seed are no replicates.
    row["settings"] += f"{row['level']}{row['task']}{row['method']}{row['base_model']}"
    return row


def summary_as_markdown(table):
    return as_markdown(summary_cells(table))


BOTH = ({}, {"method": "dense", "remaining": 1.0})


def summary(*rows):
    return summarize(pd.DataFrame(rows))


def test_seeds_of_one_level_are_one_row():
    table = summary(run(value=0.6), run(seed=1, value=0.7), run(remaining=0.1, value=0.5))
    assert list(table.columns) == COLUMNS
    first, second = table.to_dict("records")
    assert first["n_seeds"] == 2 and second["n_seeds"] == 1
    assert first["mean"] == pytest.approx(0.65)
    assert (first["lowest"], first["highest"]) == (0.6, 0.7)
    assert first["sampling"] == pytest.approx(0.06)
    assert first["remaining"] > second["remaining"]


def test_measured_fractions_are_averaged_over_seeds():
    l0 = {"method": "l0", "level": math.nan}
    (row,) = summary(run(remaining=0.31, **l0), run(seed=1, remaining=0.33, **l0)).to_dict("records")
    assert (row["remaining"], row["n_seeds"]) == (pytest.approx(0.32), 2)


def test_no_runs_give_an_empty_table():
    assert summarize(run_table([]).assign(low=[], high=[])).empty


def test_the_table_that_people_read():
    rows = [
        run(remaining=0.1, value=0.5),
        run(value=0.6),
        run(seed=1, value=0.7),
        run(task="sst2", n_examples=872, value=0.9),
        run("head", variant="head linear", value=0.4),
        run(method="l0", remaining=0.32, level=math.nan, value=0.55),
        run(method="dense", remaining=1.0, value=0.7),
    ]
    assert summary_as_markdown(summary(*rows)).splitlines() == [
        "| method | remaining % | SST-2 Accuracy, n 872 | RTE Accuracy, n 277 | mean over tasks |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| Dense fine-tuning | 100 | - | 70.0 ± 6.0 | 70.0 over 1 |",
        "| SMP-S | 50 | 90.0 ± 6.0 | 65.0 ± 6.0 (60.0 to 70.0, 2 seeds) | 65.0 over 1 |",
        "| SMP-S | 10 | - | 50.0 ± 6.0 | 50.0 over 1 |",
        "| SMP-S · head linear | 50 | - | 40.0 ± 6.0 | 40.0 over 1 |",
        "| L0 regularisation | measured | - | 55.0 ± 6.0 at 32.0 % | 55.0 over 1 |",
    ]


def test_a_mean_is_taken_over_the_tasks_that_can_be_compared():
    """A task that has one run alone takes the mean from no other row."""
    rows = [run(task=task, value=value, **setting) for task, value in (("rte", 0.5), ("cola", 0.3)) for setting in BOTH]
    text = summary_as_markdown(summary(*rows, run(task="squad", metric="f1", value=0.9)))
    assert [line.split(" | ")[-1] for line in text.splitlines()[2:]] == ["40.0 over 2 |", "40.0 over 2 |"]


def test_two_encoders_have_a_row_each():
    text = summary_as_markdown(summary(run(), run(base_model="other", value=0.8)))
    assert text.splitlines()[0] == "| encoder | method | remaining % | RTE Accuracy, n 277 | mean over tasks |"
    assert text.splitlines()[2:] == [
        "| tiny | SMP-S | 50 | 60.0 ± 6.0 | 60.0 over 1 |",
        "| other | SMP-S | 50 | 80.0 ± 6.0 | 80.0 over 1 |",
    ]


def test_latex_has_the_same_cells_and_nothing_that_latex_takes_for_a_command():
    cells = summary_cells(summary(*(run(seed=seed, value=0.6 + 0.1 * seed, variant="head linear") for seed in (0, 1))))
    lines = as_latex(cells, caption="100 % of smp_s").splitlines()
    assert r"\caption{100 \% of smp\_s}" in lines
    assert r"SMP-S $\cdot$ head linear & 50 & 65.0 $\pm$ 6.0 (60.0 to 70.0, 2 seeds) & - \\" in lines
    assert lines.count(r"\begin{tabular}{lrrr}") == 1


def test_a_bar_ends_no_cell():
    cells = summary_cells(summary(run(variant="KL direction KL(student || teacher)")))
    *_, row = as_markdown(cells).splitlines()
    assert row.startswith(r"| SMP-S · KL direction KL(student \|\| teacher) | 50 |")
    # As the report escapes it.
    assert as_markdown(cells.replace(r"\|", r"\\|", regex=True)) == as_markdown(cells)
    assert r"KL(student \textbar{}\textbar{} teacher) & 50" in as_latex(cells, "")


def test_the_caption_names_number_encoder_and_data():
    rows = pd.DataFrame([run(), run(seed=1)]).assign(base_model_sha256="a" * 64, data_sha256="b" * 64)
    words = caption(rows)
    assert "2 runs" in words
    assert "tiny (aaaaaaaaaaaa); data rte (bbbbbbbbbbbb, n = 277)." in words
    assert words.startswith("Main metric in percent")
    assert caption(rows.assign(task="mrpc", metric="f1")).startswith("F1 in percent")
