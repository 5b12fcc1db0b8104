"""What is left of an encoder, and what that costs in the metric."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from smp_lab.figures.style import REMOVED_COLOR, TASK_COLORS, empty_figure, new_figure

# Jiang et al. (2023), section 8: MNLI at 3 %, by rows cut below: size left in percent, points lost, times as fast.
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
    cuts = sorted({*map(int, table["cut"]), *(row[0] for row in PUBLISHED)})
    symbols = {cut: _SYMBOLS[place % len(_SYMBOLS)] for place, cut in enumerate(cuts)}
    marks = ", ".join(f"{cut} {symbol}" for cut, symbol in symbols.items())
    figure = new_figure(title, f"Rows with fewer than K kept weights are cut out; marks of K: {marks}", height=420)
    for run, line in table.groupby("run", sort=False):
        line = line.sort_values("cut")
        color = TASK_COLORS.get(str(line["task"].iloc[0]), REMOVED_COLOR)
        figure.add_scatter(
            x=100 * line["left"],
            y=100 * line["change"],
            customdata=line[["value", "n_examples"]],
            mode="lines+markers",
            name=str(run),
            text=[f"{cut}" for cut in line["cut"]],
            line={"color": color},
            marker={"color": color, "symbol": [symbols[cut] for cut in line["cut"]], "size": 9},
            hovertemplate="K = %{text}: %{customdata[0]:.4f} on %{customdata[1]:,} examples, %{x:.1f} % left",
        )
    published, left, change, faster = zip(*PUBLISHED, strict=True)
    figure.add_scatter(
        x=left,
        y=change,
        customdata=[[cut, times] for cut, times in zip(published, faster, strict=True)],
        mode="lines+markers",
        name="MNLI, BERT-base at 3 %, published",
        line={"color": TASK_COLORS["mnli"], "dash": "dash"},
        marker={"color": TASK_COLORS["mnli"], "symbol": [f"{symbols[row[0]]}-open" for row in PUBLISHED], "size": 9},
        hovertemplate="K = %{customdata[0]}: %{y:+.1f} points, %{x:.1f} % left, %{customdata[1]} times as fast "
        "(published: Jiang et al. 2023, section 8)",
    )
    figure.update_xaxes(title_text="Parameters left of the encoder (%)", rangemode="tozero")
    figure.update_yaxes(title_text="Change of the main metric (points)")
    return figure
