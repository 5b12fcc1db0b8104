"""What only a real browser shows: charts that are drawn, links that hold, downloads that agree."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from figures.test_style import contrast
from PIL import Image

from .harness import CHARTS, address, settle, watch

pytestmark = pytest.mark.browser

VIEWS = CHARTS | {"/scores?view=over+training": 1, "/scores?view=when+decided": 4}

# Decoded values of every trace, as drawn.
_TRACES = """key => document.querySelector(`.st-key-${key} .js-plotly-plot`)._fullData.map(
    trace => ({name: trace.name, axis: trace.xaxis, x: Array.from(trace.x), y: Array.from(trace.y)}))"""


def choice(*runs):
    return "?" + "&".join(f"runs={run.run_id}" for run in runs)


def traces(page, key):
    return page.evaluate(_TRACES, key)


def luminance(page, selector, quality):
    color = page.locator(selector).first.evaluate(f"element => getComputedStyle(element).{quality}")
    red, green, blue = (int(part) for part in color[color.index("(") + 1 : -1].split(",")[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", VIEWS)
def test_page_draws_its_charts(visit, records, path, scheme):
    page = visit(address(path, records), VIEWS[path], color_scheme=scheme)
    background = luminance(page, "[data-testid=stApp]", "backgroundColor")
    assert background > 200 if scheme == "light" else background < 60
    assert abs(luminance(page, ".js-plotly-plot .gtitle", "fill") - background) > 150
    assert page.locator("[data-testid=stAlert]").count() == 0


# Colour of a text and of its page, and how much of the former its surroundings let through.
_INK = """element => {
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) opacity *= getComputedStyle(at).opacity;
    const page = document.querySelector('[data-testid=stApp]');
    return [getComputedStyle(element).color, getComputedStyle(page).backgroundColor, opacity].map(String);
}"""


def rgb(color):
    parts = [float(part) for part in color[color.index("(") + 1 : -1].split(",")]
    return np.array(parts[:3]), parts[3] if len(parts) > 3 else 1.0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("element", ["p", "a"])
def test_small_print_can_be_read(visit, scheme, element):
    page = visit("/", 1, color_scheme=scheme)
    ink, ground, opacity = page.locator(f"[data-testid=stCaptionContainer] {element}").first.evaluate(_INK)
    (color, alpha), (back, _) = rgb(ink), rgb(ground)
    alpha *= float(opacity)
    contrast_on = "#{:02x}{:02x}{:02x}".format(*np.round(back).astype(int))
    blended = "#{:02x}{:02x}{:02x}".format(*np.round(alpha * color + (1 - alpha) * back).astype(int))
    assert contrast(blended, contrast_on) > 4.5


@pytest.mark.parametrize("path", CHARTS)
def test_page_fits_a_phone(visit, records, path):
    page = visit(address(path, records), CHARTS[path], viewport={"width": 390, "height": 844})
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390


def test_method_is_pictured(visit):
    picture = visit("/", 1).get_by_alt_text("The largest scores S give the binary mask M", exact=False)
    assert picture.evaluate("image => image.complete && image.naturalWidth > 0")


def test_choice_follows_to_other_pages_and_opens_elsewhere(visit, records):
    page = visit("/sparsity" + choice(records["rte"], records["cola"]), 3)
    page.get_by_role("link", name="History").click()
    settle(page, 5)
    for run in (records["rte"], records["cola"]):
        assert run.run_id in page.url
    names = {trace["name"] for trace in traces(page, "task-loss")}
    # What both runs share is said once, above the figure.
    assert names == {"RTE · 50 %", "CoLA · 10 %"}
    copied = visit(page.url, 5)
    assert {trace["name"] for trace in traces(copied, "task-loss")} == names


def test_rows_of_the_table_are_the_choice(visit, records):
    page = visit("/?filter_base_model=synthetic-in-the-shape-of-MiniLM", 1)
    grid = page.get_by_test_id("stDataFrame")
    grid.scroll_into_view_if_needed()
    # The grid is one canvas: rows of 35 pixels below a header of 35, the boxes at its left.
    for row in (0, 2):
        grid.click(position={"x": 18, "y": 35 + 35 * row + 17})
        settle(page, 1)
    first, third = sorted(run.run_id for run in records.values())[::2]
    page.wait_for_function("ids => ids.every(id => location.search.includes(id))", arg=[first, third])
    # The address has the choice before the links below the table have it.
    page.locator(f"a[href*='{first}'][href*='{third}']", has_text="How they were trained").click()
    settle(page, 5)
    assert first in page.url
    assert third in page.url


def test_downloaded_data_are_the_drawn_data(visit, records):
    page = visit("/sparsity" + choice(records["rte10"], records["cola"]), 3)
    with page.expect_download() as download:
        page.locator(".st-key-remaining-per-layer-csv button").click()
    table = pd.read_csv(download.value.path())
    drawn = traces(page, "remaining-per-layer")
    assert len(drawn) == 14
    panels = table.groupby("matrix_type", sort=False)
    lines = [line for _, panel in panels for _, line in panel.groupby("run", sort=False)]
    for line, trace in zip(lines, drawn, strict=True):
        # In the legend stands what differs alone: the task.
        assert trace["name"] in (label := line["run"].iloc[0], label.split(" · ")[0])
        assert trace["x"] == line["layer"].tolist()
        np.testing.assert_allclose(trace["y"], 100 * line["remaining"])
    assert table.groupby("run_id")["kept"].sum().to_dict() == {
        run.run_id: 2 * run.kept.sum() for run in (records["rte10"], records["cola"])
    }


def test_link_opens_a_matrix_and_its_png_is_the_mask(visit, records):
    run = records["rte10"]
    page = visit("/sparsity" + choice(run) + "&layer=4&matrix=output&column=1024", 3)
    assert "layer 4 output" in page.locator(".st-key-mask-picture .gtitle-subtitle").text_content()
    with page.expect_download() as download:
        page.locator("[class*=st-key-mask-png] button").click()
    content = download.value.path().read_bytes()
    bright = np.asarray(Image.open(io.BytesIO(content)).convert("L")) > 128
    matrix = next(matrix for matrix in run.masks if matrix == (4, "output"))
    np.testing.assert_array_equal(bright, run.masks.dense(matrix))


def test_unknown_run_is_named_and_the_others_are_drawn(visit, records):
    page = visit("/sparsity?runs=no-such-run&runs=" + records["cola"].run_id, 3)
    assert "no-such-run" in page.get_by_test_id("stAlert").text_content()


def test_broken_folder_is_listed(visit):
    page = visit("/", 1)
    page.get_by_text("could not be read as").click()
    assert page.get_by_text("it holds no run.json", exact=False).is_visible()


def test_console_errors_are_noticed(chromium):
    page = chromium.new_page()
    errors = watch(page)
    page.evaluate("console.error('a defect'); setTimeout(() => { throw new Error('another') })")
    page.wait_for_timeout(200)
    assert errors[0] == "a defect"
    assert "another" in errors[1]
    page.close()
