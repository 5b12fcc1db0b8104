"""The four views of the scores page: each draws its figures and returns what they say, a sentence a run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from smp_lab.analysis import scores as analysis
from smp_lab.analysis.labels import percent
from smp_lab.figures import scores as figures
from smp_lab.figures import style
from smp_lab.figures.scores import with_matrices
from smp_lab.storage.runs import RunRecord, ScoreHistory
from smp_lab.ui import cache, controls, messages
from smp_lab.ui.glossary import explain

# Runs with their scores and labels: one, or two that stand side by side.
Chosen = Sequence[tuple[RunRecord, ScoreHistory, str]]


def distribution(chosen: Chosen, kind: str, layer: int | None) -> list[str]:
    """How scores are spread at a snapshot, and where the mask cuts."""
    share = _snapshot(chosen, "snapshot", 100)
    tables, cuts, steps = [], [], []
    for run, scores, _ in chosen:
        sides = {analysis.KEPT: scores.kept_histogram, analysis.REMOVED: scores.removed_histogram}
        tables.append(
            cache.computed(analysis.score_distribution, scores.steps, scores.edges, sides, run.layout, kind, layer)
        )
        cuts.append(analysis.score_cuts(scores.steps, scores.score_cut, run.layout, kind, layer))
        steps.append(int(scores.steps[analysis.snapshot_at(scores.steps, share)]))
    now = [table[table["step"] == step] for table, step in zip(tables, steps, strict=True)]
    scales = {"scores": cache.computed(figures.score_range, tables), "densities": figures.density_range(now)}
    _side_by_side(
        chosen,
        [
            (
                controls.drawn(
                    figures.plot_distribution, table, cut, with_matrices(label, kind, layer), step, **scales
                ),
                _with_lines(table, cut),
            )
            for table, cut, step, (_, _, label) in zip(tables, cuts, steps, chosen, strict=True)
        ],
        "score-distribution",
        lambda label: (
            f"Distribution of the scores of kept and removed weights, {with_matrices(label, kind, layer)}, by layer."
        ),
    )
    _outside(now, scales["scores"])
    found = []
    for table, cut, step, (_, _, label) in zip(now, cuts, steps, chosen, strict=True):
        kept = int(table.loc[table["side"] == analysis.KEPT, "count"].sum())
        at = cut.loc[cut["step"] == step, "score_cut"].dropna()
        where = "no weight is kept" if at.empty else f"those with a score of at least {_span(at)}"
        found.append(f"{_words(label, kind, layer)}: {percent(kept / table['count'].sum())} are kept, {where}.")
    return found


def history(chosen: Chosen, kind: str, layer: int | None) -> list[str]:
    """How scores spread over training, with the cut."""
    tables = [
        analysis.score_distribution(
            scores.steps,
            scores.edges,
            {analysis.BOTH: scores.kept_histogram + scores.removed_histogram},
            run.layout,
            kind,
            layer,
        )
        for run, scores, _ in chosen
    ]
    cuts = [analysis.score_cuts(scores.steps, scores.score_cut, run.layout, kind, layer) for run, scores, _ in chosen]
    scales = {"scores": figures.score_range(tables), "densities": figures.density_range(tables)}
    columns = 3 if len(chosen) == 1 else 2
    _side_by_side(
        chosen,
        [
            (
                controls.drawn(
                    figures.plot_score_history, table, cut, with_matrices(label, kind, layer), columns=columns, **scales
                ),
                _with_lines(table, cut),
            )
            for table, cut, (_, _, label) in zip(tables, cuts, chosen, strict=True)
        ],
        "score-history",
        lambda label: f"Density of the scores over the steps of training with the line of the cut. {label}.",
    )
    # A weight is in every snapshot.
    _outside([table[table["step"] == table["step"].max()] for table in tables], scales["scores"])
    return [
        f"{_words(label, kind, layer)}: the cut moves from {_span(_at(cut, 'first'))} to {_span(_at(cut, 'last'))}."
        for cut, (_, _, label) in zip(cuts, chosen, strict=True)
    ]


def weights(chosen: Chosen, kind: str, layer: int | None) -> list[str]:
    """Final scores against the sizes of weights, and what magnitude pruning would have kept."""
    tables = [
        analysis.weight_scores(
            scores.weight_edges, scores.edges, scores.weight_score_histogram, run.layout, kind, layer
        )
        for run, scores, _ in chosen
    ]
    scales = {
        "weights": figures.score_range(tables, "weight_low", "weight_high"),
        "scores": figures.score_range(tables),
        "densities": figures.density_range(tables),
    }
    contents = []
    for table, (run, scores, label) in zip(tables, chosen, strict=True):
        cuts = analysis.score_cuts(scores.steps[-1:], scores.score_cut[-1:], run.layout, kind, layer)
        by_size = analysis.magnitude_cuts(
            scores.weight_edges, scores.weight_score_histogram, scores.kept[-1], run.layout, kind, layer
        )
        bounds = cuts["score_cut"], by_size["magnitude_cut"]
        figure = controls.drawn(figures.plot_weight_scores, table, *bounds, with_matrices(label, kind, layer), **scales)
        contents.append((figure, _with_lines(table, cuts.merge(by_size))))
    _side_by_side(
        chosen,
        contents,
        "score-and-weight",
        lambda label: f"Final scores against the absolute pre-trained weights, {with_matrices(label, kind, layer)}.",
    )
    _outside(tables, scales["scores"])
    st.caption("A record has scores beside weights for the end of training alone, so there is nothing to play.")
    st.markdown(
        "Magnitude pruning keeps what is to the **right** of its line: it looks at |W| alone (zeroth order). A learned "
        "score keeps what is **above** the other line: where the loss wants the weight further from zero (first order)."
    )
    shares = [
        analysis.kept_by_magnitude(scores.kept_by_magnitude, scores.kept[-1], run.layout) for run, scores, _ in chosen
    ]
    _side_by_side(
        chosen,
        [
            (
                controls.drawn(
                    figures.plot_matrices,
                    table.assign(percent=100 * table["share"], chance=100 * table["chance"]),
                    "percent",
                    "What magnitude would have kept too",
                    f"{label}; % of the mask of each matrix, of which magnitude keeps as many",
                    "Of the mask (%)",
                    values=(0, 100),
                    facts=["both", "chance"],
                    hover="%{z:.1f} % of the mask, %{customdata[0]:,} weights; by chance %{customdata[1]:.1f} %",
                ),
                table,
            )
            for (_, _, label), table in zip(chosen, shares, strict=True)
        ],
        "kept-by-magnitude",
        lambda label: f"Share of the mask of {label} that magnitude pruning would have kept too, layer by matrix type.",
    )
    found = []
    for (run, _, label), table in zip(chosen, shares, strict=True):
        part = table.iloc[analysis.places(run.layout, kind, layer)]
        both, kept = int(part["both"].sum()), int(part["kept"].sum())
        if kept:
            chance = (part["kept"] * part["chance"]).sum() / kept
            found.append(
                f"{_words(label, kind, layer)}: magnitude pruning of the same weights would have kept "
                f"**{percent(both / kept)}** of the mask too ({both:,} of {kept:,}); chance would give "
                f"{percent(chance)}."
            )
    return found


def decision(chosen: Chosen) -> list[str]:
    """How like the final mask the masks of all snapshots were, and what changed sides in between."""
    color = controls.pick_color(style.LINE_COLOR_BY)
    measure = controls.one_of(
        "Similarity to the final mask",
        analysis.SIMILARITIES,
        key="similarity",
        format_func=lambda name: name.split("_")[0].capitalize(),
        help=explain("forced flip", "true swap"),
    )
    similar = [
        analysis.similarity_to_final(scores.steps, scores.kept, scores.kept_in_final, run.layout)
        for run, scores, _ in chosen
    ]
    flips = [
        analysis.flips_between_snapshots(scores.steps, scores.flips_in, scores.flips_out, run.layout)
        for run, scores, _ in chosen
    ]
    lines = _of_all_layers(chosen, similar)
    controls.show(
        figures.plot_similarity,
        lines,
        measure,
        color,
        key="similarity-to-final",
        alt=f"{figures.SIMILARITY_TITLES[measure]} over the steps of {len(chosen)} runs, overall and by matrix type.",
        min_width=style.PAGE_PIXELS,
    )
    # At the end every mask is the final one, so the picture starts in the middle.
    share = _snapshot(chosen, "decided_by", 50)
    steps = [int(scores.steps[analysis.snapshot_at(scores.steps, share)]) for _, scores, _ in chosen]
    parts = [table[table["layer"].notna()] for table in similar]
    _side_by_side(
        chosen,
        [
            (
                controls.drawn(
                    figures.plot_matrices,
                    part,
                    measure,
                    f"{figures.SIMILARITY_TITLES[measure].split(',')[0]}, matrix by matrix",
                    label,
                    "Similarity (no unit)",
                    values=(0, 1),
                    facts=["n_both", "n_b"],
                    hover="%{z:.3f}<br>%{customdata[0]:,} in common, %{customdata[1]:,} in the end",
                    step=step,
                ),
                part,
            )
            for (_, _, label), part, step in zip(chosen, parts, steps, strict=True)
        ],
        "similarity-by-matrix",
        lambda label: f"Similarity of the mask of {label} to its final mask at a snapshot, layer by matrix type.",
    )
    changes = _of_all_layers(chosen, [table[table["matrix_type"] == analysis.ALL_TYPES] for table in flips])
    controls.show(
        figures.plot_snapshot_flips,
        changes,
        color,
        key="snapshot-flips",
        alt=f"Weights that change sides between snapshots of {len(chosen)} runs: forced, swapped in a matrix, moved.",
        min_width=style.PAGE_PIXELS,
    )
    _swaps(chosen, flips, steps)
    found = []
    for (_, _, label), table, step in zip(chosen, similar, steps, strict=True):
        row = table[table["layer"].isna() & (table["matrix_type"] == analysis.ALL_TYPES) & (table["step"] == step)]
        recall, chance = row[[analysis.RECALL, "recall_chance"]].iloc[0]
        said = (
            "in the end no weight is kept."
            if np.isnan(recall)
            else f"at step {step:,} the mask holds **{percent(recall)}** of what it holds in the end; chance within "
            f"each matrix would give {percent(chance)}."
        )
        found.append(f"{messages.plain(label)}: {said}")
    return found


def _swaps(chosen: Chosen, flips: Sequence[pd.DataFrame], steps: Sequence[int]) -> None:
    tables = [analysis.swaps_by_matrix(table, run.layout) for (run, _, _), table in zip(chosen, flips, strict=True)]
    if all(table.empty for table in tables):
        st.caption("One snapshot was recorded, so no weight changes sides between two.")
        return
    highest = 100 * max(float(table["share"].max()) for table in tables if len(table))
    _side_by_side(
        chosen,
        [
            (
                controls.drawn(
                    figures.plot_matrices,
                    table.assign(percent=100 * table["share"]),
                    "percent",
                    "Swaps inside each matrix",
                    f"{label}, since the snapshot before",
                    "Of the matrix (%)",
                    values=(0, highest or 1),
                    facts=["swaps_within", "forced"],
                    hover="%{z:.2f} %: %{customdata[0]:,} swapped, %{customdata[1]:,} more out or in",
                    # At the first snapshot nothing has changed sides yet.
                    step=max(step, int(table["step"].min())) if len(table) else None,
                ),
                table,
            )
            for (_, _, label), table, step in zip(chosen, tables, steps, strict=True)
        ],
        "swaps-by-matrix",
        lambda label: f"Share of the weights of each matrix of {label} that were swapped, layer by matrix type.",
    )


def _snapshot(chosen: Chosen, key: str, first: int) -> float:
    """A share of training, because runs differ in their steps."""
    if all(len(scores.steps) == 1 for _, scores, _ in chosen):
        st.caption("One snapshot of training was recorded, so there is nothing to move through.")
        return 1.0
    chosen_percent = st.slider(
        "Snapshot (% of the steps)",
        0,
        100,
        first,
        step=5,
        key=key,
        bind="query-params",
        help=f"{explain('snapshot')} The one nearest to the slider is shown. The slider moves with the arrow keys; "
        "Play below a figure moves it through all snapshots.",
    )
    return int(chosen_percent) / 100


def _words(label: str, kind: str, layer: int | None) -> str:
    return messages.plain(with_matrices(label, kind, layer))


def _span(values: pd.Series[Any]) -> str:
    low, high = f"{values.min():z.2f}", f"{values.max():z.2f}"
    return low if low == high else f"{low} to {high}"


def _at(cuts: pd.DataFrame, which: str) -> pd.Series[Any]:
    known = cuts.dropna(subset="score_cut")
    end = known["step"].min() if which == "first" else known["step"].max()
    return known.loc[known["step"] == end, "score_cut"]


def _of_all_layers(chosen: Chosen, tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return controls.tables_of_runs(
        [
            (run, table[table["layer"].isna()].drop(columns="layer"))
            for (run, _, _), table in zip(chosen, tables, strict=True)
        ]
    )


def _side_by_side(
    chosen: Chosen, contents: Sequence[tuple[go.Figure, pd.DataFrame]], key: str, alt: Callable[[str], str]
) -> None:
    """A figure for each run; the second one's key ends in -beside."""
    columns = st.columns(len(chosen), gap="medium")
    for column, (run, _, label), (figure, table), suffix in zip(
        columns, chosen, contents, ("", "-beside"), strict=False
    ):
        with column:
            of_run = table.assign(run_id=run.run_id)
            controls.show_figure(figure, of_run, key=key + suffix, alt=alt(label), min_width=420)


def _with_lines(bins: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """What a figure of bins and lines draws, in one table: the column drawn says which a row is."""
    return pd.concat([bins.assign(drawn="bin"), lines.assign(drawn="line")], ignore_index=True)


def _outside(tables: Sequence[pd.DataFrame], scores: figures.Range) -> None:
    """How many weights are not drawn."""
    if count := sum(figures.n_outside(table, scores) for table in tables):
        st.caption(f"Weights beyond the axis: {count:,}. They are in the data.")
