"""How a run went: schedule beside measured fraction, evaluations, and flips of the mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from smp_lab.analysis.run_table import Run


def progress(history: pd.DataFrame, n_weights: int) -> pd.DataFrame:
    """Objective and remaining fraction at each logged step.

    Parameters
    ----------
    history
        Columns step, epoch, loss, regularizer, regularizer_weight, remaining, kept (a run's history).
    n_weights
        Prunable weights of the encoder.

    Returns
    -------
    DataFrame
        Columns step, epoch, loss, regularizer, regularizer_weight, nominal (fraction the schedule asks for), kept and
        n_weights (counts), remaining (measured fraction, encoder).
    """
    table = history[["step", "epoch", "loss", "regularizer", "regularizer_weight", "remaining", "kept"]]
    table = table.rename(columns={"remaining": "nominal"})
    return table.assign(n_weights=n_weights, remaining=table["kept"] / n_weights)


def flips(history: pd.DataFrame) -> pd.DataFrame:
    """Changes of the mask at each logged step: those forced because fewer are kept apart from true swaps.

    A step that takes 40 weights out and 5 in must lose 35 to follow its schedule; the other 5 out were exchanged for
    the 5 in.

    Parameters
    ----------
    history
        Columns step, epoch, flips_in, flips_out: weights that came in and left at this step, against the step before.

    Returns
    -------
    DataFrame
        Columns step, epoch, flips_in, flips_out, forced = abs(flips_out - flips_in) and
        swaps = min(flips_in, flips_out) (counts).
    """
    table = history[["step", "epoch", "flips_in", "flips_out"]]
    return table.assign(
        forced=(table["flips_out"] - table["flips_in"]).abs(), swaps=np.minimum(table["flips_in"], table["flips_out"])
    )


def evaluations(entries: Iterable[Mapping[str, Any]], metric: str) -> pd.DataFrame:
    """One metric at each evaluation.

    Parameters
    ----------
    entries
        A run's evaluations: step, epoch, remaining (measured) and every metric.
    metric
        Which one.

    Returns
    -------
    DataFrame
        Columns step, epoch, remaining (measured fraction, encoder), metric (its name), value (a fraction).
    """
    rows = [(entry["step"], entry["epoch"], entry["remaining"], metric, entry[metric]) for entry in entries]
    return pd.DataFrame(rows, columns=["step", "epoch", "remaining", "metric", "value"])


def evaluations_of(run: Run) -> pd.DataFrame:
    """The main metric of a finished run at each evaluation: the columns of `evaluations`, and n_examples."""
    return evaluations(run.results["evaluations"], run.main_metric).assign(n_examples=run.n_examples)


def settled(flips: pd.DataFrame, progress: pd.DataFrame) -> str:
    """How much masks still change when the schedule has ended, in a sentence; empty where no mask was learned.

    Parameters
    ----------
    flips, progress
        Tables of `flips` and `progress` of the same steps, with the column run_id in front.
    """
    steps = flips.assign(nominal=progress["nominal"], kept=progress["kept"])
    last = steps.groupby("run_id")["nominal"].transform("min")
    late = steps[(steps["nominal"] == last) & (last < 1)]
    late = late.groupby("run_id").filter(lambda run: (run["kept"] > 0).all())
    rates = (late["swaps"] / late["kept"]).groupby(late["run_id"]).median().dropna()
    if rates.empty:
        return ""
    low, high = (f"{1e4 * rate:.2g}" for rate in (rates.min(), rates.max()))
    return (
        f"After its schedule has ended a mask still changes: in a step {low if low == high else f'{low} to {high}'} in "
        "10,000 of the kept weights are exchanged for others (median over the steps)."
    )
