"""Buttons that steer the queue, a job, and what was left behind; each is carried out by `smp_lab.ui.actions`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from smp_lab.errors import SmpLabError
from smp_lab.jobs.queue import QUEUED, RESUMABLE, Job, Queue, size_of
from smp_lab.jobs.whereabouts import Whereabouts
from smp_lab.paths import unfinished_folder
from smp_lab.ui import actions, columns, estimate, live, messages, safety

_REFUSED = "refused"


def the_queue(queue: Queue, jobs: Sequence[Job]) -> None:
    """All jobs, what the queue allows, and a button that pauses it."""
    waiting = sum(job.state == QUEUED for job in jobs)
    with st.expander(f"Queue: {sum(job.is_active for job in jobs)} at work, {waiting} waiting, {len(jobs)} in all"):
        columns.show(live.queue_table(jobs), key="jobs", height="content" if len(jobs) < 8 else 300)
        st.caption(estimate.limits(queue))
        if safety.refusal() is None:
            label = "Resume the queue" if queue.paused else "Pause the queue"
            st.button(label, key="pause", on_click=_do, args=[Queue.pause, not queue.paused])


def one_job(job: Job) -> None:
    """Stop, cancel, move, resume and delete, as far as a job's state allows."""
    if safety.refusal() is not None:
        return
    with st.container(horizontal=True):
        if job.is_active and job.state != "stopping":
            st.button(
                "Stop", icon=":material/stop:", on_click=_do, args=[Queue.stop, job.id], help="Leaves a checkpoint."
            )
        if job.state == QUEUED:
            st.button("Cancel", icon=":material/close:", on_click=_do, args=[Queue.stop, job.id])
            st.button("Earlier", icon=":material/arrow_upward:", on_click=_do, args=[Queue.move, job.id, -1])
            st.button("Later", icon=":material/arrow_downward:", on_click=_do, args=[Queue.move, job.id, 1])
        if job.state in RESUMABLE:
            st.button("Resume", type="primary", icon=":material/play_arrow:", on_click=_do, args=[Queue.resume, job.id])
        if not job.is_active:
            with st.popover("Delete", icon=":material/delete:"):
                st.write("Removes the job, its log and its checkpoints. A finished run stays.")
                st.button("Delete it", key="delete", on_click=_do, args=[Queue.delete, job.id])


def left_behind(queue: Queue, left: Sequence[Whereabouts]) -> None:
    """What unfinished runs without a job take, and a button that removes one; nothing where there are none."""
    if not left:
        return
    sizes = [size_of(unfinished_folder(queue.runs, run.run_id)) / 1e6 for run in left]
    runs = "an unfinished run without a job" if len(left) == 1 else f"{len(left)} unfinished runs without a job"
    with st.expander(f"Left behind: {runs}, {sum(sizes):,.0f} MB"):
        st.caption("The command or the sweep that began a run resumes it.")
        columns.show(live.steps_table(left).assign(megabytes=sizes), key="left", column_config=live.COLUMNS)
        if safety.refusal() is not None:
            return
        # Two of a title must not be one choice.
        names = {run.run_id: f"{run.title} · {run.run_id[-8:]}" for run in left}
        with st.container(horizontal=True, vertical_alignment="bottom"):
            chosen = st.selectbox("Unfinished run", list(names), format_func=names.__getitem__, key="left_behind")
            with st.popover("Remove", icon=":material/delete:"):
                st.write("Removes its checkpoints and all that it has recorded.")
                st.button("Remove it", on_click=_do, args=[Queue.remove_left_behind, chosen])


def show_refusal() -> None:
    """Why what a button asked for was not done; nothing where it was."""
    if (sentence := st.session_state.pop(_REFUSED, None)) is not None:
        messages.error(sentence)


def _do(act: Callable[..., None], *given: Any) -> None:
    try:
        actions.change(act, *given)
    except SmpLabError as error:
        st.session_state[_REFUSED] = str(error)
