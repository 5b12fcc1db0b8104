"""What masks of different tasks, seeds and methods have in common, with what chance alone would give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from smp_lab.analysis import overlap
from smp_lab.analysis.transfer import transfer_table
from smp_lab.figures import overlap as figures
from smp_lab.figures.transfer import plot_transfer
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.runs import RunRecord
from smp_lab.storage.transfers import TransferRecord
from smp_lab.tasks import TASKS
from smp_lab.ui import cache, controls, links, messages

_PAIR = ["run_a", "run_b"]
_RUN_A, _RUN_B = "pair_a", "pair_b"
_FEW_REGIONS = 4
_BY_SIZE = ("phi_partial", "phi_magnitude")
# Caps of phi_within below this change how a value reads; runs of one level of smp_s have caps around 0.9.
_LOW_CAP = 0.75


def main() -> None:
    st.title("Overlap")
    runs = _comparable(controls.chosen_runs(cache.run_index(), otherwise=controls.ALL_SEEDS_AND_CONTROLS))
    if len(runs) < 2:
        st.info("Overlap needs two runs with masks of the same encoder. Choose or train another one.")
        return
    scored = [run for run, _ in messages.readable(runs, cache.magnitudes)]
    with messages.sentence_on_error():
        counts = cache.pairwise_overlap(_masks_of(runs), scored)
    labels = controls.run_labels(runs)
    pairs = _with_facts(overlap.measure_overlap(counts, _PAIR), runs, labels)
    measure = _pick_measure(pairs)
    # The pair is asked for further down, and framed up here.
    above = st.container()
    st.subheader("One pair")
    a, b = _pick_pair(list(labels))
    with above:
        _all_pairs(pairs, labels, measure, (a, b))
    with messages.slot():
        if a == b:
            st.info("A and B are the same run. Choose two.")
        else:
            by_id = {run.run_id: run for run in runs}
            _one_pair(counts, pairs, by_id[a], by_id[b], labels, measure)
    _several(runs, labels)
    _transfers(runs, labels)


def _comparable(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs with readable masks of one encoder; which encoder is asked where nobody chose runs of one."""
    dense = [run for run in runs if not run.has_masks]
    with messages.slot():
        if dense:
            names = ", ".join(run.run_id for run in dense)
            st.caption(f"Without a mask, and so left out: {names}.")
    runs = [run for run in runs if run.has_masks]
    with messages.sentence_on_error():
        if st.session_state.get(links.RUNS):
            overlap.check_one_encoder({run.run_id: run.config for run in runs})
    encoders = Counter(_encoder(run) for run in runs)
    with messages.slot():
        if len(encoders) > 1:
            by_size = [encoder for encoder, _ in encoders.most_common()]
            encoder = st.selectbox("Encoder", by_size, key="encoder", bind="query-params")
            runs = [run for run in runs if _encoder(run) == encoder]
    with st.spinner("Reading the masks", show_time=True):
        readable = {mask.mask_id for mask, _ in messages.readable(_masks_of(runs), cache.masks)}
    return [run for run in runs if run.run_id in readable]


def _masks_of(runs: Iterable[RunRecord]) -> list[MaskRecord]:
    return [mask for run in runs if (mask := run.mask_record) is not None]


def _encoder(run: RunRecord) -> str:
    return f"{run.config.base_model} ({run.config.base_model_sha256[:8]})"


def _with_facts(pairs: pd.DataFrame, runs: Sequence[RunRecord], labels: dict[str, str]) -> pd.DataFrame:
    """The measures of each pair with names, tasks and methods, and what the two runs share."""
    configs = {run.run_id: run.config for run in runs}
    facts = {
        f"{name}_{side}": [value(run_id) for run_id in pairs[f"run_{side}"]]
        for name, value in (
            ("label", labels.__getitem__),
            ("task", lambda run_id: configs[run_id].task),
            ("method", lambda run_id: configs[run_id].method),
        )
        for side in "ab"
    }
    kinds = [overlap.pair_kind(configs[a], configs[b]) for a, b in zip(pairs["run_a"], pairs["run_b"], strict=True)]
    return pairs.assign(**facts, kind=kinds, capped=pairs["phi_within_max"] < _LOW_CAP)


