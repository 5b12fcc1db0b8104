"""The lesson by keyboard alone: its pages turn, and its pictures play."""

import pytest

pytestmark = pytest.mark.browser

_STEP = "() => document.querySelector('.js-plotly-plot')._fullLayout.sliders[0].active"
_TITLE = "text => document.querySelector('[data-testid=stMain] h1')?.innerText.startsWith(text)"
_STEP_AND_PLAY = """() => {
    const press = (part, key) =>
        document.querySelector(part).dispatchEvent(new KeyboardEvent('keydown', {key, bubbles: true}));
    press('.slider-group', 'ArrowRight');
    press('.updatemenu-button[aria-label=Play]', 'Enter');
}"""

# Looks after each painted frame: is there a picture, of its own or held from before?
_LOOK = """() => {
    const seen = window.seen = {frames: 0, without: 0, pictures: new Set()};
    const look = () => requestAnimationFrame(() => setTimeout(() => {
        const shown = [...document.querySelectorAll('.st-key-lesson-picture .stPlotlyChart')]
            .filter(frame => frame.getBoundingClientRect().height > 0);
        seen.frames += 1;
        seen.without += !shown.some(frame => frame.querySelector('.trace, .xtick, .annotation, image'));
        shown.forEach(frame => seen.pictures.add(frame.querySelector('.js-plotly-plot')));
        look();
    }));
    look();
}"""


def test_a_picture_stands_until_the_next_is_drawn(visit):
    page = visit("/learn?screen=1", 1)
    slider = page.get_by_role("slider", name="Weight")
    page.evaluate(_LOOK)
    slider.focus()
    for n_pictures in range(2, 8):
        slider.press("ArrowRight")
        page.wait_for_function("n => seen.pictures.size >= n", arg=n_pictures)
    page.wait_for_function("() => !document.querySelector('.picture-before')")
    seen = page.evaluate("seen")
    assert seen["frames"] > 7 and seen["without"] == 0


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
    # Nor is a press lost that comes in the same frame as a step of the slider.
    slider.press("Home")
    page.wait_for_url("**step=0*")
    page.evaluate(_STEP_AND_PLAY)
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
