"""What the regulariser does to scores, to the mask and to heads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.lesson.play import add_heads, caption
from smp_lab.figures.style import METHOD_COLORS, REMOVED_COLOR

Floats = npt.NDArray[np.floating]

_COLORS = (METHOD_COLORS["smp_s"], METHOD_COLORS["smp_l"])
_DASHES = ("solid", "dot")
_N_BINS = 60


def plot_regulariser(
    scores: Mapping[str, Floats], swaps: Mapping[str, Sequence[int]], schedule_steps: int
) -> go.Figure:
    """Sigmoid and slope, final scores, and true swaps, of the small network.

    Parameters
    ----------
    scores
        Name -> final scores of all weights; empty before the guess.
    swaps
        Name -> true swaps up to each step, added up.
    schedule_steps
        N.
    """
    figure = make_subplots(
        rows=1,
        cols=3,
        horizontal_spacing=0.12,
        subplot_titles=["sigmoid(S)", "Final scores", "Swaps so far"],
    )
    x = np.linspace(-6, 6, 121)
    sigma = 1 / (1 + np.exp(-x))
    for name, y, color, dash in (
        ("sigmoid(S)", sigma, "#488090", "solid"),
        ("slope: the pull on a score", sigma * (1 - sigma), "#009E73", "dash"),
    ):
        figure.add_scatter(
            x=x, y=y, mode="lines", line={"color": color, "width": 3, "dash": dash}, name=name, row=1, col=1
        )
    if scores:
        edges = np.linspace(-7, 7, _N_BINS + 1)
        for (name, values), color, dash in zip(scores.items(), _COLORS, _DASHES, strict=True):
            counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
            figure.add_scatter(
                x=(edges[1:] + edges[:-1]) / 2,
                y=counts,
                mode="lines",
                line={"color": color, "width": 2.5, "shape": "hvh", "dash": dash},
                name=name,
                hovertemplate="S %{x:.2f}: %{y} weights<extra></extra>",
                row=1,
                col=2,
            )
            figure.add_scatter(
                y=list(swaps[name]),
                mode="lines",
                line={"color": color, "width": 3, "dash": dash},
                showlegend=False,
                name=name,
                row=1,
                col=3,
            )
        figure.add_vline(x=schedule_steps, line={"dash": "dash", "width": 1.5, "color": REMOVED_COLOR}, row=1, col=3)
    else:
        for column in (2, 3):
            figure.add_annotation(text="guess first", x=0.5, y=0.5, showarrow=False, row=1, col=column)
    caption(
        figure,
        "Small network, 10 % kept. Dashed line: from there on the schedule asks for nothing more",
        left=34,
        below=84,
    )
    for column, title in enumerate(("Score S (no unit)", "Score S (no unit)", "Step"), start=1):
        figure.update_xaxes(title_text=title, row=1, col=column)
    figure.update_yaxes(title_text="Weights", row=1, col=2)
    return figure


def plot_heads(heads: Mapping[str, Floats], swaps: Mapping[str, tuple[Sequence[int], Sequence[float]]]) -> go.Figure:
    """What remains of each head in two real runs, and their true swaps.

    Parameters
    ----------
    heads
        Name -> remaining fraction, ``(n_layers, n_heads)``; two runs.
    swaps
        Name -> steps, and true swaps at each as a share of the kept weights (%); empty before the guess.
    """
    figure = make_subplots(
        rows=1,
        cols=3,
        column_widths=[0.32, 0.32, 0.36],
        horizontal_spacing=0.08,
        subplot_titles=[*heads, "Swaps (% of kept)"],
    )
    highest = 100 * max(float(values.max()) for values in heads.values())
    add_heads(figure, heads)
    for (name, (steps, share)), color, dash in zip(swaps.items(), _COLORS, _DASHES, strict=False):
        figure.add_scatter(
            x=list(steps),
            y=list(share),
            mode="lines",
            line={"color": color, "width": 2.5, "dash": dash},
            name=name,
            hovertemplate="step %{x}: %{y:.2f} % of the kept weights<extra></extra>",
            row=1,
            col=3,
        )
    if not swaps:
        figure.add_annotation(text="guess first", x=0.5, y=0.5, showarrow=False, row=1, col=3)
    caption(
        figure,
        "MiniLM on SST-2, 10 % kept. Colour: kept query and value weights of a head (%)",
        left=42,
        below=160,
    )
    figure.update_coloraxes(
        cmin=0,
        cmax=highest,
        colorbar={"orientation": "h", "y": -0.25, "yanchor": "top", "x": 0.3, "len": 0.5, "thickness": 10},
    )
    figure.update_xaxes(title_text="Step", row=1, col=3)
    return figure
