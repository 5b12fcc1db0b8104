"""The README's pictures, made of the cached runs: ``python -m tests.browser.screenshot [PICTURE.png ...]``.

``python -m tests.browser.screenshot train.gif`` trains the demo and films it.
"""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from smp_lab.analysis.labels import variants
from smp_lab.methods import METHODS
from smp_lab.paths import cached_runs_folder, project_folder
from smp_lab.recipes import PACKAGED_ENCODER
from smp_lab.storage.runs import list_runs

from .harness import PATIENCE_MS, ROUTER, launch, running_app, settle
from .journey import start_demo, step_of

MOST_BYTES = 300_000
FILM = "train.gif"
MOST_BYTES_OF_A_FILM = 600_000
STEPS_BETWEEN_FRAMES = 4
WIDTH_OF_A_FRAME = 820
_RUN_AND_ITS_FIRST_PICTURES = """() => {
    const [heading] = document.querySelectorAll('[data-testid=stMain] h2');
    const charts = [...document.querySelectorAll('[data-testid=stPlotlyChart] .svg-container')].slice(0, 2);
    const boxes = charts.map(chart => chart.getBoundingClientRect());
    if (!heading || boxes.length < 2 || boxes.some(box => box.height < 300)) return null;
    const y = heading.getBoundingClientRect().top - 12;
    const bottom = Math.max(...boxes.map(box => box.bottom));
    return {x: 0, y, width: innerWidth, height: bottom - y};
}"""
FEW_COLORS = 16
MS_A_FRAME, MS_OF_THE_LAST = 350, 3000


def usual_runs() -> str:
    """Address of usual runs of the packaged encoder: tasks with fine-tuning, and methods that all of these have."""
    every = list_runs([cached_runs_folder()]).records.values()
    runs = [run for run in every if run.config.base_model == PACKAGED_ENCODER]
    usual = [run for run, variant in zip(runs, variants([run.config for run in runs]), strict=True) if not variant]
    tasks = {run.config.task for run in usual if run.config.method == "dense"}
    usual = [run for run in usual if run.config.task in tasks]
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
    require_size(picture, MOST_BYTES)


def film(browser: Browser, address: str, runs: Path, picture: Path) -> None:
    """Train the demo from the page, and film the lecture view until the run is finished."""
    page = browser.new_context(viewport={"width": 1366, "height": 1600}, color_scheme="light").new_page()
    page.set_default_timeout(PATIENCE_MS)
    start_demo(page, address, runs)
    page.goto(f"{address}/train?job=1&lecture=1")
    finished, frames, step, shown = page.get_by_text("The run is finished"), [], 0, None
    while not finished.count():
        drawn, now = page.evaluate(_RUN_AND_ITS_FIRST_PICTURES), step_of(page)
        # The same part of the page from then on: a film has one size.
        shown = shown or drawn
        if drawn and now >= step + STEPS_BETWEEN_FRAMES:
            frame = Image.open(BytesIO(page.screenshot(clip=shown))).convert("RGB")
            left, lower = frame.width // 2, frame.height // 2
            charts = (frame.crop((x, lower, x + left, frame.height)) for x in (0, left))
            if any(chart.getcolors(FEW_COLORS) for chart in charts):
                # Taken while a chart was drawn anew: its place is empty.
                continue
            step = now
            frames.append(frame.resize((WIDTH_OF_A_FRAME, frame.height * WIDTH_OF_A_FRAME // frame.width)))
        page.wait_for_timeout(300)
    page.context.close()
    # All frames have the colours of the last one, which shows all that the others do.
    palette = frames[-1].quantize(64, dither=Image.Dither.NONE)
    first, *rest = (frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames)
    durations = [MS_A_FRAME] * len(rest) + [MS_OF_THE_LAST]
    first.save(picture, save_all=True, append_images=rest, duration=durations, loop=0, optimize=True)
    require_size(picture, MOST_BYTES_OF_A_FILM)


def require_size(picture: Path, most: int) -> None:
    """End where a picture is too large for a README."""
    size = picture.stat().st_size
    if size > most:
        raise SystemExit(f"{picture} has {size} bytes; at most {most} are wanted. Choose a smaller part.")


def main(names: list[str]) -> None:
    """Make some of the pictures, or all."""
    # The film last: its run would be in the others.
    known = [*PICTURES, FILM]
    if unknown := set(names) - set(known):
        raise SystemExit(f"Unknown pictures: {', '.join(sorted(unknown))}. Choose among: {', '.join(known)}.")
    with tempfile.TemporaryDirectory() as folder:
        runs, log = Path(folder) / "runs", Path(folder) / "log.txt"
        with running_app(ROUTER, runs, log) as (address, _), sync_playwright() as playwright:
            browser, usual = launch(playwright), usual_runs()
            for name in sorted(names or known, key=known.index):
                picture = project_folder() / ".github" / name
                if name == FILM:
                    film(browser, address, runs, picture)
                    continue
                path, n_charts, figure = PICTURES[name]
                take(browser, address + path.format(usual_runs=usual), n_charts, figure, picture)
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1:])
