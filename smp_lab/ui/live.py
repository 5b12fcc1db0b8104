"""A run that trains, or waits, or has ended, as pictures and words: from files alone, read from the last byte seen."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from smp_lab.analysis import scores as score_analysis
from smp_lab.analysis import sparsity, training_history
from smp_lab.analysis.labels import percent
from smp_lab.analysis.replicates import settings_but_seed
from smp_lab.errors import RunFormatError
from smp_lab.figures import live as figures
from smp_lab.figures import scores as score_figures
from smp_lab.figures.sparsity import plot_remaining_per_head
from smp_lab.figures.style import HEAD_WORDS, MATRIX_TITLES, METRIC_TITLES
from smp_lab.jobs.events import Follower, LiveRun, Snapshot, clock, newest_snapshot_file, read_snapshot
from smp_lab.jobs.queue import QUEUED, Job, Queue
from smp_lab.jobs.whereabouts import Whereabouts, unfinished_runs
from smp_lab.layout import MATRIX_TYPES, EncoderLayout
from smp_lab.storage.runs import RunRecord
from smp_lab.storage.store import Listing
from smp_lab.ui import cache, columns, controls, links, messages

COLUMNS = {
    "run": "Run",
    "machine": "Machine",
    "step": columns.count("Step"),
    "total_steps": columns.count("Of"),
    "minutes_left": st.column_config.NumberColumn("Minutes left", format="%.1f"),
    "megabytes": st.column_config.NumberColumn("MB", format="%.0f"),
    "last_line": st.column_config.TextColumn("Last line", help="Of what the run printed."),
}
_NOT_HEARD_SECONDS = 30


@st.cache_resource(max_entries=64, show_spinner=False)
def _follower(runs: Path, run_id: str) -> Follower:
    return Follower(runs, run_id)


@st.cache_resource(max_entries=8, show_spinner=False)
def _snapshot(file: str, written: int, layout: EncoderLayout) -> Snapshot | None:
    return read_snapshot(Path(file), layout)


def answer(jobs: Sequence[Job], n_elsewhere: int = 0) -> str:
    """Which runs train and how many wait, or how the last one ended, in a sentence or two; words of others in it.

    `n_elsewhere` counts runs that are trained without a job.
    """
    if not jobs and not n_elsewhere:
        return "Nothing trains now, and no job is in the queue of this folder of runs."
    active = [job.title for job in jobs if job.is_active]
    if n_elsewhere:
        active.append("a run of a sweep" if n_elsewhere == 1 else f"{n_elsewhere} runs of a sweep")
    waiting = sum(job.state == QUEUED for job in jobs)
    behind = f", and {waiting} {'waits' if waiting == 1 else 'wait'}" if waiting else ""
    if active:
        one = len(active) == 1 and n_elsewhere < 2
        together = " and ".join(active)
        return f"{together[:1].upper()}{together[1:]} {'trains' if one else 'train'} now{behind}."
    ended = [job for job in jobs if job.state != QUEUED]
    if not ended:
        return f"Nothing trains now{behind}."
    last = max(ended, key=lambda job: job.changed)
    return f"Nothing trains now{behind}. The last one, {last.title}, is {last.state}."


def live_run(queue: Queue, job: Job) -> LiveRun | None:
    """What the run of a job has told so far; None before it has, and once it is done."""
    return _live_run(queue.runs, job.run_id) if job.run_id else None


# All who watch within a second see the same, which is drawn once.
@st.cache_resource(max_entries=64, ttl=1.0, show_spinner=False)
def _live_run(runs: Path, run_id: str) -> LiveRun | None:
    return _follower(runs, run_id).run()


def newest_snapshot(queue: Queue, live: LiveRun) -> Snapshot | None:
    """Its newest scores and masks."""
    file = newest_snapshot_file(queue.runs, live.config.run_id)
    return None if file is None else _snapshot(*cache.file_stamp(file), live.layout)


def show_state(queue: Queue, job: Job, live: LiveRun | None) -> None:
    """State, step, time left, speed, loss and metric of a job, and what is wrong where something is."""
    if job.is_active and live is not None:
        _show_figures_of(live)
    elif job.is_active:
        st.caption("It loads packages, encoder and data.")
    if job.is_active and job.process is not None:
        if queue.runner.is_suspended(job.process):
            st.warning("Its process stands still: something has suspended it. Stop wakes it and leaves a checkpoint.")
        else:
            on = f"It trains on {messages.plain(node)}. " if (node := queue.node_of(job)) else ""
            st.caption(f"{on}You may close this tab, and the app: training continues, and this page finds it again.")
    if job.state in ("failed", "lost"):
        messages.error(job.reason or "It ended without a word.")
        _show_log(queue, job)
    elif job.reason:
        st.info(messages.plain(job.reason))


def _show_figures_of(live: LiveRun) -> None:
    speed, left = live.steps_per_second, live.seconds_left
    metric = live.config.task_info.main_metric
    row, evaluation = (live.history or [{}])[-1], (live.evaluations or [{}])[-1]
    with st.container(horizontal=True):
        # As wide as its last step will be: what stands beside it does not move as it counts.
        widest = f"{live.total_steps:,} / {live.total_steps:,}"
        st.metric("Step", f"{live.step:,} / {live.total_steps:,}", width=20 * len(widest))
        st.metric("Time left", "-" if left is None else clock(left), width=110)
        st.metric("Steps a second", "-" if speed is None else f"{speed:.3g}", width=130)
        st.metric("Kept", percent(row["kept"] / live.layout.n_weights) if row else "-", width=110)
        st.metric("Loss", f"{row['loss']:.3f}" if row else "-", width=110)
        st.metric(METRIC_TITLES[metric], f"{100 * evaluation[metric]:.1f}" if evaluation else "-", width=150)
        st.metric("Checkpoint", "-" if live.checkpoint is None else f"step {live.checkpoint:,}", width=120)
    st.progress(min(live.step / max(live.total_steps, 1), 1.0))
    if time.time() - live.time > _NOT_HEARD_SECONDS:
        heard = datetime.datetime.fromtimestamp(live.time).strftime("%H:%M:%S")
        st.caption(f"Last heard at {heard}: it may be evaluating, or writing a checkpoint.")


def _show_log(queue: Queue, job: Job) -> None:
    tail = queue.log_tail(job.id)
    if tail:
        st.caption("The last lines that it printed:")
        st.code(tail, language=None)
    else:
        st.caption("It printed nothing here; a run from a terminal prints there.")


def ghost_of(live: LiveRun, index: Listing[RunRecord]) -> RunRecord | None:
    """A finished run of the same settings but another seed, if there is one."""
    same = settings_but_seed(live.config)
    return next((run for run in index.records.values() if settings_but_seed(run.config) == same), None)


def show_pictures(queue: Queue, live: LiveRun, index: Listing[RunRecord]) -> None:
    """The pictures of a run as they form. In the lecture view the three that matter.

    The next step draws them anew: nothing of them is saved, the finished run's are on the other pages.
    """
    ghost = ghost_of(live, index)
    left, right = st.columns(2, gap="medium")
    with left:
        _progress(live, ghost, figures.REMAINING)
    with right:
        _kept_by_matrix(live)
    if links.in_lecture():
        _progress(live, ghost, figures.METRIC)
        return
    left, right = st.columns(2, gap="medium")
    with left:
        _progress(live, ghost, figures.METRIC)
    with right:
        _progress(live, ghost, figures.LOSS)
    snapshot = newest_snapshot(queue, live)
    if snapshot is not None:
        left, right = st.columns(2, gap="medium")
        with left:
            _heads(live, snapshot)
        with right:
            _scores(live, snapshot)
    _progress(live, ghost, figures.FLIPS)


def _label(live: LiveRun) -> str:
    return f"this run, seed {live.config.seed}"


def _progress(live: LiveRun, ghost: RunRecord | None, kind: str) -> None:
    table, beside = cache.computed(_beside_ghost, live, ghost, kind)
    controls.show_settled(
        figures.plot_progress,
        table,
        kind,
        live.total_steps,
        beside,
        key=f"live-{kind}",
        alt=f"{kind.capitalize()} of the run that trains, by step, up to step {live.step} of {live.total_steps}.",
    )


def _beside_ghost(live: LiveRun, ghost: RunRecord | None, kind: str) -> tuple[pd.DataFrame, str | None]:
    """One quantity of both runs, and what the ghost is called; None where there is none, or it cannot be read."""
    beside = None if ghost is None else f"finished run, seed {ghost.config.seed}"
    parts = [_marked(live, _label(live), _rows_of(live, kind))]
    if ghost is not None and beside is not None:
        try:
            parts.insert(0, _marked(live, beside, _rows_of_record(ghost, kind)))
        except RunFormatError:
            beside = None
    return pd.concat([part for part in parts if not part.empty] or [pd.DataFrame()], ignore_index=True), beside


def _marked(live: LiveRun, label: str, table: pd.DataFrame) -> pd.DataFrame:
    config = live.config
    level = math.nan if config.remaining is None else config.remaining
    return table.assign(run=label, task=config.task, method=config.method, level=level)


_TABLES: dict[str, Callable[[pd.DataFrame, int], pd.DataFrame]] = {
    figures.LOSS: training_history.progress,
    figures.REMAINING: training_history.progress,
    figures.FLIPS: lambda history, _: training_history.flips(history),
}


def _rows_of(live: LiveRun, kind: str) -> pd.DataFrame:
    if kind == figures.METRIC:
        metric = live.config.task_info.main_metric
        # How many examples there are is in the record, later.
        return training_history.evaluations(live.evaluations, metric).assign(n_examples=math.nan)
    history = pd.DataFrame(live.history)
    return history if history.empty else _TABLES[kind](history.drop(columns="kept_by_matrix"), live.layout.n_weights)


def _rows_of_record(run: RunRecord, kind: str) -> pd.DataFrame:
    if kind == figures.METRIC:
        return training_history.evaluations_of(run)
    return _TABLES[kind](cache.history(run), run.layout.n_weights)


def _kept_by_matrix(live: LiveRun) -> None:
    table, step = cache.computed(_newest_kept, live)
    controls.show_settled(
        figures.plot_kept_by_matrix,
        table,
        step,
        key="live-matrices",
        alt="Kept weights of each matrix, layer by matrix type, in percent.",
    )


def _newest_kept(live: LiveRun) -> tuple[pd.DataFrame, int]:
    rows = [row for row in live.history if row.get("kept_by_matrix")]
    if not rows:
        return pd.DataFrame(), 0
    kept = np.asarray(rows[-1]["kept_by_matrix"], np.int64).reshape(-1, len(MATRIX_TYPES))
    table = sparsity.remaining_per_layer(kept, live.layout)
    return table[table["matrix_type"] != "all"], rows[-1]["step"]


def _heads(live: LiveRun, snapshot: Snapshot) -> None:
    table = cache.computed(_kept_per_head, live.layout, snapshot, _label(live))
    controls.show_settled(
        plot_remaining_per_head,
        table,
        HEAD_WORDS,
        key="live-heads",
        alt=f"Kept weights of each attention head after step {snapshot.step}, in percent.",
    )


def _kept_per_head(layout: EncoderLayout, snapshot: Snapshot, label: str) -> pd.DataFrame:
    table = sparsity.remaining_per_head(snapshot.masks.kept_per_head_and_matrix, layout)
    return table.assign(run=f"{label} · after step {snapshot.step:,}")


def _scores(live: LiveRun, snapshot: Snapshot) -> None:
    with st.container(horizontal=True):
        title_of = MATRIX_TITLES.__getitem__
        kind = str(st.selectbox("Matrix type", MATRIX_TYPES, format_func=title_of, key="live_type", width=220))
        layer = int(st.selectbox("Layer", range(live.layout.n_layers), key="live_layer", width=100))
    table, cuts = cache.computed(_scores_and_cuts, live.layout, snapshot, kind, layer)
    scores, densities = score_figures.score_range([table]), score_figures.density_range([table])
    name = f"{MATRIX_TITLES[kind]}, layer {layer}"
    controls.show_settled(
        score_figures.plot_distribution,
        table,
        cuts,
        name,
        snapshot.step,
        key="live-scores",
        alt=f"Scores of kept and of removed weights: {name}, after step {snapshot.step:,}.",
        scores=scores,
        densities=densities,
        n_steps=live.total_steps,
    )


def _scores_and_cuts(
    layout: EncoderLayout, snapshot: Snapshot, kind: str, layer: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    at = np.array([snapshot.step])
    sides = {score_analysis.KEPT: snapshot.kept[np.newaxis], score_analysis.REMOVED: snapshot.removed[np.newaxis]}
    table = score_analysis.score_distribution(at, snapshot.edges, sides, layout, kind, layer)
    return table, score_analysis.score_cuts(at, snapshot.score_cut[np.newaxis], layout, kind, layer)


def without_job(runs: Path, jobs: Sequence[Job]) -> tuple[list[Whereabouts], list[Whereabouts]]:
    """Unfinished runs that the queue does not know: those that a living process trains somewhere, and the others."""
    known = {job.run_id for job in jobs}
    found = unfinished_runs(runs, leave_out=known, follow=_follower)
    return [run for run in found if run.node is not None], [run for run in found if run.node is None]


def show_elsewhere(found: Sequence[Whereabouts]) -> None:
    """Where the runs of a sweep are; nothing where there are none."""
    if not found:
        return
    left = [math.nan if run.seconds_left is None else run.seconds_left / 60 for run in found]
    table = steps_table(found).assign(minutes_left=left, last_line=[run.last_line for run in found])
    table.insert(1, "machine", [run.node for run in found])
    st.subheader("Trained for a sweep")
    columns.show(table, key="elsewhere", column_config=COLUMNS)


def steps_table(found: Sequence[Whereabouts]) -> pd.DataFrame:
    """How far runs are: run (title), step, total_steps."""
    return pd.DataFrame(
        {
            "run": [run.title for run in found],
            "step": pd.array([run.step for run in found], "Int64"),
            "total_steps": pd.array([run.total_steps for run in found], "Int64"),
        }
    )


def queue_table(jobs: Sequence[Job]) -> pd.DataFrame:
    """A row per job, the newest first: what waits in its order, number, state, what it is, and why."""
    waiting = [job.id for job in jobs if job.state == QUEUED]
    return pd.DataFrame(
        {
            "job": [job.id for job in jobs],
            "state": [job.state for job in jobs],
            "place": [waiting.index(job.id) + 1 if job.id in waiting else None for job in jobs],
            "run": [job.title for job in jobs],
            "since": [datetime.datetime.fromtimestamp(job.changed) for job in jobs],
            "reason": [job.reason for job in jobs],
        }
    ).sort_values("job", ascending=False, ignore_index=True)
