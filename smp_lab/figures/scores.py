"""Figures of `smp_lab.analysis.scores`. Panels of layers have layer 0 at the bottom.

Two runs beside one another are two figures with the same ranges: see `score_range` and `density_range`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from smp_lab.figures.style import (
    KEPT_COLOR,
    MATRIX_TICKS,
    MATRIX_TITLES,
    REMOVED_COLOR,
    TASK,
    add_lines,
    add_play,
    as_cells,
    dress,
    empty_figure,
    line_marks,
    name_panel_axes,
    new_figure,
    panel_of,
    tabulate_legend,
    type_panels,
)
from smp_lab.layout import MATRIX_TYPES

Range = tuple[float, float]

SIMILARITY_TITLES = {
    "recall": "Share of the final mask that is kept already",
    "precision": "Share of the mask that stays to the end",
    "jaccard": "Jaccard index with the final mask",
    "phi_within": "Phi with the final mask, chance removed within each matrix",
}

# Neither a task nor a side of the mask; holds on white, on the dark page and on the colour scale.
CUT_COLOR = "#E5398C"
# Share of the weights that an axis may leave out: a single weight far away would make all others one bar.
_OUTSIDE = 0.001
_NO_SCORES = "No run with scores is chosen."
_SIDE_COLORS = {"kept": KEPT_COLOR, "removed": REMOVED_COLOR}
_BIN = "scores %{customdata[0]:.3g} to %{customdata[1]:.3g}"


def score_range(tables: Iterable[pd.DataFrame], low: str = "low", high: str = "high") -> Range:
    """Edges of the bins that hold the middle 99.9 % of all weights, over several tables with `low`, `high` and count.

    Bins without an end are left out, whatever they hold.
    """
    bins = pd.concat([table[[low, high, "count"]] for table in tables], ignore_index=True)
    finite = bins[np.isfinite(bins[low]) & np.isfinite(bins[high])]
    bins = finite.groupby([low, high], as_index=False)["count"].sum()
    if bins.empty:
        return -1.0, 1.0
    below = bins["count"].cumsum() / max(1, bins["count"].sum())
    shown = bins[(below > _OUTSIDE / 2) & (below.shift(fill_value=0.0) < 1 - _OUTSIDE / 2)]
    shown = bins if shown.empty else shown
    return float(shown[low].min()), float(shown[high].max())


def n_outside(table: pd.DataFrame, scores: Range) -> int:
    """Weights of a table with low, high and count that lie in no bin within an axis of this range."""
    within = (table["low"] >= scores[0]) & (table["high"] <= scores[1])
    return int(table.loc[~within, "count"].sum())


def density_range(tables: Iterable[pd.DataFrame]) -> Range:
    """Lowest density above 0 and highest density, over several tables."""
    values = np.concatenate([table["density"].to_numpy() for table in tables])
    values = values[values > 0]
    return (float(values.min()), float(values.max())) if len(values) else (0.1, 1.0)


def with_matrices(label: str, matrix_type: str, layer: int | None) -> str:
    """A run's label with the matrices that a figure is of; layer None means all."""
    return f"{label}, {MATRIX_TITLES[matrix_type].lower()}" + ("" if layer is None else f", layer {layer}")


