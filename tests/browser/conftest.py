"""One app with synthetic records in the shape of the packaged encoder, and one Chromium, for all browser tests."""

from __future__ import annotations

import os

import pytest
from conftest import MINILM, make_run, uneven_masks
from playwright.sync_api import sync_playwright

from . import harness


@pytest.fixture(scope="session")
def records(tmp_path_factory):
    """Three runs of two tasks, by a short name, and a folder that is no run."""
    folder = tmp_path_factory.mktemp("browser") / "runs"
    folder.mkdir()
    (folder / "not-a-run").mkdir()
    settings = {"rte": ("rte", 0.5), "rte10": ("rte", 0.1), "cola": ("cola", 0.1)}
    return {
        name: make_run(
            folder,
            layout=MINILM,
            masks=uneven_masks(remaining, seed),
            task=task,
            remaining=remaining,
            base_model="synthetic-in-the-shape-of-MiniLM",
        )
        for seed, (name, (task, remaining)) in enumerate(settings.items())
    }


@pytest.fixture(scope="session")
def chromium():
    if harness.chromium() is None:
        if os.environ.get("SMP_LAB_REQUIRE_BROWSER") == "1":
            pytest.fail("No Chromium on this machine, and SMP_LAB_REQUIRE_BROWSER=1 asks for one.")
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = harness.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def address(chromium, records, tmp_path_factory):
    """Of the running app."""
    runs, log = records["rte"].path.parent, tmp_path_factory.mktemp("server") / "log.txt"
    with harness.running_app(harness.OWN_RUNS_ALONE, runs, log) as (address, _):
        yield address


@pytest.fixture
def visit(chromium, address):
    """``visit("/sparsity?runs=...", n_charts=3)`` opens a page in a fresh context; no console error may come up."""
    opened = []

    def visit(path, n_charts, **context):
        page = chromium.new_context(**{"viewport": {"width": 1366, "height": 768}, **context}).new_page()
        page.set_default_timeout(harness.PATIENCE_MS)
        opened.append((page, harness.watch(page)))
        page.goto(path if path.startswith("http") else address + path)
        harness.settle(page, n_charts)
        return page

    yield visit
    for page, errors in opened:
        assert page.locator("[data-testid=stException]").count() == 0
        page.context.close()
        assert errors == []