def _pick_measure(pairs: pd.DataFrame) -> str:
    name = st.selectbox("Measure", list(overlap.MEASURES), key="measure", bind="query-params", width=260)
    measure = overlap.MEASURES[name]
    st.markdown(f"{measure.answers} &nbsp; `{name} = {measure.formula}`")
    with messages.slot():
        _caution(pairs, name)
    return name


def _caution(pairs: pd.DataFrame, name: str) -> None:
    """What to know before reading this measure of these pairs."""
    measure = overlap.MEASURES[name]
    capped = pairs["capped"]
    if measure.capped and capped.any():
        lowest = pairs[f"{name}_max"].min()
        st.warning(
            f"The runs keep very different shares of the same matrices: in {capped.sum():,} of {len(pairs):,} pairs "
            f"that alone keeps {name} far from 1, in the most unequal one at {lowest:.2f} or below, however well the "
            "masks agree. Compare pairs that keep as much, or take phi_share, which divides by that cap, or "
            "containment, which asks whether the smaller mask lies in the larger."
        )
    if pairs[name].isna().all() and name in _BY_SIZE:
        st.info(
            "phi_partial is unknown for all of these pairs. It needs magnitude masks that keep as much as either run, "
            "and a record has each run's at its own: only runs that keep the same number of weights in every matrix, "
            "as those of smp_l do, can be compared so. phi_magnitude asks the same of any two remaining fractions."
            if name == "phi_partial"
            else "phi_magnitude is unknown for all of these pairs: it needs the scores of both runs over one |W|."
        )


def _all_pairs(pairs: pd.DataFrame, labels: dict[str, str], measure: str, framed: tuple[str, str]) -> None:
    runs = list(labels)
    tree = cache.overlap_tree(pairs[[*_PAIR, "phi_within"]], runs)
    a, b = (pairs[side].map(runs.index).to_numpy() for side in _PAIR)
    # The tree, as a number for each pair: the height at which it brings the two together.
    pairs = pairs.assign(phi_within_joined=tree.joined()[a, b])
    controls.show_figure(
        controls.drawn(figures.plot_pairs, pairs, labels, tree.order, tree.merges, measure, framed),
        pairs,
        key="all-pairs",
        alt=f"{measure} for each of {len(pairs)} pairs of {len(runs)} runs, similar runs side by side.",
        min_width=300 + (34 if len(runs) <= figures.MOST_WITH_NUMBERS else 18) * len(runs),
        on_click=_open_pair,
    )
    st.caption(
        "Click a cell to open that pair below. The order of the runs is that of phi_within (average linkage), whatever "
        "measure is shown."
    )
    kinds = [kind for kind in overlap.PAIR_KINDS if kind != overlap.WITH_CONTROL or kind in set(pairs["kind"])]
    controls.show_figure(
        controls.drawn(figures.plot_pair_kinds, pairs, kinds, measure, controls.color_by()),
        pairs,
        key="pair-kinds",
        alt=f"{measure} of {len(pairs)} pairs, a dot each: {', '.join(kinds)}.",
        min_width=520,
        on_click=_open_pair,
    )
    if overlap.SAME_TASK_OTHER_SEED in set(pairs["kind"]):
        st.caption(
            "Two seeds of one task set the ceiling: masks of two tasks are told apart only by what falls below it."
        )
    else:
        st.caption(
            "No two of these runs differ in their seed alone, so nothing here says how far apart two masks of the SAME "
            "task would be. Train one of the tasks with another seed before reading differences between tasks."
        )


def _open_pair(facts: Sequence[Any]) -> None:
    st.session_state[_RUN_A], st.session_state[_RUN_B] = facts[:2]


