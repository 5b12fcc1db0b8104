"""The first page: what the runs say together, and the picture of the method."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from PIL import Image
from plotly.colors import hex_to_rgb
from plotly.subplots import make_subplots

from smp_lab.figures.style import (
    FONT,
    INKS,
    KEPT_COLOR,
    METHOD_COLORS,
    METHOD_SYMBOLS,
    PERCENT_TICKS,
    REMAINING_TITLE,
    REMOVED_COLOR,
    dress,
    empty_figure,
)
from smp_lab.masks import top_k
from smp_lab.methods import METHODS

_SIDE = 6
_CELL = 16
_PITCH = 18
_TOP = 32
_PANELS_PER_ROW = 2
# Height of a panel's lines at least, and of a name beside one of them.
_PANEL_PIXELS, _NAME_PIXELS = 220, 17
_SCORES, _KEPT, _WEIGHTS = "#0072B2", KEPT_COLOR, REMOVED_COLOR


def plot_answer(table: pd.DataFrame) -> go.Figure:
    """Mean over tasks against remaining weights: a line per method, the spread of seeds as a band, dense dashed.

    Parameters
    ----------
    table
        A row per encoder, method and level, in order of level: base_model and base_model_sha256, method, remaining,
        mean, lowest and highest over seeds (fractions), n_tasks, n_seeds. Each encoder has a panel: tasks of two
        encoders may be other ones.
    """
    title = "Main metric against remaining weights, mean over tasks"
    # A log scale has no place for a mask that keeps nothing.
    table = table[table["remaining"] > 0]
    if table.empty:
        return empty_figure(
            title, "No mean over tasks: SMP-S has no level with every task once, on one copy of its data."
        )
    encoders = [part for _, part in table.groupby(["base_model", "base_model_sha256"], sort=False)]
    counts = [int(part["n_tasks"].iloc[0]) for part in encoders]
    names = [f"{count} task{'s' * (count > 1)}" for count in counts]
    words = "development sets; band: lowest and highest of the seeds"
    several = len(encoders) > 1
    rows = -(-len(encoders) // _PANELS_PER_ROW)
    figure = make_subplots(
        rows=rows,
        cols=min(len(encoders), _PANELS_PER_ROW),
        horizontal_spacing=0.09,
        vertical_spacing=0.2 / rows,
        subplot_titles=[f"{part['base_model'].iloc[0]}, {name}" for part, name in zip(encoders, names, strict=True)]
        if several
        else None,
    )
    words = words[0].upper() + words[1:] if several else f"{names[0]}, {words}"
    dress(figure, title, words, height=60 + 340 * rows)
    lowest = float(table.loc[table["method"] != "dense", "remaining"].min())
    lowest_tick = 0.85 * 100 * min(0.1, lowest)
    # Room for the names at the left ends of lines, in the wider letters of a saved picture too.
    left = math.log10(lowest_tick) - 0.68 * min(len(encoders), _PANELS_PER_ROW)
    for place, part in enumerate(encoders):
        row, column = divmod(place, _PANELS_PER_ROW)
        _add_encoder(figure, part, left, {"row": row + 1, "col": column + 1})
    ticks = [tick for tick in PERCENT_TICKS if tick >= lowest_tick]
    figure.update_xaxes(type="log", range=[left, 2.04], tickvals=ticks, ticktext=list(map(str, ticks)))
    figure.update_xaxes(title_text=REMAINING_TITLE)
    figure.update_layout(showlegend=False)
    figure.update_yaxes(title_text="Mean main metric (x 100)", col=1)
    return figure


def _add_encoder(figure: go.Figure, table: pd.DataFrame, left: float, cell: dict[str, int]) -> None:
    lines = table[table["method"] != "dense"]
    scale = _PANEL_PIXELS / max(float(100 * (table["mean"].max() - table["mean"].min())), 1.0)
    ends: list[tuple[float, float, str]] = []
    for name, line in lines.groupby("method", sort=False):
        method, color, x = str(name), METHOD_COLORS[str(name)], 100 * line["remaining"]
        label = METHODS[method].short_title
        figure.add_scatter(
            x=x,
            y=100 * line["mean"],
            error_y={
                "type": "data",
                "array": 100 * (line["highest"] - line["mean"]),
                "arrayminus": 100 * (line["mean"] - line["lowest"]),
                "color": f"rgba{(*hex_to_rgb(color), 0.35)}",
                "thickness": 9,
                "width": 0,
            },
            customdata=line[["n_seeds", "n_tasks"]],
            mode="lines+markers",
            name=label,
            line={"color": color, "width": 2.5},
            marker={"color": color, "symbol": METHOD_SYMBOLS[method], "size": 9},
            hovertemplate="%{y:.1f} at %{x:.3g} %, mean of %{customdata[1]} tasks; seeds with all: %{customdata[0]}",
            **cell,
        )
        ends.append((100 * line["mean"].iloc[0], math.log10(x.iloc[0]), label))
    top = -math.inf
    for y, at, label in sorted(ends):
        # No name lies on another: where lines begin together, the names stand above one another.
        top = max(y * scale, top + _NAME_PIXELS)
        figure.add_annotation(
            x=at,
            y=y,
            text=label,
            xanchor="right",
            xshift=-9,
            yshift=top - y * scale,
            showarrow=False,
            font_weight=600,
            **cell,
        )
    for level in table[table["method"] == "dense"].to_dict("records"):
        color = METHOD_COLORS["dense"]
        figure.add_scatter(
            x=[10**left, 100],
            y=[100 * level["mean"]] * 2,
            customdata=[[level["n_seeds"]]] * 2,
            mode="lines",
            name="Dense fine-tuning",
            line={"color": color, "width": 2, "dash": "dash"},
            hovertemplate="%{y:.1f}: all weights fine-tuned, %{customdata[0]} seeds",
            **cell,
        )
        figure.add_annotation(
            x=left + 0.02,
            y=100 * level["mean"],
            text="All weights fine-tuned",
            xanchor="left",
            yshift=11,
            showarrow=False,
            font_weight=600,
            **cell,
        )


def draw_method(theme: str) -> str:
    """Scores give the mask, the mask is laid over frozen weights: one SVG, for `LIGHT` or `DARK` pages."""
    rng = np.random.default_rng(3)
    scores, weights = rng.random(_SIDE**2), np.abs(rng.uniform(-1, 1, _SIDE**2))
    mask = top_k(scores, 11)
    panels = (
        (8, "Scores S", "trained, from 0", _SCORES, scores),
        (190, "Mask M", "1 bit a weight", _KEPT, mask),
        (340, "Weights W", "pre-trained, frozen", _WEIGHTS, weights),
        (490, "W * M", "what the layer uses", _WEIGHTS, weights * mask),
    )
    middle = _TOP + (_SIDE * _PITCH) // 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 606 214" width="606" height="214" '
        f"color=\"{INKS[theme].text}\" font-family='{FONT}'>"
        + "".join(_panel(*panel) for panel in panels)
        + _text(151, middle - 22, 13, "keep the")
        + _text(151, middle - 8, 13, "largest")
        + _arrow(f"M122 {middle} H178", (184, middle), "right")
        + _text(319, middle + 6, 18, "*")
        + _text(469, middle + 5, 18, "=")
        + _arrow("M543 164 V184 H61 V170", (61, 163), "up", dashed=True)
        + _text(302, 203, 13, "the gradient passes the mask as if it were not there, and moves S alone")
        + "</svg>"
    )


_MARK = np.array([[1, 0, 1, 1], [0, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 0]], np.uint8)


def draw_icon() -> Image.Image:
    """A small mask, for the browser's tab."""
    icon = Image.fromarray(np.kron(_MARK, np.pad(np.ones((14, 14), np.uint8), 1)), "P")
    icon.putpalette([0, 0, 0, *(int(_SCORES[place : place + 2], 16) for place in (1, 3, 5))])
    icon.info["transparency"] = 0
    return icon.convert("RGBA")


