"""One neuron with its inputs, and the scores of its weights before and after a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.lesson.play import caption
from smp_lab.figures.style import KEPT_COLOR, REMOVED_COLOR

_UP, _DOWN = "#009E73", "#D55E00"


def plot_neuron(
    weights: Sequence[float],
    mask: Sequence[bool],
    inputs: Sequence[float],
    output: float,
    target: float,
    scores: Sequence[float] | None,
) -> go.Figure:
    """A neuron beside the scores of its weights; the first weight is the one that is looked at.

    Parameters
    ----------
    weights, mask, inputs
        ``(n,)`` each.
    output, target
        y, and what it should be.
    scores
        S after a step, ``(n,)``; None before it, when all are 0.
    """
    n = len(weights)
    figure = make_subplots(rows=1, cols=2, column_widths=[0.62, 0.38], horizontal_spacing=0.12)
    heights = np.linspace(1, 0, n)
    for place in reversed(range(n)):
        kept = bool(mask[place])
        figure.add_scatter(
            x=[0, 1],
            y=[heights[place], 0.5],
            mode="lines",
            line={
                "color": KEPT_COLOR if kept else REMOVED_COLOR,
                "width": 1 + 6 * abs(weights[place]),
                "dash": "solid" if kept else "dot",
            },
            opacity=1 if place == 0 else 0.35,
            hoverinfo="skip",
            row=1,
            col=1,
        )
        # Left of the inputs, where no line goes.
        figure.add_annotation(
            x=0,
            y=heights[place],
            text=f"W<sub>{place + 1}</sub> = {weights[place]:+.1f}" + ("" if kept else "<br>removed"),
            showarrow=False,
            xanchor="right",
            xshift=-22,
            opacity=1 if place == 0 else 0.65,
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=[0] * n,
        y=heights,
        mode="markers+text",
        marker={"size": 34, "color": "#56B4E9", "line": {"color": "#3D6272", "width": 1.5}},
        text=[f"{value:.1f}" for value in inputs],
        textfont={"color": "#10222E"},
        hovertemplate="input x = %{text}<extra></extra>",
        row=1,
        col=1,
    )
    figure.add_scatter(
        x=[1],
        y=[0.5],
        mode="markers+text",
        marker={"size": 58, "color": "#56B4E9", "line": {"color": "#3D6272", "width": 2}},
        text=[f"y={output:.1f}"],
        cliponaxis=False,
        textfont={"color": "#10222E"},
        hovertemplate="output y = %{text}<extra></extra>",
        row=1,
        col=1,
    )
    up = target > output
    figure.add_annotation(
        x=1,
        y=0.86 if up else 0.14,
        ax=1,
        ay=0.66 if up else 0.34,
        axref="x",
        ayref="y",
        text="",
        arrowhead=2,
        arrowwidth=3,
        arrowcolor=_UP if up else _DOWN,
        row=1,
        col=1,
    )
    figure.add_annotation(
        x=1,
        y=0.95 if up else 0.05,
        text=f"wanted: {target:.1f}",
        showarrow=False,
        row=1,
        col=1,
    )
    after = [0.0] * n if scores is None else list(scores)
    figure.add_bar(
        x=after,
        y=[f"S<sub>{place + 1}</sub>" for place in range(n)],
        orientation="h",
        marker={
            "color": [KEPT_COLOR if kept else REMOVED_COLOR for kept in mask],
            "opacity": [1 if place == 0 else 0.35 for place in range(n)],
        },
        text=["" if scores is None else f"{value:+.2f}" for value in after],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:+.2f}<extra></extra>",
        row=1,
        col=2,
    )
    caption(
        figure,
        "Orange: kept. Grey, dotted: removed. Width: size of the weight. "
        + ("Scores before the step: all 0" if scores is None else "Scores after one step from 0"),
    )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(visible=False, range=[-0.9, 1.2], row=1, col=1)
    figure.update_yaxes(visible=False, range=[-0.14, 1.14], row=1, col=1)
    figure.update_xaxes(title_text="Score S (no unit)", range=[-1.3, 1.3], row=1, col=2)
    figure.update_yaxes(autorange="reversed", row=1, col=2)
    return figure
