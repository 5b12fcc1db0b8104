"""Figures of `smp_lab.analysis.training_history`.

Tables of several runs carry the columns run (its label), task, method and level (fraction asked for) beside those of
the analysis function.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.style import (
    METRIC_TITLES,
    MOST_SIDE_BY_SIDE,
    TASK,
    add_lines,
    as_text,
    dress,
    empty_figure,
    line_marks,
    new_figure,
    tabulate_legend,
)

STEP, EPOCH = AXES = ("step", "epoch")
_AXIS_TITLES = {STEP: "Optimiser step", EPOCH: "Epoch"}
_NO_RUN = "No run that was trained is chosen."


def _add_lines(
    figure: go.Figure, table: pd.DataFrame, x: str, y: str, color_by: str, hover: str, mode: str = "lines", **more: Any
) -> None:
    add_lines(figure, table, x, y, line_marks(table, color_by), f"{hover}<br>{x} %{{x}}", mode=mode, **more)


def _finish(figure: go.Figure, table: pd.DataFrame, x: str, row: int | None = None) -> go.Figure:
    """Title the horizontal axis, that of one row where there are several, and set the legend."""
    figure.update_xaxes(rangemode="tozero").update_xaxes(title_text=_AXIS_TITLES[x], row=row)
    tabulate_legend(figure, wide=table["run"].nunique() > MOST_SIDE_BY_SIDE)
    return figure


def plot_loss(table: pd.DataFrame, x: str = STEP, color_by: str = TASK) -> go.Figure:
    """Training loss at each logged step, a line per run."""
    title = "Training loss"
    if table.empty:
        return empty_figure(title, _NO_RUN)
    figure = new_figure(title, "Without the regulariser; with a teacher, its loss is in it", height=320)
    _add_lines(figure, table, x, "loss", color_by, "%{y:.4f}")
    figure.update_yaxes(title_text="Loss", rangemode="tozero")
    return _finish(figure, table, x)


def plot_regularizer(table: pd.DataFrame, x: str = STEP, color_by: str = TASK) -> go.Figure:
    """Regulariser R above its weight lambda, a line per run in both panels."""
    title = "Regulariser and its weight"
    if table.empty:
        return empty_figure(title, _NO_RUN)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    _add_lines(figure, table, x, "regularizer", color_by, "R %{y:.4f}", row=1, col=1)
    _add_lines(figure, table, x, "regularizer_weight", color_by, "lambda %{y:.1f}", row=2, col=1)
    words = "R: mean over matrices of mean sigmoid(S); no unit"
    if "l0" in set(table["method"]):
        words += "<br>Of L0: expected share of open gates"
    dress(figure, title, words, height=320)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text="R", row=1)
    figure.update_yaxes(title_text="lambda", row=2)
    return _finish(figure, table, x, row=2)


def plot_remaining(table: pd.DataFrame, x: str = STEP, color_by: str = TASK) -> go.Figure:
    """What is kept as a line, what the schedule asks to keep as open circles, for each run."""
    title = "Remaining weights over training"
    if table.empty:
        return empty_figure(title, _NO_RUN)
    figure = new_figure(title, "Of the encoder's weights. Line: kept; circles: asked to keep", height=320)
    _add_lines(figure, table, x, "remaining", color_by, "kept %{y:.2f} %", factor=100)
    marks = line_marks(table, color_by)
    for run, lines in table.groupby("run", sort=False):
        # Every point would bury the line; a dozen show whether the two part.
        some = lines.iloc[:: max(1, len(lines) // 12)]
        figure.add_scatter(
            x=some[x],
            y=100 * some["nominal"],
            mode="markers",
            name=run,
            legendgroup=run,
            marker=marks[run]["marker"] | {"symbol": "circle-open", "size": 8, "line": {"width": 1.5}},
            hovertemplate=f"asked to keep %{{y:.2f}} %<br>{x} %{{x}}",
        )
    figure.update_yaxes(title_text="Remaining weights (%)", rangemode="tozero")
    return _finish(figure, table, x)


def plot_evaluations(table: pd.DataFrame, x: str = STEP, color_by: str = TASK) -> go.Figure:
    """Main metric on the development set at each evaluation, a line per run; n_examples may not be known (NaN)."""
    title = "Main metric on the development set"
    if table.empty:
        return empty_figure(title, "No evaluation is recorded.")
    names = table["metric"].map(METRIC_TITLES)
    table = table.assign(
        metric=names, percent=100 * table["remaining"], n=as_text(", n = {:,.0f}", table["n_examples"], unknown="")
    )
    figure = new_figure(title, "; ".join(names.unique()), height=320)
    hover = "%{customdata[0]} %{y:.1f} (x 100)%{customdata[2]}<br>%{customdata[1]:.2f} % kept"
    facts = ["metric", "percent", "n"]
    _add_lines(figure, table, x, "value", color_by, hover, mode="lines+markers", factor=100, facts=facts)
    figure.update_yaxes(title_text="Main metric (x 100)")
    return _finish(figure, table, x)


def plot_flips(table: pd.DataFrame, x: str = STEP, color_by: str = TASK) -> go.Figure:
    """Forced flips beside true swaps, weights at each logged step, on one logarithmic scale."""
    title = "Weights that change sides in a step"
    if table.empty:
        return empty_figure(title, _NO_RUN)
    figure = make_subplots(
        rows=1,
        cols=2,
        shared_yaxes="all",
        horizontal_spacing=0.03,
        subplot_titles=("Forced: fewer are kept", "True swaps"),
    )
    for column, kind in enumerate(("forced", "swaps"), start=1):
        _add_lines(figure, table, x, kind, color_by, "%{y:,.0f} weights", row=1, col=column)
    dress(
        figure,
        title,
        "In each logged step, against the step before it. At a step with none a line leaves the scale: it has no zero",
        height=360,
    )
    figure.update_xaxes(title_text=_AXIS_TITLES[x], rangemode="tozero")
    figure.update_yaxes(type="log", exponentformat="none", separatethousands=True)
    figure.update_yaxes(title_text="Weights (count), encoder", col=1)
    tabulate_legend(figure)
    return figure
