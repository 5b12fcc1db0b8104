"""How fast the app is and how much memory it takes, in a real Chromium, with the goal beside each number.

    python -m tests.browser.benchmark [--runs DIR]

Run it on an otherwise idle machine: browser and server share it. Without --runs it makes 60 records in the shape of
MiniLM. A time is that of the page: from the release of the mouse button (or the key) to the last change of the page's
content, when the script has run and every chart shows its marks.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import psutil
from playwright.async_api import Browser, Locator, Page, TimeoutError, async_playwright
from streamlit.testing.v1 import AppTest

from smp_lab.analysis.overlap import measure_overlap, pairwise_overlap
from smp_lab.layout import EncoderLayout
from smp_lab.lesson.training import METHODS, Settings, train
from smp_lab.masks import MaskSet
from smp_lab.paths import RUNS_VARIABLE, app_file, pages_folder
from smp_lab.storage.runs import ScoreHistory, list_runs, load_run
from tests.conftest import HANGS, MINILM, make_run, tiny_scores, uneven_masks

from . import harness

BERT_BASE = EncoderLayout(n_layers=12, hidden_size=768, intermediate_size=3072, n_heads=12, n_parameters=109_482_240)
N_CHOSEN = 4
SECONDS_BETWEEN_CLICKS = (2.0, 5.0)
N_STARTS = 3
# The lesson with a guess on each screen that has sliders or frames: its pictures are then at their fullest.
_GUESSED = urlencode(
    {
        "guess_kept_grow": "rises",
        "guess_true": "it stays",
        "guess_plane_smp": "up and down",
        "guess_methods": "alike",
        "guess_swaps": "fewer",
        "guess_share": "more than v",
        "guess_decided": "more than half",
    }
)

# Controls that a visitor moves; each gives the page something else to draw.
_CONTROLS = {
    "button": "[data-testid=stButtonGroup] [role=radio][aria-checked=false]",
    "list": "[data-testid=stSelectbox] button[aria-haspopup=listbox]",
    "slider": "[data-testid=stSlider] [role=slider], [data-testid=stSlider] input[type=range]",
    "checkbox": "[data-testid=stCheckbox] label",
}
_OPTION = "[role=option]:not([aria-selected=true])"

# Notes when the visitor acted, whether the script ran since, and when the page's content changed last.
_WATCH = """() => {
    const app = document.querySelector('[data-testid=stApp]');
    const seen = window.seen = {start: performance.now(), last: performance.now(), ran: false};
    const act = () => { seen.start = performance.now(); };
    window.unwatch?.();
    for (const kind of ['pointerup', 'keydown']) addEventListener(kind, act, {capture: true});
    const observer = new MutationObserver(changes => {
        for (const {target, attributeName} of changes) {
            if (target === app && attributeName === 'data-test-script-state') {
                seen.ran ||= app.dataset.testScriptState !== 'notRunning';
            } else {
                const element = target.nodeType === 1 ? target : target.parentElement;
                if (element?.closest('[data-testid=stMain]') && !element.closest('.hoverlayer')) {
                    seen.last = performance.now();
                }
            }
        }
    });
    observer.observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
    window.unwatch = () => {
        observer.disconnect();
        for (const kind of ['pointerup', 'keydown']) removeEventListener(kind, act, {capture: true});
    };
}"""
# Milliseconds from the act to the last change, once nothing has changed for a while.
_SETTLED = f"""path => {{
    const app = document.querySelector('[data-testid=stApp]'), now = performance.now(), seen = window.seen;
    const waited = now - seen.start > 5000; // an act that moved nothing starts no script
    const charts = [...document.querySelectorAll('[data-testid=stPlotlyChart]')];
    const drawn = charts.every(chart => chart.querySelector('{harness.MARKS}, .annotation'));
    return (seen.ran || waited) && app.dataset.testScriptState === 'notRunning' && now - seen.last > 250 && drawn
        && (path === null || location.pathname === path)
        && {{seconds: seen.ran ? (seen.last - seen.start) / 1000 : null}};
}}"""


@dataclass
class Visitor:
    """One browser session.

    Parameters
    ----------
    page
        Its only page.
    errors
        What the console reported, and what the pages said went wrong.
    """

    page: Page
    errors: list[str] = field(default_factory=list)

    async def open(self, address: str) -> None:
        """Open an address and wait until it is drawn."""
        # Of twenty that open at once, the last has its scripts after a minute.
        await self.page.goto(address, timeout=harness.PATIENCE_MS)
        await self.page.wait_for_selector("[data-testid=stApp]", timeout=60_000)
        await self.page.evaluate(_WATCH)
        await self._settle(None)

    async def time(self, act: Callable[[], Awaitable[None]], path: str | None = None) -> float | None:
        """Seconds until the page has settled after an act, at the path that it leads to; None if no script ran."""
        await self.page.evaluate(_WATCH)
        await act()
        return await self._settle(path)

    async def _settle(self, path: str | None) -> float | None:
        settled = await self.page.wait_for_function(_SETTLED, arg=path, timeout=120_000, polling=50)
        seconds = (await settled.json_value())["seconds"]
        for failure in await self.page.locator("[data-testid=stException]").all_inner_texts():
            self.errors.append(failure.split("\n")[0])
        return seconds

    async def pages(self) -> dict[str, Locator]:
        """Path -> link of every page in the sidebar."""
        links = await self.page.get_by_test_id("stSidebarNavLink").all()
        return {await link.evaluate("link => link.pathname"): link for link in links}

    async def turn_to(self, path: str) -> float:
        """Seconds to switch to a page by its link."""
        return await self.time((await self.pages())[path].click, path) or 0.0

    async def move(self, chance: random.Random) -> float | None:
        """Seconds to move one control at random; None where nothing moved."""
        kinds = list(_CONTROLS)
        chance.shuffle(kinds)
        for kind in kinds:
            found = await self.page.locator(_CONTROLS[kind]).all()
            chance.shuffle(found)
            for control in found:
                if not (await control.is_visible() and await control.is_enabled()):
                    continue
                if kind == "slider":
                    await control.focus()
                    # At its end a slider does not move, and says so by starting no script.
                    key = chance.choice(["ArrowLeft", "ArrowRight"])
                    return await self.time(lambda key=key, control=control: control.press(key))
                if kind == "list":
                    await control.click()
                    options = await self.page.locator(_OPTION).all()
                    if not options:
                        await self.page.keyboard.press("Escape")
                        continue
                    option = chance.choice(options[:10])
                    try:
                        return await self.time(lambda option=option: option.click(timeout=5_000))
                    except TimeoutError:
                        # A list closes when the page below it moves, as under a visitor who acts this fast.
                        return None
                return await self.time(control.click)
        return None


@asynccontextmanager
async def visiting(browser: Browser) -> AsyncIterator[Visitor]:
    """A fresh session."""
    context = await browser.new_context(viewport={"width": 1366, "height": 768})
    page = await context.new_page()
    visitor = Visitor(page)
    visitor.errors = harness.watch(page)
    try:
        yield visitor
    finally:
        await context.close()


@dataclass(frozen=True)
class Row:
    """One line of the table; `met` is None where there is no goal."""

    what: str
    measured: str
    goal: str = ""
    met: bool | None = None

    def __str__(self) -> str:
        met = {None: "", True: "yes", False: "NO"}[self.met]
        return f"| {self.what} | {self.measured} | {self.goal} | {met} |"


def below(what: str, value: float, goal: float, unit: str, digits: int = 2, note: str = "") -> Row:
    """A row whose goal is a highest value."""
    return Row(what, f"{value:.{digits}f} {unit}{note}", f"< {goal:g} {unit}", value < goal)


def none_of(what: str, errors: Sequence[str]) -> Row:
    """A row that counts errors, of which the first are written out."""
    for error in errors[:5]:
        sys.stderr.write(f"{error}\n")
    return Row(what, str(len(errors)), "0", not errors)


def quantiles(seconds: Sequence[float]) -> str:
    """Median, 95th percentile and highest, in milliseconds."""
    p50, p95 = (1000 * np.quantile(seconds, q) for q in (0.5, 0.95))
    return f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, highest {1000 * max(seconds):.0f} ms, n = {len(seconds)}"


def make_records(folder: Path) -> None:
    """60 records of four tasks in the shape of MiniLM."""
    for task_number, task in enumerate(("sst2", "cola", "mrpc", "rte")):
        for level_number, remaining in enumerate((0.8, 0.5, 0.3, 0.1, 0.03)):
            for method, seed in (("smp_s", 0), ("smp_s", 1), ("smp_l", 0)):
                masks = uneven_masks(remaining, 100 * task_number + 10 * level_number + 3 * seed + (method == "smp_l"))
                make_run(
                    folder,
                    layout=MINILM,
                    masks=masks,
                    scores=as_many_bins_as_real(tiny_scores(masks, n_snapshots=21)),
                    task=task,
                    method=method,
                    seed=seed,
                    remaining=remaining,
                    accuracy=0.9 - 0.1 * task_number - 0.1 * (1 - remaining) + 0.01 * seed,
                    base_model="synthetic-in-the-shape-of-MiniLM",
                )


def as_many_bins_as_real(scores: ScoreHistory) -> ScoreHistory:
    """The same counts, each of 4 score bins cut into 64 and each of 3 bins of |W| into 17."""

    def spread(counts: np.ndarray, axis: int, n: int) -> np.ndarray:
        share = counts // n
        parts = np.repeat(np.expand_dims(share, axis + 1), n, axis + 1)
        np.moveaxis(parts, axis + 1, 0)[0] += counts - n * share
        return parts.reshape(*counts.shape[:axis], n * counts.shape[axis], *counts.shape[axis + 1 :])

    return replace(
        scores,
        edges=np.r_[-np.inf, np.linspace(-4, 4, 255), np.inf].astype(np.float32),
        kept_histogram=spread(scores.kept_histogram, 2, 64),
        removed_histogram=spread(scores.removed_histogram, 2, 64),
        weight_edges=np.r_[-np.inf, np.linspace(-6, 1, 50), np.inf].astype(np.float32),
        weight_score_histogram=spread(spread(scores.weight_score_histogram, 2, 64), 1, 17),
    )


def make_base_sized(folder: Path, count: int) -> None:
    """Records in the shape of BERT-base with masks at random, half of the weights kept."""
    for seed in range(count):
        rng = np.random.default_rng(seed)
        bits = {
            matrix: rng.integers(0, 256, BERT_BASE.size(matrix.matrix_type) // 8, np.uint8)
            for matrix in BERT_BASE.matrices
        }
        make_run(folder, layout=BERT_BASE, masks=MaskSet(BERT_BASE, bits), seed=seed)


def overlap_row(name: str, folder: Path, count: int, goal: float) -> Row:
    """All pairs of so many masks, read from disk and compared."""
    paths = [run.path for run in list_runs([folder]).records.values() if run.has_masks][:count]
    start = time.perf_counter()
    masks = {path.name: load_run(path).masks for path in paths}
    read = time.perf_counter() - start
    start = time.perf_counter()
    measure_overlap(pairwise_overlap(masks), ["run_a", "run_b"])
    compared = time.perf_counter() - start
    return below(
        f"overlap of all pairs of {len(paths)} {name} masks", compared, goal, "s", note=f" (and {read:.2f} s to read)"
    )


def resident(server: subprocess.Popen[bytes]) -> float:
    """Memory of the server, in megabytes."""
    return psutil.Process(server.pid).memory_info().rss / 2**20


def busy(server: subprocess.Popen[bytes]) -> float:
    """Seconds of processor that the server has used so far."""
    return sum(psutil.Process(server.pid).cpu_times()[:2])


@contextlib.contextmanager
def the_app(runs: Path, log: Path) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`smp-lab app` on these runs, not answering yet."""
    port = harness.free_port()
    command = [sys.executable, "-c", "from smp_lab.cli import main; main()", "app"]
    command += ["--port", str(port), "--runs", str(runs)]
    # A browser of its own would share the machine.
    os.environ["STREAMLIT_SERVER_HEADLESS"] = "true"
    with harness.serving(command, runs, log) as server:
        yield port, server


