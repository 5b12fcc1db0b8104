"""The runs of a folder in one table: a row per method and level, a column per task, over seeds."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from smp_lab.analysis.labels import method_name
from smp_lab.analysis.overview import common_tasks, every_task_once, mean_over
from smp_lab.analysis.replicates import over_seeds
from smp_lab.analysis.run_table import by_encoder, of_main_metric
from smp_lab.methods import METHODS, NONE
from smp_lab.metrics import METRICS
from smp_lab.tasks import TASKS

COLUMNS = [
    "method",
    "variant",
    "level",
    "task",
    "metric",
    "remaining",
    "mean",
    "lowest",
    "highest",
    "n_seeds",
    "sampling",
    "n_examples",
    "base_model",
]


def summarize(runs: pd.DataFrame) -> pd.DataFrame:
    """Main metric over the seeds of each setting. Two recipes of one task, method and level are two rows.

    Parameters
    ----------
    runs
        A row per run: columns of `run_table.COLUMNS`, low and high (of the development set's interval, fractions).

    Returns
    -------
    DataFrame
        Columns `COLUMNS` of `replicates.over_seeds`, in order of `METHODS` with the dense runs first, usual variants
        first, falling level and `TASKS`.
    """
    summary = over_seeds(runs)
    methods = sorted(METHODS, key=lambda name: METHODS[name].remaining != NONE)
    order = summary.assign(
        method=summary["method"].map(methods.index),
        task=summary["task"].map(list(TASKS).index),
        level=-summary["level"].fillna(summary["remaining"]),
    ).sort_values(["method", "variant", "level", "task"], kind="stable")
    return summary.loc[order.index, COLUMNS].reset_index(drop=True)


def summary_cells(summary: pd.DataFrame) -> pd.DataFrame:
    """The table as people read it: values in percent, with both spreads.

    Parameters
    ----------
    summary
        From `summarize`, not empty.

    Returns
    -------
    DataFrame
        Text: a row per encoder, method and level, a column per task; the encoder is named where there are several. A
        cell is "88.5 ± 2.1": the mean over seeds and the sampling error of the development set. With several seeds
        their range and number follow. The last column is the mean over `overview.common_tasks` of the encoder, where
        none of them is missing. Where the method measures the remaining fraction, it stands in each cell.
    """
    facts = summary[["task", "metric", "n_examples"]].itertuples(index=False)
    names = zip(summary["method"].map(method_name), summary["variant"], strict=True)
    table = summary.assign(
        name=[" · ".join(filter(None, parts)) for parts in names],
        at=["measured" if math.isnan(level) else f"{100 * level:g}" for level in summary["level"]],
        head=[f"{TASKS[task].title} {METRICS[metric].title}, n {n}" for task, metric, n in facts],
        cell=[_cell(entry) for entry in summary.to_dict("records")],
    )
    place = ["base_model", "name", "at"]
    counted = pd.concat(
        every_task_once(part, place, common_tasks(part[part["variant"] == ""]))
        for _, part in table.groupby("base_model")
    )
    means = counted.groupby(place)["mean"].agg(lambda values: f"{100 * values.mean():.1f} over {len(values)}")
    every = pd.concat([table, means.to_frame("cell").reset_index().assign(head="mean over tasks")])
    by_task = table.sort_values("task", key=lambda tasks: tasks.map(list(TASKS).index), kind="stable")
    text = side_by_side(every, place, [*by_task["head"].unique(), "mean over tasks"])
    text = text.rename(columns={"base_model": "encoder", "name": "method", "at": "remaining %"})
    return text if len(set(text["encoder"])) > 1 else text.drop(columns="encoder")


def side_by_side(table: pd.DataFrame, place: Sequence[str], heads: Sequence[str]) -> pd.DataFrame:
    """A row per place, in order of appearance, with the text (column cell) of each head (column head).

    Two settings that differ in what no variant names, such as altered data, share a cell. Without a text stands a dash.
    """
    rows = pd.MultiIndex.from_frame(table[list(place)].drop_duplicates())
    cells = table.pivot_table(index=list(place), columns="head", values="cell", aggfunc="; ".join, fill_value="-")
    return cells.reindex(index=rows, columns=list(heads), fill_value="-").reset_index().rename_axis(columns=None)


def means_cells(table: pd.DataFrame) -> pd.DataFrame:
    """`overview.over_tasks`, not empty, as people read it: text, the mean in percent with the range of the seeds."""
    text = pd.DataFrame(
        {
            "encoder": table["base_model"],
            "method": table["method"].map(method_name),
            "remaining %": [f"{100 * level:g}" for level in table["level"]],
            "tasks": table["n_tasks"].map(str),
            "mean": [f"{100 * entry['mean']:.1f}{_over_seeds(entry)}" for entry in table.to_dict("records")],
        }
    )
    if len(by_encoder(table)) > 1:
        return text
    return text.drop(columns=["encoder", "tasks"]).rename(columns={"mean": mean_over(table)})


def as_markdown(cells: pd.DataFrame) -> str:
    """A table of text in Markdown: numbers at the right, the first column at the left.

    Bars in a cell are escaped where they are not yet: each would end it.
    """
    rules = ["---", *["---:"] * (cells.shape[1] - 1)]
    rows = [list(map(str, cells)), rules, *cells.to_numpy().tolist()]
    lines = [" | ".join(re.sub(r"(?<!\\)\|", r"\|", cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


_ESCAPED = str.maketrans(
    {mark: f"\\{mark}" for mark in "%_&#${}"}
    | {"±": r"$\pm$", "·": r"$\cdot$", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"|": r"\textbar{}", "<": r"\textless{}", ">": r"\textgreater{}"}
)


def as_latex(cells: pd.DataFrame, caption: str) -> str:
    """A table of text in LaTeX, for the package booktabs."""
    table = cells.map(_escaped).rename(columns=_escaped).style.hide(axis="index")
    shape = "l" + "r" * (cells.shape[1] - 1)
    return table.to_latex(
        column_format=shape, position_float="centering", hrules=True, caption=_escaped(caption)
    ).removesuffix("\n")


def _escaped(text: str) -> str:
    return text.translate(_ESCAPED)


def caption(runs: pd.DataFrame) -> str:
    """What a table of these runs has to say of itself: their number, the encoder and the data, by fingerprint.

    Parameters
    ----------
    runs
        As of `summarize`.
    """
    metric = (
        "Main metric"
        if of_main_metric(runs).all()
        else ", ".join(METRICS[name].title for name in runs["metric"].unique())
    )
    return (
        f"{metric} in percent at the last evaluation: mean over seeds, with half the 95 % interval of the "
        f"development set and the range over seeds. {fingerprints(runs)}"
    )


def fingerprints(runs: pd.DataFrame) -> str:
    """How many runs these are, and of what encoder and data, with the development sets' numbers of examples.

    Parameters
    ----------
    runs
        Columns base_model, base_model_sha256, task, data_sha256 and n_examples.
    """
    encoders = runs[["base_model", "base_model_sha256"]].drop_duplicates().to_numpy().tolist()
    data = runs[["task", "data_sha256", "n_examples"]].drop_duplicates().to_numpy().tolist()
    return (
        f"{len(runs)} run{'s' * (len(runs) != 1)}. Encoder "
        + ", ".join(f"{name} ({digest[:12]})" for name, digest in encoders)
        + "; data "
        + ", ".join(f"{task} ({digest[:12]}, n = {n:,})" for task, digest, n in data)
        + "."
    )


def _cell(entry: Mapping[Any, Any]) -> str:
    text = f"{100 * entry['mean']:.1f} ± {100 * entry['sampling']:.1f}{_over_seeds(entry)}"
    return f"{text} at {100 * entry['remaining']:.1f} %" if math.isnan(entry["level"]) else text


def _over_seeds(entry: Mapping[Any, Any]) -> str:
    if entry["n_seeds"] < 2 or math.isnan(entry["lowest"]):
        return ""
    return f" ({100 * entry['lowest']:.1f} to {100 * entry['highest']:.1f}, {entry['n_seeds']} seeds)"
