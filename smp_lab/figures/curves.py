"""Figures of `smp_lab.analysis.curves`: metric against remaining weights.

Measured values are filled and solid, published ones hollow and dotted; a line never joins the two. Colours and symbols
say the method, so lines of one method with other settings have a letter each, beside their dots and in the legend.
"""

from __future__ import annotations

import math
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.line_ends import label_line_ends
from smp_lab.figures.style import (
    COLORS,
    METHOD,
    METHOD_COLORS,
    METHOD_SYMBOLS,
    METRIC_TITLES,
    PERCENT_TICKS,
    REMAINING_TITLE,
    REMOVED_COLOR,
    TASK,
    as_text,
    dress,
    empty_figure,
    tabulate_legend,
)
from smp_lab.methods import get_method
from smp_lab.tasks import TASKS

# What a point that is of no run here rests on: a paper, what somebody said of an imported mask, a measurement of one.
PUBLISHED, TOLD, IMPORTED = "published", "told", "imported"
LOG, LINEAR = SCALES = ("log", "linear")

_PANELS_PER_ROW = 3
# In a legend; 1000 is what plotly gives to all others.
_AFTER_MEASURED = 1001
_BASELINE = "Majority-class baseline"


def _panels(runs: pd.DataFrame, published: pd.DataFrame) -> list[tuple[str, str]]:
    """Task and encoder of each panel of `plot_curves`; tasks of most encoders first, so that these stand in a row."""
    tasks = dict.fromkeys([*runs.get("task", []), *published.get("task", [])])
    encoders = dict.fromkeys(runs.get("encoder", []))
    there = {*zip(runs.get("task", []), runs.get("encoder", []), strict=True)}
    found = [(task, [encoder for encoder in encoders if (task, encoder) in there] or [""]) for task in tasks]
    found.sort(key=lambda entry: -len(entry[1]))
    return [(task, encoder) for task, encoders in found for encoder in encoders]


def _panels_per_row(panels: Sequence[tuple[str, str]]) -> int:
    """How many of them stand side by side: those of one task, where it has several encoders."""
    most = max(Counter(task for task, _ in panels).values())
    if most > 1:
        return min(most, _PANELS_PER_ROW)
    return 2 if len(panels) == 4 else min(len(panels), _PANELS_PER_ROW)


def plot_curves(
    runs: pd.DataFrame,
    means: pd.DataFrame,
    published: pd.DataFrame,
    *,
    scale: str = LOG,
    intervals: bool = True,
) -> go.Figure:
    """Metric against remaining weights, a panel per task and encoder: a line per method, a dot per seed.

    Parameters
    ----------
    runs
        A row per run: task, metric, method, name (of its line), variant (empty for the usual line of a method), run_id,
        seed, remaining, value, low, high, n_examples, majority_baseline (drawn as a level), encoder (empty where all
        have the same one).
    means
        A row per setting, in order of remaining along each line: task, metric, method, name, encoder, remaining, mean,
        sd, n_seeds, n_examples. A dense one is drawn as a dashed level.
    published
        Rows of `published_points` with the column name; and of imported masks with the column how too, which is `TOLD`
        (hollow) or `IMPORTED` (filled), and their source in words.
    scale
        Of the horizontal axis: `LOG` or `LINEAR`.
    intervals
        Whether each dot carries the interval of its development set.
    """
    title = "Metric against remaining weights"
    every = _panels(runs, published)
    if not every:
        return empty_figure(title, "No run and no published number is chosen.")
    columns = _panels_per_row(every)
    rows = -(-len(every) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        horizontal_spacing=0.17 / columns,
        vertical_spacing=0.24 / rows,
        subplot_titles=[", ".join(filter(None, (TASKS[task].title, encoder))) for task, encoder in every],
    )
    across = _across(scale, runs, published)
    how = _How("value", METHOD, _letters(runs), across, intervals)
    for place, (task, encoder) in enumerate(every):
        row, column = divmod(place, columns)
        cell = {"row": row + 1, "col": column + 1}
        here = _of_panel(published, means, runs, task, encoder)
        _add_panel(figure, *here, how, cell)
        metric = pd.concat(here)["metric"].iloc[0]
        figure.update_yaxes(title_text=f"{METRIC_TITLES[metric]} (x 100)", **cell)
        if place + columns >= len(every):
            figure.update_xaxes(title_text=REMAINING_TITLE, **cell)
    dress(
        figure,
        title,
        "Filled: measured, a dot per seed; line: mean, dense dashed"
        "<br>Hollow: published, or told of an imported mask; with a dot inside: read from a figure",
        height=100 + rows * (420 if len(every) == 1 else 290),
    )
    _set_scale(figure, scale, across)
    label_line_ends(figure)
    tabulate_legend(figure)
    return figure


