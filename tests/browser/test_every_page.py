"""What holds on every page: links that open the same elsewhere, the lecture view, and a figure's data and pictures."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from smp_lab.analysis.labels import run_labels
from smp_lab.analysis.run_table import run_table
from smp_lab.figures.overlap import SCALES
from smp_lab.figures.style import MATRIX_TITLES
from smp_lab.layout import OUTPUT, VALUE

from .harness import CHARTS, address, settle

pytestmark = pytest.mark.browser

# All that a page draws, in its order: titles, and the decoded values of every trace.
_DRAWN = """() => JSON.stringify([...document.querySelectorAll('.js-plotly-plot')].map(plot => [
    plot._fullLayout.title.text, plot._fullLayout.title.subtitle.text, plot._fullLayout.xaxis.type,
    plot._fullData.map(trace => [trace.name, trace.x, trace.y, trace.z])
]), (key, value) => ArrayBuffer.isView(value) ? Array.from(value) : value)"""
_SIZE = "element => parseFloat(getComputedStyle(element).fontSize)"


def press(label):
    return lambda page, _: page.get_by_test_id("stButtonGroup").get_by_text(label, exact=True).first.click()


def pick(key, option):
    def pick(page, records):
        box = page.locator(f".st-key-{key} input")
        # Its list closes when the page moves.
        box.evaluate("element => element.scrollIntoView({block: 'center'})")
        page.wait_for_timeout(300)
        box.click()
        names = run_labels(run_table(list(records.values())))
        name = names[records[option].run_id] if option in records else option
        page.get_by_role("option", name=name, exact=True).click()

    return pick


def slide(key, arrow, times):
    def slide(page, _):
        slider = page.locator(f".st-key-{key}").get_by_role("slider")
        slider.focus()
        for _ in range(times):
            slider.press(arrow)

    return slide


# Page -> what is done there, and how many charts that leaves.
STATES = {
    "/sparsity": ([press(MATRIX_TITLES[VALUE]), pick("layer", "2"), pick("matrix", MATRIX_TITLES[OUTPUT])], 3),
    "/overlap": ([pick("measure", SCALES["containment"].title), pick("pair_b", "cola"), pick("pair_a", "rte10")], 6),
    "/history": ([press("epoch"), press("method")], 5),
    "/curves": ([pick("task", "RTE"), press("linear"), press("figure 1")], 1),
    "/scores": (
        [pick("beside", "cola"), pick("score_type", MATRIX_TITLES[VALUE]), slide("snapshot", "ArrowLeft", 8)],
        2,
    ),
}


@pytest.mark.parametrize("path", STATES)
def test_a_copied_link_opens_the_same_elsewhere(visit, records, path):
    page = visit(address(path, records), CHARTS[path])
    before = page.evaluate(_DRAWN)
    steps, n_charts = STATES[path]
    for step in steps:
        url = page.url
        step(page, records)
        page.wait_for_function("url => location.href !== url", arg=url)
        settle(page, n_charts)
    assert page.evaluate(_DRAWN) != before
    elsewhere = visit(page.url, n_charts)
    for _ in range(20):
        if elsewhere.evaluate(_DRAWN) == page.evaluate(_DRAWN):
            break
        page.wait_for_timeout(250)
    assert json.loads(elsewhere.evaluate(_DRAWN)) == json.loads(page.evaluate(_DRAWN))


@pytest.mark.parametrize("path", CHARTS)
def test_lecture_view_is_large_and_has_no_controls(visit, records, path):
    plain = visit(address(path, records), CHARTS[path])
    text = plain.locator("[data-testid=stMain] h1").evaluate(_SIZE)
    plain.get_by_role("button", name="Lecture view").click()
    plain.wait_for_function("() => location.search.includes('lecture=1')")
    page = visit(plain.url, CHARTS[path])
    page.wait_for_function(
        "size => parseFloat(getComputedStyle(document.querySelector('[data-testid=stMain] h1')).fontSize) >= size",
        arg=1.4 * text,
    )
    for control in ("stSidebar", "stHeader", "stWidgetLabel", "stDownloadButton"):
        assert page.locator(f"[data-testid={control}]").filter(visible=True).count() == 0
    sizes = [
        page.locator(f".js-plotly-plot {mark}").first.evaluate(_SIZE) for mark in (".gtitle", ".cartesianlayer text")
    ]
    assert min(sizes) >= 18
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 1366
    page.get_by_role("button", name="Show the controls").click()
    page.get_by_role("button", name="Lecture view").wait_for()
    assert "lecture" not in page.url
    assert records["rte"].run_id in page.url


def test_a_former_address_opens_the_page_with_its_choice(visit, records):
    page = visit(address("/training", records), 5)
    assert page.url.endswith(address("/history", records))


def test_lecture_goes_on_from_page_to_page(visit, records):
    page = visit(address("/sparsity", records) + "&lecture=1", 3)
    page.get_by_role("link", name="Overlap").filter(visible=True).click()
    settle(page, 6)
    assert "lecture=1" in page.url
    assert records["cola"].run_id in page.url


def test_a_figures_link_opens_at_the_figure(visit, records):
    page = visit(address("/overlap", records) + "&measure=lift", 6)
    page.locator("a.figure-link[href='#pair-heads']").click()
    assert page.url.endswith("#pair-heads")
    copied = visit(page.url, 6)
    # Figures above it may still grow a little when the page is where it was asked to be: the figure is in view then.
    copied.wait_for_function(
        """() => {
            const box = document.querySelector('.st-key-pair-heads').getBoundingClientRect();
            return box.top < innerHeight / 2 && box.bottom > 0;
        }"""
    )
    assert "Lift" in copied.locator(".st-key-all-pairs .gtitle-subtitle").text_content()


def download(page, button):
    with page.expect_download() as started:
        button.click()
    return started.value


def test_csv_and_json_hold_the_same_rows(visit, records):
    page = visit(address("/scores", records), 1)
    csv, rows = (
        download(page, page.locator(f".st-key-score-distribution-{kind} button")).path() for kind in ("csv", "json")
    )
    table = pd.DataFrame(json.loads(rows.read_text()))
    # JSON has no infinity: the bins without an end have none.
    wanted = pd.read_csv(csv).replace([float("inf"), float("-inf")], float("nan"))
    pd.testing.assert_frame_equal(table, wanted, check_dtype=False)


def test_keyboard_reaches_a_figures_data_and_shows_where_it_is(visit, records):
    page = visit(address("/history", records), 5)
    page.locator(".st-key-task-loss-csv button").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.st-key-task-loss-json') !== null")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('.st-key-task-loss-picture') !== null")
    page.keyboard.press("Tab")
    link = page.locator("a.figure-link:focus-visible")
    assert link.get_attribute("href") == "#task-loss"
    assert link.evaluate("element => getComputedStyle(element).textDecorationLine") == "underline"
    steps = page.evaluate("history.length")
    page.keyboard.press("Enter")
    page.get_by_text("Link copied").wait_for()
    assert page.url.endswith("#task-loss")
    assert page.url.count("#") == page.url.count("?") == 1
    assert page.evaluate("history.length") == steps


def test_play_is_drawn_in_the_browser(visit, records):
    page = visit(address("/scores", records) + "&snapshot=0", 1)
    subtitle = page.locator(".st-key-score-distribution .gtitle-subtitle")
    assert "step 0 of 30" in subtitle.text_content()
    page.locator(".st-key-score-distribution .updatemenu-button", has_text="Play").click()
    page.wait_for_function(
        "() => document.querySelector('.st-key-score-distribution .gtitle-subtitle').textContent.includes('30 of 30')"
    )
    assert page.url.endswith("&snapshot=0")
