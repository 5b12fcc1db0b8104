"""The runs of a folder in one table: a row per task, method and level, over seeds."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

COLUMNS = ["task", "method", "remaining", "metric", "mean", "lowest", "highest", "n_seeds", "n_examples", "base_model"]


def summarize(runs: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Main metric over the seeds of each task, method and level.

    Parameters
    ----------
    runs
        A dict per run: task, method, remaining (measured fraction), level (the one asked for), metric (its name),
        value (a fraction), n_examples (of the development set), base_model.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, in order of task, method and falling remaining fraction. remaining is the mean of the
        measured fractions; mean, lowest and highest are of the metric, fractions.
    """
    table = pd.DataFrame(list(runs))
    if table.empty:
        return pd.DataFrame(columns=COLUMNS)
    keys = ["task", "method", "level", "metric", "base_model", "n_examples"]
    grouped = table.groupby(keys, dropna=False, sort=False)
    summary = grouped.agg(
        remaining=("remaining", "mean"),
        mean=("value", "mean"),
        lowest=("value", "min"),
        highest=("value", "max"),
        n_seeds=("value", "size"),
    ).reset_index()
    return summary.sort_values(
        ["task", "method", "remaining"], ascending=[True, True, False], kind="stable", ignore_index=True
    )[COLUMNS]