def plot_distribution(
    table: pd.DataFrame,
    cuts: pd.DataFrame,
    name: str,
    step: int,
    *,
    scores: Range,
    densities: Range,
    n_steps: int | None = None,
) -> go.Figure:
    """Distribution of scores at one snapshot, a panel per layer, kept and removed weights apart; plays through all.

    Parameters
    ----------
    table
        Rows of `score_distribution`.
    cuts
        Rows of `score_cuts` of the same matrices.
    name
        Of run and matrices.
    step
        Of the snapshot that is shown first.
    scores, densities
        Range of the axes; where it plays, each snapshot has the height that it needs.
    n_steps
        Of the training; None for those until the last snapshot.
    """
    title = "Scores of kept and of removed weights"
    if table.empty:
        return empty_figure(title, _NO_SCORES)
    layers = sorted(table["layer"].unique(), reverse=True)
    table = table[np.isfinite(table["density"])]
    figure = make_subplots(rows=len(layers), cols=1, shared_xaxes=True, vertical_spacing=0.12 / len(layers))
    highest = 1.05 * densities[1]
    now = table[table["step"] == step]
    sides = [(layer, side) for layer in layers for side in _SIDE_COLORS if len(now)]
    for layer, side in sides:
        bins = now[(now["layer"] == layer) & (now["side"] == side)]
        figure.add_scatter(
            # A step reaches from its edge to the next one, the last to the end of its bin.
            x=[*bins["low"], bins["high"].iloc[-1]],
            **_heights(bins),
            customdata=[*bins[["low", "high"]].to_numpy().tolist(), [None] * 2],
            mode="lines",
            line={"shape": "hv", "width": 1.25, "color": _SIDE_COLORS[side]},
            fill="tozeroy",
            name=side,
            legendgroup=side,
            showlegend=bool(layer == layers[0]),
            hovertemplate=f"{_BIN}: %{{text}} weights<br>%{{y:.3g}} of the layer's per unit",
            row=layers.index(layer) + 1,
            col=1,
        )
    for place, cut in enumerate(cuts[cuts["step"] == step].itertuples()):
        figure.add_scatter(
            x=[cut.score_cut] * 2,
            y=[0, highest],
            mode="lines",
            line={"color": CUT_COLOR, "width": 1.5, "dash": "dash"},
            name="cut",
            legendgroup="cut",
            showlegend=place == 0,
            hovertemplate=f"cut at %{{x:.3f}} of {MATRIX_TITLES[str(cut.matrix_type)].lower()}",
            row=layers.index(cut.layer) + 1,
            col=1,
        )
    for row, layer in enumerate(layers, start=1):
        figure.update_yaxes(title_text=f"Layer {layer}", row=row)

    def subtitle(step: int) -> str:
        last = cuts["step"].max() if len(cuts) else step
        return f"{name}, step {step:,} of {n_steps or last:,}<br>Height: share of the layer's weights per unit of score"

    dress(figure, title, subtitle(step), height=180 + max(90 * len(layers), 220))
    figure.update_layout(margin_b=70)
    figure.update_xaxes(range=scores)
    figure.update_xaxes(title_text="Score S (no unit)", row=len(layers))
    figure.update_yaxes(range=[0, highest], nticks=3)
    by_bins, by_cut = dict(iter(table.groupby(["step", "layer", "side"]))), dict(iter(cuts.groupby("step")))
    # A snapshot may have all weights in bins without an end.
    top = 1.05 * table.groupby("step")["density"].max().replace(0, densities[1])
    steps = [at for at in table["step"].unique() if at in by_cut]
    frames = {
        subtitle(at): [_heights(by_bins[at, layer, side]) for layer, side in sides]
        + [{"x": [cut] * 2, "y": [0, top[at]]} for cut in by_cut[at]["score_cut"]]
        for at in steps
    }
    add_play(figure, frames, heights=[top[at] for at in steps], below=44)
    return figure


def _heights(bins: pd.DataFrame) -> dict[str, list[Any]]:
    """What changes from one snapshot to the next: the heights of the steps, and the counts in words."""
    density, count = bins["density"].tolist(), [f"{count:,}" for count in bins["count"]]
    return {"y": density + density[-1:], "text": count + count[-1:]}


