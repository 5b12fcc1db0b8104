"""Figures of a run that trains: those of its history with axes that stand still, and its mask as it forms."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from smp_lab.figures import training_history
from smp_lab.figures.scores import plot_matrices
from smp_lab.figures.style import empty_figure
from smp_lab.metrics import METRICS

LOSS, REMAINING, METRIC, FLIPS = KINDS = ("loss", "remaining", "metric", "flips")
_PLOTS = {
    LOSS: training_history.plot_loss,
    REMAINING: training_history.plot_remaining,
    METRIC: training_history.plot_evaluations,
    FLIPS: training_history.plot_flips,
}
_GHOST = "rgba(128, 128, 128, 0.55)"


def plot_progress(table: pd.DataFrame, kind: str, total_steps: int, ghost: str | None = None) -> go.Figure:
    """One quantity of a run that trains, over all its steps from the start.

    Parameters
    ----------
    table
        As the function of `smp_lab.figures.training_history` for this kind takes it.
    kind
        One of `KINDS`.
    total_steps
        End of the axis.
    ghost
        Label of the finished run beside it, which is drawn in grey.
    """
    if table.empty:
        return empty_figure({METRIC: "Main metric on the development set"}.get(kind, "Training"), "Not measured yet.")
    figure = _PLOTS[kind](table)
    figure.update_xaxes(range=[0, total_steps], autorange=False)
    figure.update_yaxes(range=_heights(table, kind), autorange=False)
    for trace in figure.data:
        if trace.name == ghost:
            trace.update(line_color=_GHOST, marker_color=_GHOST)
    return figure


def _heights(table: pd.DataFrame, kind: str) -> list[float]:
    """Ends of the y axis: those of the quantity where it has some, else steps so wide that a run seldom takes one."""
    if kind == REMAINING:
        return [0, 102]
    if kind == METRIC:
        metrics = [METRICS[name] for name in table["metric"].unique()]
        return [102 * min(metric.lowest for metric in metrics), 102 * max(metric.highest for metric in metrics)]
    if kind == FLIPS:
        # Of a logarithmic axis the exponents.
        return [0, math.ceil(math.log10(max(table[["forced", "swaps"]].to_numpy().max(), 10)))]
    return [0, 2.0 ** math.ceil(math.log2(min(max(0.5, table["loss"].max()), 1e6)))]


def plot_kept_by_matrix(table: pd.DataFrame, step: int) -> go.Figure:
    """Remaining weights of each matrix as it stands: layer by matrix type, layer 0 at the bottom.

    Parameters
    ----------
    table
        A row per layer and matrix type: layer, matrix_type, kept and n_weights (counts), remaining (fraction).
    step
        That it belongs to.
    """
    title = "The mask as it forms"
    if table.empty:
        return empty_figure(title, "Nothing is recorded yet.")
    return plot_matrices(
        table.assign(percent=100 * table["remaining"]),
        "percent",
        title,
        f"Kept weights (% of each matrix) after step {step:,}",
        "Kept (%)",
        values=(0, 100),
        facts=["kept", "n_weights"],
        hover="%{z:.2f} %<br>%{customdata[0]:,} of %{customdata[1]:,} weights",
    )
