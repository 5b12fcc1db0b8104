"""Pages opened without a browser, on the runs of a test alone."""

from __future__ import annotations

import json
import re

import pytest
import streamlit as st
from conftest import HANGS
from streamlit.testing.v1 import AppTest

from smp_lab import paths
from smp_lab.storage.measurements import MeasurementSettings, save_measurement
from smp_lab.ui import actions


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


@pytest.fixture
def local(monkeypatch):
    """As where this machine alone reaches the app; no supervisor is started."""
    monkeypatch.setattr(
        st, "get_option", lambda name, get=st.get_option: "localhost" if name == "server.address" else get(name)
    )
    monkeypatch.setattr(actions, "ensure_supervisor", lambda queue: None)


def charts(app):
    return app.get("plotly_chart")


def figures(app):
    """What each chart sends to the browser."""
    return [json.loads(chart.proto.spec) for chart in charts(app)]


def titles(app):
    return [figure["layout"]["title"]["text"] for figure in figures(app)]


def measure(runs, run, kind, table):
    """Keep what was measured of the mask of a run."""
    config = run.config
    settings = MeasurementSettings(
        kind=kind,
        mask_id=run.run_id,
        mask_sha256=run.masks.sha256,
        base_model=config.base_model,
        base_model_sha256=config.base_model_sha256,
        task=config.task,
    )
    save_measurement(runs, settings=settings, provenance={"command": "a test"}, table=table)


def sentences(elements):
    """What is read of them: without the marks that keep words of others from being Markdown."""
    written = " ".join(element.value for element in elements)
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", written.replace("\u2060", ""))
