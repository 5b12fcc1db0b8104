"""Figures of `smp_lab.analysis.sparsity`.

Tables of several runs carry the columns run (its label), task, method and level (fraction asked for) beside those
of the analysis function.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.style import (
    LETTER_PIXELS,
    PAGE_PIXELS,
    TASK,
    add_lines,
    as_cells,
    dress,
    empty_figure,
    frame_cell,
    line_marks,
    name_panel_axes,
    new_figure,
    panel_of,
    shortened,
    tabulate_legend,
    type_panels,
)

# A cell with a number has room for three digits; in more maps only colours are seen, and more of them stand in a row.
_MOST_WITH_NUMBERS, _CELL_PIXELS, _MOST_PER_ROW = 8, 22, 4
# What is left of the page beside a scale of colours.
_TITLES_PIXELS = 660


def plot_remaining_per_layer(table: pd.DataFrame, color_by: str = TASK) -> go.Figure:
    """Remaining weights by layer, a line per run, a panel per matrix type and one overall (Figure 2 of the paper)."""
    title = "Remaining weights per layer"
    if table.empty:
        return empty_figure(title, "No run with kept counts is chosen.")
    figure, marks = type_panels(), line_marks(table, color_by)
    hover = "%{y:.2f} % of layer %{x}<br>%{customdata[0]:,.0f} of %{customdata[1]:,.0f} weights"
    for kind, lines in table.groupby("matrix_type", sort=False):
        place, facts = panel_of(str(kind)), ["kept", "n_weights"]
        add_lines(figure, lines, "layer", "remaining", marks, hover, factor=100, facts=facts, **place)
    dress(figure, title, "Kept weights (% of the encoder's weights of that type in the layer)", height=500)
    name_panel_axes(figure, "Layer", "Remaining weights (%)")
    figure.update_xaxes(dtick=1 if table["layer"].max() < 12 else 2)
    figure.update_yaxes(rangemode="tozero")
    tabulate_legend(figure)
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
    numbered = len(names) <= _MOST_WITH_NUMBERS
    fit = PAGE_PIXELS // (_CELL_PIXELS * (int(table["head"].max()) + 1)) or 1 if numbered else _MOST_PER_ROW
    columns = min(len(names), fit, _MOST_PER_ROW)
    rows = -(-len(names) // columns)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=0.32 / rows,
        subplot_titles=[_in_two_lines(name, int(_TITLES_PIXELS / columns / LETTER_PIXELS)) for name in names],
    )
    for place, (name, heads) in enumerate(table.groupby("run", sort=False)):
        row, column = divmod(place, columns)
        layers, numbers = heads["layer"].unique(), heads["head"].unique()
        counts = heads[["kept", "n_weights"]].to_numpy()
        percent = 100 * heads["remaining"].to_numpy().reshape(len(layers), -1)
        figure.add_heatmap(
            x=numbers,
            y=layers,
            z=percent,
            customdata=counts.reshape(len(layers), -1, 2),
            hovertext=np.char.mod("%.0f", percent) if numbered else None,
            name=name,
            hovertemplate="layer %{y}, head %{x}: %{z:.2f} %<br>%{customdata[0]:,} of %{customdata[1]:,} weights",
            row=row + 1,
            col=column + 1,
        )
        if place + columns >= len(names):
            figure.update_xaxes(title_text="Head", row=row + 1, col=column + 1)
    dress(
        figure,
        title,
        f"Kept weights (% of the head's weights)<br>{matrices[0].upper()}{matrices[1:]}",
        height=138 + rows * (108 + 22 * (int(table["layer"].max()) + 1)),
    )
    # From nothing on: the dark end of the colours says empty.
    highest = 100 * float(table["remaining"].max())
    as_cells(figure, cmin=0, cmax=highest or 1, colorbar_title_text="Remaining weights (%)")
    figure.update_xaxes(dtick=1)
    figure.update_yaxes(dtick=1)
    figure.update_yaxes(title_text="Layer", col=1)
    return figure


def _in_two_lines(label: str, letters: int) -> str:
    """Task and method of a run above the rest, in so many letters each: labels side by side would run into another."""
    parts = label.split(" · ")
    return "<br>".join(shortened(" · ".join(line), letters) for line in (parts[:2], parts[2:]) if line)


def plot_matrix(table: pd.DataFrame, name: str, square: tuple[int, int, int] | None, highest: float) -> go.Figure:
    """One mask as a picture: share of kept weights in each block.

    Parameters
    ----------
    table
        Rows of `block_fractions`.
    name
        Of run and matrix, for the subtitle.
    square
        First row, first column and side of a square to frame, or None.
    highest
        Remaining fraction at the bright end of the colours.
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
    if square is not None:
        row, column, side = square
        frame_cell(figure, column, row, side)
    figure.update_xaxes(title_text="Column (input)", showgrid=False, showline=False)
    figure.update_yaxes(title_text="Row (output)", showgrid=False, showline=False, autorange="reversed")
    figure.update_coloraxes(cmin=0, cmax=100 * (highest or 1), colorbar_title_text="Kept (%)")
    return figure
