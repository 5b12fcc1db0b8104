"""What carries an answer: the tokens of a text, and the heads and matrices of a mask."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from smp_lab.figures.style import (
    KEPT_COLOR,
    MATRIX_TICKS,
    REMOVED_COLOR,
    as_cells,
    empty_figure,
    frame_cell,
    new_figure,
)
from smp_lab.layout import MATRIX_TYPES

_SMALL = 0.02
_NOTHING = "Nothing was asked yet."


def plot_tokens(table: pd.DataFrame, quantity: str) -> go.Figure:
    """A bar per token, in the order of the text: how much of the answer goes where the token is hidden.

    Parameters
    ----------
    table
        A row per token: place, token, change.
    quantity
        What changes, in words: "P(positive)".
    """
    title = "Which tokens carry the answer"
    if table.empty:
        return empty_figure(title, _NOTHING)
    figure = new_figure(title, f"Change of {quantity} where the token is hidden; down: it spoke for it")
    figure.add_bar(
        x=table["place"],
        y=table["change"],
        marker_color=np.where(table["change"] < 0, KEPT_COLOR, REMOVED_COLOR),
        customdata=table["token"],
        hovertemplate="%{customdata}: %{y:+.3f}<extra></extra>",
    )
    figure.update_xaxes(tickvals=table["place"].tolist(), ticktext=table["token"].tolist(), showgrid=False)
    # Changes that are next to nothing look so.
    reach = max(1.1 * float(table["change"].abs().max()), _SMALL)
    figure.update_yaxes(title_text=f"Change of {quantity}", zeroline=True, range=[-reach, reach])
    return figure


def plot_parts(table: pd.DataFrame, quantity: str, out: Collection[tuple[int, Any]] | None = None) -> go.Figure:
    """What each head or matrix does, one at a time: layer 0 at the bottom.

    Parameters
    ----------
    table
        A row per part: layer, part (head number or matrix type), change; low and high, where its interval is known.
    quantity
        What changes, in words.
    out
        (layer, part) of those that are knocked out now; they have a frame. None where none can be. Else rings beyond
        the cells stand for a whole row or column: their customdata has None for the other.
    """
    heads = table.empty or isinstance(table["part"].iloc[0], (int, np.integer))
    title = "Heads, one at a time" if heads else "Matrices, one at a time"
    if table.empty:
        return empty_figure(title, _NOTHING)
    parts = sorted(table["part"].unique()) if heads else [kind for kind in MATRIX_TYPES if kind in set(table["part"])]
    layers = sorted(table["layer"].unique())
    cells = [(layer, part) for layer in layers for part in parts]
    table = table.set_index(["layer", "part"]).loc[cells]
    grid = table["change"].to_numpy().reshape(len(layers), len(parts))
    told = [f"{value:+.4f}" for value in grid.ravel()]
    if "low" in table:
        intervals = table[["change", "low", "high"]].to_numpy().tolist()
        told = [f"{value:+.2f} (95 %: {low:+.2f} to {high:+.2f})" for value, low, high in intervals]
    limit = max(float(np.abs(grid).max()), 1e-3)
    figure = new_figure(title, f"Change of {quantity} where it is emptied", height=200 + max(26 * len(layers), 150))
    names = [str(part) if heads else MATRIX_TICKS[part] for part in parts]
    figure.add_heatmap(
        x=list(range(len(parts))),
        y=layers,
        z=grid,
        hovertext=[[f"{value:+z.2f}" for value in row] for row in grid],
        hoverinfo="skip",
    )
    # A heat map reports no clicks to the page; squares over its cells do.
    figure.add_scatter(
        x=[place for _ in layers for place in range(len(parts))],
        y=[layer for layer, _ in cells],
        mode="markers",
        marker={"symbol": "square", "size": 26, "opacity": 0},
        selected_marker_opacity=0,
        unselected_marker_opacity=0,
        customdata=[[int(layer), part if isinstance(part, str) else int(part)] for layer, part in cells],
        text=told,
        hovertemplate=f"layer %{{y}}, {'head ' if heads else ''}%{{customdata[1]}}: %{{text}}<extra></extra>",
    )
    if out is not None:
        figure.add_scatter(
            x=[len(parts)] * len(layers) + list(range(len(parts))),
            y=[*layers, *[max(layers) + 1] * len(parts)],
            mode="markers",
            marker={"symbol": "circle-open", "size": 11, "color": REMOVED_COLOR},
            customdata=[*([int(layer), None] for layer in layers), *([None, part] for part in parts)],
            hovertext=[*(f"all of layer {layer}" for layer in layers), *(f"{name} of all layers" for name in names)],
            hoverinfo="text",
        )
    for layer, part in out or ():
        if part in parts:
            frame_cell(figure, parts.index(part), layer)
    as_cells(figure, autocolorscale=True, cmin=-limit, cmax=limit, colorbar_title_text="Change")
    figure.update_layout(clickmode="event+select", showlegend=False)
    figure.update_xaxes(
        title_text="Head" if heads else None, tickvals=list(range(len(parts))), ticktext=names, tickangle=0
    )
    figure.update_yaxes(title_text="Layer", tickvals=layers)
    return figure