def _pick_pair(run_ids: list[str]) -> tuple[str, str]:
    left, right = st.columns(2)
    a = left.selectbox("A", run_ids, key=_RUN_A, bind="query-params")
    b = right.selectbox("B", run_ids, index=1, key=_RUN_B, bind="query-params")
    return a, b


def _one_pair(
    counts: pd.DataFrame,
    pairs: pd.DataFrame,
    run_a: RunRecord,
    run_b: RunRecord,
    labels: dict[str, str],
    measure: str,
) -> None:
    a, b = run_a.run_id, run_b.run_id
    # Every pair is in the tables once, in the order of the runs; A and B are whatever was asked for.
    pair = _turned(pairs, a, b).iloc[0]
    title = f"A: {labels[a]}; B: {labels[b]}"
    in_two_lines = title.replace("; B:", "<br>B:")
    chance = "none" if pair["expected"] == 0 else f"{100 * pair['lift']:.1f} % of the {pair['expected']:,.0f}"
    st.markdown(
        f"A keeps {pair['n_a']:,} of {pair['n_weights']:,} weights, B {pair['n_b']:,}. "
        f"Both keep **{pair['n_both']:,}**, {chance} that chance within each matrix gives; that is "
        f"{_share(pair['n_both'], pair['n_a'])} of A and {_share(pair['n_both'], pair['n_b'])} of B."
    )
    shared = overlap.shared_circles(pair)
    controls.show_figure(
        controls.drawn(figures.plot_shared, shared, labels[a], labels[b]),
        shared,
        key="shared-weights",
        alt=f"Two circles for the weights of A and of B, and what they share, counted and by chance. {title}.",
        min_width=520,
    )
    # In one matrix nothing lies between matrices, and a record has the sizes of weights by matrix, not by head.
    per_matrix = "phi_within" if measure in ("phi_pooled", "phi_between") else measure
    per_head = "phi_within" if measure in _BY_SIZE else per_matrix
    left, right = st.columns(2, gap="medium")
    with left:
        by_matrix = overlap.measure_overlap(_turned(counts, a, b), ["layer", "matrix_type"])
        controls.show_figure(
            controls.drawn(figures.plot_matrices, by_matrix, per_matrix, in_two_lines),
            by_matrix,
            key="pair-matrices",
            alt=f"{per_matrix} by layer and matrix type. {title}.",
            min_width=400,
        )
    with right:
        by_head = overlap.measure_overlap(cache.head_overlap(*_masks_of([run_a, run_b])), ["layer", "head"])
        controls.show_figure(
            controls.drawn(
                figures.plot_heads, by_head, per_head, "query, key, value and attention output", in_two_lines
            ),
            by_head,
            key="pair-heads",
            alt=f"{per_head} by layer and attention head. {title}.",
            min_width=400,
        )
    _measures(pair)


