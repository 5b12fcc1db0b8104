"""Train a mask: ask for a run, watch it form, stop it, resume it. Training is done by processes of their own."""

from __future__ import annotations

import shlex
import time
from uuid import uuid4

import streamlit as st

from smp_lab.jobs.queue import Job, Queue
from smp_lab.processes import usable_cores
from smp_lab.ui import actions, cache, controls, estimate, forms, links, live, messages, safety, steer
from smp_lab.ui.pace import SECONDS, Pace

_JOB, _LIKE = "job", "like"
_SECONDS_IDLE = 5.0
_OF_A_RUN = {links.OVERVIEW: "Overview", links.SPARSITY: "Where it keeps weights", links.SCORES: "Its scores"}


def main() -> None:
    st.title("What trains now?")
    queue = actions.queue()
    with messages.sentence_on_error():
        jobs = queue.jobs()
    said = live.answer(jobs, len(live.without_job(queue.runs, jobs)[0]))
    messages.answer_slot().markdown(messages.plain(said))
    if not links.in_lecture():
        _new_run(jobs)
    seconds = _seconds(jobs)
    st.fragment(_watch, run_every=seconds)(queue, said, seconds)


@st.cache_resource(show_spinner=False)
def _pace() -> Pace:
    return Pace(usable_cores())


def _seconds(jobs: list[Job], current: float = SECONDS) -> float:
    """From one look to the next. While nothing trains, a run that a terminal starts is still found."""
    if not any(job.is_active for job in jobs):
        return _SECONDS_IDLE
    return _pace().seconds(time.monotonic(), current)


def _new_run(jobs: list[Job]) -> None:
    like = st.query_params.get(_LIKE)
    index = cache.run_index()
    if like is not None and like in index.records and st.session_state.get("filled_from") != like:
        st.session_state["filled_from"] = like
        forms.fill_from(index.records[like].config)
    with st.expander("New run", expanded=not jobs or like is not None):
        controls.warn_of_missing([like] if like else [], index)
        if (sentence := safety.refusal()) is not None:
            st.info(sentence)
            return
        can_train = controls.has_torch()
        st.pills(
            "Presets",
            list(forms.PRESETS),
            key="preset",
            on_change=_take_preset,
            help="Fills in the form; change it then.",
        )
        if preset := st.session_state.get("preset"):
            st.caption(forms.PRESETS[preset][0])
        filled = forms.training_form()
        if filled is None:
            return
        asked, own = filled
        words = forms.words_of(asked, data := forms.data_folder(asked), own)
        estimate.show(words, asked, data, own, index, can_measure=can_train)
        place = safety.cluster()
        on_cluster = bool(place) and st.toggle("Train on the cluster", key="on_cluster", help=shlex.join(place))
        controls.command("train", *words, *(place if on_cluster else []))
        if st.button("Start", type="primary", icon=":material/play_arrow:", disabled=not can_train):
            with messages.sentence_instead():
                st.query_params[_JOB] = str(actions.submit(words, asked, own, on_cluster=on_cluster))
                st.query_params.pop(_LIKE, None)
                st.rerun()


def _take_preset() -> None:
    if preset := st.session_state.get("preset"):
        forms.fill(forms.PRESETS[preset][1])


def _watch(queue: Queue, said: str, seconds: float) -> None:
    """The queue and one job; drawn again every so many seconds."""
    began = time.thread_time()
    with messages.sentence_on_error():
        jobs = queue.jobs()
    elsewhere, left = live.without_job(queue.runs, jobs)
    if live.answer(jobs, len(elsewhere)) != said or _seconds(jobs, seconds) != seconds:
        # Another sentence above, another pace, and a finished run is in the index from now on.
        st.rerun()
    if any(job.is_active for job in jobs) and seconds > SECONDS:
        st.caption(f"Many watch, and training needs the machine: this page looks every {seconds:.0f} seconds.")
    steer.show_refusal()
    live.show_elsewhere(elsewhere)
    if not links.in_lecture():
        steer.left_behind(queue, left)
    if jobs:
        _jobs(queue, jobs)
    _pace().looked(st.session_state.setdefault("watcher", uuid4().hex), time.monotonic(), time.thread_time() - began)


def _jobs(queue: Queue, jobs: list[Job]) -> None:
    if not links.in_lecture():
        steer.the_queue(queue, jobs)
    names = {str(job.id): f"{job.id} · {job.title} · {job.state}" for job in reversed(jobs)}
    first = next((place for place, job in enumerate(reversed(jobs)) if job.is_active), 0)
    chosen = controls.pick("Job", names, key=_JOB, index=first)
    job = next(job for job in jobs if str(job.id) == chosen)
    st.header(messages.plain(f"{job.title}: {job.state}"))
    if not links.in_lecture():
        links.page_link_with(links.TRAIN, "Link to this job", job=str(job.id))
    run = live.live_run(queue, job)
    live.show_state(queue, job, run)
    if not links.in_lecture():
        steer.one_job(job)
    if job.run_id is not None and job.run_id in cache.run_index().records:
        st.success("The run is finished and stands among the others.")
        with st.container(horizontal=True):
            for page, label in _OF_A_RUN.items():
                links.page_link_with(page, label, runs=[job.run_id])
    elif run is not None:
        live.show_pictures(queue, run, cache.run_index())


main()