def plot_difference(
    runs: pd.DataFrame, means: pd.DataFrame, published: pd.DataFrame, *, scale: str = LOG, color_by: str = TASK
) -> go.Figure:
    """Difference to dense fine-tuning against remaining weights, all tasks in a panel for each encoder.

    Parameters
    ----------
    runs, means, published
        As in `plot_curves`, with the columns dense and difference (fractions); no dense rows.
    scale
        Of the horizontal axis: `LOG` or `LINEAR`.
    color_by
        Whether colours say task or method; symbols say the method.
    """
    title = "Difference to dense fine-tuning"
    if runs.empty and published.empty:
        return empty_figure(title, "None of the runs has a dense run of the same task, encoder and data beside it.")
    encoders = list(dict.fromkeys(runs.get("encoder", []))) or [""]
    figure = make_subplots(
        cols=len(encoders),
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=encoders if len(encoders) > 1 else None,
    )
    dress(
        figure,
        title,
        "Main metric in points of 100, against dense of the same encoder"
        "<br>Filled: measured. Hollow: published, or told of an imported mask; with a dot inside: read from a figure",
        height=460,
    )
    across = _across(scale, runs, published)
    how = _How("difference", color_by, _letters(runs), across, intervals=False)
    for place, encoder in enumerate(encoders):
        cell = {"row": 1, "col": place + 1}
        for task in dict.fromkeys([*runs.get("task", []), *published.get("task", [])]):
            _add_panel(figure, *_of_panel(published, means, runs, task, encoder), how, cell)
        figure.add_scatter(
            x=across,
            y=[0, 0],
            mode="lines",
            name=get_method("dense").title,
            legendgroup="dense",
            line={"color": METHOD_COLORS["dense"], "width": 1.5, "dash": "dash"},
            hoverinfo="skip",
            **cell,
        )
    figure.update_xaxes(title_text=REMAINING_TITLE)
    figure.update_yaxes(title_text="Difference to dense (points)", col=1)
    _set_scale(figure, scale, across)
    label_line_ends(figure)
    tabulate_legend(figure)
    return figure


