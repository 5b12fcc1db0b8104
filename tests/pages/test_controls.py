"""Controls on the runs that a page was drawn with."""

from __future__ import annotations

import shutil

from conftest import HANGS, make_run
from streamlit.testing.v1 import AppTest

from smp_lab import paths


def _draw():
    import streamlit as st

    from smp_lab.ui import cache, controls

    # As the arguments of a fragment: those of the page when it was drawn.
    held = st.session_state.pop("held", None) or list(cache.run_index().records.values())
    st.write("; ".join(controls.run_labels(held)))
    st.session_state["held"] = held


def test_a_page_is_drawn_anew_where_one_of_its_runs_was_removed(runs, cached, monkeypatch):
    monkeypatch.setenv(paths.RUNS_VARIABLE, str(runs))
    monkeypatch.setattr(paths, "index_file", lambda: runs.parent / "index.sqlite")
    kept, removed = make_run(runs, task="rte"), make_run(runs, task="cola")
    app = AppTest.from_function(_draw, default_timeout=HANGS).run()
    assert set(app.markdown[0].value.split("; ")) == {kept.run_id, removed.run_id}
    shutil.rmtree(removed.path)
    app.run()
    assert not app.exception
    assert app.markdown[0].value == kept.run_id
