"""The demo from the page alone: started, watched, left alone by tab and server, killed, resumed, found everywhere.

    python -m tests.browser.journey FOLDER

trains it in a real Chromium, prints what took how long, and leaves a picture of each step in the folder: light, dark,
as a lecture, and on a phone.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from smp_lab.jobs.queue import Job, Queue

from . import harness

_PRESET = "60-second demo"
_STEP = """() => {
    const shown = [...document.querySelectorAll('[data-testid=stMetric]')].map(metric => metric.innerText);
    const [, step = '0'] = shown.map(words => /^Step\\s+([\\d,]+)/.exec(words)).find(found => found) ?? [];
    return parseInt(step.replace(',', ''));
}"""
# The steps at which pictures are taken.
WATCHED, ELSEWHERE, LOST, RESUMED, DONE = STEPS = ("watched", "elsewhere", "lost", "resumed", "done")
_VIEWS = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "lecture": {"color_scheme": "light"},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


def start_demo(page: Page, address: str, runs: Path, train_examples: int | None = None) -> None:
    """Fill the form with the preset, of fewer examples where so many are named, and press Start."""
    # Cores are shared out among two, so that the browser has those of the other.
    Queue(runs).set_slots(2)
    page.goto(f"{address}/train")
    page.get_by_role("radio", name=_PRESET).or_(page.get_by_role("button", name=_PRESET)).click()
    page.get_by_text("--train-examples 1600").wait_for()
    if train_examples is not None:
        page.get_by_text("All other settings").click()
        field = page.get_by_role("spinbutton", name="Train examples")
        field.fill(str(train_examples))
        field.press("Enter")
        page.get_by_text(f"--train-examples {train_examples}").wait_for()
    page.get_by_role("button", name="Start").click()
    heading(page, "running").wait_for()


def heading(page: Page, state: str) -> Locator:
    """What stands above the job while it is in a state."""
    return page.get_by_role("heading", level=2, name=re.compile(f"{state}$"))


def step_of(page: Page) -> int:
    """The step that the page shows; 0 where it shows none."""
    return int(page.evaluate(_STEP))


def wait_for_step(page: Page, step: int) -> None:
    """Wait until the page shows a step at least so far."""
    page.wait_for_function(f"least => ({_STEP})() >= least", arg=step, timeout=harness.PATIENCE_MS)


def process_of(job: Job) -> psutil.Process:
    """The process that trains it."""
    return psutil.Process(int(str(job.process).split()[0]))


def journey(
    browser: Browser,
    runs: Path,
    scratch: Path,
    *,
    train_examples: int | None = None,
    look: Callable[[str, str], None] = lambda step, address: None,
    say: Callable[[str], None] = lambda words: None,
) -> list[str]:
    """Make the journey and return what the console of the browser complained of.

    Parameters
    ----------
    browser, runs, scratch
        A Chromium, an empty folder of runs, and a folder for what servers print.
    train_examples
        Fewer than the demo's.
    look
        Called at each of `STEPS` with the address of the job's page.
    say
        Told what took how long.
    """
    queue, seen = Queue(runs), list[list[str]]()

    def opened(address: str) -> Page:
        page = browser.new_context(viewport={"width": 1366, "height": 900}).new_page()
        page.set_default_timeout(harness.PATIENCE_MS)
        seen.append(harness.watch(page))
        page.goto(address)
        return page

    with ExitStack() as servers:
        # Whatever fails: nothing trains on.
        servers.callback(lambda: [queue.stop(job.id) for job in queue.jobs() if job.is_active])
        app = harness.OWN_RUNS_ALONE
        address, server = servers.enter_context(harness.running_server(app, runs, scratch / "first.txt"))
        page, begun = opened(address), time.monotonic()
        start_demo(page, address, runs, train_examples)
        say(f"running {time.monotonic() - begun:.1f} s after the page was asked for")
        wait_for_step(page, 1)
        (job,) = queue.jobs()
        look(WATCHED, f"{address}/train?job={job.id}")

        page.context.close()
        server.kill()
        server.wait()
        trainer = process_of(job)
        address, _ = servers.enter_context(harness.running_server(app, runs, scratch / "second.txt"))
        page = opened(f"{address}/train?job={job.id}")
        wait_for_step(page, 2)
        shown = step_of(page)
        wait_for_step(page, shown + 1)
        assert process_of(queue.job(job.id)) == trainer, "another process trains it"
        look(ELSEWHERE, f"{address}/train?job={job.id}")

        trainer.kill()
        killed = time.monotonic()
        heading(page, "lost").wait_for()
        say(f"shown as lost {time.monotonic() - killed:.1f} s after kill -9")
        look(LOST, f"{address}/train?job={job.id}")
        page.get_by_role("button", name="Resume", exact=True).click()
        heading(page, "running").wait_for()
        wait_for_step(page, 1)
        look(RESUMED, f"{address}/train?job={job.id}")
        page.get_by_text("The run is finished").wait_for()
        say(f"finished {time.monotonic() - begun:.0f} s after the page was asked for, one kill -9 included")
        look(DONE, f"{address}/train?job={job.id}")

        run_id = str(queue.job(job.id).run_id)
        for link, n_charts in (("Where it keeps weights", 3), ("Its scores", 1), ("Overview", 1)):
            page.get_by_test_id("stMain").get_by_role("link", name=link).click()
            harness.settle(page, n_charts)
            assert run_id in page.url, f"{page.url} is without {run_id}"
            assert page.get_by_test_id("stException").count() == 0
            if link != "Overview":
                page.goto(f"{address}/train?job={job.id}")
    return [error for errors in seen for error in errors]


def main(folder: Path) -> None:
    """Make the journey with the demo as it is, and pictures of it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        browser, runs = harness.launch(playwright), Path(scratch) / "runs"
        runs.mkdir()

        def look(step: str, address: str) -> None:
            for name, view in _VIEWS.items():
                page = browser.new_context(**{"viewport": {"width": 1366, "height": 900}, **view}).new_page()
                page.goto(address + ("&lecture=1" if name == "lecture" else ""))
                page.get_by_role("heading", level=2).first.wait_for()
                page.wait_for_timeout(3000)
                page.screenshot(path=folder / f"{step}-{name}.png", full_page=name != "lecture")
                page.context.close()

        errors = journey(
            browser,
            runs,
            Path(scratch),
            look=look,
            say=lambda words: print(words, flush=True),  # noqa: T201  # asked for
        )
        browser.close()
    sys.exit("\n".join(errors) or None)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