async def starts(browser: Browser, runs: Path, log: Path, count: int) -> Row:
    """From the command to the first page, with a new server and a new session each time."""
    seconds = []
    for _ in range(count):
        start = time.perf_counter()
        with the_app(runs, log) as (port, server):
            harness.wait_until_healthy(port, server, log)
            async with visiting(browser) as visitor:
                await visitor.open(f"http://127.0.0.1:{port}/")
                await visitor.page.wait_for_selector("[data-testid=stDataFrame]", timeout=60_000)
                seconds.append(time.perf_counter() - start)
    # What tells that a page has settled waits for a quarter of a second of rest.
    return below("smp-lab app to first page drawn", max(seconds) - 0.25, 5, "s", note=f", worst of {count}")


def rerun_rows(runs: Path, count: int) -> list[Row]:
    """CPU time of a session's rerun in which nothing changes, on every page, beside a page that says one word."""
    os.environ[RUNS_VARIABLE] = str(runs)
    # It warns that a page is drawn without a browser, which is meant.
    logging.getLogger("streamlit.runtime.scriptrunner_utils.script_run_context").disabled = True
    alone = AppTest.from_string("import streamlit as st; st.write('one word')", default_timeout=HANGS)
    rows = [Row("rerun of a page of one word: Streamlit itself", rerun_cost(alone, count))]
    for page in sorted(pages_folder().glob("*.py")):
        app = AppTest.from_file(str(app_file()), default_timeout=HANGS)
        rows.append(Row(f"rerun of {page.name}", rerun_cost(app.switch_page(str(page)), count)))
    return rows


