"""Scores over training: where they lie, what they have to do with the weights, and when the mask is decided."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from smp_lab.analysis import scores as analysis
from smp_lab.figures import scores as figures
from smp_lab.figures.style import MATRIX_TITLES
from smp_lab.layout import MATRIX_TYPES
from smp_lab.storage.runs import RunRecord, ScoreHistory
from smp_lab.ui import cache, controls, messages

_EVERY = "all"
_DISTRIBUTION, _HISTORY, _WEIGHTS, _DECISION = _VIEWS = (
    "distribution",
    "over training",
    "score and weight",
    "when decided",
)

_MOMENT = "moment"
_PERCENT_STEP = 5
# How many moments have been played since the button was pressed; None where nothing plays.
_PLAYED = "moments_played"
_SECONDS_A_MOMENT = 0.8

Chosen = Sequence[tuple[RunRecord, ScoreHistory]]


def main() -> None:
    st.title("Scores")
    runs = controls.chosen_runs(cache.run_index())
    chosen = _pick(runs)
    with st.container(horizontal=True):
        view = st.segmented_control(
            "View", _VIEWS, default=_DISTRIBUTION, required=True, key="view", bind="query-params"
        )
        if view != _DECISION:
            kind, layer = _matrices(chosen)
    if view == _DECISION:
        _decision(chosen)
    elif view == _DISTRIBUTION:
        _play(chosen)
        playing = st.session_state.get(_PLAYED) is not None
        # While it plays, this part of the page alone is drawn again and again.
        st.fragment(_distribution, run_every=_SECONDS_A_MOMENT if playing else None)(chosen, kind, layer)
    elif view == _HISTORY:
        _history(chosen, kind, layer)
    else:
        _weights(chosen, kind, layer)


def _pick(runs: list[RunRecord]) -> Chosen:
    """One run, or two to stand side by side; the page ends where none has scores."""
    with_scores = {run.run_id: run for run in runs if run.has_scores}
    if not with_scores:
        st.info("None of these runs has scores: only methods that learn a score for each weight record them.")
        st.stop()
    left, right = st.columns(2)
    first = left.selectbox("Run", list(with_scores), key="score_run", bind="query-params")
    others = [run_id for run_id in with_scores if run_id != first]
    second = right.selectbox(
        "Beside it", [controls.NONE, *others], key="beside", bind="query-params", help="On the same scales."
    )
    picked = [with_scores[run_id] for run_id in (first, second) if run_id != controls.NONE]
    chosen = messages.readable(picked, cache.scores)
    if not chosen:
        st.stop()
    return chosen


def _matrices(chosen: Chosen) -> tuple[str, int | None]:
    layers = min(run.layout.n_layers for run, _ in chosen)
    kind = st.selectbox("Matrix type", [*MATRIX_TYPES, _EVERY], key="score_type", bind="query-params", width=200)
    layer = st.selectbox("Layer", [_EVERY, *map(str, range(layers))], key="score_layer", bind="query-params", width=100)
    return kind, None if layer == _EVERY else int(layer)


def _moment(chosen: Chosen, key: str, first: int) -> float:
    """A share of training, because runs differ in their steps."""
    if _still(chosen):
        st.caption("One moment of training was recorded, so there is nothing to move through.")
        return 1.0
    percent = st.slider(
        "Moment of training (% of the steps)",
        0,
        100,
        first,
        step=_PERCENT_STEP,
        key=key,
        bind="query-params",
        help="The recorded moment nearest to it. The slider moves with the arrow keys.",
    )
    return int(percent) / 100


def _still(chosen: Chosen) -> bool:
    return all(len(scores.steps) == 1 for _, scores in chosen)


def _play(chosen: Chosen) -> None:
    """A button that moves through training, or stops there."""
    if _still(chosen):
        st.session_state[_PLAYED] = None
    elif st.session_state.get(_PLAYED) is None:
        st.button("Play", icon=":material/play_arrow:", on_click=_start, help="Move through the recorded moments.")
    else:
        st.button("Stop", icon=":material/stop:", on_click=lambda: st.session_state.update({_PLAYED: None}))


def _start() -> None:
    st.session_state[_PLAYED] = 0
    if st.session_state[_MOMENT] == 100:
        st.session_state[_MOMENT] = 0


def _step_on() -> None:
    """One moment further where it plays; the first picture is the one that it starts from."""
    played = st.session_state.get(_PLAYED)
    if played is None:
        return
    if played:
        st.session_state[_MOMENT] = min(100, st.session_state[_MOMENT] + _PERCENT_STEP)
    st.session_state[_PLAYED] = played + 1


def _stop_at_the_end() -> None:
    if st.session_state.get(_PLAYED) is not None and st.session_state[_MOMENT] == 100:
        st.session_state[_PLAYED] = None
        st.rerun()


def _words(kind: str, layer: int | None) -> str:
    return MATRIX_TITLES[kind].lower() + ("" if layer is None else f", layer {layer}")


def _side_by_side(
    chosen: Chosen,
    contents: Sequence[tuple[go.Figure, pd.DataFrame]],
    key: str,
    alt: Callable[[str], str],
) -> None:
    """A figure for each run; the second one's key ends in -beside."""
    labels = controls.run_labels([run for run, _ in chosen])
    for place, (column, (run, _), (figure, table)) in enumerate(
        zip(st.columns(len(chosen), gap="medium"), chosen, contents, strict=True)
    ):
        with column:
            controls.show_figure(
                figure, table, key=key + ("-beside" if place else ""), alt=alt(labels[run.run_id]), min_width=420
            )


