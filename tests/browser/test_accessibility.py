"""Every page in both themes as axe sees it, and the names that are read aloud, which axe does not judge."""

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