def _turned(table: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Rows of one pair, with the columns of its two sides so named that A is `a`."""
    rows = table[(table["run_a"] == a) & (table["run_b"] == b)]
    if len(rows):
        return rows
    rows = table[(table["run_a"] == b) & (table["run_b"] == a)]
    sides = {"_a": "_b", "_b": "_a"}
    return rows.rename(columns=lambda name: name[:-2] + sides.get(name[-2:], name[-2:]))


def _share(part: int, whole: int) -> str:
    return controls.percent(part / whole) if whole else "none"


def _measures(pair: pd.Series[Any]) -> None:
    """Every measure of the pair with its chance level, its cap, its formula and the question it answers."""
    table = pd.DataFrame(
        {
            "measure": name,
            "value": pair[name],
            "chance": pair.get(f"{name}_chance", np.nan) if measure.chance is None else measure.chance,
            "cap": pair.get(f"{name}_max", np.nan),
            "answers": measure.answers,
            "formula": measure.formula,
        }
        for name, measure in overlap.MEASURES.items()
    )
    written = {column: table[column].map(_number) for column in ("value", "chance", "cap")}
    st.table(
        table.assign(**written, formula="`" + table["formula"] + "`").rename(
            columns={
                "measure": "Measure",
                "value": "Value",
                "chance": "By chance",
                "cap": "At most",
                "answers": "What it answers",
                "formula": "Formula",
            }
        ),
        border="horizontal",
        hide_index=True,
        alt="Every measure of the pair with its chance level, cap, question and formula",
    )
    st.caption(
        "In the formulas a, b and o are the weights of one matrix that A, B and both keep, N all its weights; "
        "e = ab/N is o by chance, v = a(N - a)/N and w the same of b; sums run over the matrices. There are no "
        "p-values: with millions of weights everything is significant, and seeds are the unit to count."
    )
    controls.data_downloads(table, "pair-measures")


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{float(value):z.4f}"


def _several(runs: Sequence[RunRecord], labels: dict[str, str]) -> None:
    st.subheader("Several runs at once")
    if len(runs) < 3:
        st.info("Intersections of several masks need three runs or more.")
        return
    ids = list(labels)
    chosen = st.multiselect(
        f"Runs to intersect (3 to {overlap.MOST_REGION_RUNS})",
        ids,
        default=ids[:_FEW_REGIONS],
        max_selections=overlap.MOST_REGION_RUNS,
        key="sets",
        bind="query-params",
    )
    if len(chosen) < 3:
        st.info("Choose three runs or more.")
        return
    with messages.sentence_on_error():
        regions = cache.region_counts(_masks_of(run for run in runs if run.run_id in chosen))
    names = {run_id: labels[run_id] for run_id in ids if run_id in chosen}
    controls.show_figure(
        controls.drawn(figures.plot_regions, regions, names),
        regions,
        key="regions",
        alt=f"Weights kept by exactly one combination of {len(names)} runs, counted and by chance.",
        min_width=640,
    )
    table = overlap.consensus(regions)
    st.dataframe(
        table.assign(remaining=100 * table["remaining"], expected=100 * table["expected"]),
        column_order=["rule", "kept", "n_weights", "remaining", "expected", "lift"],
        column_config={
            "rule": st.column_config.TextColumn(
                "Mask", help="Kept by any of the runs, by more than half of them, by all of them."
            ),
            "kept": st.column_config.NumberColumn("Kept", format="localized"),
            "n_weights": st.column_config.NumberColumn("Weights", format="localized"),
            "remaining": st.column_config.NumberColumn("Remaining (%)", format="%.3f", help="Scope: encoder."),
            "expected": st.column_config.NumberColumn("By chance (%)", format="%.3f"),
            "lift": st.column_config.NumberColumn("Times chance", format="%.3f"),
        },
        hide_index=True,
        alt="Weights that remain in the union, the majority and the intersection of the chosen masks",
    )
    st.caption(
        "Remaining: percent of the encoder's prunable weights. By chance: the masks independent in every matrix."
    )
    controls.data_downloads(table, "consensus")


def _transfers(runs: Sequence[RunRecord], labels: dict[str, str]) -> None:
    """What the masks score on one another's tasks, where it was measured."""
    st.subheader("Mask transfer")
    st.markdown(
        "Where the weights are frozen, a mask, the encoder and a task's label words are a whole classifier. So the "
        "mask of one task can be put into the classifier of another, with nothing trained."
    )
    index = cache.transfer_index()
    with messages.slot():
        for _, sentence in index.problems:
            st.error(sentence)
        measured = _of_these(index.transfers.values(), runs)
    levels = sorted({_level(transfer) for transfer in measured}, key=lambda level: float(level.split()[0]))
    if levels:
        level = levels[0]
        if len(levels) > 1:
            level = st.selectbox("Remaining", levels, key="transfer_level", bind="query-params", width=160)
        _transfer_matrix([transfer for transfer in measured if _level(transfer) == level], labels)
    able = [run for run in runs if run.config.head == "label_words" and not run.config.method_info.trains_weights]
    done = {(transfer.settings.mask_run, transfer.settings.task) for transfer in measured}
    tasks = {run.config.task for run in able}
    if not {(run.run_id, task) for run in able for task in tasks} <= done:
        st.caption("Not every mask was scored on every task here yet. What is missing is filled by:")
        st.code(f"smp-lab transfer {' '.join(run.run_id for run in able)}", language="shell", wrap_lines=True)
    elif not able:
        st.info("These runs train the weights or a head, which no record holds: their masks fit their own task alone.")


def _level(transfer: TransferRecord) -> str:
    return controls.percent(transfer.settings.mask_remaining)


def _of_these(transfers: Iterable[TransferRecord], runs: Sequence[RunRecord]) -> list[TransferRecord]:
    """Transfers of the masks that these runs hold now, and of control masks that keep as much of the same encoder."""
    chosen = {run.run_id: run for run in runs}
    candidates = [t for t in transfers if t.settings.mask_run in chosen]
    # Not of every run: with many of them each digest is a mask read again.
    asked = {str(t.settings.mask_run) for t in candidates}
    digests = {mask.mask_id: cache.mask_sha256(mask) for mask in _masks_of(chosen[run] for run in asked)}
    found = [t for t in candidates if digests[str(t.settings.mask_run)] == t.settings.mask_sha256]
    if stale := sorted({str(t.settings.mask_run) for t in candidates} - {str(t.settings.mask_run) for t in found}):
        st.warning(f"Measured with another mask than the run holds now, and left out: {', '.join(stale)}.")
    kinds = {(t.settings.base_model_sha256, t.settings.mask_remaining) for t in found}
    return found + [
        t
        for t in transfers
        if t.settings.mask_run is None and (t.settings.base_model_sha256, t.settings.mask_remaining) in kinds
    ]


def _transfer_matrix(transfers: Sequence[TransferRecord], labels: dict[str, str]) -> None:
    places = {task: place for place, task in enumerate(TASKS)}
    with st.spinner("Resampling the development sets", show_time=True):
        found = [cache.transfer_reliability(t, t.settings.task_info.main_metric) for t in transfers]
    rows = []
    for transfer, reliability in zip(transfers, found, strict=True):
        settings = transfer.settings
        metric = settings.task_info.main_metric
        control = controls.method_name(settings.mask_method)
        if settings.mask_method == "random":
            control += f", draw {settings.mask_seed}"
        rows.append(
            {
                "transfer_id": transfer.transfer_id,
                "label": labels.get(str(settings.mask_run), control),
                "mask_run": settings.mask_run,
                "mask_task": settings.mask_task,
                "mask_method": settings.mask_method,
                "mask_seed": settings.mask_seed,
                "task": settings.task,
                "classifier": settings.classifier,
                "metric": metric,
                "value": transfer.results["metrics"][metric],
                "low": reliability.low,
                "high": reliability.high,
                "n_examples": reliability.n_examples,
                "majority": transfer.results["majority"][metric],
            }
        )
    table = pd.DataFrame(rows)
    table = table.assign(
        mask_place=table["mask_task"].map(places).fillna(len(places)), task_place=table["task"].map(places)
    ).sort_values(["mask_place", "label", "task_place"], kind="stable", ignore_index=True)
    table = transfer_table(table.drop(columns=["mask_place", "task_place"]))
    controls.show_figure(
        controls.drawn(plot_transfer, table),
        table,
        key="transfer",
        alt=f"Main metric of {table['label'].nunique()} masks on {table['task'].nunique()} tasks, with control masks.",
        min_width=360 + 110 * table["task"].nunique(),
    )
    st.caption(
        "Colours go from one and the same answer for all examples, the majority's, to the task's own masks, and are "
        "neutral where those are no better than that. Random masks are draws; magnitude keeps the largest weights of "
        "every matrix. Differences inside the intervals of a development set are noise."
    )


main()
