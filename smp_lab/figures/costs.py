"""What is left of an encoder, what that costs in the metric, and how fast it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from smp_lab.figures.style import REMOVED_COLOR, TASK, empty_figure, line_marks, new_figure, tabulate_legend

# Jiang et al. (2023), section 8: MNLI at 3 %, by rows cut below: size left in percent, points lost, times as fast.
# The sizes are read as shares without embeddings, which the paper does not say: 25.19 % of all of BERT-base would leave
# 3.6 % of the prunable matrices, hardly more than the mask keeps.
PUBLISHED = ((0, 47.43, 0.0, 1.37), (10, 25.19, -0.9, 1.76))
_LEFT_TITLE = "Parameters left of the encoder, embeddings included (%)"
# Marks of cuts, from none on; lines lie so close that numbers beside them would cover one another.
_SYMBOLS = ("circle", "square", "diamond", "cross", "x", "star")


def plot_cuts(table: pd.DataFrame) -> go.Figure:
    """Change of the main metric against what is left of the encoder; the paper's two points hollow.

    Parameters
    ----------
    table
        Of `analysis.costs.cut_table`.
    """
    title = "Change of the metric against what is left of the encoder"
    if table.empty:
        return empty_figure(title, "No mask of these runs was measured yet.")
    symbols = _symbols(table["cut"])
    marks = _marks(symbols)
    figure = new_figure(title, marks[0].upper() + marks[1:], height=440).update_layout(margin_t=80)
    for line, look in _lines(table, symbols):
        figure.add_scatter(
            y=100 * line["change"],
            customdata=line[["value", "n_examples"]],
            hovertemplate="K = %{text}: %{customdata[0]:.4f} on %{customdata[1]:,} examples, %{x:.1f} % left",
            **look,
        )
    _add_published(figure, [row[2] for row in PUBLISHED], symbols)
    figure.update_xaxes(title_text=_LEFT_TITLE, rangemode="tozero")
    figure.update_yaxes(title_text="Change of the main metric (points)")
    tabulate_legend(figure)
    return figure


def plot_times(table: pd.DataFrame, size: str) -> go.Figure:
    """How many times as fast compact forms are, against what is left of the encoder; the paper's two points hollow.

    Parameters
    ----------
    table
        Of `analysis.costs.time_table`, at one size and number of threads.
    size
        Those, in words.
    """
    title = "Times as fast as masked weights, against what is left of the encoder"
    table = table[table["form"] == "compact"].dropna(subset=["left"])
    if table.empty:
        return empty_figure(title, "No compact form of these runs was timed yet.")
    symbols = _symbols(table["cut"])
    figure = new_figure(title, f"{size}; {_marks(symbols)}", height=440).update_layout(margin_t=80)
    for line, look in _lines(table, symbols):
        figure.add_scatter(
            y=line["faster"],
            error_y={
                "type": "data",
                "array": line["faster_high"] - line["faster"],
                "arrayminus": line["faster"] - line["faster_low"],
            },
            customdata=line[["milliseconds", "faster_low", "faster_high", "rounds"]],
            hovertemplate="K = %{text}: %{y:.2f} times as fast (middle half of %{customdata[3]} rounds: "
            "%{customdata[1]:.2f} to %{customdata[2]:.2f}), %{customdata[0]:.1f} ms, %{x:.1f} % left",
            **look,
        )
    _add_published(figure, [row[3] for row in PUBLISHED], symbols)
    figure.add_hline(y=1, line={"color": REMOVED_COLOR, "dash": "dot", "width": 1})
    figure.update_xaxes(title_text=_LEFT_TITLE, rangemode="tozero")
    figure.update_yaxes(title_text="Times as fast as masked weights", rangemode="tozero")
    tabulate_legend(figure)
    return figure


def _lines(table: pd.DataFrame, symbols: Mapping[int, str]) -> Iterator[tuple[pd.DataFrame, dict[str, Any]]]:
    """Rows of each run, by cut, and what a line of them has in either figure.

    The colour is the task's; masks on one task differ in their dashes.
    """
    every = line_marks(table.assign(method="", level=math.nan), TASK)
    for name, line in table.groupby("run", sort=False):
        line, marks = line.sort_values("cut"), every[name]
        look = {
            "x": 100 * line["left"],
            "mode": "lines+markers",
            "name": name,
            "text": [f"{cut}" for cut in line["cut"]],
            "line": marks["line"],
            "marker": marks["marker"] | {"symbol": [symbols[cut] for cut in line["cut"]], "size": 9},
        }
        yield line, look


def _symbols(cuts: pd.Series[int]) -> dict[int, str]:
    """A mark for each cut, measured or published."""
    of_all = sorted({*map(int, cuts), *(row[0] for row in PUBLISHED)})
    return {cut: _SYMBOLS[place % len(_SYMBOLS)] for place, cut in enumerate(of_all)}


def _marks(symbols: Mapping[int, str]) -> str:
    marks = ", ".join(f"{cut} {symbol}" for cut, symbol in symbols.items())
    return f"rows with fewer than K kept weights are cut out<br>Marks of K: {marks}; hollow: published"


def _add_published(figure: go.Figure, heights: Sequence[float], symbols: Mapping[int, str]) -> None:
    figure.add_scatter(
        x=[row[1] for row in PUBLISHED],
        y=heights,
        customdata=PUBLISHED,
        mode="lines+markers",
        name="MNLI, BERT-base at 3 %, without embeddings",
        line={"color": REMOVED_COLOR, "dash": "dash"},
        marker={"color": REMOVED_COLOR, "symbol": [f"{symbols[row[0]]}-open" for row in PUBLISHED], "size": 9},
        hovertemplate="K = %{customdata[0]}: %{customdata[2]:+.1f} points, %{x:.1f} % left without embeddings, "
        "%{customdata[3]} times as fast (published: Jiang et al. 2023, section 8)",
    )