def _with_lines(bins: pd.DataFrame, lines: pd.DataFrame) -> pd.DataFrame:
    """What a figure of bins and lines draws, in one table: the column drawn says which a row is."""
    return pd.concat([bins.assign(drawn="bin"), lines.assign(drawn="line")], ignore_index=True)


def _beyond(tables: Sequence[pd.DataFrame]) -> None:
    """How many weights are not drawn, because their bin has no end."""
    count = sum(int(table.loc[table["density"].isna(), "count"].sum()) for table in tables)
    if count:
        st.caption(f"{count:,} weights lie in bins that have no end, and are in the data but not in the picture.")


def _distribution(chosen: Chosen, kind: str, layer: int | None) -> None:
    _step_on()
    share = _moment(chosen, _MOMENT, 100)
    labels = controls.run_labels([run for run, _ in chosen])
    tables, cuts, names, ranges = [], [], [], []
    for run, scores in chosen:
        place = analysis.moment_at(scores.steps, share)
        step = int(scores.steps[place])
        histograms = scores.kept_histogram, scores.removed_histogram
        tables.append(
            analysis.score_distribution(
                scores.edges, *(histogram[place] for histogram in histograms), run.layout, kind, layer
            )
        )
        every = analysis.score_cuts(scores.steps, scores.score_cut, run.layout, kind, layer)
        cuts.append(every[every["step"] == step])
        names.append(f"{labels[run.run_id]}, {_words(kind, layer)}, step {step:,} of {scores.steps[-1]:,}")
        # The axis stands still while the slider moves.
        ever = sum(histogram.sum(axis=0) for histogram in histograms)
        ranges.append(analysis.score_distribution(scores.edges, ever, 0 * ever, run.layout, kind, layer))
    scales = {"scores": figures.score_range(ranges), "densities": figures.density_range(tables)}
    drawn = [
        controls.drawn(figures.plot_distribution, table, cut, name, **scales)
        for table, cut, name in zip(tables, cuts, names, strict=True)
    ]
    _side_by_side(
        chosen,
        [
            (figure, _with_lines(table, cut.drop(columns="step")))
            for figure, table, cut in zip(drawn, tables, cuts, strict=True)
        ],
        "score-distribution",
        lambda label: (
            f"Distribution of the scores of kept and removed weights of {label} by layer, {_words(kind, layer)}."
        ),
    )
    _beyond(tables)
    _stop_at_the_end()


