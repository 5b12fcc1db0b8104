"""What the available runs say together: how much of the main metric is left at a remaining fraction."""

from __future__ import annotations

import numpy as np
import pandas as pd

from smp_lab.analysis.replicates import over_seeds
from smp_lab.methods import METHODS


def common_level(runs: pd.DataFrame) -> float | None:
    """The remaining fraction at which most tasks have a run; of equals the lowest.

    Parameters
    ----------
    runs
        A row per run with columns task and level (the fraction asked for; NaN where the method measures it).

    Returns
    -------
    float or None
        None where no run below 1 has a level fraction.
    """
    pruned = runs[runs["level"] < 1]
    if pruned.empty:
        return None
    tasks = pruned.groupby("level")["task"].nunique()
    return float(tasks[tasks == tasks.max()].index.min())


def metric_left(runs: pd.DataFrame, level: float) -> pd.DataFrame:
    """Main metric at one remaining fraction, beside the fullest runs of the same task, encoder and examples.

    Parameters
    ----------
    runs
        A row per run: columns of `run_table.COLUMNS`.
    level
        A fraction that runs were asked to keep.

    Returns
    -------
    DataFrame
        A row per setting at the level: task, base_model, metric, n_examples, method, variant, value (mean over n_seeds
        seeds), reference_level and reference_value (of the setting above the level that keeps most, mean over seeds;
        of several the one of the same method and variant, else the most usual; NaN where there is none), change =
        value - reference_value.
    """
    keys = ["task", "base_model", "metric", "n_examples"]
    means = over_seeds(runs).rename(columns={"mean": "value"})
    means = means[[*keys, "method", "variant", "level", "value", "n_seeds"]]
    table = means[means["level"] == level].reset_index(drop=True)
    fuller = means[means["level"] > level]
    fullest = fuller[fuller["level"] == fuller.groupby(keys)["level"].transform("max")]
    pairs = table.reset_index(names="row").merge(fullest, on=keys, suffixes=("", "_reference"))
    # False sorts before True, and the usual variant is the empty word.
    pairs = pairs.assign(
        other_method=pairs["method_reference"] != pairs["method"],
        other_variant=pairs["variant_reference"] != pairs["variant"],
    ).sort_values(["row", "other_method", "other_variant", "variant_reference"], kind="stable")
    reference = pairs.drop_duplicates("row").set_index("row")
    table["reference_level"] = reference["level_reference"]
    table["reference_value"] = reference["value_reference"]
    table["change"] = (table["value"] - table["reference_value"]).astype(np.float64)
    return table.drop(columns="level")


def widest_setting(left: pd.DataFrame) -> pd.DataFrame:
    """The rows of `metric_left` of the encoder, method and variant with most tasks; of equals the first method."""
    names = ["base_model", "method", "variant"]
    settings = left.groupby(names, as_index=False, sort=False).agg(n_tasks=("task", "nunique"))
    settings["place"] = settings["method"].map(list(METHODS).index)
    settings["unusual"] = settings["variant"] != ""
    best = settings.sort_values(["n_tasks", "unusual", "place"], ascending=[False, True, True], kind="stable").iloc[0]
    return left[(left[names] == best[names]).all(axis=1)]


def means_beside(left: pd.DataFrame, shown: pd.DataFrame) -> pd.Series:
    """Mean of the main metrics over the tasks that are shown, for every usual setting that has all of them.

    Parameters
    ----------
    left
        From `metric_left`.
    shown
        Rows of it, of one setting.

    Returns
    -------
    Series
        By method, the highest first.
    """
    keys = ["task", "base_model", "metric", "n_examples"]
    same = left[left["variant"].isin(["", *shown["variant"]])].merge(shown[keys], on=keys)
    tasks = same.groupby("method")["task"].agg(["nunique", "size"])
    whole = tasks[(tasks["nunique"] == len(shown)) & (tasks["size"] == len(shown))].index
    return same[same["method"].isin(whole)].groupby("method")["value"].mean().sort_values(ascending=False)
