"""The README's pictures, made of the cached runs: ``python -m tests.browser.screenshot [PICTURE.png ...]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from smp_lab.analysis.labels import variants
from smp_lab.methods import METHODS
from smp_lab.paths import cached_runs_folder, project_folder
from smp_lab.storage.runs import list_runs

from .harness import ROUTER, launch, running_app, settle

MOST_BYTES = 300_000


def usual_runs() -> str:
    """Address of the cached runs of usual settings and of methods that are there for every task."""
    runs = list(list_runs([cached_runs_folder()]).runs.values())
    usual = [run for run, variant in zip(runs, variants([run.config for run in runs]), strict=True) if not variant]
    tasks = {run.config.task for run in runs}
    everywhere = {
        method for method in METHODS if {run.config.task for run in usual if run.config.method == method} == tasks
    }
    return "&".join(f"runs={run.run_id}" for run in usual if run.config.method in everywhere)


# Picture -> the page, how many charts it has, and the figure on it; without one, what a visitor sees of the page.
PICTURES = {
    "sparsity.png": ("/sparsity", 3, None),
    "curves.png": ("/curves?published=&{usual_runs}", 1, "curves"),
    "learn.png": ("/learn?screen=4&shape=spiral&v=10&width=64&right=Random+mask&guess_methods=left&lecture=1", 1, None),
    "overlap.png": ("/overlap", 7, "pair-kinds"),
}


def take(browser: Browser, address: str, n_charts: int, figure: str | None, picture: Path) -> None:
    """Save what a page shows, below `MOST_BYTES`."""
    page = browser.new_context(viewport={"width": 1366, "height": 900}, color_scheme="light").new_page()
    page.goto(address)
    settle(page, n_charts)
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
            browser, usual = launch(playwright), usual_runs()
            for name in names or PICTURES:
                path, n_charts, figure = PICTURES[name]
                page = address + path.format(usual_runs=usual)
                take(browser, page, n_charts, figure, project_folder() / ".github" / name)
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
