"""What three masking functions keep of two layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.lesson.play import caption
from smp_lab.figures.scores import CUT_COLOR
from smp_lab.figures.style import METHOD_COLORS, REMOVED_COLOR

_COLORS = {"local": METHOD_COLORS["smp_l"], "share": METHOD_COLORS["smp_s"], "global": METHOD_COLORS["smp_g"]}
_TITLES = {"local": "SMP-L", "share": "SMP-S", "global": "SMP-G"}
_LAYERS = ("Layer 1", "Layer 2")
_PATTERNS = ("", "/")
_N_BINS = 50


def plot_shares(
    scores: Sequence[npt.NDArray[np.floating]], kept: Mapping[str, Sequence[float]], asked: Sequence[float] | None
) -> go.Figure:
    """The scores of two layers, and the share of each that is kept.

    Parameters
    ----------
    scores
        Of two layers.
    kept
        Masking function -> share kept of each layer, a fraction.
    asked
        What the formula of SMP-S asks for, a fraction; None to leave it out.
    """
    figure = make_subplots(
        rows=1,
        cols=2,
        column_widths=[0.42, 0.58],
        horizontal_spacing=0.15,
        subplot_titles=["Scores", "Kept of each layer"],
    )
    edges = np.linspace(-6, 6, _N_BINS + 1)
    for layer, values in enumerate(scores):
        counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
        figure.add_bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=counts,
            width=np.diff(edges),
            marker={"color": ("#56B4E9", "#E69F00")[layer], "opacity": 0.6, "pattern": {"shape": _PATTERNS[layer]}},
            name=_LAYERS[layer],
            hovertemplate="S %{x:.2f}: %{y} weights<extra></extra>",
            row=1,
            col=1,
        )
    for name, shares in kept.items():
        figure.add_bar(
            x=list(_LAYERS),
            y=[100 * share for share in shares],
            marker={"color": _COLORS[name]},
            text=[f"{100 * share:.0f} %" for share in shares],
            textposition="outside",
            cliponaxis=False,
            name=_TITLES[name],
            hovertemplate=f"{_TITLES[name]}, %{{x}}: %{{y:.1f}} %<extra></extra>",
            offsetgroup=name,
            row=1,
            col=2,
        )
    highest = 112.0
    if asked is not None:
        highest = max(highest, 112 * max(asked))
        figure.add_scatter(
            x=list(_LAYERS),
            y=[100 * share for share in asked],
            mode="markers",
            marker={"symbol": "line-ew", "size": 40, "line": {"color": CUT_COLOR, "width": 4}},
            name="the formula's share",
            hovertemplate="the formula asks for %{y:.1f} %<extra></extra>",
            row=1,
            col=2,
        )
    figure.add_hline(y=100, line={"dash": "dash", "width": 1.5, "color": REMOVED_COLOR}, row=1, col=2)
    caption(
        figure,
        "Dashed: a whole layer. Bars of one colour: one masking function",
        left=54,
        below=84 if asked is None else 104,
    )
    figure.update_layout(barmode="group", bargap=0.25)
    figure.update_xaxes(title_text="Score S (no unit)", row=1, col=1)
    figure.update_yaxes(title_text="Weights", row=1, col=1)
    figure.update_yaxes(title_text="Kept (%)", range=[0, highest], row=1, col=2)
    return figure
