"""A figure saved as a file looks the same everywhere: no label is cut, none lies on another, fonts are safe."""

from __future__ import annotations

import re
from itertools import combinations

import pytest

from smp_lab import plots
from smp_lab.figures import style
from smp_lab.paths import cached_runs_folder
from smp_lab.recipes import PACKAGED_ENCODER
from smp_lab.ui import export

pytestmark = pytest.mark.browser

# Every text of an SVG in pixels, and the picture's own size.
_TEXTS = """() => {
    const svg = document.documentElement, whole = svg.getBoundingClientRect();
    return [[...svg.querySelectorAll('text')].filter(text => text.textContent.trim()).map(text => {
        const box = text.getBoundingClientRect();
        return [text.textContent, box.left, box.top, box.right, box.bottom, getComputedStyle(text).fontFamily];
    }), whole.width, whole.height];
}"""


@pytest.fixture(scope="module")
def runs():
    usual = {"method": "smp_s", "remaining": 0.1, "seed": 0, "head": "label_words", "base_model": PACKAGED_ENCODER}
    return plots.open_runs(cached_runs_folder(), **usual)


# Each with the least width that its page gives it.
FIGURES = {
    "layers": (style.PAGE_PIXELS, lambda runs: plots.remaining_per_layer(runs)),
    "heads": (style.PAGE_PIXELS, lambda runs: plots.remaining_per_head(runs)),
    "pairs": (640, lambda runs: plots.overlap(runs)),
    "kinds": (520, lambda runs: plots.overlap_by_kind(runs)),
    "scores": (520, lambda runs: plots.score_distribution(runs[0], "query")),
    "decided": (style.PAGE_PIXELS, lambda runs: plots.similarity_to_final(runs[:3])),
}


@pytest.mark.parametrize("name", FIGURES)
def test_no_label_of_an_export_is_cut_or_covered(chromium, runs, name, tmp_path):
    width, plot = FIGURES[name]
    figure = style.for_print(plot(runs), width)
    maker = chromium.new_page()
    maker.set_content(export.page(figure, 16.0, name))
    maker.wait_for_function("() => window.Plotly && document.querySelector('#figure .main-svg')")
    saved = tmp_path / f"{name}.svg"
    svg = maker.evaluate("async () => decodeURIComponent((await picture('svg')).slice('data:image/svg+xml,'.length))")
    saved.write_text(svg)
    assert re.search(r'<svg[^>]* width="16(\.0)?cm"', svg)
    maker.close()
    opened = chromium.new_page(viewport={"width": 1200, "height": 1400})
    opened.goto(saved.as_uri())
    texts, wide, high = opened.evaluate(_TEXTS)
    opened.close()
    assert wide == pytest.approx(16 * style.PIXELS_PER_CM, abs=1)
    assert texts
    for text, left, top, right, bottom, family in texts:
        assert left >= 0, text
        assert top >= 0, text
        assert right <= wide, text
        assert bottom <= high, text
        assert "Source Sans" not in family
    for (one, *a, _), (other, *b, _) in combinations(texts, 2):
        across = min(a[2], b[2]) - max(a[0], b[0])
        down = min(a[3], b[3]) - max(a[1], b[1])
        # Boxes of text have air of their own above and below.
        assert across <= 2 or down <= 4, (one, other)


def test_a_long_legend_takes_no_height_from_the_lines(chromium):
    figure = style.new_figure("A title", "In a unit", height=460)
    for place in range(44):
        figure.add_scatter(y=[place, place + 1], name=f"A name of more than thirty letters {place}")
    style.tabulate_legend(figure)
    page = chromium.new_page()
    page.set_content(export.page(style.for_print(figure, style.PAGE_PIXELS), 16.0, "long"))
    lines = page.wait_for_selector("#figure .cartesianlayer .gridlayer").bounding_box()
    page.close()
    assert lines["height"] > 340