def _history(chosen: Chosen, kind: str, layer: int | None) -> None:
    labels = controls.run_labels([run for run, _ in chosen])
    tables = [
        analysis.score_history(
            scores.steps,
            scores.edges,
            scores.kept_histogram + scores.removed_histogram,
            run.layout,
            kind,
            layer,
        )
        for run, scores in chosen
    ]
    cuts = [analysis.score_cuts(scores.steps, scores.score_cut, run.layout, kind, layer) for run, scores in chosen]
    scales = {"scores": figures.score_range(tables), "densities": figures.density_range(tables)}
    drawn = [
        controls.drawn(
            figures.plot_score_history,
            table,
            cut,
            f"{labels[run.run_id]}, {_words(kind, layer)}",
            columns=3 if len(chosen) == 1 else 2,
            **scales,
        )
        for table, cut, (run, _) in zip(tables, cuts, chosen, strict=True)
    ]
    _side_by_side(
        chosen,
        [(figure, _with_lines(table, cut)) for figure, table, cut in zip(drawn, tables, cuts, strict=True)],
        "score-history",
        lambda label: f"Density of the scores of {label} over the steps of training, with the line of the score_cut.",
    )
    _beyond(tables)


def _weights(chosen: Chosen, kind: str, layer: int | None) -> None:
    labels = controls.run_labels([run for run, _ in chosen])
    tables = [
        analysis.weight_scores(
            scores.weight_edges, scores.edges, scores.weight_score_histogram, run.layout, kind, layer
        )
        for run, scores in chosen
    ]
    columns = [
        table.rename(columns={"low": "", "weight_low": "low", "high": "-", "weight_high": "high"}) for table in tables
    ]
    scales = {
        "weights": figures.score_range(columns),
        "scores": figures.score_range(tables),
        "densities": figures.density_range(tables),
    }
    drawn = []
    for table, (run, scores) in zip(tables, chosen, strict=True):
        cuts = analysis.score_cuts(scores.steps[-1:], scores.score_cut[-1:], run.layout, kind, layer)
        by_size = analysis.magnitude_cuts(
            scores.weight_edges, scores.weight_score_histogram, scores.kept[-1], run.layout, kind, layer
        )
        name = f"{labels[run.run_id]}, {_words(kind, layer)}"
        figure = controls.drawn(
            figures.plot_weight_scores, table, cuts["score_cut"], by_size["magnitude_cut"], name, **scales
        )
        drawn.append((figure, _with_lines(table, cuts.merge(by_size))))
    _side_by_side(
        chosen,
        drawn,
        "score-and-weight",
        lambda label: f"Final scores of {label} against the absolute pre-trained weights, {_words(kind, layer)}.",
    )
    _beyond(tables)
    st.markdown(
        "Magnitude pruning keeps what is to the **right** of its line: it looks at |W| alone (zeroth order). A learned "
        "score keeps what is **above** the other line: where the loss wants the weight further from zero (first order)."
    )
    shares = [
        analysis.kept_by_magnitude(scores.kept_by_magnitude, scores.kept[-1], run.layout) for run, scores in chosen
    ]
    for (run, _), table in zip(chosen, shares, strict=True):
        part = table.iloc[analysis.places(run.layout, kind, layer)]
        both, kept = int(part["both"].sum()), int(part["kept"].sum())
        if kept:
            chance = (part["kept"] * part["chance"]).sum() / kept
            st.markdown(
                f"{labels[run.run_id]}, {_words(kind, layer)}: magnitude pruning of the same weights would have kept "
                f"**{controls.percent(both / kept)}** of the mask too ({both:,} of {kept:,}); chance would give "
                f"{controls.percent(chance)}."
            )
    _side_by_side(
        chosen,
        [
            (
                controls.drawn(
                    figures.plot_matrices,
                    table.assign(percent=100 * table["share"], n_first=table["both"], n_second=table["chance"] * 100),
                    "percent",
                    "What magnitude would have kept too",
                    f"{labels[run.run_id]}; % of the mask of each matrix, at its own remaining fraction",
                    "Of the mask (%)",
                    values=(0, 100),
                    hover="%{z:.1f} % of the mask, %{customdata[0]:,} weights; by chance %{customdata[1]:.1f} %",
                ),
                table,
            )
            for (run, _), table in zip(chosen, shares, strict=True)
        ],
        "kept-by-magnitude",
        lambda label: f"Share of the mask of {label} that magnitude pruning would have kept too, layer by matrix type.",
    )


