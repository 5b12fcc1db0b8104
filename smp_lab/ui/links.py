"""What pages hand on to one another in the URL: the chosen runs, ``?runs=ID&runs=ID``, and the lecture view."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from smp_lab.storage import paths

RUNS = "runs"
LECTURE = "lecture"

OVERVIEW, SPARSITY, TRAINING = "overview.py", "sparsity.py", "training.py"
CURVES, SCORES = "curves.py", "scores.py"
OVERLAP = "overlap.py"


def runs_in_url() -> list[str]:
    """Run ids that the URL names, known or not."""
    return st.query_params.get_all(RUNS)


def in_lecture() -> bool:
    """Whether the URL asks for the lecture view."""
    return st.query_params.get(LECTURE) == "1"


def set_lecture(on: bool) -> None:
    """Put the lecture view into the URL, or take it out; for callbacks."""
    if on:
        st.query_params[LECTURE] = "1"
    else:
        st.query_params.pop(LECTURE, None)


def choose(run_ids: Iterable[str]) -> None:
    """Make this the choice; for callbacks, which run before the picker is drawn."""
    st.session_state[RUNS] = list(run_ids)


def page_link(page: str | StreamlitPage, label: str | None = None) -> None:
    """A link to a page, of which a file name is enough, that takes the chosen runs and the lecture view along."""
    handed_on: dict[str, str | list[str]] = {RUNS: st.session_state.get(RUNS, [])}
    if in_lecture():
        handed_on[LECTURE] = "1"
    target = paths.pages_folder() / page if isinstance(page, str) else page
    st.page_link(target, label=label, query_params=handed_on)
