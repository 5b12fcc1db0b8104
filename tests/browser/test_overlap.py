"""The overlap page in a real browser: a cell is clicked, a link is copied, data are downloaded."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from .harness import settle

pytestmark = pytest.mark.browser

N_CHARTS = 6

# Where the middle of a cell is on the screen, and the pairs that its figure names.
_CELL = """([key, column, row]) => {
    const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
    const {xaxis2: x, yaxis2: y} = plot._fullLayout;
    const box = plot.getBoundingClientRect();
    return [box.x + x._offset + x.d2p(column), box.y + y._offset + y.d2p(row)];
}"""
_HEAT = """key => {
    const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
    const heat = plot._fullData.find(trace => trace.type === 'heatmap');
    return {z: heat.z.map(row => Array.from(row)), labels: plot._fullLayout.yaxis2?.ticktext};
}"""


def open_cell(page, column, row, *, away=(0, 0)):
    page.locator(".st-key-all-pairs").scroll_into_view_if_needed()
    x, y = page.evaluate(_CELL, ["all-pairs", column, row])
    page.mouse.move(x + away[0], y + away[1], steps=3)
    page.wait_for_timeout(200)
    page.mouse.click(x + away[0], y + away[1])


def test_a_clicked_cell_opens_its_pair_and_its_link_opens_elsewhere(visit, records):
    page = visit("/overlap?measure=lift", N_CHARTS)
    labels = [label.split("  ")[0] for label in page.evaluate(_HEAT, "all-pairs")["labels"]]
    runs = {"RTE · SMP-S · 50 %": records["rte"], "RTE · SMP-S · 10 %": records["rte10"]}
    a, b = (labels.index(label) for label in runs)
    open_cell(page, a, b, away=(25, 9))
    page.wait_for_function("() => location.search.includes('pair_b')")
    settle(page, N_CHARTS)
    chosen = {records["rte"].run_id, records["rte10"].run_id}
    assert all(run_id in page.url for run_id in chosen)
    kept = f"{records['rte10'].kept.sum():,}"
    sentence = page.get_by_text("two random masks would share").first.text_content()
    assert kept in sentence
    copied = visit(page.url, N_CHARTS)
    assert copied.get_by_text("two random masks would share").first.text_content() == sentence
    assert "Lift" in copied.locator(".st-key-all-pairs .gtitle-subtitle").text_content()
    # One step back takes back all of what one click did.
    page.go_back()
    page.wait_for_function("() => !location.search.includes('pair_')")
    settle(page, N_CHARTS)
    assert page.get_by_text("two random masks would share").first.text_content() != sentence


def test_a_clicked_dot_opens_its_pair(visit, records):
    page = visit("/overlap", N_CHARTS)
    dot = page.locator(".st-key-pair-kinds .scatterlayer .point").last
    dot.scroll_into_view_if_needed()
    box = dot.bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.move(*middle, steps=3)
    page.wait_for_timeout(200)
    page.mouse.click(*middle)
    # The last dots are those of the one task that two runs share.
    page.wait_for_function("id => location.search.includes(id)", arg=records["rte10"].run_id)


def test_downloaded_pairs_are_the_drawn_pairs(visit, records):
    page = visit("/overlap", N_CHARTS)
    with page.expect_download() as download:
        page.locator(".st-key-all-pairs-csv button").click()
    table = pd.read_csv(download.value.path())
    drawn = page.evaluate(_HEAT, "all-pairs")
    place = {label.split("  ")[0]: number for number, label in enumerate(drawn["labels"])}
    z = np.array(drawn["z"], float)
    assert len(table) == 3
    for row in table.itertuples():
        assert z[place[row.label_a], place[row.label_b]] == pytest.approx(row.phi_within)
        assert z[place[row.label_b], place[row.label_a]] == pytest.approx(row.phi_within)
    kept = {run.run_id: int(run.kept.sum()) for run in records.values()}
    assert dict(zip(table["run_a"], table["n_a"], strict=True)).items() <= kept.items()


def test_downloaded_regions_count_every_weight_once(visit, records):
    page = visit("/overlap", N_CHARTS)
    with page.expect_download() as download:
        page.locator(".st-key-regions-csv button").click()
    table = pd.read_csv(download.value.path())
    assert len(table) == 8
    assert table["n_weights"].sum() == records["rte"].layout.n_weights
    for run in records.values():
        assert table.loc[table[run.run_id], "n_weights"].sum() == run.kept.sum()
