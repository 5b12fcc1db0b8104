"""Parts of the overlap page: which masks can be compared, several at once, and what they score on other tasks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st

from smp_lab.analysis import overlap, transfer
from smp_lab.analysis.labels import percent
from smp_lab.figures.overlap import SCALES, plot_regions
from smp_lab.figures.transfer import plot_transfer
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.runs import Masked, RunRecord, masks_of
from smp_lab.storage.transfers import TransferRecord
from smp_lab.ui import cache, columns, controls, links, messages, overlap_words
from smp_lab.ui.glossary import explain

_FEW_REGIONS = 4


def comparable(runs: Sequence[Masked]) -> list[MaskRecord]:
    """The readable masks of one encoder; which encoder is asked where nobody chose runs of one."""
    masks = masks_of(runs)
    with messages.slot():
        if dense := [run for run in runs if isinstance(run, RunRecord) and not run.has_masks]:
            names = controls.run_labels(dense).values()
            st.caption(messages.plain(f"Without a mask, and so left out: {', '.join(names)}."))
    with messages.sentence_on_error():
        if st.session_state.get(links.RUNS):
            overlap.check_one_encoder(masks)
    encoders = [encoder for encoder, _ in Counter(map(overlap.encoder_name, masks)).most_common()]
    with messages.slot():
        if len(encoders) > 1:
            encoder = st.selectbox("Encoder", encoders, key="encoder", bind="query-params")
            masks = [mask for mask in masks if overlap.encoder_name(mask) == encoder]
    with st.spinner("Reading the masks", show_time=True):
        return [mask for mask, _ in messages.readable(masks, cache.masks)]


def pick_measure(pairs: pd.DataFrame) -> str:
    """The choice of a measure, what it asks and where its numbers need care."""
    titles = {name: SCALES[name].title for name in overlap.MEASURES}
    name = controls.pick("Measure", titles, key="measure", width=300)
    measure = overlap.MEASURES[name]
    st.markdown(measure.answers, help=f"`{name} = {measure.formula}`\n\n{overlap_words.LETTERS}")
    with messages.slot():
        if caution := overlap_words.caution(pairs, name):
            with st.expander("Read these numbers with care", icon=":material/info:"):
                st.markdown(caution)
    return name


def several(masks: Sequence[MaskRecord], labels: Mapping[str, str]) -> None:
    """What some masks keep alone and together."""
    st.header("Several runs at once")
    if len(masks) < 3:
        st.info("Intersections of several masks need three runs or more.")
        return
    chosen = controls.pick_several(
        f"Runs to intersect (3 to {overlap.MOST_REGION_RUNS})",
        labels,
        key="sets",
        first=list(labels)[:_FEW_REGIONS],
        most=overlap.MOST_REGION_RUNS,
    )
    if len(chosen) < 3:
        st.info("Choose three runs or more.")
        return
    with messages.sentence_on_error():
        regions = cache.region_counts([mask for mask in masks if mask.mask_id in chosen])
    controls.show(
        plot_regions,
        regions,
        {mask_id: label for mask_id, label in labels.items() if mask_id in chosen},
        key="regions",
        alt=f"Weights kept by exactly one combination of {len(chosen)} runs, counted and by chance.",
        min_width=640,
    )
    table = cache.computed(overlap.consensus, regions)
    columns.show(
        table.round({"remaining": 5, "expected": 5}),
        column_order=list(overlap_words.CONSENSUS_COLUMNS),
        column_config=overlap_words.CONSENSUS_COLUMNS,
        alt="Weights that remain in the union, the majority and the intersection of the chosen masks",
    )
    st.caption("Kept: of the encoder's prunable weights. By chance: the masks independent in every matrix.")
    controls.data_downloads(table, "consensus")


def transfers(runs: Sequence[RunRecord], labels: Mapping[str, str]) -> None:
    """What the masks score on one another's tasks, where it was measured."""
    st.header("Mask transfer")
    st.markdown(
        "Where the weights are frozen, a mask, the encoder and a task's label words are a whole classifier. So the "
        "mask of one task can be put into the classifier of another, with nothing trained."
    )
    index = cache.transfer_index()
    with messages.slot():
        for _, sentence in index.problems:
            messages.error(sentence)
        measured = _of_these(list(index.records.values()), runs, labels)
    fractions = sorted({t.settings.mask_remaining for t in measured})
    levels = list(dict.fromkeys(map(percent, fractions)))
    if levels:
        level = levels[0]
        if len(levels) > 1:
            level = st.selectbox(
                "Asked to keep",
                levels,
                key="transfer_level",
                bind="query-params",
                width=160,
                help=explain("asked to keep"),
            )
        _matrix([t for t in measured if percent(t.settings.mask_remaining) == level], labels)
    able = controls.can_be_measured(runs)
    done = {(t.settings.mask_run, t.settings.task) for t in measured}
    if not {(run.run_id, other.config.task) for run in able for other in able} <= done:
        st.caption("Not every mask was scored on every task here yet. What is missing is filled by:")
        controls.command("transfer", *(run.run_id for run in able))
    elif runs and not any(run.config.is_mask_alone for run in runs):
        st.info("These runs train the weights or a head, which no record holds: their masks fit their own task alone.")


def _of_these(
    every: Sequence[TransferRecord], runs: Sequence[RunRecord], labels: Mapping[str, str]
) -> list[TransferRecord]:
    measured = {t.settings.mask_run for t in every}
    # Not of every run: with many of them each digest is a mask read again.
    masks = masks_of([run for run in runs if run.run_id in measured])
    known, altered = transfer.transfers_of_masks(every, {mask.mask_id: cache.mask_sha256(mask) for mask in masks})
    if altered:
        names = ", ".join(labels[run_id] for run_id in altered)
        messages.warning(f"Measured with another mask than the run holds now, and left out: {names}.")
    return known


def _matrix(transfers: Sequence[TransferRecord], labels: Mapping[str, str]) -> None:
    table = cache.transfer_table(transfers, labels)
    controls.show(
        plot_transfer,
        table,
        key="transfer",
        alt=f"Main metric of {table['label'].nunique()} masks on {table['task'].nunique()} tasks, with control masks.",
        min_width=360 + 110 * table["task"].nunique(),
    )
    st.caption(
        "Colours go from the majority-class baseline to the task's own masks, and are neutral where those are no "
        "better than that, or not here. Random masks are draws; magnitude keeps the largest weights of every matrix. "
        "Differences inside an interval may be noise; Curves compares two runs on the same examples."
    )
