"""What the pictures of the lesson share: one line of caption, and a play button and slider that need no server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from smp_lab.figures.style import REMOVED_COLOR, menu_of, to_frames

_MILLISECONDS = 160
# With what stands above it a picture fills a window of 1280 x 720.
HEIGHT = 460


def caption(figure: go.Figure | dict[str, Any], words: str, *, left: int = 8, below: int = 54) -> None:
    """Give a figure its size, and a line that says what colours and lines are.

    The line is the figure's `meta`: the page writes it above the figure, where it wraps on a phone.

    Parameters
    ----------
    figure
        To be changed: one of plotly's, or its plain tables.
    words
        The line.
    left, below
        Pixels that its axes and its legend take there. Where they need more plotly draws the figure once more.
    """
    figure["layout"].update(height=HEIGHT, meta=words, margin={"l": left, "r": 22, "t": 28, "b": below})
    for title in figure["layout"]["annotations"]:
        title.update(font={"size": 13})


def add_play(
    figure: go.Figure | dict[str, Any],
    steps: Sequence[int],
    frames: Sequence[Sequence[dict[str, Any]]],
    moving: Sequence[int],
    step: int | None,
    *,
    below: int = 46,
) -> None:
    """Let a figure play, and show one of its frames.

    Parameters
    ----------
    figure
        One of plotly's, or its plain tables.
    steps
        Of training, one for each frame.
    frames
        What changes of each trace that moves.
    moving
        Places of those.
    step
        What is shown is the frame nearest to it; None for the last.
    below
        Pixels between the axes and the slider: room for tick labels and axis titles.
    """
    names = list(map(str, steps))
    figure["frames"] = [
        {"name": name, "data": data, "traces": list(moving)} for name, data in zip(names, frames, strict=True)
    ]
    shown = len(steps) - 1 if step is None else int(np.argmin(np.abs(np.asarray(steps) - step)))
    for trace, part in zip(moving, frames[shown], strict=True):
        figure["data"][trace].update(part)
    figure["layout"]["margin"]["b"] = below + 79
    buttons = [to_frames("Play", None, _MILLISECONDS), to_frames("Pause", [None])]
    pad = {"r": 8, "t": below + 10, "l": 2}
    slider = {
        "active": shown,
        "x": 0,
        "len": 1,
        "y": 0,
        "xanchor": "left",
        "yanchor": "top",
        "pad": {"t": below, "l": 130, "r": 14},
        # Plotly's own rail is white: too much in the dark.
        "bgcolor": REMOVED_COLOR,
        "borderwidth": 0,
        "ticklen": 0,
        "minorticklen": 0,
        "currentvalue": {"prefix": "Step ", "xanchor": "left"},
        "font": {"size": 12},
        "steps": [to_frames(name, [name]) for name in names],
    }
    figure["layout"].update(
        updatemenus=[menu_of(buttons, x=0, xanchor="left", bgcolor="rgba(0,0,0,0)", pad=pad)], sliders=[slider]
    )


def add_heads(figure: go.Figure, heads: Mapping[str, npt.NDArray[np.floating]]) -> None:
    """Remaining fractions by layer and head, ``(n_layers, n_heads)`` each, in the first panels of a row."""
    for column, values in enumerate(heads.values(), start=1):
        figure.add_heatmap(
            z=100 * values,
            coloraxis="coloraxis",
            xgap=1,
            ygap=1,
            hovertemplate="layer %{y}, head %{x}: %{z:.1f} %<extra></extra>",
            row=1,
            col=column,
        )
        figure.update_xaxes(title_text="Head", nticks=6, row=1, col=column)
        figure.update_yaxes(title_text="Layer" if column == 1 else "", nticks=6, row=1, col=column)
