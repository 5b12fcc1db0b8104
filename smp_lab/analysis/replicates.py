"""Which runs are replicates, and what they have in common: the one definition behind every mean over seeds."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pandas.api.types import is_numeric_dtype

from smp_lab.config import RunConfig, canonical_json

# What differs among replicates, or is made of what does.
_OF_ONE_RUN = frozenset({"run_id", "seed", "remaining", "value", "low", "high"})


def settings_but_seed(config: RunConfig) -> str:
    """One text of all settings but the seed: runs that agree in it are replicates."""
    return canonical_json(config.to_dict() | {"seed": None})


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over replicates: runs that are alike in all settings but the seed.

    Parameters
    ----------
    runs
        A row per run and metric: settings (of `settings_but_seed`), metric, seed, remaining and value (fractions); with
        low and high (of the development set's interval, fractions) the sampling error is averaged too. Further columns,
        such as those of `run_table.COLUMNS`, are the same for replicates and are kept.

    Returns
    -------
    DataFrame
        A row per setting and metric, in order of appearance: remaining and mean (means over seeds), sd (over seeds,
        n - 1 in the denominator; NaN for one seed), lowest and highest, n_seeds, sampling (half the width of the
        interval, mean over seeds; where there are low and high), and the columns that replicates share. All are
        fractions but n_seeds.
    """
    shared = [str(column) for column in runs if column not in _OF_ONE_RUN | {"settings", "metric"}]
    named = {column: (column, "first") for column in shared} | {
        "remaining": ("remaining", "mean"),
        "mean": ("value", "mean"),
        "sd": ("value", "std"),
        "lowest": ("value", "min"),
        "highest": ("value", "max"),
        "n_seeds": ("seed", "nunique"),
    }
    if "low" in runs:
        runs = runs.assign(sampling=(runs["high"] - runs["low"]) / 2)
        named["sampling"] = ("sampling", "mean")
    return runs.groupby(["settings", "metric"], sort=False).agg(**named).reset_index()


def along_lines(table: pd.DataFrame, at: Sequence[str], values: Sequence[str]) -> pd.DataFrame:
    """One line for replicates: at each place their mean, and the lowest and the highest.

    Parameters
    ----------
    table
        Of `run_table.tables_of_runs`.
    at
        Columns that name a place along a line, such as the step.
    values
        Columns of which lowest and highest are wanted.

    Returns
    -------
    DataFrame
        A row per line and place, in order of appearance: the columns of the table, run being the line and run_id all of
        them with commas; numbers are means over seeds (seed itself is NaN for several). For each value the columns
        ``{value}_lowest`` and ``{value}_highest``; n_seeds.
    """
    if table.empty:
        return table
    groups = table.groupby(["line", *at], sort=False, dropna=False)
    means = {
        # The mean of three equal levels may be another number.
        name: "mean" if is_numeric_dtype(table[name]) and name != "level" else "first"
        for name in table
        if name not in {"line", "run_id", *at}
    }
    lines = groups.agg(means).assign(run_id=groups["run_id"].agg(", ".join), n_seeds=groups.size())
    for name in values:
        lines = lines.assign(**{f"{name}_lowest": groups[name].min(), f"{name}_highest": groups[name].max()})
    lines = lines.reset_index()
    lines = lines.assign(run=lines["line"], seed=lines["seed"].where(lines["n_seeds"] == 1))
    return lines[[*table, *(name for name in lines if name not in table)]]
