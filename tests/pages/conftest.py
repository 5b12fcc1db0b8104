"""Pages opened without a browser, on the runs of a test alone."""

from __future__ import annotations

import re

import pytest
from conftest import HANGS
from streamlit.testing.v1 import AppTest

from smp_lab import paths


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """An empty folder in place of the runs that come with the project."""
    folder = tmp_path / "cached_runs"
    folder.mkdir()
    monkeypatch.setattr(paths, "cached_runs_folder", lambda: folder)
    return folder


@pytest.fixture
def open_page(runs, cached, monkeypatch):
    """``open_page("sparsity.py", run_id)`` opens a page with runs chosen in its address."""
    monkeypatch.setenv(paths.RUNS_VARIABLE, str(runs))
    monkeypatch.setattr(paths, "index_file", lambda: runs.parent / "index.sqlite")

    def open_page(page, *chosen, **query):
        app = AppTest.from_file(str(paths.app_file()), default_timeout=HANGS)
        if chosen:
            query["runs"] = list(chosen)
        app.query_params.update(query)
        app.run()
        if page != "overview.py":
            app.switch_page(str(paths.pages_folder() / page))
            app.query_params.update(query)
            app.run()
        assert not app.exception, app.exception
        return app

    return open_page


def charts(app):
    return app.get("plotly_chart")


def sentences(elements):
    """What is read of them: without the marks that keep words of others from being Markdown."""
    written = " ".join(element.value for element in elements)
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", written.replace("\u2060", ""))
