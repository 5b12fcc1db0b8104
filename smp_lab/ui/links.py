"""What pages hand on to one another in the URL: the chosen runs, ``?runs=ID&runs=ID``, and the lecture view."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from smp_lab import paths

RUNS = "runs"
MASKS = "masks"
LECTURE = "lecture"

OVERVIEW, LEARN, TRAIN = "overview.py", "learn.py", "train.py"
SPARSITY, OVERLAP, HISTORY, CURVES, SCORES = "sparsity.py", "overlap.py", "history.py", "curves.py", "scores.py"
OPEN_MASK, TRY, COST = "open_mask.py", "try_masks.py", "cost.py"


def not_yet_read() -> dict[str, list[str]]:
    """What the URL asks of widgets that have no value yet; for `not_taken`, before they are drawn."""
    return {key: st.query_params.get_all(key) for key in st.query_params if key not in st.session_state}


def not_taken(asked: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """What was asked of widgets that are now drawn, and is not what they say.

    Streamlit drops from the URL what a widget does not know, and what is its default anyhow.
    """
    lost = {}
    for key, values in asked.items():
        if key in st.session_state:
            value = st.session_state[key]
            default = [str(part) for part in (value if isinstance(value, list) else [value])]
            taken = {part.casefold() for part in st.query_params.get_all(key) or default}
            lost[key] = [part for part in values if part.casefold() not in taken]
    return {key: values for key, values in lost.items() if values}


def asked(key: str) -> list[str]:
    """What the URL names under a key, once each."""
    return list(dict.fromkeys(st.query_params.get_all(key)))


def put(values: Mapping[str, str | Sequence[str] | None]) -> None:
    """Write values into the URL in one step, so that one step back takes all of them back; None takes a key out."""
    wanted = {
        key: [] if value is None else [value] if isinstance(value, str) else list(value)
        for key, value in values.items()
    }
    changed = {key: value for key, value in wanted.items() if st.query_params.get_all(key) != value}
    for key in [key for key, value in changed.items() if not value]:
        del st.query_params[key]
    if added := {key: value for key, value in changed.items() if value}:
        st.query_params.update(added)


def in_lecture() -> bool:
    """Whether the URL asks for the lecture view."""
    return st.query_params.get(LECTURE) == "1"


def choose(run_ids: Iterable[str]) -> None:
    """Make this the choice; for callbacks, which run before the picker is drawn."""
    st.session_state[RUNS] = list(run_ids)
    put({RUNS: list(run_ids)})


def page_link(page: str | StreamlitPage, label: str | None = None) -> None:
    """A link to a page, of which a file name is enough, that takes the chosen runs and the lecture view along."""
    handed_on: dict[str, str | list[str]] = {key: st.session_state.get(key, []) for key in (RUNS, MASKS)}
    if in_lecture():
        handed_on[LECTURE] = "1"
    target = paths.pages_folder() / page if isinstance(page, str) else page
    st.page_link(target, label=label, query_params=handed_on)


def page_link_with(page: str, label: str, **query: str | list[str]) -> None:
    """A link to a page with this in its address, whatever is chosen now."""
    st.page_link(paths.pages_folder() / page, label=label, query_params=query)
