"""What masks of different tasks, seeds and methods have in common, with what chance alone would give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import streamlit as st

from smp_lab.analysis import overlap
from smp_lab.figures import overlap as figures
from smp_lab.figures.style import HEAD_WORDS
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.ui import cache, controls, links, messages, overlap_words
from smp_lab.ui import overlap_sections as sections
from smp_lab.ui.glossary import explain

_PAIR = ["run_a", "run_b"]
_RUN_A, _RUN_B = "pair_a", "pair_b"
Labels = Mapping[str, str]


def main() -> None:
    st.title("How much do masks agree?")
    answer = messages.answer_slot()
    runs, opened = controls.chosen_runs_and_masks(cache.run_index(), otherwise=controls.ALL_SEEDS_AND_CONTROLS)
    masks = sections.comparable([*runs, *opened])
    runs = [run for run in runs if run.run_id in {mask.mask_id for mask in masks}]
    if len(masks) < 2:
        st.info("Overlap needs two runs with masks of the same encoder. Choose or train another one.")
        return
    labels = controls.run_labels([*runs, *(mask for mask in opened if mask in masks)])
    scored = [run for run, _ in messages.readable(runs, cache.magnitudes)]
    with messages.sentence_on_error():
        counts = cache.pairwise_overlap(masks, scored)
    measured = cache.computed(overlap.measure_overlap, counts, _PAIR)
    pairs = cache.computed(overlap.describe_pairs, measured, masks, labels)
    measure = sections.pick_measure(pairs)
    with answer:
        st.markdown(cache.computed(overlap_words.answer, pairs, measure), help=explain("phi", "lift"))
    _kinds(pairs, measure)
    a, b = _pair_beside_all(pairs, labels, measure)
    with messages.slot():
        if a != b:
            by_id = {mask.mask_id: mask for mask in masks}
            _one_pair(counts, pairs, by_id[a], by_id[b], labels, measure)
    sections.several(masks, labels)
    sections.transfers(runs, labels)


def _kinds(pairs: pd.DataFrame, measure: str) -> None:
    kinds = overlap.kinds_of(pairs)
    controls.show(
        figures.plot_pair_kinds,
        pairs,
        kinds,
        measure,
        controls.color_by(),
        key="pair-kinds",
        alt=f"{measure} of {len(pairs)} pairs, a dot each: {', '.join(kinds)}.",
        min_width=520,
        on_click=_open_pair,
    )
    st.caption(overlap.ceiling(pairs))


def _pair_beside_all(pairs: pd.DataFrame, labels: Labels, measure: str) -> tuple[str, str]:
    """Every pair in one figure, and the pair that is clicked there beside it."""
    ids = list(labels)
    beside, pair = st.columns([3, 2], gap="medium")
    with pair:
        st.header("One pair")
        a = controls.pick("A", labels, key=_RUN_A)
        b = controls.pick("B", labels, key=_RUN_B, index=1)
        if a == b:
            st.info("A and B are the same run. Choose two.")
        else:
            row = overlap.rows_of_pair(pairs, a, b).iloc[0]
            st.metric(figures.SCALES[measure].title, overlap.number(row[measure]))
            st.markdown(overlap_words.pair(row))
    joined, tree = cache.computed(overlap.joined_pairs, pairs, ids)
    with beside:
        controls.show(
            figures.plot_pairs,
            joined,
            labels,
            tree.order,
            tree.merges,
            measure,
            (a, b),
            key="all-pairs",
            alt=f"{measure} for each of {len(pairs)} pairs of {len(ids)} runs, similar runs side by side.",
            # Labels and the colour bar take 400 pixels; a number takes 30.
            min_width=400 + 34 * len(ids) if len(ids) <= figures.MOST_WITH_NUMBERS else 230 + 18 * len(ids),
            on_click=_open_pair,
        )
        st.caption("Click a cell to open that pair. Runs are in the order of phi within matrices (average linkage).")
    return a, b


def _open_pair(facts: Sequence[Any]) -> None:
    links.put({_RUN_A: facts[0], _RUN_B: facts[1]})


def _one_pair(
    counts: pd.DataFrame, pairs: pd.DataFrame, mask_a: MaskRecord, mask_b: MaskRecord, labels: Labels, measure: str
) -> None:
    a, b = mask_a.mask_id, mask_b.mask_id
    pair = overlap.rows_of_pair(pairs, a, b).iloc[0]
    title = f"A: {labels[a]}; B: {labels[b]}"
    in_two_lines = title.replace("; B:", "<br>B:")
    circles = f"Two circles for the weights of A and of B, and what they share, counted and by chance. {title}."
    shared = overlap.shared_circles(pair)
    controls.show(figures.plot_shared, shared, labels[a], labels[b], key="shared-weights", alt=circles, min_width=520)
    of_matrix, of_head = overlap.measures_of_parts(measure)
    by_matrix = cache.computed(overlap.measure_overlap, overlap.rows_of_pair(counts, a, b), ["layer", "matrix_type"])
    by_head = cache.computed(overlap.measure_overlap, cache.head_overlap(mask_a, mask_b), ["layer", "head"])
    left, right = st.columns(2, gap="medium")
    with left:
        alt = f"{of_matrix} by layer and matrix type. {title}."
        controls.show(
            figures.plot_parts, by_matrix, of_matrix, in_two_lines, key="pair-matrices", alt=alt, min_width=400
        )
    with right:
        alt = f"{of_head} by layer and attention head. {title}."
        controls.show(
            figures.plot_parts, by_head, of_head, in_two_lines, HEAD_WORDS, key="pair-heads", alt=alt, min_width=400
        )
    st.table(
        overlap_words.measures(pair),
        border="horizontal",
        hide_index=True,
        alt="Every measure of the pair with its chance level, cap, question and formula",
    )
    st.caption(f"{overlap_words.LETTERS} {overlap_words.NO_P_VALUES}")
    controls.data_downloads(overlap.pair_measures(pair), "pair-measures")


main()
