"""What is left of an encoder, what that costs in the metric, and how fast it is."""

from __future__ import annotations

import math

import pandas as pd
import plotly.graph_objects as go

from smp_lab.figures.style import REMOVED_COLOR, TASK, empty_figure, line_marks, new_figure, tabulate_legend

# Jiang et al. (2023), section 8: MNLI at 3 %, by rows cut below: size left in percent, points lost, times as fast.
# The sizes are read as shares without embeddings, which the paper does not say: 25.19 % of all of BERT-base would leave
# 3.6 % of the prunable matrices, hardly more than the mask keeps.
PUBLISHED = ((0, 47.43, 0.0, 1.37), (10, 25.19, -0.9, 1.76))
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
    table = table.assign(change=100 * table["change"])
    hover = "%{customdata[0]:.4f} on %{customdata[1]:,} examples"
    figure = _against_left(table, title, "Rows", "change", ["value", "n_examples"], hover, 2)
    figure.update_yaxes(title_text="Change of the main metric (points)")
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
    facts = ["milliseconds", "faster_low", "faster_high", "rounds"]
    spread = "middle half of %{customdata[3]} rounds: %{customdata[1]:.2f} to %{customdata[2]:.2f}"
    hover = f"%{{y:.2f}} times as fast ({spread}), %{{customdata[0]:.1f}} ms"
    figure = _against_left(table, title, f"{size}; rows", "faster", facts, hover, 3)
    figure.add_hline(y=1, line={"color": REMOVED_COLOR, "dash": "dot", "width": 1})
    figure.update_yaxes(title_text="Times as fast as masked weights", rangemode="tozero")
    return figure


def _against_left(
    table: pd.DataFrame, title: str, rows: str, y: str, facts: list[str], hover: str, published: int
) -> go.Figure:
    """A line per run in its task's colour, masks on one task with dashes of their own; and the published points.

    Cuts have their marks, and y its bars from ``{y}_low`` to ``{y}_high`` where the table has them; `rows` begins the
    sentence on what is cut, and `published` is a place in a row of `PUBLISHED`.
    """
    cuts = sorted({*map(int, table["cut"]), *(row[0] for row in PUBLISHED)})
    symbols = {cut: _SYMBOLS[place % len(_SYMBOLS)] for place, cut in enumerate(cuts)}
    told = ", ".join(f"{cut} {symbol}" for cut, symbol in symbols.items())
    words = f"{rows} with fewer than K kept weights are cut out<br>Marks of K: {told}; hollow: published"
    figure = new_figure(title, words, height=440)
    marks = line_marks(table.assign(method="", level=math.nan), TASK)
    for name, line in table.groupby("run", sort=False):
        line, bars = line.sort_values("cut"), None
        if f"{y}_low" in line:
            bars = {"type": "data", "array": line[f"{y}_high"] - line[y], "arrayminus": line[y] - line[f"{y}_low"]}
        figure.add_scatter(
            x=100 * line["left"],
            y=line[y],
            error_y=bars,
            customdata=line[facts],
            mode="lines+markers",
            name=name,
            text=line["cut"].astype(str),
            line=marks[name]["line"],
            marker=marks[name]["marker"] | {"symbol": [symbols[cut] for cut in line["cut"]], "size": 9},
            hovertemplate=f"K = %{{text}}: {hover}, %{{x:.1f}} % left",
        )
    figure.add_scatter(
        x=[row[1] for row in PUBLISHED],
        y=[row[published] for row in PUBLISHED],
        customdata=PUBLISHED,
        mode="lines+markers",
        name="MNLI, BERT-base at 3 %, without embeddings",
        line={"color": REMOVED_COLOR, "dash": "dash"},
        marker={"color": REMOVED_COLOR, "symbol": [f"{symbols[row[0]]}-open" for row in PUBLISHED], "size": 9},
        hovertemplate="K = %{customdata[0]}: %{customdata[2]:+.1f} points, %{x:.1f} % left without embeddings, "
        "%{customdata[3]} times as fast (published: Jiang et al. 2023, section 8)",
    )
    figure.update_xaxes(title_text="Parameters left of the encoder, embeddings included (%)", rangemode="tozero")
    tabulate_legend(figure)
    return figure
