"""Figures of `smp_lab.analysis.overlap`.

Tables carry the columns of `measure_overlap`: n_a, n_b, n_both, n_weights, expected, and one per measure. A pair that
is clicked is known by the first two values of its point's customdata, the run ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.style import (
    COLORS,
    KEPT_COLOR,
    MATRIX_TICKS,
    MATRIX_TITLES,
    REMOVED_COLOR,
    TASK,
    as_cells,
    as_text,
    dress,
    empty_figure,
    frame_cell,
    name_rows,
    new_figure,
    shortened,
    tabulate_legend,
)
from smp_lab.layout import MATRIX_TYPES
from smp_lab.methods import get_method
from smp_lab.tasks import get_task

Array = npt.NDArray[Any]


class _Scale(NamedTuple):
    """How a measure is written and coloured.

    Parameters
    ----------
    title
        Of axes and colour bars.
    middle
        Of the colours, and what others are read against; None for a share, whose colours start at 0.
    is_ratio
        Whether twice is as far from the middle as half, so that colours follow the logarithm.
    at_middle
        What the middle stands for: chance within matrices or, where independent masks have another value, in words.
    """

    title: str
    middle: float | None = 0.0
    is_ratio: bool = False
    at_middle: str = "chance"


SCALES: Mapping[str, _Scale] = {
    "phi_within": _Scale("Phi within matrices"),
    "phi_share": _Scale("Phi within matrices / its cap"),
    "phi_pooled": _Scale("Phi, pooled", at_middle="chance over the encoder as one bag"),
    "phi_between": _Scale("Phi between matrices", at_middle="no profile in common"),
    "phi_partial": _Scale("Partial phi given magnitude", at_middle="nothing beyond magnitude"),
    "phi_magnitude": _Scale("Phi within matrices and sizes"),
    "lift": _Scale("Lift", 1.0, is_ratio=True),
    "jaccard": _Scale("Jaccard index", None),
    "jaccard_excess": _Scale("Jaccard index above chance"),
    "containment": _Scale("Containment of the smaller mask", None),
    "odds_ratio": _Scale("Odds ratio over matrices", 1.0, is_ratio=True),
}

# With more runs, numbers no longer fit their cells.
MOST_WITH_NUMBERS = 12
# Smallest range of the colours on either side of chance: below it, noise would look like a finding.
_LEAST_RANGE = 0.05
_DENDROGRAM_PIXELS = 70
_COUNTS = (
    "A keeps %{customdata[2]:,}, B %{customdata[3]:,}, both %{customdata[4]:,}<br>"
    "%{customdata[5]:,.0f} by chance within matrices"
)
_NO_PAIR = "No pair is chosen."
_NO_PAIRS = "There are no two runs with masks of one encoder."


def plot_pairs(
    table: pd.DataFrame,
    names: Mapping[str, str],
    order: Sequence[int],
    merges: Sequence[tuple[int, int, float]],
    measure: str,
    framed: tuple[str, str] | None = None,
) -> go.Figure:
    """A measure for every pair of runs, similar runs side by side under the tree that put them there.

    Parameters
    ----------
    table
        A row per (run_a, run_b).
    names
        Run id -> label; node i of the tree is the i-th of them.
    order, merges
        Of `average_linkage` over phi_within.
    measure
        One of `SCALES`.
    framed
        Run ids of a pair to frame.
    """
    title = "Overlap of every two runs"
    if table.empty:
        return empty_figure(title, _NO_PAIRS)
    runs = list(names)
    n = len(runs)
    place = {runs[leaf]: position for position, leaf in enumerate(order)}
    a, b = (table[side].map(place).to_numpy() for side in ("run_a", "run_b"))
    values = np.full((n, n), np.nan)
    values[a, b] = values[b, a] = table[measure]
    colors, axis = _colors(values, measure)

    figure = make_subplots(
        rows=2,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.01,
        row_heights=[_DENDROGRAM_PIXELS, _row_pixels(n) * n],
    )
    x, y = _brackets(order, merges)
    figure.add_scatter(
        x=x, y=y, mode="lines", line={"color": REMOVED_COLOR, "width": 1.5}, hoverinfo="skip", row=1, col=1
    )
    figure.add_heatmap(
        z=colors,
        hovertext=_texts(values, measure) if n <= MOST_WITH_NUMBERS else None,
        hoverinfo="skip",
        row=2,
        col=1,
    )
    # Streamlit reports clicks on points alone: one without colour lies on each cell.
    facts = _facts(table, measure)
    figure.add_scatter(
        x=np.concatenate([b, a]),
        y=np.concatenate([a, b]),
        customdata=np.concatenate([facts, facts]),
        mode="markers",
        marker={"symbol": "square", "size": 12, "opacity": 0, "color": REMOVED_COLOR},
        selected={"marker": {"opacity": 0}},
        unselected={"marker": {"opacity": 0}},
        hovertemplate=_pair_hover(table, measure),
        row=2,
        col=1,
    )
    if framed is not None:
        one, other = (place[run] for run in framed)
        frame_cell(figure, one, other, row=2, col=1)
        frame_cell(figure, other, one, row=2, col=1)
    height = 126 + _DENDROGRAM_PIXELS + _row_pixels(n) * n
    dress(figure, title, f"{SCALES[measure].title}, {_middle_in_words(measure)}", height=height)
    as_cells(figure, **axis)
    figure.update_coloraxes(colorbar_len=0.85, colorbar_y=0, colorbar_yanchor="bottom")
    # A click anywhere in a cell takes its point.
    figure.update_layout(showlegend=False, hoverdistance=-1)
    labels = [f"{shortened(names[runs[leaf]])}  {number}" for number, leaf in enumerate(order, start=1)]
    name_rows(figure, labels, row=2)
    figure.update_xaxes(ticks="")
    numbers = {"tickvals": list(range(n)), "ticktext": [str(number) for number in range(1, n + 1)]}
    figure.update_xaxes(numbers, range=[-0.5, n - 0.5], title_text="Run, by its number at the left", row=2)
    figure.update_yaxes(title_text="1 - phi", rangemode="tozero", nticks=3, showline=True, row=1)
    return figure


def plot_pair_kinds(table: pd.DataFrame, kinds: Sequence[str], measure: str, color_by: str = TASK) -> go.Figure:
    """A dot per pair, pairs that differ in the seed alone beside all others.

    Parameters
    ----------
    table
        A row per (run_a, run_b) with kind, capped (whether unequal remaining fractions keep the pair apart), task_a,
        task_b, method_a and method_b. Where it has ``{measure}_chance``, each pair's level is drawn as a dash.
    kinds
        Kinds of pairs to give a column, drawn or not.
    measure
        One of `SCALES`.
    color_by
        `TASK` or `METHOD`: pairs that share it have its colour, all others are grey.
    """
    title = "Pairs by what the two runs share"
    if table.empty:
        return empty_figure(title, _NO_PAIRS)
    table = table[table[measure].notna()]
    if table.empty:
        return _unknown(title, measure)
    places = {kind: number for number, kind in enumerate(kinds)}
    # Spread evenly by rank, so that dots of one kind lie side by side and not on one another.
    rank = table.groupby("kind")[measure].rank(method="first")
    shared = table[f"{color_by}_a"].where(table[f"{color_by}_a"] == table[f"{color_by}_b"], "")
    table = table.assign(x=table["kind"].map(places) + 0.5 * ((rank * 0.618) % 1 - 0.5), shared=shared)
    figure = new_figure(
        title,
        "A dot per pair, a bar at the median; triangles: very unequal shares kept of the same matrices",
        height=400,
    )
    if f"{measure}_chance" in table:
        figure.add_scatter(
            x=table["x"],
            y=table[f"{measure}_chance"],
            customdata=_facts(table, measure),
            mode="markers",
            name="by chance",
            marker={"color": REMOVED_COLOR, "symbol": "line-ew-open", "size": 9, "line": {"width": 2}},
            unselected={"marker": {"opacity": 1}},
            hovertemplate=_pair_hover(table, measure),
        )
    for value, rows in table.groupby("shared"):
        name, color = "other pairs", REMOVED_COLOR
        if value:
            entry = get_task(str(value)) if color_by == TASK else get_method(str(value))
            name, color = entry.title, COLORS[color_by][entry.name]
        figure.add_scatter(
            x=rows["x"],
            y=rows[measure],
            customdata=_facts(rows, measure),
            mode="markers",
            name=name,
            marker={
                "color": color,
                "symbol": np.where(rows["capped"], "triangle-down", "circle"),
                "size": 9,
            },
            unselected={"marker": {"opacity": 1}},
            hovertemplate=_pair_hover(table, measure),
        )
    for kind, middle in table.groupby("kind")[measure].median().items():
        at = places[str(kind)]
        figure.add_shape(
            type="line", x0=at - 0.32, x1=at + 0.32, y0=middle, y1=middle, line={"color": REMOVED_COLOR, "width": 2}
        )
    count = table["kind"].value_counts()
    figure.update_xaxes(
        tickvals=list(range(len(kinds))),
        ticktext=[f"{kind.replace(', ', ',<br>')}<br>n = {count.get(kind, 0):,}" for kind in kinds],
        range=[-0.5, len(kinds) - 0.5],
        showgrid=False,
    )
    scale = SCALES[measure]
    figure.update_yaxes(title_text=scale.title, type="log" if scale.is_ratio else "linear")
    if scale.middle is not None:
        figure.add_hline(y=scale.middle, line={"color": REMOVED_COLOR, "width": 1, "dash": "dot"})
    tabulate_legend(figure, wide=False)
    return figure


def plot_parts(table: pd.DataFrame, measure: str, pair: str, heads_of: str | None = None) -> go.Figure:
    """A measure of one pair by layer and matrix type, or by layer and attention head; numbers where they fit.

    Parameters
    ----------
    table
        A row per (layer, matrix_type), or per (layer, head).
    measure
        One of `SCALES`.
    pair
        Names of the two runs.
    heads_of
        Of heads the matrix types that were added up, in words.
    """
    along, title = ("matrix_type", "matrix by matrix") if heads_of is None else ("head", "head by head")
    title = f"Overlap of a pair, {title}"
    if table.empty:
        return empty_figure(title, _NO_PAIR)
    layers, parts = sorted(table["layer"].unique()), list(MATRIX_TYPES)
    names, ticks = [MATRIX_TITLES[kind] for kind in parts], [MATRIX_TICKS[kind] for kind in parts]
    if heads_of is not None:
        parts = sorted(table["head"].unique())
        names = ticks = list(map(str, parts))
    shape = (len(layers), len(parts))
    grid = table.set_index(["layer", along]).reindex(pd.MultiIndex.from_product([layers, parts]))
    facts = grid.assign(name=names * len(layers))[["name", "n_a", "n_b", "n_both", "expected"]]
    values = grid[measure].to_numpy(np.float64).reshape(shape)
    if np.isnan(values).all():
        return _unknown(title, measure)
    colors, axis = _colors(values, measure)
    figure = new_figure(title, pair, height=168 + max(22 * len(layers), 150))
    figure.add_heatmap(
        x=list(range(len(parts))),
        y=layers,
        z=colors,
        hovertext=_texts(values, measure),
        customdata=facts.to_numpy(object).reshape(*shape, -1),
        hovertemplate=f"layer %{{y}}, {along.replace('_', ' ')} %{{customdata[0]}}"
        f"<br>{SCALES[measure].title}: %{{hovertext}}"
        "<br>A keeps %{customdata[1]:,}, B %{customdata[2]:,}, both %{customdata[3]:,}"
        "<br>%{customdata[4]:,.0f} by chance<extra></extra>",
    )
    as_cells(figure, **axis)
    figure.update_xaxes(tickvals=list(range(len(parts))), ticktext=ticks, tickangle=0)
    figure.update_xaxes(title_text=None if heads_of is None else f"Head ({heads_of})")
    figure.update_yaxes(title_text="Layer", dtick=1)
    return figure


def plot_shared(counts: pd.DataFrame, name_a: str, name_b: str) -> go.Figure:
    """Two circles of which areas are weights, as counted beside what chance would give.

    Parameters
    ----------
    counts
        Rows of `shared_circles`.
    name_a, name_b
        Of the two runs.
    """
    title = "Kept by one or by both"
    if counts.empty:
        return empty_figure(title, _NO_PAIR)
    figure = make_subplots(rows=1, cols=len(counts), horizontal_spacing=0.02, subplot_titles=list(counts["case"]))
    half = 1.08 * float(counts[["radius_a", "radius_b"]].to_numpy().max())
    widest = (counts["radius_a"] + counts["radius_b"] + counts["distance"]).max() / 2
    # Room for three numbers side by side, wherever the circles lie.
    widest = max(widest, 1.5 * half)
    for column, case in enumerate(counts.to_dict("records"), start=1):
        cell = {"row": 1, "col": column}
        a, b, distance = case["radius_a"], case["radius_b"], case["distance"]
        # The left end of A and the right end of B are as far from the middle.
        centre_a = (a - b - distance) / 2
        centre_b = centre_a + distance
        left, right = max(centre_a - a, centre_b - b), min(centre_a + a, centre_b + b)
        turn = np.linspace(0, 2 * np.pi, 181)
        outlines = [
            (centre + radius * np.cos(turn), radius * np.sin(turn)) for centre, radius in ((centre_a, a), (centre_b, b))
        ]
        x = np.linspace(left, right, 121)
        height = np.sqrt(np.clip(np.minimum(a**2 - (x - centre_a) ** 2, b**2 - (x - centre_b) ** 2), 0, None))
        lens = np.append(x, x[::-1]), np.append(height, -height[::-1])
        both = case["n_both"]
        for (at_x, at_y), name, count, color in (
            (outlines[0], "A", case["n_a"], REMOVED_COLOR),
            (outlines[1], "B", case["n_b"], REMOVED_COLOR),
            (lens, "both", both, KEPT_COLOR),
        ):
            figure.add_scatter(
                x=at_x,
                y=at_y,
                mode="lines",
                fill="toself",
                line={"color": color, "width": 1.5},
                hoveron="fills",
                name=f"{name}: {count:,.0f} weights",
                hoverinfo="name",
                showlegend=False,
                **cell,
            )
        for place, anchor, name, count in (
            (-widest, "left", "A alone", case["n_a"] - both),
            (0, "center", "both", both),
            (widest, "right", "B alone", case["n_b"] - both),
        ):
            figure.add_annotation(
                x=place,
                y=-half,
                text=f"{name}<br><b>{count:,.0f}</b>",
                showarrow=False,
                xanchor=anchor,
                yanchor="top",
                align=anchor,
                **cell,
            )
    dress(figure, title, f"Areas are prunable weights of the encoder<br>A: {name_a}<br>B: {name_b}", height=398)
    figure.update_xaxes(visible=False, range=[-1.02 * widest, 1.02 * widest])
    for column in range(1, len(counts) + 1):
        figure.update_yaxes(
            visible=False, range=[-1.5 * half, half], scaleanchor=f"x{column}".removesuffix("1"), col=column
        )
    return figure


def plot_regions(table: pd.DataFrame, names: Mapping[str, str]) -> go.Figure:
    """Weights that exactly one combination of runs keeps (after UpSet: Lex et al. 2014), with what chance would give.

    Parameters
    ----------
    table
        Rows of `region_counts`; the one of no run is left out.
    names
        Run id -> label of each boolean column.
    """
    title = "Weights kept by exactly these runs"
    if table.empty:
        return empty_figure(title, "Fewer than two runs are chosen.")
    regions = table[table["n_runs"] > 0].reset_index(drop=True)
    runs = list(names)
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.03, row_heights=[220, 26 * len(runs)])
    members = [" and ".join(names[run] for run in runs if row[run]) for row in regions.to_dict("records")]
    lift = as_text(" (x {:.2f})", regions["lift"], unknown="")
    facts = pd.DataFrame({"members": members, "expected": regions["expected"], "lift": lift})
    figure.add_bar(
        x=regions.index,
        y=regions["expected"],
        name="if independent within each matrix",
        width=0.85,
        marker={"color": REMOVED_COLOR, "opacity": 0.5, "line": {"width": 0}},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    figure.add_bar(
        x=regions.index,
        y=regions["n_weights"],
        name="counted",
        width=0.45,
        marker={"color": KEPT_COLOR, "line": {"width": 0}},
        customdata=facts,
        hovertemplate="%{customdata[0]}<br>%{y:,} weights; %{customdata[1]:,.0f} by chance%{customdata[2]}"
        "<extra></extra>",
        row=1,
        col=1,
    )
    for present in (False, True):
        at = np.argwhere(regions[runs].to_numpy() == present)
        figure.add_scatter(
            x=at[:, 0],
            y=at[:, 1],
            mode="markers",
            marker={"size": 9, "color": KEPT_COLOR if present else REMOVED_COLOR, "opacity": 1 if present else 0.25},
            showlegend=False,
            hoverinfo="skip",
            row=2,
            col=1,
        )
    dress(
        figure,
        title,
        "Each prunable weight is counted once; dots name the runs that keep it",
        height=376 + 26 * len(runs),
    )
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(showticklabels=False, showgrid=False, ticks="", showline=False)
    figure.update_yaxes(title_text="Weights (count)", exponentformat="none", separatethousands=True, row=1)
    name_rows(figure, list(map(shortened, names.values())), row=2)
    return figure


def _unknown(title: str, measure: str) -> go.Figure:
    return empty_figure(title, f"{SCALES[measure].title} is not known here.")


def _row_pixels(n_runs: int) -> int:
    return 34 if n_runs <= MOST_WITH_NUMBERS else 22


def _brackets(
    order: Sequence[int], merges: Sequence[tuple[int, int, float]]
) -> tuple[list[float | None], list[float | None]]:
    """One line through the corners of every merge, with gaps; leaves at 0, 1, 2, ..., brackets at 1 - similarity."""
    at = {leaf: (float(position), 0.0) for position, leaf in enumerate(order)}
    x: list[float | None] = []
    y: list[float | None] = []
    for node, (left, right, similarity) in enumerate(merges, start=len(order)):
        (x0, y0), (x1, y1) = at[left], at[right]
        top = 1 - similarity
        x += [x0, x0, x1, x1, None]
        y += [y0, top, top, y1, None]
        at[node] = ((x0 + x1) / 2, top)
    return x, y


def _colors(values: Array, measure: str) -> tuple[Array, dict[str, Any]]:
    """What the colours of a heat map follow, and their axis: of the diverging scale where there is a middle."""
    scale = SCALES[measure]
    with np.errstate(divide="ignore", invalid="ignore"):
        colors = np.log2(values) if scale.is_ratio else np.asarray(values, np.float64)
    colors = np.where(np.isfinite(colors), colors, np.nan)
    limit = float(np.nanmax(np.abs(colors), initial=_LEAST_RANGE))
    bar: dict[str, Any] = {"title": {"text": scale.title}}
    if scale.middle is None:
        return colors, {"cmin": 0, "cmax": limit, "colorbar": bar}
    if scale.is_ratio:
        ticks = np.linspace(-limit, limit, 5)
        bar |= {"tickvals": ticks.tolist(), "ticktext": [f"{2**tick:.3g}" for tick in ticks]}
    return colors, {"autocolorscale": True, "cmin": -limit, "cmax": limit, "colorbar": bar}


def _texts(values: Array, measure: str) -> Array:
    digits = ".3g" if SCALES[measure].is_ratio else "z.2f"
    write = np.vectorize(lambda value: "" if np.isnan(value) else format(float(value), digits), otypes=[object])
    return np.asarray(write(values))


def _middle_in_words(measure: str) -> str:
    scale = SCALES[measure]
    return "no unit" if scale.middle is None else f"no unit; {scale.middle:g} is {scale.at_middle}"


def _levels(table: pd.DataFrame, measure: str) -> dict[str, str]:
    """Columns of what a value is to be read against, by chance and at most, and how hovers name them."""
    capped = measure if f"{measure}_max" in table else "phi_within"
    named = {f"{measure}_chance": "By chance", f"{capped}_max": f"{SCALES[capped].title}, at most"}
    return {column: words for column, words in named.items() if column in table}


def _facts(table: pd.DataFrame, measure: str) -> Array:
    """Customdata of points that stand for pairs; see `_COUNTS` and `_pair_hover`."""
    columns = ["run_a", "run_b", "n_a", "n_b", "n_both", "expected", "label_a", "label_b", measure]
    facts = table[[*columns, *_levels(table, measure)]].to_numpy(object)
    for place in range(columns.index(measure), facts.shape[1]):
        facts[:, place] = as_text("{:z.4g}", facts[:, place])
    return facts


def _pair_hover(table: pd.DataFrame, measure: str) -> str:
    lines = [
        "A: %{customdata[6]}<br>B: %{customdata[7]}",
        f"{SCALES[measure].title}: %{{customdata[8]}}",
        *(
            f"{words}: %{{customdata[{place}]}}"
            for place, words in enumerate(_levels(table, measure).values(), start=9)
        ),
        f"{_COUNTS}<extra></extra>",
    ]
    return "<br>".join(lines)
