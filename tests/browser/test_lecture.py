"""The keys of a lecture: from figure to figure, and one on all of the screen."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

_FULL = "document.querySelector('.lecture-full')"


def test_one_figure_fills_the_screen_and_the_next_one_takes_its_place(visit, records):
    runs = "&".join(f"runs={record.run_id}" for record in records.values())
    page = visit(f"/sparsity?lecture=1&{runs}", n_charts=3)
    page.keyboard.press("f")
    first = page.evaluate(f"{_FULL}.getBoundingClientRect().toJSON()")
    # As large as fits, in the middle.
    assert first["width"] == pytest.approx(1366, abs=2) or first["height"] == pytest.approx(768, abs=2)
    assert first["left"] + first["right"] == pytest.approx(1366, abs=2)
    assert first["top"] + first["bottom"] == pytest.approx(768, abs=2)
    before = page.evaluate(f"{_FULL}.textContent")
    page.keyboard.press("PageDown")
    assert page.evaluate(f"{_FULL}.textContent") != before
    page.keyboard.press("PageUp")
    assert page.evaluate(f"{_FULL}.textContent") == before
    page.keyboard.press("Escape")
    assert page.evaluate(_FULL) is None
    page.get_by_text("QR code").click()
    page.get_by_alt_text("QR code of the address").wait_for()
