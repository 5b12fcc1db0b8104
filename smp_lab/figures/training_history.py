"""Figures of `smp_lab.analysis.training_history`.

Tables of several runs carry the columns run (its label), task, method and level (fraction asked for) beside those of
the analysis function.
"""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.style import (
    METRIC_TITLES,
    MOST_SIDE_BY_SIDE,
    TASK,
    add_band,
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


def _add_legend(figure: go.Figure, table: pd.DataFrame) -> go.Figure:
    tabulate_legend(figure, wide=table["run"].nunique() > MOST_SIDE_BY_SIDE)
    return figure


def _add_lines(
    figure: go.Figure,
    table: pd.DataFrame,
    x: str,
    y: str,
    color_by: str,
    hover: str,
    *,
    factor: float = 1,
    **place: int,
) -> None:
    """A line per run."""
    marks = line_marks(table, color_by)
    for run, lines in table.groupby("run", sort=False):
        add_band(figure, lines, x, y, marks[run], factor, **place)
        figure.add_scatter(
            x=lines[x],
            y=factor * lines[y],
            mode="lines",
            name=run,
            legendgroup=run,
            hovertemplate=f"{hover}<br>{x} %{{x}}",
            line=marks[run]["line"],
            **place,
        )


def plot_loss(table: pd.DataFrame, x: str = STEP, color_by: str = TASK) -> go.Figure:
    """Training loss at each logged step, a line per run."""
    title = "Training loss"
    if table.empty:
        return empty_figure(title, _NO_RUN)
    figure = new_figure(title, "Without the regulariser; with a teacher, its loss is in it", height=320)
    _add_lines(figure, table, x, "loss", color_by, "%{y:.4f}")
    figure.update_xaxes(title_text=_AXIS_TITLES[x], rangemode="tozero")
    figure.update_yaxes(title_text="Loss", rangemode="tozero")
    return _add_legend(figure, table)


def plot_regularizer(table: pd.DataFrame, x: str = STEP, color_by: str = TASK) -> go.Figure:
    """Regulariser R above its weight lambda, a line per run in both panels."""
    title = "Regulariser and its weight"
    if table.empty:
        return empty_figure(title, _NO_RUN)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.08)
    _add_lines(figure, table, x, "regularizer", color_by, "R %{y:.4f}", row=1, col=1)
    _add_lines(figure, table, x, "regularizer_weight", color_by, "lambda %{y:.1f}", row=2, col=1)
    words = "R: mean over matrices of mean sigmoid(S); no unit<br>Of L0: expected share of open gates"
    dress(figure, title, words, height=320)
    figure.update_xaxes(title_text=_AXIS_TITLES[x], row=2)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text="R", row=1)
    figure.update_yaxes(title_text="lambda", row=2)
    return _add_legend(figure, table)


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
            marker={"symbol": "circle-open", "size": 8, "color": marks[run]["marker"]["color"], "line": {"width": 1.5}},
            hovertemplate=f"asked to keep %{{y:.2f}} %<br>{x} %{{x}}",
        )
    figure.update_xaxes(title_text=_AXIS_TITLES[x], rangemode="tozero")
    figure.update_yaxes(title_text="Remaining weights (%)", rangemode="tozero")
    return _add_legend(figure, table)


def plot_evaluations(table: pd.DataFrame, x: str = STEP, color_by: str = TASK) -> go.Figure:
    """Main metric on the development set at each evaluation, a line per run; n_examples may not be known (NaN)."""
    title = "Main metric on the development set"
    if table.empty:
        return empty_figure(title, "No evaluation is recorded.")
    names = "; ".join(METRIC_TITLES[name] for name in table["metric"].unique())
    figure, marks = new_figure(title, names, height=320), line_marks(table, color_by)
    for run, lines in table.groupby("run", sort=False):
        add_band(figure, lines, x, "value", marks[run], 100)
        figure.add_scatter(
            x=lines[x],
            y=100 * lines["value"],
            customdata=pd.DataFrame(
                {
                    "metric": lines["metric"].map(METRIC_TITLES),
                    "percent": 100 * lines["remaining"],
                    "examples": as_text(", n = {:,.0f}", lines["n_examples"], unknown=""),
                }
            ),
            mode="lines+markers",
            name=run,
            legendgroup=run,
            hovertemplate=f"%{{customdata[0]}} %{{y:.1f}} (x 100)<br>{x} %{{x}}%{{customdata[2]}}"
            "<br>%{customdata[1]:.2f} % kept",
            **marks[run],
        )
    figure.update_xaxes(title_text=_AXIS_TITLES[x], rangemode="tozero")
    figure.update_yaxes(title_text="Main metric (x 100)")
    return _add_legend(figure, table)


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
