"""The curves page in a real browser: links, what is hollow, and data that agree with the drawing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.browser

# All but the names at the ends of lines.
_TRACES = """() => document.querySelector('.st-key-curves .js-plotly-plot')._fullData
    .filter(trace => trace.marker?.opacity !== 0).map(trace => ({
    name: trace.name, mode: trace.mode, symbol: trace.marker?.symbol, dash: trace.line?.dash,
    x: Array.from(trace.x), y: Array.from(trace.y)}))"""


def traces(page):
    return page.evaluate(_TRACES)


def test_drawn_points_are_the_downloaded_data(visit):
    page = visit("/curves", 1)
    with page.expect_download() as download:
        page.locator(".st-key-curves-csv button").click()
    table = pd.read_csv(download.value.path())
    measured = table[table["source"] == "measured"]
    assert len(measured) == 3
    published = table[~table["source"].str.startswith("measured")]
    for kind, wanted in (("published", published), ("measured", measured)):
        drawn = [
            trace
            for trace in traces(page)
            if "markers" in trace["mode"] and ("published" in trace["name"]) == (kind == "published")
        ]
        assert all(("open" in trace["symbol"]) == (kind == "published") for trace in drawn)
        values = sorted(value for trace in drawn for value in trace["y"])
        np.testing.assert_allclose(values, sorted(100 * wanted["value"]))
    lines = [trace for trace in traces(page) if trace["mode"] == "lines"]
    majority_baseline = {y for line in lines if line["name"] == "Majority-class baseline" for y in line["y"]}
    assert sorted(majority_baseline) == pytest.approx(sorted(100 * measured["majority_baseline"].dropna().unique()))
    lines = [line for line in lines if line["name"] != "Majority-class baseline"]
    means = table[table["source"] == "measured, mean over seeds"]
    assert sorted(y for line in lines for y in line["y"]) == pytest.approx(sorted(100 * means["mean"]))


def test_link_opens_task_scale_and_quantity(visit):
    page = visit("/curves?task=MNLI&scale=linear", 1)
    assert "SMP-S, bert-base-uncased, published" in {trace["name"] for trace in traces(page)}
    page.get_by_text("with distillation", exact=True).click()
    page.wait_for_function(
        "name => document.querySelector('.st-key-curves .js-plotly-plot')._fullData.some(trace => trace.name === name)",
        arg="SMP-S, bert-base-uncased, distilled, published",
    )
    assert "linear" in page.url
    assert "distillation" in page.url
    copied = visit(page.url, 1)
    assert traces(copied) == traces(page)


def test_two_runs_of_one_task_are_paired(visit, records):
    page = visit(f"/curves?runs={records['rte'].run_id}&runs={records['rte10'].run_id}", 1)
    assert page.get_by_text("not distinguishable").is_visible()


def test_number_of_tasks_goes_into_the_address(visit):
    page = visit("/cost", 0)
    box = page.locator(".st-key-n_tasks input")
    box.fill("20")
    box.press("Enter")
    page.get_by_text("20 fine-tuned models", exact=False).wait_for()
    assert "n_tasks=20" in page.url
