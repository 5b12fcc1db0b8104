"""The README's picture: ``python -m tests.browser.screenshot PICTURE.png [/page?query] [light|dark]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from .harness import ROUTER, launch, running_app

MOST_BYTES = 300_000


def take(picture: Path, path: str = "/sparsity", scheme: str = "light") -> None:
    """Save what the app shows of the cached runs, below `MOST_BYTES`."""
    with tempfile.TemporaryDirectory() as folder:
        no_own_runs = Path(folder) / "runs"
        log = Path(folder) / "log.txt"
        with running_app(ROUTER, no_own_runs, log) as address, sync_playwright() as playwright:
            browser = launch(playwright)
            page = browser.new_context(viewport={"width": 1366, "height": 900}, color_scheme=scheme).new_page()
            page.goto(address + path)
            page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=30_000)
            page.wait_for_timeout(2000)
            page.screenshot(path=picture)
            browser.close()
    # Few colours are on the page: a palette of 256 shows them all at a third of the size.
    Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)
    size = picture.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(
            f"{picture} has {size} bytes; at most {MOST_BYTES} are wanted. Choose a page with fewer figures."
        )


if __name__ == "__main__":
    take(Path(sys.argv[1]), *sys.argv[2:])
