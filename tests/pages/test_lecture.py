"""The lecture view, and what stands around every figure."""

from __future__ import annotations

import json

import pytest
from conftest import make_run

from smp_lab.ui.lecture import SCALE

from .conftest import charts, figures, titles

PAGES = ("overview.py", "sparsity.py", "overlap.py", "history.py", "curves.py", "scores.py")


@pytest.fixture
def two(runs):
    return [make_run(runs, seed=seed, mask_seed=seed).run_id for seed in (0, 1)]


def heights(app):
    return [figure["layout"]["height"] for figure in figures(app)]


@pytest.mark.parametrize("page", PAGES)
def test_same_page_in_larger_type(open_page, two, page):
    plain, lecture = open_page(page, *two), open_page(page, *two, lecture="1")
    assert heights(lecture) == [SCALE * height for height in heights(plain)]
    assert [widget.key for widget in lecture.selectbox] == [widget.key for widget in plain.selectbox]
    # A camera and its neighbours are controls too.
    shown = [json.loads(chart.proto.config)["displayModeBar"] for chart in charts(lecture)]
    assert not any(shown)
    assert all(json.loads(chart.proto.config)["displayModeBar"] for chart in charts(plain))


@pytest.mark.parametrize("page", PAGES)
def test_view_is_switched_on_and_off(open_page, two, page):
    app = open_page(page, *two)
    for label, wanted in (("Lecture view", "1"), ("Show the controls", None)):
        (button,) = (button for button in app.button if button.label == label)
        button.click().run()
        assert app.query_params.get("lecture") == wanted
        assert set(app.query_params["runs"]) == set(two)


@pytest.mark.parametrize("page", PAGES)
def test_every_figure_has_a_heading_alternative_text_and_its_data_in_two_forms(open_page, two, page):
    app = open_page(page, *two)
    assert titles(app) and set(titles(app)) <= {heading.value for heading in app.header}
    assert all(chart.proto.alt.endswith(".") for chart in charts(app))
    labels = [button.label for button in app.get("download_button")]
    assert labels.count("CSV") == labels.count("JSON") >= len(titles(app))
