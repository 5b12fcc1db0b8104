"""What a run will take, as far as finished runs and this machine tell: steps, minutes, disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from smp_lab.jobs.queue import MAX_LOG_BYTES, MAX_QUEUED, MAX_RUN_BYTES, Queue, size_of
from smp_lab.jobs.speed import Speed
from smp_lab.paths import UNFINISHED_FOLDER, own_runs_folder
from smp_lab.recipes import draft
from smp_lab.schedule import count_steps
from smp_lab.storage.runs import RunRecord
from smp_lab.storage.store import Listing
from smp_lab.ui import actions, messages
from smp_lab.ui.own_data import OwnData

_MEASURE = "Makes some steps of this run, in a process of their own, and says how long all would take on this machine."
# Scores, or weights, with two moments of Adam, 4 bytes each, in the two checkpoints kept and the one being written.
_CHECKPOINT_BYTES = 3 * 3 * 4
_FEWEST_STEPS = 30


def show(
    words: Sequence[str],
    asked: dict[str, Any],
    data: str | None,
    own: OwnData | None,
    index: Listing[RunRecord],
    *,
    can_measure: bool,
) -> None:
    """What a run will take: by finished runs at once, and by this machine when it is asked."""
    # The seed changes no time.
    run = {name: value for name, value in asked.items() if name != "seed"}
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Measure", icon=":material/speed:", disabled=not can_measure, help=_MEASURE):
            loading = st.spinner("Three seconds of its steps, once packages, data and encoder are loaded")
            with loading, messages.sentence_instead():
                st.session_state["measured"] = run, actions.measure(words, asked, data, own)
        of, measured = st.session_state.get("measured", (None, None))
        st.caption(sentence(asked, index, measured if of == run else None, own.examples if own else None))


def sentence(
    asked: Mapping[str, Any], index: Listing[RunRecord], measured: Speed | None = None, examples: int | None = None
) -> str:
    """Steps, minutes and disk of a run, as measured here and by finished runs of the same encoder, and what is free."""
    config = draft(**asked, examples=examples)
    like = [run for run in index.records.values() if run.config.base_model == config.base_model]
    same_task = [run for run in like if run.config.task == config.task]
    examples = (
        config.train_examples
        or examples
        or config.task_info.n_train
        or next((run.results.get("n_train_examples") for run in same_task if not run.config.train_examples), None)
    )
    parts = []
    if measured is not None:
        parts.append(f"{measured.steps:,} steps; {_minutes(measured.seconds)} on this machine, as measured")
    elif examples and config.epochs:
        steps = count_steps(config, examples)
        parts.append(f"{steps:,} steps")
        alike = [run for run in same_task if run.config.method == config.method] or same_task or like
        rates = [rate for run in alike if (rate := _seconds_per_example(run))]
        if rates:
            seconds = sorted(rates)[len(rates) // 2] * steps * config.batch_size
            runs = f"{len(rates)} finished run{'s' * (len(rates) > 1)}"
            parts.append(f"{_minutes(seconds)} at the pace of {runs}, wherever trained")
        else:
            parts.append("no finished run tells how long they take")
    if like and config.epochs:
        layout, method = like[0].layout, config.method_info
        n_trained = layout.n_parameters if method.trains_embeddings else layout.n_weights * method.trains_weights
        n_trained += layout.n_weights * method.trains_scores
        parts.append(f"up to {_CHECKPOINT_BYTES * n_trained / 1e6:,.0f} MB of disk while it trains")
    said = f"{'; '.join(parts)}." if parts else "No finished run tells how long this takes."
    return f"{said[0].upper()}{said[1:]} {free_space(own_runs_folder())}"


def _minutes(seconds: float) -> str:
    return f"about {max(seconds / 60, 1):.0f} min"


def free_space(runs: Path) -> str:
    """What is free where runs are kept."""
    there = next(folder for folder in (runs, *runs.parents) if folder.exists())
    return f"{shutil.disk_usage(there).free / 1e9:,.1f} GB are free."


def _seconds_per_example(run: RunRecord) -> float | None:
    steps, seconds = run.results.get("total_steps"), run.provenance.get("wall_seconds")
    # The time of a short run is that of its start.
    return seconds / steps / run.config.batch_size if seconds and steps and steps >= _FEWEST_STEPS else None


def limits(queue: Queue) -> str:
    """What the queue allows, what unfinished runs take, and what is free."""
    return (
        f"{queue.slots} at once, at most {MAX_QUEUED} waiting, logs of up to {MAX_LOG_BYTES / 2**20:.0f} MiB and "
        f"unfinished runs of up to {MAX_RUN_BYTES / 2**30:.0f} GiB each. Unfinished runs take "
        f"{size_of(queue.runs / UNFINISHED_FOLDER) / 1e6:,.0f} MB; {free_space(queue.runs)}"
    )