def _of_panel(
    published: pd.DataFrame, means: pd.DataFrame, runs: pd.DataFrame, task: str, encoder: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """What a panel shows of the three: what is of no other panel's encoder, as published numbers are, is in each."""
    if len(published):
        elsewhere = {*runs.loc[runs["task"] == task, "encoder"]} - {encoder} if len(runs) else set()
        published = published[(published["task"] == task) & ~published["encoder"].isin(elsewhere)]
    means, runs = (
        table[(table["task"] == task) & (table["encoder"] == encoder)] if len(table) else table
        for table in (means, runs)
    )
    return published, means, runs


def _letters(runs: pd.DataFrame) -> dict[str, str]:
    """A letter for each line of unusual settings, by its name."""
    if runs.empty:
        return {}
    names = dict.fromkeys(runs.loc[runs["variant"] != "", "name"])
    return {name: string.ascii_lowercase[place % 26] * (1 + place // 26) for place, name in enumerate(names)}


class _How(NamedTuple):
    """What a figure shows: a column, what colours say, and a letter for some lines; levels go `across`."""

    y: str
    color_by: str
    letters: Mapping[str, str]
    across: list[float]
    intervals: bool

    @property
    def hover(self) -> str:
        return "%{y:.1f}" if self.y == "value" else "%{y:+.1f} points"

    def color(self, line: pd.DataFrame) -> str:
        return COLORS[self.color_by][line[self.color_by].iloc[0]]

    def shared(self, line: pd.DataFrame) -> dict[str, Any]:
        """Name and legend group of all that is drawn of a line."""
        first, letter = line.iloc[0], self.letters.get(line["name"].iloc[0])
        label = f"{first['name']} ({letter})" if letter else first["name"]
        label = f"{TASKS[first['task']].title} · {label}" if self.color_by == TASK else label
        return {"name": label, "legendgroup": label}


def _add_panel(
    figure: go.Figure,
    published: pd.DataFrame,
    means: pd.DataFrame,
    runs: pd.DataFrame,
    how: _How,
    cell: Mapping[str, int],
) -> None:
    """Published lines, levels of the majority-class baseline, lines of means, and on top a dot per run."""
    for table, by, add in (
        (published, ["name", "source"], _add_published),
        (runs if how.y == "value" else runs[:0], ["majority_baseline"], _add_baseline),
        (means, ["name"], _add_mean),
        (runs, ["name"], _add_runs),
    ):
        for _, rows in table.groupby(by, sort=False) if len(table) else ():
            add(figure, rows, how, cell)


def _add_baseline(figure: go.Figure, runs: pd.DataFrame, how: _How, cell: Mapping[str, int]) -> None:
    figure.add_scatter(
        x=how.across,
        y=[100 * runs["majority_baseline"].iloc[0]] * 2,
        mode="lines",
        name=_BASELINE,
        legendgroup=_BASELINE,
        legendrank=_AFTER_MEASURED,
        line={"color": REMOVED_COLOR, "width": 1.5, "dash": "dashdot"},
        hovertemplate="%{y:.1f}: majority-class baseline<extra></extra>",
        **cell,
    )


def _add_mean(figure: go.Figure, line: pd.DataFrame, how: _How, cell: Mapping[str, int]) -> None:
    hover = f"mean {how.hover} of %{{customdata[0]}} seeds, n = %{{customdata[1]:,}}%{{customdata[2]}}"
    spread = as_text("<br>sd over seeds {:.1f}", 100 * line["sd"], unknown="")
    facts = line[["n_seeds", "n_examples"]].assign(spread=spread).to_numpy(object)
    shared = {**how.shared(line), "mode": "lines", **cell}
    look = {"color": how.color(line), "width": 2}
    if line["method"].iloc[0] == "dense":
        for value, fact in zip(100 * line["mean"], facts, strict=True):
            level = {"x": how.across, "y": [value] * 2, "customdata": [fact] * 2, "line": look | {"dash": "dash"}}
            figure.add_scatter(hovertemplate=hover, **level, **shared)
        return
    y = "mean" if how.y == "value" else how.y
    if how.y != "value":
        shared |= {"name": f"{TASKS[line['task'].iloc[0]].title} · {line['name'].iloc[0]}", "showlegend": False}
    figure.add_scatter(
        x=100 * line["remaining"],
        y=100 * line[y],
        customdata=facts,
        line=look,
        hovertemplate=f"{hover}<br>at %{{x:.2f}} %",
        **shared,
    )


def _add_runs(figure: go.Figure, dots: pd.DataFrame, how: _How, cell: Mapping[str, int]) -> None:
    """A dot per run, with the letter of its line beside it, if that has one."""
    color, letter = how.color(dots), how.letters.get(dots["name"].iloc[0])
    ends = (100 * dots[end] for end in ("low", "high"))
    spread = as_text("95 % interval of the dev set {:.1f} to {:.1f}, ", *ends, unknown="")
    bars = {
        "type": "data",
        "symmetric": False,
        "array": 100 * (dots["high"] - dots["value"]).clip(lower=0),
        "arrayminus": 100 * (dots["value"] - dots["low"]).clip(lower=0),
        "thickness": 1,
        "width": 3,
    }
    figure.add_scatter(
        x=100 * dots["remaining"],
        y=100 * dots[how.y],
        customdata=dots.assign(spread=spread if how.y == "value" else "")[["n_examples", "spread", "seed", "run_id"]],
        error_y=bars if how.intervals else None,
        mode="markers+text" if letter else "markers",
        text=letter,
        textposition="middle right",
        textfont={"color": color, "weight": 600},
        marker={"color": color, "symbol": METHOD_SYMBOLS[dots["method"].iloc[0]], "size": 8},
        hovertemplate=f"{how.hover} at %{{x:.2f}} %, seed %{{customdata[2]}}"
        "<br>%{customdata[1]}n = %{customdata[0]:,}<br>%{customdata[3]}",
        **how.shared(dots),
        **cell,
    )


def _add_published(figure: go.Figure, points: pd.DataFrame, how: _How, cell: Mapping[str, int]) -> None:
    """A published line: its source and method, in order of the remaining fraction."""
    points = points.sort_values("remaining")
    first = points.iloc[0]
    name, source, told = first["name"], first["source"], first.get("how", PUBLISHED)
    label = f"{TASKS[first['task']].title if how.color_by == TASK else name}, {told}"
    words = f"{source}, read from a figure" if first["read_off"] else f"{source}, mean of five seeds"
    filling = "-open-dot" if first["read_off"] else "-open"
    if told != PUBLISHED:
        words, filling = source, "-open" if told == TOLD else ""
    spread = [f"<br>sd over seeds {100 * sd:.2f}" if pd.notna(sd) else "" for sd in points["sd"]]
    color = how.color(points)
    figure.add_scatter(
        x=100 * points["remaining"],
        y=100 * points[how.y],
        customdata=[[name, words, sd] for sd in spread],
        mode="lines+markers",
        name=label,
        legendgroup=label,
        legendrank=_AFTER_MEASURED + 1,
        line={"color": color, "dash": "dot", "width": 1},
        marker={
            "color": color,
            "symbol": METHOD_SYMBOLS[first["method"]] + filling,
            "size": 7,
            "line": {"width": 1.25},
        },
        hovertemplate="%{y:.1f} at %{x:.3g} %<br>%{customdata[0]}<br>%{customdata[1]}%{customdata[2]}",
        **cell,
    )


def _across(scale: str, *tables: pd.DataFrame) -> list[float]:
    """Ends of a level in percent: 100, and on a log scale the lowest above 0, at most 10, that is drawn; else 0."""
    if scale != LOG:
        return [0.0, 100.0]
    remaining = pd.concat([table["remaining"] for table in tables if len(table)])
    return [min(10.0, 100 * remaining[remaining > 0].min()), 100.0]


def _set_scale(figure: go.Figure, scale: str, across: list[float]) -> None:
    """The horizontal axes: a little longer than levels are."""
    if scale == LOG:
        ends = [math.log10(0.85 * across[0]), math.log10(112)]
        figure.update_xaxes(type="log", range=ends, tickvals=PERCENT_TICKS, ticktext=list(map(str, PERCENT_TICKS)))
    else:
        figure.update_xaxes(range=[0, 103])
