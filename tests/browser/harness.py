"""A running app and a real Chromium, for the browser tests and for the README's screenshot."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, Playwright

from smp_lab.paths import RUNS_VARIABLE, app_file, project_folder
from smp_lab.storage.runs import RunRecord

ROUTER = app_file()
OWN_RUNS_ALONE = Path(__file__).with_name("own_runs_alone.py")

CHROMIUM_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# Streamlit looks for its server below the page's own path first: its own 404, and no defect of a page.
_PROBE = re.compile(r"/_stcore/(health|host-config)$")

# Streamlit's front end loads its parts when they are first needed, each on its own, and some arrive after the script
# has ended: a skeleton stands where one is missing, and the app's style sheet waits for such a part too. A chart
# takes a new figure over a moment after the script that made it has ended.
QUIET_MS = 250
# Page -> charts of the three records.
CHARTS = {"/": 1, "/sparsity": 3, "/overlap": 6, "/history": 5, "/curves": 1, "/scores": 1}
# What is not there after so long will not come, on a machine a third as fast as a desktop's either.
PATIENCE_MS = 180_000
MARKS = ".scatterlayer .js-line, .scatterlayer .point, .barlayer .point, .heatmaplayer image"
_SETTLED = f"""n => {{
    const app = document.querySelector('[data-testid=stApp]');
    const charts = [...document.querySelectorAll('[data-testid=stPlotlyChart] .js-plotly-plot')];
    const drawn = chart => [...chart.querySelectorAll('{MARKS}')].some(mark => {{
        const box = mark.getBoundingClientRect();
        return box.width > 0 || box.height > 0; // a level line has no height
    }});
    const state = app?.dataset.testScriptState + location.href;
    const loaded = !document.querySelector('[data-testid=stSkeleton]')
        && [...document.querySelectorAll('style')].some(sheet => sheet.textContent.includes('.figure-link'));
    const ready = app?.dataset.testScriptState === 'notRunning' && loaded
        && charts.length === n && charts.every(drawn);
    if (!ready || state !== window.settledState) {{
        window.settledState = state;
        window.settledSince = performance.now();
    }}
    return ready && performance.now() - window.settledSince > {QUIET_MS};
}}"""


def chromium() -> str | None:
    """Path of the machine's Chromium or Chrome, if it has one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def launch(playwright: Playwright) -> Browser:
    """The machine's Chromium, headless."""
    return playwright.chromium.launch(executable_path=chromium(), args=CHROMIUM_FLAGS)


@contextmanager
def running_app(script: Path, runs: Path, log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """`ROUTER` or `OWN_RUNS_ALONE` on a free port with these own runs; yields its address and its process."""
    port = free_port()
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += ["--server.headless=true", "--server.address=127.0.0.1", f"--server.port={port}"]
    with serving(command, runs, log) as server:
        wait_until_healthy(port, server, log)
        yield f"http://127.0.0.1:{port}", server


def free_port() -> int:
    """A port that nobody listens to."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@contextmanager
def serving(command: Sequence[str], runs: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server with these own runs, from its start until the end of the block; it need not answer yet."""
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=project_folder(),
            env={**os.environ, RUNS_VARIABLE: str(runs)},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield server
        finally:
            server.terminate()
            server.wait()


def wait_until_healthy(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a server answers."""
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=1):
                return
        except (urllib.error.URLError, TimeoutError):
            time.sleep(0.05)
    raise RuntimeError(f"The app did not start:\n{log.read_text()}")


def watch(page: Page) -> list[str]:
    """A list that fills with whatever the page's console reports as an error."""
    errors: list[str] = []

    def note(message) -> None:
        if message.type == "error" and not _PROBE.search(message.location.get("url", "")):
            errors.append(message.text)

    page.on("console", note)
    page.on("pageerror", lambda error: errors.append(str(error)))
    return errors


def address(path: str, records: Mapping[str, RunRecord]) -> str:
    """Of a page with these runs chosen."""
    return path + ("&" if "?" in path else "?") + "&".join(f"runs={run.run_id}" for run in records.values())


def settle(page: Page, n_charts: int) -> None:
    """Wait until the script has run, all parts are loaded, every chart shows marks of some size, and it has lasted."""
    page.wait_for_function(_SETTLED, arg=n_charts, timeout=PATIENCE_MS)
