from __future__ import annotations

import re
from importlib.util import find_spec

import pytest

from smp_lab.figures.style import for_print, new_figure
from smp_lab.ui import export


@pytest.fixture
def figure():
    return for_print(new_figure("Kept weights", "In %").add_scatter(y=[1, 2]), 400)


def test_an_svg_has_the_width_that_was_asked_for():
    svg = '<svg class="a" width="400" height="200" viewBox="0 0 400 200"><rect width="400"/></svg>'
    assert export.in_centimetres(svg, 8.0) == (
        '<svg class="a" width="8.000cm" height="4.000cm" viewBox="0 0 400 200"><rect width="400"/></svg>'
    )


def test_the_page_for_a_browser_holds_all_it_needs(figure):
    page = export.page(figure, 16.0, "kept")
    assert "size: 16.0cm" in page
    assert "Plotly.toImage('figure'" in page
    assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=", page)


def test_a_caption_says_of_which_runs_encoder_and_data_the_figure_is(open_page, write_run):
    run = write_run()
    app = open_page("sparsity.py", run.run_id)
    app.button(key="remaining-per-layer-picture").click().run()
    caption = next(block.value for block in app.code if block.value.startswith("Remaining weights per layer"))
    config = run.config
    assert f"1 run. Encoder {config.base_model} ({config.base_model_sha256[:12]})" in caption
    assert f"({config.data_sha256[:12]}, n = {run.n_examples})" in caption
    assert caption.endswith(f"Ids: {run.run_id}.")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("kaleido") is None, reason="plotly's own exporter is not installed")
@pytest.mark.parametrize(("kind", "start"), [("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<svg")])
def test_plotlys_own_exporter_writes_every_format(figure, kind, start):
    content = export.image(figure, kind, 16.0)
    assert content.startswith(start)
    if kind == "png":
        # 16 cm at 300 dots per inch.
        assert int.from_bytes(content[16:20], "big") == pytest.approx(16 / 2.54 * 300, abs=2)
