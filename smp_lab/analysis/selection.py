"""Which runs a page shows before anybody has chosen any: few, alike in all but what the page compares."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd

from smp_lab.analysis.overview import LEARNED
from smp_lab.methods import METHODS

# Alike runs differ in task and seed alone.
_ALIKE = ["base_model", "method", "level"]
# What the paper is about: a task more at another level shall not move what all pages show first.
_FIRST_LEVEL = 0.1


def one_per_task(runs: pd.DataFrame) -> list[str]:
    """A learned mask for each task, all of one encoder, method and level.

    Parameters
    ----------
    runs
        A row per run with the columns run_id, task, method, base_model, level, seed and variant of
        `run_table.COLUMNS`.

    Returns
    -------
    list of str
        Run ids in the order of the table, of each task the lowest seed; of SMP-S at 10 % where that has several tasks,
        else of the encoder, method and level that have most tasks, then most runs, then the fewest weights. Empty where
        no run has a learned mask on frozen weights.
    """
    alike = _most_alike(runs)
    return alike.loc[alike.groupby("task", sort=False)["seed"].idxmin().sort_values(), "run_id"].tolist()


def all_seeds_and_controls(runs: pd.DataFrame, most: int = 40) -> list[str]:
    """What distinguishes a difference between tasks from noise: runs of `one_per_task`, other seeds, and controls.

    Parameters
    ----------
    runs
        As in `one_per_task`.
    most
        Learned masks, but for one of each task: pairs grow with the square of the runs. The lowest seeds stay.

    Returns
    -------
    list of str
        Run ids in the order of the table, then of each control of the same encoder and level the first run, since a
        control has one mask for all tasks.
    """
    alike = _most_alike(runs)
    if alike.empty:
        return []
    n_seeds = max(1, most // alike["task"].nunique())
    few = alike[alike.groupby("task")["seed"].rank(method="first") <= n_seeds]
    controls = runs[runs["method"].map(lambda name: METHODS[name].is_control)]
    same = (controls[["base_model", "level"]] == alike.iloc[0][["base_model", "level"]]).all(axis=1)
    return [*few["run_id"], *controls[same].drop_duplicates("method")["run_id"]]


def n_seeds_left_out(runs: pd.DataFrame, chosen: Collection[str]) -> int:
    """How many runs that differ from those of `all_seeds_and_controls` in their seed alone are not among the chosen."""
    return int((~_most_alike(runs)["run_id"].isin(chosen)).sum())


def _most_alike(runs: pd.DataFrame) -> pd.DataFrame:
    learned = runs["method"].map(lambda name: METHODS[name].trains_scores and not METHODS[name].trains_weights)
    usual = runs[learned.astype(bool) & (runs["variant"] == "") & (runs["level"] < 1)]
    if usual.empty:
        return usual
    groups = usual.groupby(_ALIKE, as_index=False).agg(n_tasks=("task", "nunique"), n_runs=("run_id", "size"))
    groups["first"] = groups["method"].eq(LEARNED) & groups["level"].eq(_FIRST_LEVEL) & (groups["n_tasks"] > 1)
    order = {"first": False, "n_tasks": False, "n_runs": False, "level": True}
    best = groups.sort_values(list(order), ascending=list(order.values()), kind="stable").iloc[0]
    return usual[(usual[_ALIKE] == best[_ALIKE]).all(axis=1)]
