"""The README's pictures, made of the cached runs: ``python -m tests.browser.screenshot [PICTURE.png ...]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from smp_lab.storage.paths import project_folder

from .harness import ROUTER, launch, running_app

MOST_BYTES = 300_000

# Picture -> the page, and the figure on it; without one, what a visitor sees of the page.
PICTURES = {
    "sparsity.png": ("/sparsity", None),
    "curves.png": ("/curves?published=", "curves"),
    "overlap.png": ("/overlap", "pair-kinds"),
}


def take(browser: Browser, address: str, path: str, figure: str | None, picture: Path) -> None:
    """Save what a page shows, below `MOST_BYTES`."""
    page = browser.new_context(viewport={"width": 1366, "height": 900}, color_scheme="light").new_page()
    page.goto(address + path)
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]", timeout=30_000)
    page.wait_for_timeout(2000)
    shown = page.locator(f".st-key-{figure} .js-plotly-plot") if figure else page
    shown.screenshot(path=picture)
    page.context.close()
    # Few colours are on the page: a palette of 256 shows them all at a third of the size.
    Image.open(picture).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(picture, optimize=True)
    size = picture.stat().st_size
    if size > MOST_BYTES:
        raise SystemExit(f"{picture} has {size} bytes; at most {MOST_BYTES} are wanted. Choose a smaller part.")


def main(names: list[str]) -> None:
    """Make some of the pictures, or all."""
    unknown = set(names) - set(PICTURES)
    if unknown:
        raise SystemExit(f"Unknown pictures: {', '.join(sorted(unknown))}. Choose among: {', '.join(PICTURES)}.")
    with tempfile.TemporaryDirectory() as folder:
        no_own_runs, log = Path(folder) / "runs", Path(folder) / "log.txt"
        with running_app(ROUTER, no_own_runs, log) as address, sync_playwright() as playwright:
            browser = launch(playwright)
            for name in names or PICTURES:
                path, figure = PICTURES[name]
                take(browser, address, path, figure, project_folder() / ".github" / name)
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
