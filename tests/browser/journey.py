"""The demo as a visitor starts and watches it on the page Train; for the journey's test and for README's film."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page

from smp_lab.jobs.queue import Queue

from . import harness

_PRESET = "60-second demo"
_STEP = """() => {
    const shown = [...document.querySelectorAll('[data-testid=stMetric]')].map(metric => metric.innerText);
    const [, step = '0'] = shown.map(words => /^Step\\s+([\\d,]+)/.exec(words)).find(found => found) ?? [];
    return parseInt(step.replace(',', ''));
}"""


def start_demo(page: Page, address: str, runs: Path, train_examples: int | None = None) -> None:
    """Fill the form with the preset, of fewer examples where so many are named, and press Start."""
    # Cores are shared out among two, so that the browser has those of the other.
    Queue(runs).set_slots(2)
    page.goto(f"{address}/train")
    page.get_by_role("radio", name=_PRESET).or_(page.get_by_role("button", name=_PRESET)).click()
    page.get_by_text("--train-examples 1000").wait_for()
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
