"""Every page in both themes as axe sees it, and what axe cannot judge: names read aloud, marks of focus, motion."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe

from smp_lab.paths import pages_folder

from . import harness

pytestmark = pytest.mark.browser

# The overview has the address of the app.
PAGES = ["", *sorted(file.stem for file in pages_folder().glob("*.py") if file.stem != "overview")]

_READ = """() => document.querySelector('[data-testid=stMain] h1')
    && document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
    && !document.querySelector('[data-testid=stSkeleton]')
    && [...document.querySelectorAll('style')].some(sheet => sheet.textContent.includes('.figure-link'))"""
# Marks of Markdown, which a screen reader would spell out.
_MARKED = r"""() => [...document.querySelectorAll('[aria-label], [alt]')]
    .map(part => part.getAttribute('aria-label') ?? part.alt).filter(name => /\*\*|`/.test(name))"""
_OUTLINE = (
    "part => { const style = getComputedStyle(part); return [style.outlineStyle, parseFloat(style.outlineWidth)]; }"
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_clean(chromium, address, records, scheme):
    page = chromium.new_context(color_scheme=scheme).new_page()
    page.set_default_timeout(harness.PATIENCE_MS)
    found = {}
    for name in PAGES:
        page.goto(f"{address}/{name}?runs={records['rte'].run_id}&runs={records['cola'].run_id}")
        page.wait_for_function(_READ)
        page.wait_for_timeout(harness.QUIET_MS)
        # Of the dark theme colours alone are other ones.
        rules = {} if scheme == "light" else {"runOnly": ["color-contrast"]}
        broken = Axe().run(page, options={"resultTypes": ["violations"], **rules}).response["violations"]
        found |= {f"{name}: {rule['help']}": [node["html"][:200] for node in rule["nodes"]] for rule in broken}
        found |= {f"{name}: read aloud": marked for marked in [page.evaluate(_MARKED)] if marked}
    page.context.close()
    assert found == {}


def test_the_keys_show_where_they_are_and_nothing_moves_for_who_asks_for_that(chromium, address, records):
    page = chromium.new_context(reduced_motion="reduce").new_page()
    page.set_default_timeout(harness.PATIENCE_MS)
    page.goto(f"{address}/scores?runs={records['rte'].run_id}")
    harness.settle(page, 1)
    page.keyboard.press("Tab")
    for part in ("a", "button", "input", "[role=slider]"):
        control = page.locator(part).filter(visible=True).first
        control.focus()
        style, width = control.evaluate(_OUTLINE)
        assert style == "solid", part
        assert width >= 2, part
    assert page.locator("button").first.evaluate("part => getComputedStyle(part).transitionDuration") == "0.001s"
    page.context.close()
