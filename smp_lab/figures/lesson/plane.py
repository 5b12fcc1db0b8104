"""The plane of weight and score: a point for each weight of one layer, over training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.lesson.play import add_play, caption
from smp_lab.figures.scores import CUT_COLOR
from smp_lab.figures.style import KEPT_COLOR, METHOD_COLORS, REMOVED_COLOR

Floats = npt.NDArray[np.floating]


def plot_plane(
    weights: Floats,
    scores: Floats,
    kept: npt.NDArray[np.bool_],
    steps: Sequence[int],
    by_weight: bool,
    chosen: int,
    plays: bool,
    step: int | None = None,
) -> go.Figure:
    """Where the weights of a layer lie, kept and removed, with the cut; and the way of one of them.

    Parameters
    ----------
    weights, scores, kept
        ``(n_steps, n_weights)``.
    steps
        Of training.
    by_weight
        True where the mask is cut by abs(W), False by S.
    chosen
        The weight that is followed.
    plays
        Whether all steps are in the picture, or the first alone.
    step
        As of `play.add_play`.
    """
    figure = make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.68, 0.32],
        horizontal_spacing=0.1,
        subplot_titles=["All weights", f"Score of {chosen}"],
    )
    reach_w, reach_s = 1.08 * float(np.abs(weights).max()), 1.08 * max(float(np.abs(scores).max()), 0.1)
    for name, color, symbol in (("removed", REMOVED_COLOR, "x-thin"), ("kept", KEPT_COLOR, "circle")):
        figure.add_scatter(
            mode="markers",
            selected={"marker": {"opacity": 0.8}},
            unselected={"marker": {"opacity": 0.8}},
            marker={
                "color": color,
                "size": 6,
                "symbol": symbol,
                "opacity": 0.8,
                "line": {"color": color, "width": 1.2 if name == "removed" else 0},
            },
            name=name,
            hovertemplate="weight %{customdata}<br>W %{x:.2f}, S %{y:.2f}<extra></extra>",
            row=1,
            col=1,
        )
    figure.add_scatter(
        mode="lines",
        line={"color": CUT_COLOR, "width": 2.5, "dash": "dash"},
        name="cut",
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_scatter(
        mode="lines+markers",
        line={"color": METHOD_COLORS["smp_s"], "width": 2},
        marker={"size": [3] * len(steps)},
        name=f"way of weight {chosen}",
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=steps if plays else steps[:1],
        y=scores[:, chosen] if plays else scores[:1, chosen],
        mode="lines+markers",
        line={"color": METHOD_COLORS["smp_s"], "width": 1.5},
        marker={
            "color": [KEPT_COLOR if state else REMOVED_COLOR for state in kept[:, chosen]],
            "size": 9,
        },
        showlegend=False,
        hovertemplate="step %{x}: S %{y:.2f}<extra></extra>",
        row=1,
        col=2,
    )

    def drawn(place: int) -> list[dict[str, Any]]:
        on = kept[place]
        parts = []
        for side in (~on, on):
            numbers = np.flatnonzero(side)
            parts.append({"x": weights[place][side], "y": scores[place][side], "customdata": numbers})
        importance = np.abs(weights[place]) if by_weight else scores[place]
        cut = float(importance[on].min())
        if by_weight:
            line = {"x": [-cut, -cut, None, cut, cut], "y": [-reach_s, reach_s, None, -reach_s, reach_s]}
        else:
            line = {"x": [-reach_w, reach_w], "y": [cut, cut]}
        way = {"x": weights[: place + 1, chosen], "y": scores[: place + 1, chosen]}
        return [{"type": "scatter", **part} for part in (*parts, line, way)]

    caption(
        figure,
        "Orange: kept. Grey: removed. Dashed: the cut, by "
        + ("|W|" if by_weight else "S")
        + f". Blue: the way of weight {chosen}",
        left=48,
    )
    figure.update_xaxes(title_text="Weight W (no unit)", range=[-reach_w, reach_w], row=1, col=1)
    figure.update_yaxes(title_text="Score S (no unit)", range=[-reach_s, reach_s], row=1, col=1)
    figure.update_xaxes(title_text="Step", range=[-6, steps[-1] + 6], row=1, col=2)
    figure.update_yaxes(range=[-reach_s, reach_s], row=1, col=2)
    figure.update_layout(showlegend=False)
    if not plays:
        for trace, now in zip(figure.data, drawn(0), strict=False):
            trace.update(now)
    else:
        add_play(figure, steps, list(map(drawn, range(len(steps)))), range(4), step)
    return figure
