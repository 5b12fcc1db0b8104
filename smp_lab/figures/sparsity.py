"""Figures of `smp_lab.analysis.sparsity`.

Tables of several runs carry the columns run (its label), task, method and level (fraction asked for) beside those
of the analysis function.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.bert_layout import MATRIX_TYPES
from smp_lab.figures.style import (
    FRACTION_SCALE,
    MATRIX_TITLES,
    TASK,
    dress,
    empty_figure,
    new_figure,
    run_marks,
)

_HEADS_PER_ROW = 4
_PERCENT = "%{y:.2f} %"


def plot_remaining_per_layer(table: pd.DataFrame, color_by: str = TASK) -> go.Figure:
    """Remaining weights by layer, a line per run, a panel per matrix type and one overall (Figure 2 of the paper)."""
    title = "Remaining weights per layer"
    if table.empty:
        return empty_figure(title, "No run with kept counts is chosen.")
    panels = ("all", *MATRIX_TYPES)
    figure = make_subplots(
        rows=2,
        cols=4,
        shared_xaxes="all",
        shared_yaxes="all",
        horizontal_spacing=0.02,
        vertical_spacing=0.14,
        subplot_titles=[MATRIX_TITLES[kind] for kind in panels],
    )
    # The overall panel stands alone in front, the attention types above the feed-forward ones.
    for (run, kind), lines in table.groupby(["run", "matrix_type"], sort=False):
        row, column = divmod(panels.index(kind), 4)
        figure.add_scatter(
            x=lines["layer"],
            y=100 * lines["remaining"],
            customdata=lines[["kept", "n_weights"]],
            mode="lines+markers",
            name=run,
            legendgroup=run,
            showlegend=kind == "all",
            hovertemplate=f"{_PERCENT} of layer %{{x}}<br>%{{customdata[0]:,}} of %{{customdata[1]:,}} weights",
            row=row + 1,
            col=column + 1,
            **run_marks(lines.iloc[0], color_by),
        )
    dress(figure, title, "Kept weights (% of the weights of that type in the layer); scope: encoder", height=520)
    figure.update_xaxes(dtick=1 if table["layer"].max() < 12 else 2, showticklabels=True)
    figure.update_xaxes(title_text="Layer", row=2)
    figure.update_xaxes(title_text="Layer", row=1, col=4)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title_text="Remaining weights (%)", col=1)
    return figure


def plot_remaining_per_head(table: pd.DataFrame, matrices: str) -> go.Figure:
    """Remaining weights by layer and attention head, a panel per run on one colour scale (Figure 3 of the paper).

    Parameters
    ----------
    table
        Rows of `remaining_per_head` with the column run.
    matrices
        Which matrix types were added up, in words.
    """
    title = "Remaining weights per attention head"
    if table.empty:
        return empty_figure(title, "No run with attention heads is chosen.")
    names = list(table["run"].unique())
    columns = min(len(names), _HEADS_PER_ROW)
    rows = -(-len(names) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=0.26 / rows,
        subplot_titles=names,
    )
    for place, (_, heads) in enumerate(table.groupby("run", sort=False)):
        row, column = divmod(place, columns)
        layers, numbers = heads["layer"].unique(), heads["head"].unique()
        counts = heads[["kept", "n_weights"]].to_numpy()
        figure.add_heatmap(
            x=numbers,
            y=layers,
            z=100 * heads["remaining"].to_numpy().reshape(len(layers), -1),
            customdata=counts.reshape(len(layers), -1, 2),
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
            hovertemplate="layer %{y}, head %{x}: %{z:.2f} %<br>%{customdata[0]:,} of %{customdata[1]:,} weights"
            "<extra></extra>",
            row=row + 1,
            col=column + 1,
        )
        if place + columns >= len(names):
            figure.update_xaxes(title_text="Head", row=row + 1, col=column + 1)
    dress(
        figure,
        title,
        f"Kept weights (% of the head's weights in {matrices}); scope: encoder",
        height=110 + rows * (90 + 22 * (int(table["layer"].max()) + 1)),
    )
    figure.update_xaxes(dtick=1, showgrid=False, showline=False)
    figure.update_yaxes(dtick=1, showgrid=False, showline=False)
    figure.update_yaxes(title_text="Layer", col=1)
    figure.update_coloraxes(colorbar_title_text="Remaining weights (%)")
    return figure


def plot_matrix(table: pd.DataFrame, name: str, square: tuple[int, int, int]) -> go.Figure:
    """One mask as a picture: share of kept weights in each block.

    Parameters
    ----------
    table
        Rows of `block_fractions`.
    name
        Of run and matrix, for the subtitle.
    square
        First row, first column and side of a square to frame.
    """
    title = "A mask as a picture"
    if table.empty:
        return empty_figure(title, "No matrix is chosen.")
    rows, columns = table["first_row"].unique(), table["first_column"].unique()
    first = table.iloc[0]
    n_rows = int(first["last_row"] - first["first_row"]) + 1
    n_columns = int(first["last_column"] - first["first_column"]) + 1
    figure = new_figure(title, f"{name}; a cell is {n_rows} x {n_columns} weights", height=460)
    figure.add_heatmap(
        x=columns + (n_columns - 1) / 2,
        y=rows + (n_rows - 1) / 2,
        z=(100 * table["remaining"].to_numpy(np.float32)).reshape(len(rows), -1),
        coloraxis="coloraxis",
        hovertemplate="around row %{y:.0f}, column %{x:.0f}: %{z:.1f} %<extra></extra>",
    )
    row, column, side = square
    figure.add_shape(
        type="rect",
        x0=column - 0.5,
        x1=column + side - 0.5,
        y0=row - 0.5,
        y1=row + side - 0.5,
        line={"color": "#FFFFFF", "width": 2},
    )
    figure.update_xaxes(title_text="Column (input)", showgrid=False, showline=False)
    figure.update_yaxes(title_text="Row (output)", showgrid=False, showline=False, autorange="reversed")
    figure.update_layout(coloraxis={"colorscale": FRACTION_SCALE, "cmin": 0, "colorbar_title_text": "Kept (%)"})
    return figure