def rerun_cost(app: AppTest, count: int) -> str:
    """Median over so many reruns, after one that fills the caches."""
    app.run()
    seconds = []
    for _ in range(count):
        start = time.process_time()
        app.run()
        seconds.append(time.process_time() - start)
    return f"{1000 * np.median(seconds):.0f} ms of CPU, n = {count}"


async def one_visitor(
    browser: Browser, address: str, query: str, server: subprocess.Popen[bytes], rounds: int, moves: int
) -> list[Row]:
    """Page switches, widget changes and memory with one session."""
    chance = random.Random(0)
    async with visiting(browser) as visitor:
        await visitor.open(address + query)
        pages = list(await visitor.pages())
        first, later = {}, {path: [] for path in pages}
        for number in range(rounds + 1):
            for path in [*pages[1:], pages[0]]:
                seconds = await visitor.turn_to(path)
                if number:
                    later[path].append(seconds)
                else:
                    first[path] = seconds
        rows = [
            below(f"switch to {path}", max(later[path]), 1, "s", note=f" at most, {first[path]:.2f} s the first time")
            for path in pages
        ]
        rows.append(below("server after all pages", resident(server), 400, "MB", 0))

        seconds, memory = {path: [] for path in pages}, [resident(server)]
        while sum(map(len, seconds.values())) < moves:
            path = chance.choice(pages[1:])
            await visitor.turn_to(path)
            for _ in range(5):
                if (moved := await visitor.move(chance)) is not None:
                    seconds[path].append(moved)
            memory.append(resident(server))
        every = [value for values in seconds.values() for value in values]
        for path, values in seconds.items():
            if values:
                rows.append(Row(f"widget to figure, {path}", quantiles(values)))
        p95 = float(np.quantile(every, 0.95))
        rows.append(Row("widget to figure, all pages", quantiles(every), "p95 < 500 ms", p95 < 0.5))
        half = len(memory) // 2
        growth = float(np.median(memory[half + half // 2 :]) - np.median(memory[half // 2 : half + 1]))
        rows.append(below(f"server after {len(every)} changes", memory[-1], 400, "MB", 0))
        rows.append(below("growth from the second quarter of them to the last", growth, 10, "MB", 1))
        rows.append(none_of("errors", visitor.errors))
    return rows


async def lesson(browser: Browser, address: str, presses: int) -> list[Row]:
    """Every screen of the lesson, its answers shown: turned to by a key, then each slider moved by keys."""
    turned, moved, number = [], {}, 0
    async with visiting(browser) as visitor:
        await visitor.open(f"{address}/learn?{_GUESSED}")
        while True:
            number += 1
            seconds = moved.setdefault(number, [])
            for slider in await visitor.page.locator(f".st-key-lesson {_CONTROLS['slider']}").all():
                await slider.focus()
                for press in range(presses):
                    key = "ArrowLeft" if press < presses / 2 else "ArrowRight"
                    if (took := await visitor.time(lambda key=key, slider=slider: slider.press(key))) is not None:
                        seconds.append(took)
            if await visitor.page.locator(".st-key-next button").is_disabled():
                break
            # The arrow keys of a slider are its own.
            await visitor.page.evaluate("document.activeElement.blur()")
            turned.append(await visitor.time(lambda: visitor.page.keyboard.press("ArrowRight")) or 0.0)
    every = [value for values in moved.values() for value in values]
    p95 = float(np.quantile(every, 0.95))
    return [
        below("next screen of the lesson", max(turned), 1, "s", note=f" at most, n = {len(turned)}"),
        *(Row(f"slider of screen {number}", quantiles(values)) for number, values in moved.items() if values),
        Row("slider of the lesson, all screens", quantiles(every), "p95 < 500 ms", p95 < 0.5),
        none_of("errors of the lesson", visitor.errors),
    ]


def training_rows() -> list[Row]:
    """CPU time of a training of the lesson's network, at its first and at its greatest width."""
    rows = []
    for width in (Settings.width, 128):
        start = time.process_time()
        for method in METHODS:
            train(Settings(width=width, method=method))
        seconds = (time.process_time() - start) / len(METHODS)
        rows.append(
            below(f"300 steps of the lesson, {width} units", seconds, 1, "s", note=" of CPU, mean over methods")
        )
    return rows


async def all_runs_at_once(browser: Browser, address: str, moves: int) -> Row:
    """The overlap page where no run is chosen: all are compared."""
    chance = random.Random(1)
    async with visiting(browser) as visitor:
        await visitor.open(address)
        first = await visitor.turn_to("/overlap")
        moved = [await visitor.move(chance) for _ in range(moves)]
        seconds = [value for value in moved if value is not None]
    return Row("overlap page of all runs", f"{first:.2f} s the first time; widgets {quantiles(seconds)}")


async def many_visitors(
    browsers: Sequence[Browser], address: str, query: str, server: subprocess.Popen[bytes], count: int, seconds: float
) -> list[Row]:
    """So many sessions at once, spread over the browsers, each acting every few seconds."""
    times: list[float] = []
    errors: list[str] = []
    all_are_there = asyncio.Barrier(count)

    async def visit(number: int) -> None:
        chance = random.Random(number)
        async with visiting(browsers[number % len(browsers)]) as visitor:
            try:
                await visitor.open(address + query)
                pages = list(await visitor.pages())
                await all_are_there.wait()
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    await asyncio.sleep(chance.uniform(*SECONDS_BETWEEN_CLICKS))
                    others = [path for path in pages if path != await visitor.page.evaluate("location.pathname")]
                    turn = chance.random() < 0.3
                    took = await (visitor.turn_to(chance.choice(others)) if turn else visitor.move(chance))
                    if took is not None:
                        times.append(took)
            except (TimeoutError, asyncio.BrokenBarrierError) as error:
                errors.append(str(error).split("\n")[0])
                # Those that wait for this one would wait for ever.
                await all_are_there.abort()
            errors.extend(visitor.errors)

    before = busy(server)
    await asyncio.gather(*(visit(number) for number in range(count)))
    used = busy(server) - before
    p95 = float(np.quantile(times, 0.95)) if times else float("nan")
    what = f"{count} sessions in {len(browsers)} browsers for {seconds:g} s"
    return [
        Row(what, quantiles(times) if times else "nothing was measured", "p95 < 2 s", p95 < 2),
        none_of(f"{what}, errors", errors),
        # The browsers share the machine: what is not the server's is theirs.
        Row(f"{what}, server's part of {os.cpu_count()} processors", f"{used / seconds / (os.cpu_count() or 1):.1%}"),
        Row(f"{what}, server at the end", f"{resident(server):.0f} MB"),
    ]


async def measure(runs: Path, log: Path, options: argparse.Namespace) -> list[Row]:
    """All that needs a browser."""
    index = list_runs([runs]).records.values()
    by_task = {run.config.task: run.run_id for run in index if run.has_scores}
    query = "/?" + "&".join(f"runs={run_id}" for run_id in list(by_task.values())[:N_CHOSEN])
    async with async_playwright() as playwright:
        browser = await harness.launch(playwright)
        rows = [await starts(browser, runs, log, options.starts)]
        with the_app(runs, log) as (port, server):
            harness.wait_until_healthy(port, server, log)
            address = f"http://127.0.0.1:{port}"
            rows += await one_visitor(browser, address, query, server, options.rounds, options.moves)
            rows += await lesson(browser, address, options.presses)
            rows += [await all_runs_at_once(browser, address, max(options.moves // 10, 1))]
            browsers = [browser, *[await harness.launch(playwright) for _ in range(options.browsers - 1)]]
            rows += await many_visitors(browsers, address, query, server, options.sessions, options.seconds)
        for each in browsers:
            await each.close()
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=Path, help="a folder of runs; without it 60 records are made")
    parser.add_argument("--starts", type=int, default=N_STARTS, help="how often the app is started")
    parser.add_argument("--rounds", type=int, default=5, help="visits of every page")
    parser.add_argument("--moves", type=int, default=200, help="controls moved by one session")
    parser.add_argument("--presses", type=int, default=8, help="of a key on each slider of the lesson")
    parser.add_argument("--reruns", type=int, default=10, help="of every page, without a browser")
    parser.add_argument("--sessions", type=int, default=20, help="at once")
    parser.add_argument("--browsers", type=int, default=1, help="that the sessions are spread over")
    parser.add_argument("--seconds", type=float, default=120, help="that they last")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        runs, base = options.runs, Path(scratch) / "base"
        if runs is None:
            runs = Path(scratch) / "runs"
            make_records(runs)
        make_base_sized(base, 10)
        rows = [overlap_row("MiniLM", runs, 30, 1), overlap_row("BERT-base-sized", base, 10, 3)]
        rows += training_rows()
        rows += rerun_rows(runs.absolute(), options.reruns)
        rows += asyncio.run(measure(runs.absolute(), Path(scratch) / "log.txt", options))
    lines = ["| what | measured | goal | met |", "| --- | --- | --- | --- |", *rows]
    sys.stdout.write("\n".join(map(str, lines)) + "\n")


if __name__ == "__main__":
    main()