def plot_score_history(
    table: pd.DataFrame, cuts: pd.DataFrame, name: str, *, scores: Range, densities: Range, columns: int
) -> go.Figure:
    """Density of scores over training as a heat map, a panel per layer, with the line of the cut; plays step by step.

    Parameters
    ----------
    table
        Rows of `score_distribution` of one side.
    cuts
        Rows of `score_cuts`.
    name
        Of run and matrices.
    scores, densities
        Range of the vertical axis and of the colours.
    columns
        Panels beside one another.
    """
    title = "Scores over training"
    if table.empty:
        return empty_figure(title, _NO_SCORES)
    layers = sorted(table["layer"].unique())
    columns = min(columns, len(layers))
    rows = -(-len(layers) // columns)
    steps = table["step"].unique()
    edges = _edges_around(steps)
    figure = make_subplots(
        rows=rows,
        cols=columns,
        start_cell="bottom-left",
        shared_xaxes=True,
        shared_yaxes=True,
        horizontal_spacing=0.02,
        vertical_spacing=0.18 / rows if rows > 1 else 0,
        subplot_titles=[f"Layer {layer}" for layer in layers],
    )
    for place, layer in enumerate(layers):
        row, column = divmod(place, columns)
        cell = {"row": row + 1, "col": column + 1}
        bins = table[(table["layer"] == layer) & np.isfinite(table["density"])]
        if bins.empty:
            continue
        facts = bins[["low", "high", "count", "step"]].to_numpy().reshape(len(steps), -1, 4).transpose(1, 0, 2)
        figure.add_heatmap(
            x=edges,
            y=[*facts[:, 0, 0], facts[-1, 0, 1]],
            z=_log10(bins["density"].to_numpy()).reshape(len(steps), -1).T,
            customdata=facts,
            coloraxis="coloraxis",
            hovertemplate=f"step %{{customdata[3]}}, {_BIN}<br>%{{customdata[2]:,}} weights<extra></extra>",
            **cell,
        )
        for kind, line in cuts[cuts["layer"] == layer].groupby("matrix_type", sort=False):
            figure.add_scatter(
                x=line["step"],
                y=line["score_cut"],
                mode="lines",
                name="cut",
                line={"color": CUT_COLOR, "width": 1.75},
                hovertemplate=f"cut at %{{y:.3f}} of {MATRIX_TITLES[str(kind)].lower()}<br>step %{{x}}",
                **cell,
            )
        # Before the end of training it lies on what is still to come.
        figure.add_scatter(
            x=[edges[-1]] * 4,
            y=[scores[0], scores[0], scores[1], scores[1]],
            mode="lines",
            line_width=0,
            fill="toself",
            fillcolor=REMOVED_COLOR,
            name="veil",
            hoverinfo="skip",
            **cell,
        )

    def subtitle(step: int) -> str:
        words = f"{name}, step {step:,} of {steps[-1]:,}"
        return f"{words}<br>Colour: share of the layer's weights per unit of score. Line: the cut"

    dress(figure, title, subtitle(steps[-1]), height=200 + max(rows * 170, 330))
    figure.update_layout(margin_b=70, showlegend=False)
    veils = [place for place, trace in enumerate(figure.data) if trace.name == "veil"]
    frames = {
        subtitle(step): [{"x": [edge, edges[-1], edges[-1], edge]} for _ in veils]
        for step, edge in zip(steps, edges[1:], strict=True)
    }
    add_play(figure, frames, below=44, moving=veils)
    figure.update_yaxes(range=scores, showgrid=False)
    figure.update_yaxes(title_text="Score S (no unit)", col=1)
    figure.update_xaxes(showgrid=False)
    figure.update_xaxes(title_text="Optimiser step", row=1)
    figure.update_coloraxes(_log_colors(densities, "Share per unit of score"))
    return figure


def plot_weight_scores(
    table: pd.DataFrame,
    cuts: pd.Series[float],
    magnitude_cuts: pd.Series[float],
    name: str,
    *,
    weights: Range,
    scores: Range,
    densities: Range,
) -> go.Figure:
    """Final scores against the absolute pre-trained weights, and where the mask and magnitude pruning cut.

    Parameters
    ----------
    table
        Rows of `weight_scores`.
    cuts, magnitude_cuts
        score_cut and magnitude_cut (log10 abs(W)) of every matrix that was added up; several are drawn as a band.
    name
        Of run and matrices.
    weights, scores, densities
        Range of log10 abs(W), of the score, and of the colours.
    """
    title = "Score against the size of the weight"
    cells = table[np.isfinite(table["density"])] if len(table) else table
    if cells.empty:
        return empty_figure(title, _NO_SCORES if table.empty else "No weight lies in a bin that has an end.")
    figure = new_figure(
        title,
        f"{name}<br>Colour: weights per decade of |W| and unit of score",
        height=500,
    )
    rows, columns = cells["weight_low"].unique(), cells["low"].unique()
    shape = (len(rows), len(columns))
    figure.add_heatmap(
        x=[*rows, cells["weight_high"].max()],
        y=[*columns, cells["high"].max()],
        z=_log10(cells["density"].to_numpy()).reshape(shape).T,
        customdata=cells[["weight_low", "weight_high", "low", "high", "count"]]
        .assign(weight_low=10 ** cells["weight_low"], weight_high=10 ** cells["weight_high"])
        .to_numpy()
        .reshape(*shape, 5)
        .transpose(1, 0, 2),
        coloraxis="coloraxis",
        hovertemplate="|W| %{customdata[0]:.2g} to %{customdata[1]:.2g}<br>scores %{customdata[2]:.3g} to "
        "%{customdata[3]:.3g}: %{customdata[4]:,} weights<extra></extra>",
    )
    _add_band(figure, cuts, "y", weights, "cut of the scores: the mask is above", "solid")
    _add_band(figure, magnitude_cuts, "x", scores, "cut of magnitude pruning: its mask is to the right", "dash")
    powers = range(int(np.floor(weights[0])), int(np.ceil(weights[1])) + 1)
    figure.update_xaxes(
        title_text="|W|, pre-trained (no unit)",
        range=weights,
        tickvals=list(powers),
        ticktext=[f"{10.0**power:g}" for power in powers],
        showgrid=False,
    )
    figure.update_yaxes(title_text="Score S at the end (no unit)", range=scores, showgrid=False)
    figure.update_coloraxes(_log_colors(densities, "Weights per decade and unit"))
    return figure


def _add_band(figure: go.Figure, cuts: pd.Series[float], axis: str, across: Range, name: str, dash: str) -> None:
    """Lines across the figure at the lowest and highest cut on an axis, and a veil between them."""
    known = cuts.dropna()
    bounds = sorted({known.min(), known.max()}) if len(known) else []
    if len(bounds) == 2:
        add = figure.add_hrect if axis == "y" else figure.add_vrect
        add(**dict(zip((f"{axis}0", f"{axis}1"), bounds, strict=True)), fillcolor=CUT_COLOR, opacity=0.2, line_width=0)
    for place, bound in enumerate(bounds):
        line = {"x": across, "y": across} | {axis: [bound] * 2}
        written = "cut at %{y:.3f}" if axis == "y" else f"|W| {10**bound:.3g}"
        figure.add_scatter(
            **line,
            mode="lines",
            name=name,
            legendgroup=axis,
            showlegend=place == 0,
            line={"color": CUT_COLOR, "width": 1.75, "dash": dash},
            hovertemplate=f"{written}<extra></extra>",
        )


def plot_similarity(table: pd.DataFrame, measure: str, color_by: str = TASK) -> go.Figure:
    """Similarity of each snapshot's mask to the final one, a panel per matrix type and one overall.

    Parameters
    ----------
    table
        Rows of `similarity_to_final` that stand for several layers, with the columns run, task, method and level.
    measure
        One of `SIMILARITY_TITLES`.
    color_by
        As in `line_marks`.
    """
    title = "When is the mask decided?"
    if table.empty:
        return empty_figure(title, _NO_SCORES)
    reference, words = (
        ("max", "the most that two masks of these sizes allow") if measure == "phi_within" else ("chance", "chance")
    )
    figure, marks = type_panels(), line_marks(table, color_by, size=5)
    levels = {run: {"line": {"color": each["line"]["color"], "width": 1, "dash": "dot"}} for run, each in marks.items()}
    hover = (
        "%{y:.3f} at step %{x}<br>%{customdata[0]:,} in common, %{customdata[1]:,} kept, %{customdata[2]:,} in the end"
    )
    for kind, lines in table.groupby("matrix_type", sort=False):
        place, level = panel_of(str(kind)), f"{measure}_{reference}"
        add_lines(figure, lines, "step", measure, marks, hover, facts=["n_both", "n_a", "n_b"], **place)
        add_lines(figure, lines, "step", level, levels, f"%{{y:.3f}} at step %{{x}}: {words}", mode="lines", **place)
    dress(figure, title, f"{SIMILARITY_TITLES[measure]}; dotted: {words}", height=500)
    name_panel_axes(figure, "Optimiser step", "Similarity (no unit)")
    figure.update_xaxes(rangemode="tozero")
    figure.update_yaxes(range=[0, 1.03])
    tabulate_legend(figure)
    return figure


def plot_snapshot_flips(table: pd.DataFrame, color_by: str = TASK) -> go.Figure:
    """Weights that changed sides between snapshots: forced, swapped inside a matrix, moved between matrices.

    Parameters
    ----------
    table
        Rows of `flips_between_snapshots` of one group, with the columns run, task, method and level.
    color_by
        As in `line_marks`.
    """
    title = "Weights that change sides between snapshots"
    if table.empty:
        return empty_figure(title, "Flips lie between two snapshots, and no run has recorded more than one.")
    kinds = {
        "forced": "Forced: fewer are kept",
        "swaps_within": "Swapped inside a matrix",
        "swaps_between": "Moved between matrices",
    }
    figure = make_subplots(
        rows=1, cols=3, shared_yaxes="all", horizontal_spacing=0.02, subplot_titles=[*kinds.values()]
    )
    marks = line_marks(table, color_by, size=5)
    # A zero would pull the line to the foot of a log scale.
    table = table.assign(**{kind: table[kind].astype(float).replace(0, np.nan) for kind in kinds})
    for column, kind in enumerate(kinds, start=1):
        add_lines(figure, table, "step", kind, marks, "%{y:,} weights up to step %{x}", row=1, col=column)
    dress(
        figure,
        title,
        "Counts since the snapshot before; a weight that left and came back in between is not counted; no point: none",
        height=360,
    )
    figure.update_xaxes(title_text="Optimiser step", rangemode="tozero")
    figure.update_yaxes(type="log", exponentformat="none", separatethousands=True)
    figure.update_yaxes(title_text="Weights (count), encoder", col=1)
    tabulate_legend(figure)
    return figure


def plot_matrices(
    table: pd.DataFrame,
    column: str,
    title: str,
    subtitle: str,
    unit: str,
    *,
    values: Range,
    facts: Sequence[str],
    hover: str,
    step: int | None = None,
) -> go.Figure:
    """One value of every matrix: layer by matrix type, layer 0 at the bottom; plays through snapshots if it has them.

    Parameters
    ----------
    table
        A row per matrix: layer, matrix_type, `column` and `facts`.
    column
        What is drawn.
    title, subtitle, unit
        Of the figure and of its colours.
    values
        Range of the colours.
    facts, hover
        Columns, and a template that has them as customdata.
    step
        Of the snapshot that is shown first, where `table` has the column step.
    """
    if table.empty:
        return empty_figure(title, _NO_SCORES)
    layers = sorted(table["layer"].unique())
    digits = 2 if values[1] <= 1 else 1

    def cells(rows: pd.DataFrame) -> dict[str, Any]:
        wanted = pd.MultiIndex.from_product([layers, MATRIX_TYPES])
        ordered = rows.set_index(["layer", "matrix_type"]).reindex(wanted)
        shown = ordered[column].to_numpy(np.float64).reshape(len(layers), -1)
        return {
            "z": shown,
            "hovertext": [["" if np.isnan(value) else f"{value:.{digits}f}" for value in row] for row in shown],
            "customdata": ordered[list(facts)].to_numpy().reshape(len(layers), -1, len(facts)),
        }

    snapshots = {} if step is None else {int(rows["step"].iloc[0]): rows for _, rows in table.groupby("step")}
    words = {at: f"{subtitle}, step {at:,}" for at in snapshots}
    figure = new_figure(title, subtitle if step is None else words[step], height=190 + 26 * len(layers))
    figure.add_heatmap(
        x=[MATRIX_TITLES[kind] for kind in MATRIX_TYPES],
        y=layers,
        **cells(table if step is None else snapshots[step]),
        hovertemplate=f"layer %{{y}}, %{{x}}<br>{hover}<extra></extra>",
    )
    if step is not None:
        figure.update_layout(height=230 + 26 * len(layers), margin_b=100)
        add_play(figure, {words[at]: [cells(rows)] for at, rows in snapshots.items()}, below=64)
    as_cells(figure, cmin=values[0], cmax=values[1], colorbar_title_text=unit)
    figure.update_xaxes(
        tickangle=0,
        tickvals=[MATRIX_TITLES[kind] for kind in MATRIX_TYPES],
        ticktext=[MATRIX_TICKS[kind] for kind in MATRIX_TYPES],
    )
    figure.update_yaxes(title_text="Layer", dtick=1)
    return figure


def _edges_around(steps: npt.NDArray[Any]) -> list[float]:
    """Edges of cells around snapshots: half way to the next, and as far beyond both ends."""
    if len(steps) == 1:
        return [steps[0] - 0.5, steps[0] + 0.5]
    middles = (steps[1:] + steps[:-1]) / 2
    return [2 * steps[0] - middles[0], *middles, 2 * steps[-1] - middles[-1]]


def _log10(density: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """For colours: empty where the density is 0."""
    return np.log10(np.where(density > 0, density, np.nan)).astype(np.float32)


def _log_colors(densities: Range, title: str) -> dict[str, Any]:
    """A colour axis of decades, four at most: what is rarer looks like the rarest."""
    high = np.log10(densities[1])
    low = max(np.log10(densities[0]), high - 4)
    ticks = list(range(int(np.ceil(low)), int(np.floor(high)) + 1))
    return {
        "cmin": low,
        "cmax": high,
        "colorbar": {
            "title": {"text": title},
            "tickvals": ticks,
            "ticktext": [f"{10.0**tick:,.10g}" for tick in ticks],
        },
    }