def draw_wordmark(theme: str) -> str:
    """The icon and the name, as SVG for the head of `LIGHT` or `DARK` pages."""
    cells = "".join(
        f'<rect x="{6 * column}" y="{2 + 6 * row}" width="5" height="5" rx="1"/>' for row, column in np.argwhere(_MARK)
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 124 28" width="124" height="28">'
        f'<g fill="{_SCORES}">{cells}</g><text x="33" y="20" font-size="17" font-weight="650" '
        f"fill=\"{INKS[theme].text}\" font-family='{FONT}'>SMP Lab</text></svg>"
    )


def _panel(left: int, title: str, note: str, color: str, values: np.ndarray) -> str:
    cells = "".join(
        f'<rect x="{left + place % _SIDE * _PITCH}" y="{_TOP + place // _SIDE * _PITCH}" width="{_CELL}" '
        f'height="{_CELL}" rx="2" fill="{color}" fill-opacity="{0.04 + 0.92 * float(value):.2f}" '
        'stroke="currentColor" stroke-opacity="0.25"/>'
        for place, value in enumerate(values)
    )
    center = left + (_SIDE * _PITCH) // 2 - 1
    return _text(center, 20, 14.5, title, 'font-weight="600"') + cells + _text(center, 157, 12.5, note, 'opacity="0.8"')


def _text(x: int, y: int, size: float, text: str, more: str = "") -> str:
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="currentColor" text-anchor="middle" {more}>{text}</text>'


def _arrow(path: str, tip: tuple[int, int], direction: str, *, dashed: bool = False) -> str:
    x, y = tip
    head = {"right": f"M{x} {y}l-8 -4v8z", "up": f"M{x} {y}l-4 8h8z"}[direction]
    dash = 'stroke-dasharray="5 4"' if dashed else ""
    return (
        f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity="0.6" stroke-width="1.5" {dash}/>'
        f'<path d="{head}" fill="currentColor" fill-opacity="0.75"/>'
    )
