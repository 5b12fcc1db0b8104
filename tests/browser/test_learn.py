"""The lesson by keyboard alone: its pages turn, and its pictures play."""

import pytest

pytestmark = pytest.mark.browser

_STEP = "() => document.querySelector('.js-plotly-plot')._fullLayout.sliders[0].active"
_TITLE = "text => document.querySelector('[data-testid=stMain] h1')?.innerText.startsWith(text)"


def test_keys_turn_pages_and_move_the_picture(visit):
    page = visit("/learn?screen=2&guess_plane_smp=sideways", 1)
    page.keyboard.press("ArrowRight")
    page.wait_for_function(_TITLE, arg="3.")
    page.wait_for_selector(".updatemenu-button[tabindex]")
    assert page.evaluate(_STEP) == 20
    slider = page.get_by_role("slider", name="Step of training")
    slider.focus()
    slider.press("Home")
    page.wait_for_function(f"({_STEP})() === 0")
    slider.press("ArrowRight")
    page.wait_for_function(f"({_STEP})() === 1")
    page.get_by_role("button", name="Play").focus()
    page.keyboard.press("Enter")
    page.wait_for_function(f"({_STEP})() > 3")
    # The keys of the slider are its own: the page stays.
    assert "screen=3" in page.url
    # What is shown is in the address, and the address shows it.
    slider.press("Home")
    slider.press("ArrowRight")
    page.wait_for_url("**step=15*")
    page.reload()
    page.wait_for_selector(".updatemenu-button[tabindex]")
    page.wait_for_function(f"({_STEP})() === 1")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(_TITLE, arg="4.")
    assert "step=" not in page.url
