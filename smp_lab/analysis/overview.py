"""What the runs at hand say together: how much of the main metric is left at a remaining fraction."""

from __future__ import annotations

import numpy as np
import pandas as pd


def common_level(runs: pd.DataFrame) -> float | None:
    """The remaining fraction at which most tasks have a run; of equals the lowest.

    Parameters
    ----------
    runs
        A row per run with columns task and nominal (fraction; NaN where the method measures it).

    Returns
    -------
    float or None
        None where no run below 1 has a nominal fraction.
    """
    pruned = runs[runs["nominal"] < 1]
    if pruned.empty:
        return None
    tasks = pruned.groupby("nominal")["task"].nunique()
    return float(tasks[tasks == tasks.max()].index.min())


def metric_left(runs: pd.DataFrame, level: float) -> pd.DataFrame:
    """Main metric at one remaining fraction, beside the fullest run of the same task, encoder and examples.

    Parameters
    ----------
    runs
        A row per run with columns task, method, base_model, nominal, metric, value, n_examples.
    level
        A nominal remaining fraction.

    Returns
    -------
    DataFrame
        A row per (task, base_model, method) at the level: metric, n_examples, value (mean over n_runs seeds),
        reference_nominal and reference_value (mean over the runs that keep most, above the level; NaN where there is
        none), change = value - reference_value.
    """
    keys = ["task", "base_model", "metric", "n_examples"]
    at_level = runs[runs["nominal"] == level]
    table = at_level.groupby([*keys, "method"], as_index=False, sort=False).agg(
        value=("value", "mean"), n_runs=("value", "size")
    )
    fuller = runs[runs["nominal"] > level]
    fullest = fuller[fuller["nominal"] == fuller.groupby(keys)["nominal"].transform("max")]
    reference = fullest.groupby(keys, as_index=False).agg(
        reference_nominal=("nominal", "first"), reference_value=("value", "mean")
    )
    table = table.merge(reference, on=keys, how="left")
    table["change"] = (table["value"] - table["reference_value"]).astype(np.float64)
    return table
