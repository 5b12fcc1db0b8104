"""A run from the page alone: started, watched, left alone by tab and server, killed, resumed, found everywhere."""

from __future__ import annotations

from contextlib import ExitStack

import psutil
import pytest

from smp_lab.jobs.queue import Queue

from . import harness
from .journey import heading, start_demo, step_of, wait_for_step

pytestmark = pytest.mark.browser
# Half a minute of steps on a quiet core.
_TRAIN_EXAMPLES = 208


@pytest.mark.exhaustive
def test_a_run_is_started_watched_left_alone_killed_resumed_and_found(chromium, runs, tmp_path):
    queue, app, errors = Queue(runs), harness.OWN_RUNS_ALONE, []

    def opened(address):
        page = chromium.new_context(viewport={"width": 1366, "height": 900}).new_page()
        page.set_default_timeout(harness.PATIENCE_MS)
        errors.append(harness.watch(page))
        page.goto(address)
        return page

    def trainer():
        return psutil.Process(int(queue.job(1).process.split()[0]))

    with ExitStack() as servers:
        # Whatever fails: nothing trains on.
        servers.callback(lambda: [queue.stop(job.id) for job in queue.jobs() if job.is_active])
        address, server = servers.enter_context(harness.running_app(app, runs, tmp_path / "first.txt"))
        page = opened(address)
        start_demo(page, address, runs, _TRAIN_EXAMPLES)
        wait_for_step(page, 1)

        started = trainer()
        page.context.close()
        server.kill()
        server.wait()
        address, _ = servers.enter_context(harness.running_app(app, runs, tmp_path / "second.txt"))
        page = opened(f"{address}/train?job=1")
        wait_for_step(page, 2)
        wait_for_step(page, step_of(page) + 1)
        assert trainer() == started, "another process trains it"

        started.kill()
        # The page asks every two seconds.
        heading(page, "lost").wait_for()
        page.get_by_role("button", name="Resume", exact=True).click()
        heading(page, "running").wait_for()
        wait_for_step(page, 1)
        page.get_by_text("The run is finished").wait_for()

        run_id = queue.job(1).run_id
        assert (runs / run_id).is_dir()
        for link, n_charts in (("Where it keeps weights", 3), ("Its scores", 1), ("Overview", 1)):
            page.goto(f"{address}/train?job=1")
            page.get_by_test_id("stMain").get_by_role("link", name=link).click()
            harness.settle(page, n_charts)
            assert run_id in page.url
            assert page.get_by_test_id("stException").count() == 0
    assert not any(errors)
