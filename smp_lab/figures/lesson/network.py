"""Two trainings of the small network side by side: what they say of the plane, their masks, accuracy and loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.lesson.play import add_play, caption
from smp_lab.figures.style import KEPT_COLOR, REMOVED_COLOR

_CLASSES = ("#0072B2", "#D55E00")
_SIDES = ("#009E73", "#CC79A7")
_SURFACE = [(0, "#9CC7E8"), (0.5, "#F2F2F2"), (1, "#F3B98C")]
# More units would be a black square.
MOST_UNITS = 12


class Side(NamedTuple):
    """One training.

    Parameters
    ----------
    name
        In titles and legend.
    surfaces
        % for class 1, ``(n_snapshots, n_side, n_side)``.
    masks
        ``(n_snapshots, n_layers, width, width)``.
    accuracy
        On test points at each snapshot, a fraction.
    loss
        At every step.
    """

    name: str
    surfaces: npt.NDArray[np.uint8]
    masks: npt.NDArray[np.bool_]
    accuracy: npt.NDArray[np.floating]
    loss: npt.NDArray[np.floating]


def plot_network(
    sides: Sequence[Side],
    steps: Sequence[int],
    points: npt.NDArray[np.floating],
    labels: npt.NDArray[np.int64],
    reach: float,
    plays: bool,
    step: int | None = None,
) -> go.Figure:
    """Two trainings.

    Parameters
    ----------
    sides
        Left and right.
    steps
        Of the snapshots.
    points, labels
        Some training points.
    reach
        Half of the side of the square that is shown.
    plays
        Whether all steps are in the picture, or the first alone.
    step
        As of `play.add_play`.
    """
    figure = make_subplots(
        rows=2,
        cols=3,
        column_widths=[0.33, 0.33, 0.34],
        row_heights=[0.62, 0.38],
        horizontal_spacing=0.09,
        vertical_spacing=0.09,
        subplot_titles=[*(side.name for side in sides), "Accuracy (%)", "", "", "Loss (nats)"],
    )
    now = len(steps) - 1 if plays else 0
    axis = np.linspace(-reach, reach, sides[0].surfaces.shape[1])
    moving: list[int] = []
    for column, side in enumerate(sides, start=1):
        moving.append(len(figure.data))
        figure.add_heatmap(
            x=axis,
            y=axis,
            z=side.surfaces[now],
            zmin=0,
            zmax=100,
            colorscale=_SURFACE,
            showscale=False,
            zsmooth="fast",
            hovertemplate="%{z} % for class 1<extra></extra>",
            row=1,
            col=column,
        )
        for label, color in enumerate(_CLASSES):
            figure.add_scatter(
                x=points[labels == label, 0],
                y=points[labels == label, 1],
                mode="markers",
                marker={"color": color, "size": 5, "line": {"color": "white", "width": 0.6}},
                hoverinfo="skip",
                showlegend=False,
                row=1,
                col=column,
            )
        every = np.ones_like(side.masks[0])
        for color, masks, width in ((REMOVED_COLOR, every, 0.4), (KEPT_COLOR, side.masks[now], 0.9)):
            if color == KEPT_COLOR:
                moving.append(len(figure.data))
            x, y = _edges(masks)
            figure.add_scatter(
                x=x,
                y=y,
                mode="lines",
                line={"color": color, "width": width},
                opacity=0.5 if color == REMOVED_COLOR else 0.9,
                hoverinfo="skip",
                showlegend=False,
                row=2,
                col=column,
            )
        x, y = _units(side.masks[0])
        figure.add_scatter(
            x=x,
            y=y,
            mode="markers",
            marker={"color": "#56B4E9", "size": 6, "line": {"color": "#3D6272", "width": 0.8}},
            hoverinfo="skip",
            showlegend=False,
            row=2,
            col=column,
        )
        for row, x_values, values in (
            (1, steps if plays else steps[:1], 100 * side.accuracy),
            (2, range(steps[-1] + 1) if plays else [0], side.loss),
        ):
            figure.add_scatter(
                x=list(x_values),
                y=values[: len(x_values)],
                # A marker is an element of the page, and the loss has 300 steps.
                mode="lines" if row == 2 and plays else "lines+markers",
                line={"color": _SIDES[column - 1], "width": 2.5, "dash": "solid" if column == 1 else "dot"},
                marker={"size": 5},
                name=side.name,
                hovertemplate="step %{x}: %{y:.2f}<extra></extra>",
                row=row,
                col=3,
            )
    highest = 1.05 * max(float(side.loss.max()) for side in sides)
    for row, top in ((1, 103.0), (2, highest)):
        moving.append(len(figure.data))
        figure.add_scatter(
            x=[steps[now], steps[now]],
            y=[0, top],
            mode="lines",
            line={"color": REMOVED_COLOR, "width": 1.5},
            hoverinfo="skip",
            showlegend=False,
            row=row,
            col=3,
        )
    caption(
        figure,
        "Orange lines: kept weights. Grey: removed"
        + (f" (first {MOST_UNITS} units)" if _more(sides) else "")
        + ". Curves: left solid, right dotted",
        below=31,
    )
    for column in (1, 2):
        for axes in (figure.update_xaxes, figure.update_yaxes):
            axes(visible=False, range=[-reach, reach], row=1, col=column)
            axes(visible=False, row=2, col=column)
    figure.update_yaxes(range=[0, 103], row=1, col=3)
    figure.update_yaxes(range=[0, highest], row=2, col=3)
    for row in (1, 2):
        figure.update_xaxes(range=[-6, steps[-1] + 6], showticklabels=row == 2, row=row, col=3)
    figure.update_layout(showlegend=False)
    if plays:
        add_play(
            figure,
            steps,
            [{"data": _frame(sides, place, at, highest), "traces": moving} for place, at in enumerate(steps)],
            step,
            below=28,
        )
    return figure


def _frame(sides: Sequence[Side], place: int, step: int, highest: float) -> list[dict[str, Any]]:
    # As plain tables: plotly's classes check each of some hundred traces twice, a third of the drawing.
    parts: list[dict[str, Any]] = []
    for side in sides:
        x, y = _edges(side.masks[place])
        parts += [{"type": "heatmap", "z": side.surfaces[place]}, {"type": "scatter", "x": x, "y": y}]
    return [*parts, *({"type": "scatter", "x": [step, step], "y": [0, top]} for top in (103.0, highest))]


def _more(sides: Sequence[Side]) -> bool:
    return any(side.masks.shape[-1] > MOST_UNITS for side in sides)


def _heights(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    return np.linspace(1, 0, min(masks.shape[-1], MOST_UNITS), dtype=np.float32)


def _units(masks: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    heights = _heights(masks)
    layers = np.arange(len(masks) + 1, dtype=np.float32)
    return np.repeat(layers, len(heights)), np.tile(heights, len(layers))


def _edges(masks: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Lines from unit to unit where a weight is kept: x and y.

    One line goes from a unit to all that it leads to, and back each time: a gap (NaN) makes an element of the page.
    """
    heights = _heights(masks)
    layer, into, out = np.nonzero(masks[:, : len(heights), : len(heights)].transpose(0, 2, 1))
    x = np.column_stack([layer, layer + 1]).ravel().astype(np.float32)
    y = np.column_stack([heights[into], heights[out]]).ravel()
    gaps = 2 * (np.flatnonzero(np.diff(layer * len(heights) + into)) + 1)
    return np.insert(x, gaps, np.nan), np.insert(y, gaps, np.nan)
