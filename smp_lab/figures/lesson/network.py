"""Two trainings of the small network side by side: what they say of the plane, their masks, accuracy and loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

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
    labels: npt.NDArray[np.int8],
    reach: float,
    plays: bool,
    step: int | None = None,
) -> dict[str, Any]:
    """Two trainings, as the plain tables of a figure: plotly's classes would take a tenth of a second to check them.

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
    highest = 1.05 * max(float(side.loss.max()) for side in sides)
    frames = [_frame(sides, place, at, highest) for place, at in enumerate(steps)]
    now = iter(frames[-1 if plays else 0])
    axis = np.linspace(-reach, reach, sides[0].surfaces.shape[1])
    data: list[dict[str, Any]] = []
    moving: list[int] = []

    def add(row: int, column: int, part: dict[str, Any], moves: bool = False) -> None:
        if moves:
            moving.append(len(data))
            part |= next(now)
        data.append({"type": "scatter", "hoverinfo": "skip", **_axes(row, column), **part})

    for column, side in enumerate(sides):
        surface = {"x": axis, "y": axis, "zmin": 0, "zmax": 100, "colorscale": _SURFACE, "showscale": False}
        words = {"hoverinfo": "all", "hovertemplate": "%{z} % for class 1<extra></extra>"}
        add(0, column, {**surface, **words, "zsmooth": "fast"}, moves=True)
        for label, color in enumerate(_CLASSES):
            x, y = points[labels == label].T
            marker = {"color": color, "size": 5, "line": {"color": "white", "width": 0.6}}
            add(0, column, {"x": x, "y": y, "mode": "markers", "marker": marker})
        x, y = _edges(np.ones_like(side.masks[0]))
        removed, kept = ({"color": color, "width": width} for color, width in ((REMOVED_COLOR, 0.4), (KEPT_COLOR, 0.9)))
        add(1, column, {"x": x, "y": y, "mode": "lines", "line": removed, "opacity": 0.5})
        add(1, column, {"mode": "lines", "line": kept, "opacity": 0.9}, moves=True)
        x, y = _units(side.masks[0])
        marker = {"color": "#56B4E9", "size": 6, "line": {"color": "#3D6272", "width": 0.8}}
        add(1, column, {"x": x, "y": y, "mode": "markers", "marker": marker})
        curve: dict[str, Any] = {
            "line": {"color": _SIDES[column], "width": 2.5, "dash": "solid" if column == 0 else "dot"},
            "marker": {"size": 5},
            "name": side.name,
            "hoverinfo": "all",
            "hovertemplate": "step %{x}: %{y:.2f}<extra></extra>",
        }
        x = list(steps if plays else steps[:1])
        add(0, 2, {**curve, "x": x, "y": 100 * side.accuracy[: len(x)], "mode": "lines+markers"})
        x = list(range(steps[-1] + 1) if plays else [0])
        # A marker is an element of the page, and the loss has 300 steps.
        add(1, 2, {**curve, "x": x, "y": side.loss[: len(x)], "mode": "lines" if plays else "lines+markers"})
    for row in range(2):
        add(row, 2, {"mode": "lines", "line": {"color": REMOVED_COLOR, "width": 1.5}}, moves=True)
    figure = {"data": data, "layout": _panels([side.name for side in sides], reach, steps[-1], highest), "frames": []}
    caption(
        figure,
        "Orange lines: kept weights. Grey: removed"
        + (f" (first {MOST_UNITS} units)" if _more(sides) else "")
        + ". Curves: left solid, right dotted",
        below=31,
    )
    if plays:
        add_play(figure, steps, frames, moving, step, below=28)
    return figure


def _axes(row: int, column: int) -> dict[str, str]:
    """Names of the axes of a panel, as plotly counts them."""
    number = 3 * row + column + 1
    return {kind: kind[0] + (str(number) if number > 1 else "") for kind in ("xaxis", "yaxis")}


def _panels(names: Sequence[str], reach: float, last_step: int, highest: float) -> dict[str, Any]:
    """Two rows: planes and accuracy, networks and loss."""
    hidden: dict[str, Any] = {"visible": False}
    square, step = {**hidden, "range": [-reach, reach]}, {"range": [-6, last_step + 6]}
    curves: list[tuple[dict[str, Any], dict[str, Any]]] = [
        ({**step, "showticklabels": False}, {"range": [0, 103]}),
        (step, {"range": [0, highest]}),
    ]
    layout: dict[str, Any] = {"showlegend": False, "annotations": []}
    for row, (title, height) in enumerate((("Accuracy (%)", (0.435, 1)), ("Loss (nats)", (0, 0.345)))):
        for column, width in enumerate(((0, 0.27), (0.36, 0.63), (0.72, 1))):
            x, y = curves[row] if column == 2 else (square, square) if row == 0 else (hidden, hidden)
            of = _axes(row, column)
            layout["xaxis" + of["xaxis"][1:]] = {**x, "domain": width, "anchor": of["yaxis"]}
            layout["yaxis" + of["yaxis"][1:]] = {**y, "domain": height, "anchor": of["xaxis"]}
            if text := title if column == 2 else names[column] if row == 0 else "":
                place = {"x": sum(width) / 2, "y": height[1], "xref": "paper", "yref": "paper"}
                layout["annotations"].append(
                    {"text": text, **place, "xanchor": "center", "yanchor": "bottom", "showarrow": False}
                )
    return layout


def _frame(sides: Sequence[Side], place: int, step: int, highest: float) -> list[dict[str, Any]]:
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
