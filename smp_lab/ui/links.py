"""The choice of runs in the URL, which every page shares: ``?runs=ID&runs=ID``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import streamlit as st

from smp_lab.storage import paths

RUNS = "runs"

OVERVIEW, SPARSITY, TRAINING = "overview.py", "sparsity.py", "training.py"
CURVES, SCORES = "curves.py", "scores.py"
OVERLAP = "overlap.py"


def runs_in_url() -> list[str]:
    """Run ids that the URL names, known or not."""
    return st.query_params.get_all(RUNS)


def choose(run_ids: Iterable[str]) -> None:
    """Make this the choice; for callbacks, which run before the picker is drawn."""
    st.session_state[RUNS] = list(run_ids)


def page_link(page: str, label: str, query_params: Mapping[str, str | Iterable[str]] | None = None) -> None:
    """A link to a page that takes the chosen runs along."""
    chosen = {RUNS: st.session_state.get(RUNS, [])}
    st.page_link(paths.pages_folder() / page, label=label, query_params=chosen | dict(query_params or {}))