def _decision(chosen: Chosen) -> None:
    measure = st.segmented_control(
        "Similarity to the final mask",
        analysis.SIMILARITIES,
        default=analysis.RECALL,
        required=True,
        format_func=lambda name: name.split("_")[0].capitalize(),
        key="similarity",
        bind="query-params",
    )
    similar = [
        analysis.similarity_to_final(scores.steps, scores.kept, scores.kept_in_final, run.layout)
        for run, scores in chosen
    ]
    flips = [
        analysis.flips_between_moments(scores.steps, scores.flips_in, scores.flips_out, run.layout)
        for run, scores in chosen
    ]
    runs = [run for run, _ in chosen]
    labels = controls.run_labels(runs)
    color = controls.color_by()
    lines = controls.tables_of_runs(
        [(run, table[table["layer"].isna()].drop(columns="layer")) for run, table in zip(runs, similar, strict=True)]
    )
    controls.show_figure(
        controls.drawn(figures.plot_similarity, lines, measure, color),
        lines,
        key="similarity-to-final",
        alt=f"{figures.SIMILARITY_TITLES[measure]} over the steps of {len(chosen)} runs, overall and by matrix type.",
        min_width=860,
    )
    # At the end every mask is the final one, so the picture starts in the middle.
    share = _moment(chosen, "decided_by", 50)
    steps = [int(scores.steps[analysis.moment_at(scores.steps, share)]) for _, scores in chosen]
    parts = [
        table[table["layer"].notna() & (table["step"] == step)] for table, step in zip(similar, steps, strict=True)
    ]
    _side_by_side(
        chosen,
        [
            (
                controls.drawn(
                    figures.plot_matrices,
                    part.assign(n_first=part["n_both"], n_second=part["n_b"]),
                    measure,
                    f"{figures.SIMILARITY_TITLES[measure].split(',')[0]}, matrix by matrix",
                    f"{labels[run.run_id]}, step {step:,}",
                    "Similarity (no unit)",
                    values=(0, 1),
                    hover="%{z:.3f}<br>%{customdata[0]:,} in common, %{customdata[1]:,} in the end",
                ),
                part,
            )
            for run, part, step in zip(runs, parts, steps, strict=True)
        ],
        "similarity-by-matrix",
        lambda label: f"Similarity of the mask of {label} to its final mask at a moment, layer by matrix type.",
    )
    changes = controls.tables_of_runs(
        [
            (run, table[table["matrix_type"] == analysis.ALL_TYPES].drop(columns="layer"))
            for run, table in zip(runs, flips, strict=True)
        ]
    )
    controls.show_figure(
        controls.drawn(figures.plot_moment_flips, changes, color),
        changes,
        key="moment-flips",
        alt=f"Weights that change sides between moments of {len(chosen)} runs: forced, swapped inside a matrix, moved.",
        min_width=760,
    )
    _flips_by_matrix(chosen, flips, steps, labels)


def _flips_by_matrix(
    chosen: Chosen, flips: Sequence[pd.DataFrame], steps: Sequence[int], labels: dict[str, str]
) -> None:
    contents = []
    for (run, _), table, step in zip(chosen, flips, steps, strict=True):
        part = table[table["layer"].notna() & (table["step"] == step)]
        # Of a table without rows the column would stay text.
        n_weights = part["matrix_type"].map({kind: run.layout.size(kind) for kind in MATRIX_TYPES}).astype(float)
        part = part.assign(n_weights=n_weights, percent=100 * part["swaps_within"] / n_weights)
        contents.append((part, step, labels[run.run_id]))
    if all(part.empty for part, _, _ in contents):
        st.caption("At the first moment nothing has changed sides yet. Move the slider to see swaps by matrix.")
        return
    highest = max(float(part["percent"].max()) for part, _, _ in contents if len(part))
    _side_by_side(
        chosen,
        [
            (
                controls.drawn(
                    figures.plot_matrices,
                    part.assign(n_first=part["swaps_within"], n_second=part["forced"]),
                    "percent",
                    "Swaps inside each matrix",
                    f"{label}, up to step {step:,}, since the moment before",
                    "Of the matrix (%)",
                    values=(0, highest or 1),
                    hover="%{z:.2f} %: %{customdata[0]:,} swapped, %{customdata[1]:,} more out or in",
                ),
                part,
            )
            for part, step, label in contents
        ],
        "swaps-by-matrix",
        lambda label: f"Share of the weights of each matrix of {label} that were swapped, layer by matrix type.",
    )


main()
