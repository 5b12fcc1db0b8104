"""What the available runs of an encoder say together: the mean over tasks against remaining weights, and in words."""

from __future__ import annotations

import math

import pandas as pd

from smp_lab.analysis.labels import method_name, of_each_encoder, percent, without_tags
from smp_lab.analysis.replicates import over_seeds
from smp_lab.analysis.run_table import ENCODER, by_encoder
from smp_lab.tasks import TASKS

LEARNED, DENSE = "smp_s", "dense"
# What is compared with it: another method, chance, and all weights fine-tuned.
COMPARED = (LEARNED, "magnitude", "random", DENSE)
COLUMNS = ("method", "level", "remaining", "mean", "lowest", "highest", "n_tasks", "n_seeds", "tasks", *ENCODER)


def over_tasks(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean of the main metrics over tasks for each encoder, of `COMPARED` at each level where no task is missing.

    Usual runs of encoders that have learned masks. The tasks of an encoder are those that a level of its learned masks
    has, with a fine-tuned run where there is any: of several choices that with most tasks at most levels.

    Parameters
    ----------
    runs
        A row per run: columns of `run_table.COLUMNS`.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, from the encoder with most learned masks on, by `COMPARED` and from few weights to many; of
        an encoder beside the first more than one row. mean: over tasks, of the means over seeds;
        lowest and highest over seeds of the mean over tasks, where each of several seeds has all n_tasks tasks, else
        NaN; n_seeds that have all; remaining (mean over runs). All of these are fractions but n_seeds. tasks are names
        with commas.
    """
    usual = runs[(runs["variant"] == "") & runs["method"].isin(COMPARED)]
    learned = usual[usual["method"] == LEARNED]
    if learned.empty:
        return pd.DataFrame(columns=list(COLUMNS))
    encoders = learned["base_model_sha256"].value_counts().index
    tables = [_of_encoder(usual[usual["base_model_sha256"] == encoder]) for encoder in encoders]
    return pd.concat([tables[0], *(table for table in tables[1:] if len(table) > 1)], ignore_index=True)


def _of_encoder(usual: pd.DataFrame) -> pd.DataFrame:
    tasks = common_tasks(usual)
    usual = usual[usual["task"].isin(tasks)]
    usual = usual.assign(base_model=usual["base_model"].map(without_tags))
    place = ["method", "level"]
    means = every_task_once(over_seeds(usual), place, tasks)
    seeds = every_task_once(usual, [*place, "seed"], tasks).groupby([*place, "seed"], as_index=False)["value"].mean()
    table = means.groupby([*place, *ENCODER], as_index=False)[["remaining", "mean"]].mean()
    spread = seeds.groupby(place, as_index=False).agg(
        lowest=("value", "min"), highest=("value", "max"), n_seeds=("seed", "size")
    )
    table = table.merge(spread, on=place, how="left").fillna({"n_seeds": 0}).astype({"n_seeds": int})
    table = table.merge(usual.groupby(place, as_index=False).agg(all_seeds=("seed", "nunique")), on=place)
    # Where a seed lacks a task, the range of the others says nothing of a mean that has them all.
    table.loc[table["n_seeds"] < table["all_seeds"].clip(lower=2), ["lowest", "highest"]] = math.nan
    table = table.assign(n_tasks=len(tasks), tasks=", ".join(task for task in TASKS if task in tasks))
    order = table["method"].map(COMPARED.index)
    return table.assign(order=order).sort_values(["order", "level"], ignore_index=True)[list(COLUMNS)]


def common_tasks(usual: pd.DataFrame) -> frozenset[str]:
    """Names of the tasks that a mean is taken over, so that levels and methods can be compared: see `over_tasks`.

    Parameters
    ----------
    usual
        Columns method, level and task, of usual runs of one encoder. Without learned masks all its tasks are taken,
        and with learned masks of any other task no generated one.
    """
    generated = usual["task"].map(lambda task: TASKS[task].synthetic).astype(bool)
    if (usual.loc[~generated, "method"] == LEARNED).any():
        usual = usual[~generated]
    dense = frozenset(usual.loc[usual["method"] == DENSE, "task"])
    levels = usual[usual["method"] == LEARNED].groupby("level")["task"].agg(frozenset)
    choices = [tasks & dense or tasks for tasks in levels] or [frozenset(usual["task"])]
    return max(choices, key=lambda tasks: (len(tasks) * sum(tasks <= others for others in levels), len(tasks)))


def every_task_once(table: pd.DataFrame, place: list[str], tasks: frozenset[str]) -> pd.DataFrame:
    """Rows of these tasks at places that have each of them once; two copies of a task's data would count twice."""
    table = table[table["task"].isin(tasks)]
    here = table.groupby(place)["task"]
    return table[(here.transform("nunique") == len(tasks)) & (here.transform("size") == len(tasks))]


def mean_over(table: pd.DataFrame) -> str:
    """What the means of `over_tasks`, of one encoder, are called in the head of a column."""
    if table.empty:
        return "mean over tasks"
    n_tasks = int(table["n_tasks"].iloc[0])
    return f"mean over {n_tasks} task{'s' * (n_tasks > 1)}"


def answer(table: pd.DataFrame) -> str:
    """What `over_tasks` says, in a sentence or two for each encoder, in Markdown; empty where it has nothing.

    The lowest level of the learned masks whose mean is no lower than fine-tuning's, else the one of the highest mean;
    and the lowest that another method has too beside that.
    """
    return of_each_encoder({encoder: _sentences(part) for encoder, part in by_encoder(table)})


def _sentences(table: pd.DataFrame) -> str:
    learned = table[table["method"] == LEARNED]
    if learned.empty:
        return ""
    dense = table.loc[table["method"] == DENSE, "mean"]
    enough = learned[learned["mean"] >= dense.min()].sort_values("level")
    best = (enough if len(enough) else learned.sort_values("mean", ascending=False, kind="stable")).iloc[0]
    part = "Half" if best["level"] == 0.5 else percent(best["level"])
    tasks = str(best["tasks"]).split(", ")
    scored = f"a mean of {100 * best['mean']:.1f} over {len(tasks)} tasks"
    if len(tasks) == 1:
        scored = f"{100 * best['mean']:.1f} on {TASKS[tasks[0]].title}"
    beside = "".join(f", against {100 * mean:.1f} for fine-tuning all of them" for mean in dense)
    first = f"**{part} of the weights, none of them trained: {scored}{beside}.**"
    others = table[~table["method"].isin([LEARNED, DENSE])]
    shared = learned[learned["level"].isin(others["level"]) & (learned["level"] < best["level"])]
    if shared.empty:
        return first
    # Where most others are; of equals the lowest.
    here = max(shared.to_dict("records"), key=lambda row: (others["level"] == row["level"]).sum())
    there = others[others["level"] == here["level"]]
    values = [
        f"{method_name(method).lower()} {100 * mean:.1f}"
        for method, mean in zip(there["method"], there["mean"], strict=True)
    ]
    return f"{first} At {percent(here['level'])} SMP-S has {100 * here['mean']:.1f}, {', '.join(values)}."
