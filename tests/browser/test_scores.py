"""The scores page in a real browser: the slider, and two runs on one scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from .harness import settle

pytestmark = pytest.mark.browser

_RANGES = """key => ['xaxis', 'yaxis'].map(
    axis => document.querySelector(`.st-key-${key} .js-plotly-plot`)._fullLayout[axis].range)"""
_WIDTH = "() => String(document.querySelector('.st-key-score-distribution .js-plotly-plot')?._fullLayout?.xaxis.range)"
_SUBTITLE = ".st-key-score-distribution .gtitle-subtitle"


def link(run, view, **query):
    more = "".join(f"&{name}={value}" for name, value in query.items())
    return f"/scores?runs={run.run_id}&view={view.replace(' ', '+')}{more}"


def test_slider_moves_with_the_keyboard_and_its_link_opens_elsewhere(visit, records):
    page = visit(link(records["rte"], "distribution"), 1)
    assert "step 30 of 30" in page.locator(_SUBTITLE).text_content()
    whole = page.evaluate(_WIDTH)
    plot = page.locator(".st-key-score-distribution .nsewdrag").first.bounding_box()
    page.mouse.move(plot["x"] + 0.2 * plot["width"], plot["y"] + 0.5 * plot["height"])
    page.mouse.down()
    page.mouse.move(plot["x"] + 0.6 * plot["width"], plot["y"] + 0.5 * plot["height"], steps=3)
    page.mouse.up()
    page.wait_for_function(f"whole => ({_WIDTH})() !== whole", arg=whole)
    zoomed = page.evaluate(_WIDTH)
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(6):
        slider.press("ArrowLeft")
    page.wait_for_function("() => location.search.includes('snapshot=70')")
    page.get_by_text("step 20 of 30", exact=False).wait_for()
    # Another figure, zoomed into as the one before.
    page.wait_for_function(f"zoomed => ({_WIDTH})() === zoomed", arg=zoomed)
    copied = visit(page.url, 1)
    assert copied.evaluate(_WIDTH) != zoomed
    assert "step 20 of 30" in copied.locator(_SUBTITLE).text_content()


def test_two_runs_have_the_same_scales(visit, records):
    runs = "&".join(f"runs={records[name].run_id}" for name in ("rte", "cola"))
    page = visit(f"/scores?{runs}&beside={records['cola'].run_id}", 2)
    ours, theirs = (page.evaluate(_RANGES, key) for key in ("score-distribution", "score-distribution-beside"))
    assert ours == theirs


def test_drawn_similarity_is_the_downloaded_one(visit, records):
    page = visit(link(records["rte10"], "when decided"), 4)
    with page.expect_download() as download:
        page.locator(".st-key-similarity-to-final-csv button").click()
    table = pd.read_csv(download.value.path())
    everything = table[table["matrix_type"] == "all"]
    drawn = page.evaluate(
        "() => Array.from(document.querySelector('.st-key-similarity-to-final .js-plotly-plot')._fullData[0].y)"
    )
    np.testing.assert_allclose(drawn, everything["recall"])


def test_other_views_are_one_click_away(visit, records):
    page = visit(link(records["rte"], "distribution"), 1)
    page.get_by_text("when decided", exact=True).click()
    settle(page, 4)
    assert "when" in page.url
