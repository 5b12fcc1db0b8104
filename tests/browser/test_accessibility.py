"""Every page in both themes as axe sees it, and what axe does not judge: names read aloud, and marks of the focus."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from smp_lab.paths import pages_folder

from . import harness

pytestmark = pytest.mark.browser

# The overview has the address of the app.
PAGES = ["", *sorted(file.stem for file in pages_folder().glob("*.py") if file.stem != "overview")]

# More than any page has controls.
_MOST_TABS = 120

_READ = """() => document.querySelector('[data-testid=stMain] h1')
    && document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid=stSkeleton]')
    && [...document.querySelectorAll('style')].some(sheet => sheet.textContent.includes('.figure-link'))"""
# Marks of Markdown, which a screen reader would spell out.
_MARKED = r"""() => [...document.querySelectorAll('[aria-label], [alt]')]
    .map(part => part.getAttribute('aria-label') ?? part.alt).filter(name => /\*\*|`/.test(name))"""


# Of what has the focus: its name, and the contrast of the ring around it or around the thumb that it moves.
_RING = r"""() => {
    const part = document.activeElement;
    if (part === document.body) return null;
    const channels = color => color.match(/[\d.]+/g).slice(0, 3).map(value => value / 255);
    const light = color => channels(color)
        .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
        .reduce((sum, value, place) => sum + value * [0.2126, 0.7152, 0.0722][place], 0.05);
    const ring = getComputedStyle(part.closest('[data-testid=stSlider] [data-focus-visible]') ?? part);
    const paper = light(getComputedStyle(document.querySelector('[data-testid=stApp]')).backgroundColor);
    const ink = light(ring.outlineColor);
    const seen = ring.outlineStyle === 'solid' && parseFloat(ring.outlineWidth) >= 2;
    return [part.tagName + ' ' + (part.getAttribute('aria-label') ?? part.innerText),
        seen ? Math.max(ink, paper) / Math.min(ink, paper) : 0];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_clean_and_what_has_the_focus_is_ringed(chromium, address, records, scheme):
    page = chromium.new_context(color_scheme=scheme).new_page()
    page.set_default_timeout(harness.PATIENCE_MS)
    found, rings = {}, {}
    for name in PAGES:
        page.goto(f"{address}/{name}?runs={records['rte'].run_id}&runs={records['cola'].run_id}")
        page.wait_for_function(_READ)
        page.wait_for_timeout(harness.QUIET_MS)
        # Of the dark theme colours alone are other ones.
        rules = {} if scheme == "light" else {"runOnly": ["color-contrast"]}
        broken = Axe().run(page, options={"resultTypes": ["violations"], **rules}).response["violations"]
        found |= {f"{name}: {rule['help']}": [node["html"][:200] for node in rule["nodes"]] for rule in broken}
        found |= {f"{name}: read aloud": marked for marked in [page.evaluate(_MARKED)] if marked}
        for _ in range(_MOST_TABS):
            page.keyboard.press("Tab")
            if (ring := page.evaluate(_RING)) is None:
                break
            rings[f"{name}: {ring[0]}"] = ring[1]
    page.context.close()
    assert found == {}
    # A table draws its own ring, on its canvas.
    rings = {name: contrast for name, contrast in rings.items() if ": CANVAS" not in name}
    assert any(name.startswith("scores: INPUT Snapshot") for name in rings)
    assert {name: contrast for name, contrast in rings.items() if contrast < 3} == {}
