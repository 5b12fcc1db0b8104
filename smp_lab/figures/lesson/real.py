"""A real run: its scores over training, and what heads of three masks keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.lesson.play import add_heads, add_play, caption
from smp_lab.figures.scores import CUT_COLOR
from smp_lab.figures.style import KEPT_COLOR, METHOD_COLORS, REMOVED_COLOR

Floats = npt.NDArray[np.floating]


def plot_snapshots(
    steps: Sequence[int],
    edges: Floats,
    kept: npt.NDArray[np.integer],
    removed: npt.NDArray[np.integer],
    cuts: Floats,
    step: int | None = None,
) -> go.Figure:
    """Scores of all weights at each snapshot, kept and removed apart, with the cut of every matrix.

    Parameters
    ----------
    steps
        Of the snapshots.
    edges
        Finite edges of the bins, ``(n_bins + 1,)``.
    kept, removed
        Counts, ``(n_snapshots, n_bins)``.
    cuts
        ``(n_snapshots, n_matrices)``.
    step
        As of `play.add_play`.
    """
    widths = np.diff(edges)
    total = (kept + removed)[0].sum()
    sides = [(REMOVED_COLOR, "removed", removed), (KEPT_COLOR, "kept", kept)]

    def heights(counts: npt.NDArray[np.integer]) -> Floats:
        density = np.maximum(counts / widths / total, 1e-9)
        return np.append(density, density[-1]).astype(np.float32)

    def drawn(place: int) -> list[dict[str, Any]]:
        parts = [{"type": "scatter", "x": edges, "y": heights(counts[place])} for _, _, counts in sides]
        x = np.repeat(cuts[place][np.isfinite(cuts[place])], 3)
        y = np.tile([1e-7, 20.0, np.nan], len(x) // 3)
        return [*parts, {"type": "scatter", "x": x, "y": y}]

    figure = go.Figure()
    for color, name, _ in sides:
        figure.add_scatter(
            mode="lines",
            line={"shape": "hv", "width": 1.5, "color": color},
            fill="tozeroy",
            name=name,
            hoverinfo="skip",
        )
    figure.add_scatter(
        mode="lines", line={"color": CUT_COLOR, "width": 1}, opacity=0.7, name="cuts, one a matrix", hoverinfo="skip"
    )
    caption(figure, "MiniLM on SST-2, SMP-S, 10 % kept. Share of all weights per unit of score", left=62)
    figure.update_xaxes(title_text="Score S (no unit)", range=[float(edges[0]), float(edges[-1])])
    figure.update_yaxes(title_text="Density (per unit of S, log)", type="log", range=[-7, 1.3], exponentformat="power")
    figure.update_layout(legend={"x": 1, "xanchor": "right", "y": 1, "yref": "paper", "yanchor": "bottom"}, margin_t=42)
    add_play(figure, steps, list(map(drawn, range(len(steps)))), range(3), step)
    return figure


def plot_three(heads: Mapping[str, Floats]) -> go.Figure:
    """What remains of each head in three masks, one of them the one to compare with.

    Parameters
    ----------
    heads
        Name -> remaining fraction, ``(n_layers, n_heads)``.
    """
    figure = make_subplots(rows=1, cols=len(heads), horizontal_spacing=0.06, subplot_titles=list(heads))
    add_heads(figure, heads)
    caption(
        figure,
        "MiniLM, SMP-S, 10 % kept. Colour: kept weights of a head (%)",
    )
    figure.update_coloraxes(colorbar_title_text="Kept (%)")
    return figure


def plot_bars(
    values: Mapping[str, float], methods: Sequence[str], words: str, unit: str, line: tuple[str, float]
) -> go.Figure:
    """A bar for each value, and a level line to compare with.

    Parameters
    ----------
    values
        Name -> value.
    methods
        Whose colour each bar has; of no method is a mask of unknown origin.
    words, unit
        What is seen, and the title of the upright axis.
    line
        Name and height of the line.
    """
    figure = go.Figure()
    figure.add_bar(
        x=list(values),
        y=list(values.values()),
        marker={"color": [METHOD_COLORS[method] for method in methods]},
        text=[f"{value:.3g}" for value in values.values()],
        textposition="outside",
        cliponaxis=False,
        width=0.5,
        hovertemplate="%{x}: %{y:.3g}<extra></extra>",
    )
    figure.add_hline(
        y=line[1], line={"dash": "dash", "width": 1.5, "color": REMOVED_COLOR}, annotation={"text": line[0]}
    )
    caption(figure, words, left=54)
    figure.update_yaxes(title_text=unit, range=[min(0.0, *values.values()), 1.15 * max(values.values())])
    return figure
