"""One definition of a replicate, and three places that show a mean over seeds."""

import re

import numpy as np
import pandas as pd
import pytest
from conftest import make_run

from smp_lab.analysis.curves import mean_curves
from smp_lab.analysis.overview import COMPARED, over_tasks
from smp_lab.analysis.replicates import along_lines, over_seeds
from smp_lab.analysis.run_table import run_table, tables_of_runs
from smp_lab.analysis.summary import summarize
from smp_lab.methods import METHODS
from smp_lab.paths import cached_runs_folder, project_folder
from smp_lab.storage.runs import list_runs
from smp_lab.tasks import TASKS


def runs(*rows):
    table = pd.DataFrame(rows, columns=["settings", "seed", "value"])
    return table.assign(metric="accuracy", remaining=0.5, low=table["value"] - 0.06, high=table["value"] + 0.04)


def test_mean_and_spread_over_seeds_by_hand():
    table = over_seeds(runs(("a", 0, 0.60), ("b", 0, 0.55), ("a", 1, 0.64)))
    assert table["settings"].tolist() == ["a", "b"]
    assert table["mean"].tolist() == pytest.approx([0.62, 0.55])
    assert table["sd"][0] == pytest.approx(0.04 / np.sqrt(2))
    assert np.isnan(table["sd"][1])
    assert (table["lowest"][0], table["highest"][0]) == (0.60, 0.64)
    assert table["n_seeds"].tolist() == [2, 1]
    assert table["sampling"].tolist() == pytest.approx([0.05, 0.05])


def test_what_replicates_share_is_kept_and_two_metrics_are_two_rows():
    table = runs(("a", 0, 0.6), ("a", 1, 0.7)).assign(method="smp_s")
    found = over_seeds(pd.concat([table, table.assign(metric="f1")]))
    assert found[["metric", "method", "n_seeds"]].to_numpy().tolist() == [["accuracy", "smp_s", 2], ["f1", "smp_s", 2]]


def with_intervals(records):
    table = run_table(records)
    return table.assign(low=table["value"] - 0.1, high=table["value"] + 0.1)


KEYS = ["base_model", "method", "variant", "level", "task"]


def by_setting(means):
    """(encoder, method, variant, level, task) -> mean and number of seeds."""
    rows = means.dropna(subset=["level"]).set_index(KEYS)[["mean", "n_seeds"]]
    return dict(zip(rows.index, rows.itertuples(index=False, name=None), strict=True))


def test_runs_of_two_schedules_are_no_seeds_of_one_another(runs):
    records = [
        make_run(runs, accuracy=accuracy, seed=seed, schedule_fraction=fraction)
        for accuracy, seed, fraction in ((0.6, 0, 0.7), (0.7, 1, 0.7), (0.9, 0, 0.5))
    ]
    table = with_intervals(records)
    for found in (summarize(table), mean_curves(table)):
        assert by_setting(found) == {
            ("tiny-test-encoder", "smp_s", "", 0.5, "rte"): (pytest.approx(0.65), 2),
            ("tiny-test-encoder", "smp_s", "schedule fraction 0.5", 0.5, "rte"): (0.9, 1),
        }
    (row,) = over_tasks(table).to_dict("records")
    assert (row["mean"], row["n_seeds"]) == (pytest.approx(0.65), 2)


def test_readme_overview_and_curves_give_one_mean_and_one_number_of_seeds():
    table = with_intervals(list_runs([cached_runs_folder()]).records.values())
    summary, curves = by_setting(summarize(table)), by_setting(mean_curves(table))
    assert summary == curves
    lines = re.search(
        r"<!-- summary -->\n(.*?)<!-- /summary -->", (project_folder() / "README.md").read_text(), re.DOTALL
    )
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1].strip().splitlines()]
    methods, tasks = ({known[name].title.split(" (")[0]: name for name in known} for known in (METHODS, TASKS))
    shown, over_all = {}, {}
    for encoder, name, level, *cells, mean in rows:
        title, _, variant = name.partition(" · ")
        method = methods[title]
        if mean != "-" and method in COMPARED:
            over_all[encoder, method, float(level) / 100] = mean.split()[0]
        for task, cell in zip((tasks[title.split()[0]] for title in head[3:-1]), cells, strict=True):
            if cell != "-" and level != "measured":
                seeds = re.search(r"(\d+) seeds", cell)
                shown[encoder, method, variant, float(level) / 100, task] = (
                    cell.split()[0],
                    int(seeds[1]) if seeds else 1,
                )
    assert shown == {key: (f"{100 * mean:.1f}", n_seeds) for key, (mean, n_seeds) in summary.items()}
    overview = over_tasks(table).to_dict("records")
    means = {(row["base_model"], row["method"], row["level"]): f"{100 * row['mean']:.1f}" for row in overview}
    assert means == over_all
    for row in overview:
        place = row["base_model"], row["method"], "", row["level"]
        of_tasks = [summary[*place, task] for task in row["tasks"].split(", ")]
        assert row["mean"] == pytest.approx(np.mean([mean for mean, _ in of_tasks]))
        assert row["n_seeds"] == min(n_seeds for _, n_seeds in of_tasks)


def test_a_line_is_the_mean_of_its_seeds_between_the_lowest_and_the_highest(tmp_path):
    three = [make_run(tmp_path, seed=seed) for seed in (0, 1)] + [make_run(tmp_path, epochs=60)]
    contents = [
        (run, pd.DataFrame({"step": [10, 20], "loss": losses, "kept": [8, 4], "name": "x"}))
        for run, losses in zip(three, ([0.9, 0.5], [0.7, 0.1], [0.6, 0.6]), strict=True)
    ]
    labels = dict(zip((run.run_id for run in three), ("RTE · seed 0", "RTE · seed 1", "RTE · epochs 60"), strict=True))
    lines = along_lines(tables_of_runs(contents, labels), ["step"], ["loss"])
    assert lines["run"].tolist() == ["RTE · 2 seeds"] * 2 + ["RTE · epochs 60"] * 2
    assert lines["step"].tolist() == [10, 20, 10, 20]
    assert lines["loss"].tolist() == pytest.approx([0.8, 0.3, 0.6, 0.6])
    assert lines["loss_lowest"].tolist() == [0.7, 0.1, 0.6, 0.6]
    assert lines["loss_highest"].tolist() == [0.9, 0.5, 0.6, 0.6]
    assert lines["n_seeds"].tolist() == [2, 2, 1, 1]
    assert lines["run_id"].tolist() == [f"{three[0].run_id}, {three[1].run_id}"] * 2 + [three[2].run_id] * 2
    assert (lines["name"] == "x").all()
    assert lines["seed"].isna().tolist() == [True, True, False, False]


def test_the_level_of_a_line_is_that_of_its_runs_to_the_bit():
    three = pd.DataFrame({"run": list("abc"), "run_id": list("abc"), "seed": [0, 1, 2], "level": 0.1, "step": 1})
    assert three["level"].mean() != 0.1
    assert along_lines(three.assign(line="a"), ["step"], [])["level"].tolist() == [0.1]
