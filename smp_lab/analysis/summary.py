"""The runs of a folder in one table: a row per setting, over seeds."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

COLUMNS = ["task", "method", "remaining", "metric", "mean", "lowest", "highest", "n_seeds", "n_examples", "base_model"]


def summarize(runs: Iterable[dict[str, object]]) -> pd.DataFrame:
    """Main metric over the seeds of each setting. Two recipes of one task, method and level are two rows.

    Parameters
    ----------
    runs
        A dict per run: settings (all but the seed, as of `curves.settings_but_seed`), seed, task, method, remaining
        (measured fraction), metric (its name), value (a fraction), n_examples (of the development set), base_model.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, in order of task, method and falling remaining fraction. remaining is the mean of the
        measured fractions; mean, lowest and highest are of the metric, fractions.
    """
    table = pd.DataFrame(list(runs))
    if table.empty:
        return pd.DataFrame(columns=COLUMNS)
    facts = ["task", "method", "metric", "n_examples", "base_model"]
    summary = table.groupby(["settings", *facts], as_index=False, sort=False).agg(
        remaining=("remaining", "mean"),
        mean=("value", "mean"),
        lowest=("value", "min"),
        highest=("value", "max"),
        n_seeds=("seed", "nunique"),
    )
    return summary.sort_values(
        ["task", "method", "remaining"], ascending=[True, True, False], kind="stable", ignore_index=True
    )[COLUMNS]
