"""The loss against a score and against a mask, and what training makes of either gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.lesson.play import caption
from smp_lab.figures.scores import CUT_COLOR
from smp_lab.figures.style import KEPT_COLOR, METHOD_COLORS, REMOVED_COLOR

_LINE, _TANGENT, _TRUE = METHOD_COLORS["smp_s"], "#009E73", METHOD_COLORS["random"]


def plot_slopes(
    by_score: Sequence[tuple[float, float]],
    by_mask: Sequence[tuple[float, float]],
    score: tuple[float, float],
    mask: tuple[float, float],
    slope: float,
    cut: float,
    losses: Mapping[str, Sequence[float]],
) -> go.Figure:
    """Three panels.

    Parameters
    ----------
    by_score, by_mask
        Points (score, L) and (mask, L).
    score, mask
        Where the weight is now, with its L.
    slope
        dL/dS as the straight-through gradient has it.
    cut
        The score above which the weight is kept.
    losses
        Loss at every step of training, by the gradient's name; empty before the guess.
    """
    figure = make_subplots(
        rows=1,
        cols=3,
        horizontal_spacing=0.1,
        subplot_titles=["Loss by score", "Loss by mask", "Training"],
    )
    for column, (line, (x, y)) in enumerate(((by_score, score), (by_mask, mask)), start=1):
        figure.add_scatter(
            x=[point[0] for point in line],
            y=[point[1] for point in line],
            mode="lines",
            line={"color": _LINE, "width": 3, "shape": "hv" if column == 1 else "linear"},
            hovertemplate="%{x:.2f}: L %{y:.4f}<extra></extra>",
            row=1,
            col=column,
        )
        reach = 0.35
        tilt = 0.0 if column == 1 else slope
        figure.add_scatter(
            x=[x - reach, x + reach],
            y=[y - reach * tilt, y + reach * tilt],
            mode="lines",
            line={"color": _TANGENT, "width": 3},
            hoverinfo="skip",
            row=1,
            col=column,
        )
        figure.add_scatter(
            x=[x],
            y=[y],
            mode="markers",
            marker={
                "color": KEPT_COLOR if mask[0] else REMOVED_COLOR,
                "size": 15,
                "line": {"color": "#1F2933", "width": 1.5},
            },
            hoverinfo="skip",
            row=1,
            col=column,
        )
    figure.update_traces(showlegend=False)
    figure.add_vline(x=cut, line={"color": CUT_COLOR, "width": 1.5, "dash": "dash"}, row=1, col=1)
    for name, values in losses.items():
        figure.add_scatter(
            y=list(values),
            mode="lines",
            line={"color": _TRUE if name.startswith("true") else _LINE, "width": 3},
            name=name,
            hovertemplate="step %{x}: L %{y:.3f}<extra></extra>",
            row=1,
            col=3,
        )
    if not losses:
        figure.add_annotation(text="guess first", x=150, y=0.5, showarrow=False, row=1, col=3)
        figure.update_yaxes(range=[0, 1], row=1, col=3)
    lowest, highest = (pick([point[1] for line in (by_score, by_mask) for point in line]) for pick in (min, max))
    room = 0.25 * max(highest - lowest, 0.005)
    caption(
        figure,
        "Blue: the loss. Green: its slope at the weight. Point: orange where kept, grey where removed",
        left=58,
        below=84 if losses else 54,
    )
    figure.update_xaxes(title_text="Score S (no unit)", row=1, col=1)
    figure.update_xaxes(title_text="Mask M (no unit)", row=1, col=2)
    figure.update_xaxes(title_text="Step", range=[0, 300], row=1, col=3)
    figure.update_yaxes(range=[lowest - room, highest + room], row=1, col=1)
    figure.update_yaxes(range=[lowest - room, highest + room], row=1, col=2)
    figure.update_yaxes(title_text="Loss L (nats)", row=1, col=1)
    return figure
