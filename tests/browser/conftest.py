"""One app with synthetic records in the shape of the packaged encoder, and one Chromium, for all browser tests."""

from __future__ import annotations

import os

import numpy as np
import pytest
from conftest import make_run
from playwright.sync_api import sync_playwright

from smp_lab.bert_layout import OUTPUT, EncoderLayout
from smp_lab.masks import MaskSet, kept_count, top_k

from . import harness

MINILM = EncoderLayout(n_layers=6, hidden_size=384, intermediate_size=1536, n_heads=12, n_parameters=22_713_216)


def uneven_masks(remaining, seed):
    """Masks whose fraction falls with the layer, with fuller and emptier rows and columns."""
    rng = np.random.default_rng(seed)
    dense = {}
    for matrix in MINILM.matrices:
        n_out, n_in = MINILM.shape(matrix.matrix_type)
        scores = rng.random((n_out, n_in), np.float32) + rng.random((n_out, 1)) + rng.random((1, n_in))
        lean = 0.2 * matrix.layer
        share = remaining * (0.5 + lean if matrix.matrix_type == OUTPUT else 1.5 - lean)
        dense[matrix] = top_k(scores, kept_count(share, scores.size))
    return MaskSet.from_dense(MINILM, dense)


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
    with harness.running_app(harness.OWN_RUNS_ALONE, runs, log) as address:
        yield address


@pytest.fixture
def visit(chromium, address):
    """``visit("/sparsity?runs=...", n_charts=3)`` opens a page in a fresh context; no console error may come up."""
    opened = []

    def visit(path, n_charts, **context):
        page = chromium.new_context(**{"viewport": {"width": 1366, "height": 768}, **context}).new_page()
        opened.append((page, harness.watch(page)))
        page.goto(path if path.startswith("http") else address + path)
        harness.settle(page, n_charts)
        return page

    yield visit
    for page, errors in opened:
        assert page.locator("[data-testid=stException]").count() == 0
        page.context.close()
        assert errors == []
