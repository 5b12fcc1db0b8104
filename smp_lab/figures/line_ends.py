"""Names at the ends of lines, where there is room for them: the eye need not go to the legend and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from smp_lab.figures.style import LETTER_PIXELS, PAGE_PIXELS

Array = npt.NDArray[np.float64]

# Height of a name, its distance from the end of its line, and what a horizontal axis takes, in pixels.
_HEIGHT, _AWAY, _AXIS = 15, 7, 50
# Air around it, and more of it before another line: a name in between two could be of either. From the vertical axis it
# keeps as far as a name in the fonts of a saved picture is longer.
_AIR, _CLEAR, _INSIDE = np.array([2, 2]), np.array([10, 8]), np.array([9, 0])
# Plotly keeps a text as far from its point as this marker, which is not seen, is wide.
_HOLDS_AWAY = {"size": 10, "opacity": 0}
# Where plotly writes a text, and on which side of its point that is: right and up are 1.
_PLACES = {
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top left": (-1, 1),
    "top right": (1, 1),
    "bottom left": (-1, -1),
    "bottom right": (1, -1),
}


def label_line_ends(figure: go.Figure) -> None:
    """Write the name of each line beside one of its ends, in every panel where it fits.

    It fits where it lies within its panel, and on no line, dot, bar or other name. In the legend it goes with its line.

    Parameters
    ----------
    figure
        As wide as a page, with its height but for the legend's, the ranges of its horizontal axes, and a legend group
        for each line.
    """
    named = {trace.legendgroup: trace.name for trace in figure.data if trace.showlegend is not False}
    for axes in dict.fromkeys((trace.xaxis or "x", trace.yaxis or "y") for trace in figure.data):
        here = [trace for trace in figure.data if (trace.xaxis or "x", trace.yaxis or "y") == axes]
        size, drawn = _in_pixels(figure, axes, here)
        every = list(zip(here, drawn, strict=True))
        names = [np.empty((0, 2))]
        for trace, (_, line) in every:
            name = named.get(trace.legendgroup)
            if name is None:
                continue
            own = [marks for other, (marks, _) in every if other.legendgroup == trace.legendgroup]
            others = [marks for other, (marks, _) in every if other.legendgroup != trace.legendgroup]
            for place, box, end in _boxes(line, LETTER_PIXELS * len(name)):
                inside = (box[0] >= _INSIDE).all() and (box[1] <= size).all()
                if not inside or _any_within([*own, *names], box, _AIR) or _any_within(others, box, _CLEAR):
                    continue
                names.append(_filled(box))
                figure.add_scatter(
                    x=[trace.x[end]],
                    y=[trace.y[end]],
                    text=[name],
                    mode="markers+text",
                    textposition=place,
                    marker=_HOLDS_AWAY,
                    name=name,
                    hoverinfo="skip",
                    legendgroup=trace.legendgroup,
                    showlegend=False,
                    cliponaxis=False,
                    xaxis=axes[0],
                    yaxis=axes[1],
                )
                break


def _in_pixels(figure: go.Figure, axes: tuple[str, str], traces: list[Any]) -> tuple[Array, list[tuple[Array, Array]]]:
    """Size of a panel, and of each trace all that is drawn, as points close to one another, and the corners of a line.

    All are ``(n, 2)``, from the lower left corner.
    """
    x, y = (figure.layout[f"{axis[0]}axis{axis[1:]}"] for axis in axes)
    inside = figure.layout.height - figure.layout.margin.t - _AXIS
    size = np.array([full * np.ptp(axis.domain or (0, 1)) for axis, full in ((x, PAGE_PIXELS), (y, inside))])
    lines = [np.column_stack([_along(trace.x, x.type), np.asarray(trace.y, np.float64)]) for trace in traces]
    # Lower and upper end of each bar of error; a dot alone is both.
    up = np.array([0, 1])
    bars = [
        np.stack([line - up * _bar(trace.error_y.arrayminus, line), line + up * _bar(trace.error_y.array, line)])
        for trace, line in zip(traces, lines, strict=True)
    ]
    # Panels may share their vertical axis.
    scale_of = y.matches or axes[1]
    along = [other for other in figure.data if _scale_of(figure, other) == scale_of]
    heights = np.concatenate([_reach(other) for other in along])
    low, high = np.nanmin(heights), np.nanmax(heights)
    # Plotly leaves a twentieth above and below.
    around = 0.06 * (high - low) or 1
    start = np.array([x.range[0], low - around])
    scale = size / [x.range[1] - x.range[0], high - low + 2 * around]
    drawn = []
    for trace, line, (below, above) in zip(traces, lines, bars, strict=True):
        corners = (line - start) * scale
        ends = np.stack([(below - start) * scale, (above - start) * scale], axis=1)
        marks = [corners[:0], *(_filled(bar) for bar in ends)]
        if "lines" in trace.mode:
            marks += [_filled(part) for part in np.stack([corners[:-1], corners[1:]], axis=1)]
        drawn.append((np.concatenate(marks), corners if "lines" in trace.mode else corners[:0]))
    return size, drawn


def _scale_of(figure: go.Figure, trace: Any) -> str:
    axis = trace.yaxis or "y"
    return figure.layout[f"yaxis{axis[1:]}"].matches or axis


def _reach(trace: Any) -> Array:
    y, bars = np.asarray(trace.y, np.float64)[:, None], trace.error_y
    return np.concatenate([y - _bar(bars.arrayminus, y), y + _bar(bars.array, y)])


def _along(values: Any, kind: str | None) -> Array:
    numbers = np.asarray(values, np.float64)
    return np.log10(numbers, out=np.full_like(numbers, np.nan), where=numbers > 0) if kind == "log" else numbers


def _bar(lengths: Any, line: Array) -> Array:
    return np.zeros((len(line), 1)) if lengths is None else np.asarray(lengths, np.float64)[:, None]


def _filled(box: Array) -> Array:
    """Points from one corner to the other, ``(2, 2)``, four pixels from one another at most; none if one is unknown."""
    if np.isnan(box).any():
        return box[:0]
    return np.linspace(box[0], box[1], num=2 + int(np.abs(box[1] - box[0]).max() / 4))


def _any_within(marks: list[Array], box: Array, air: npt.NDArray[np.int64]) -> bool:
    return any(((points > box[0] - air) & (points < box[1] + air)).all(axis=1).any() for points in marks)


def _boxes(line: Array, width: float) -> Iterator[tuple[str, Array, int]]:
    """Where a name may stand, the best first: plotly's word, its box, and the point of the line that it is beside."""
    known = np.flatnonzero(~np.isnan(line).any(axis=1))
    if not len(known):
        return
    right, left = known[np.argmax(line[known, 0])], known[np.argmin(line[known, 0])]
    for place, (across, up) in _PLACES.items():
        for end in (right, left):
            x, y = line[end] + [across * _AWAY, up * _AWAY]
            lower = [x if across > 0 else x - width, y + (up - 1) / 2 * _HEIGHT]
            yield place, np.array([lower, np.add(lower, [width, _HEIGHT])]), int(end)
