"""Supervisors, servers and terminals that are killed: real processes, which only pretend to train."""

import json
import os
import signal
import subprocess
import sys

import psutil
import pytest
from conftest import eventually, tiny_config

from smp_lab.jobs.queue import Queue
from smp_lab.processes import find_process

# Trains until it is told to end, by a file of its run's name, or stopped.
TRAINER = """
import json, signal, sys, time
from pathlib import Path
from smp_lab.config import RunConfig
from smp_lab.jobs.queue import Queue, ThisJob
config = RunConfig.from_dict(json.loads(sys.argv[2]))
runs = Path(sys.argv[sys.argv.index("--runs") + 1])
job = ThisJob(Queue(runs))
def stop(*_):
    job.ends("stopped", "Stopped at step 3.")
    sys.exit(1)
signal.signal(signal.SIGTERM, stop)
job.begins([], config)
with (runs / "starts").open("a") as file:
    file.write(config.run_id + "\\n")
while not (runs / ("end " + config.run_id)).exists():
    time.sleep(0.02)
job.ends("done")
"""
SUPERVISOR = """
import sys
from pathlib import Path
from smp_lab.jobs import supervisor
from smp_lab.jobs.queue import Queue
from smp_lab.jobs.runners import LocalRunner
supervisor.SECONDS_BETWEEN_LOOKS = 0.05
supervisor.supervise(Queue(Path(sys.argv[1]), LocalRunner([sys.executable, "-c", sys.argv[2]])))
"""


class Lab:
    """A folder of runs with a queue, and supervisors for it."""

    def __init__(self, runs):
        self.runs, self.queue, self.supervisors = runs, Queue(runs), []

    def submit(self, seed):
        config = tiny_config(seed=seed)
        return self.queue.submit([json.dumps(config.to_dict())], f"seed {seed}"), config.run_id

    def supervise(self):
        process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(self.runs), TRAINER], start_new_session=True)
        self.supervisors.append(process)
        return process

    def wait_for(self, number, state):
        eventually(lambda: self.queue.job(number).state == state)

    def let_end(self, run_id):
        (self.runs / f"end {run_id}").touch()

    @property
    def starts(self):
        return (self.runs / "starts").read_text().split() if (self.runs / "starts").exists() else []

    def clear(self):
        for job in self.queue.jobs():
            if job.process and (process := find_process(job.process)):
                process.kill()
        for process in self.supervisors:
            process.kill()
            process.wait()


@pytest.fixture
def lab(runs):
    made = Lab(runs)
    yield made
    made.clear()


def test_a_queue_is_worked_off_and_its_supervisor_goes(lab):
    (first, first_run), (second, second_run) = lab.submit(0), lab.submit(1)
    supervisor = lab.supervise()
    lab.wait_for(first, "running")
    assert lab.queue.job(second).state == "queued"
    lab.let_end(first_run)
    lab.wait_for(second, "running")
    assert lab.queue.job(first).state == "done"
    # What has ended is reaped.
    assert [child.status() for child in psutil.Process(supervisor.pid).children()] != [psutil.STATUS_ZOMBIE]
    lab.queue.stop(second)
    assert supervisor.wait(timeout=60) == 0
    assert (lab.queue.job(second).state, lab.queue.job(second).reason) == ("stopped", "Stopped at step 3.")
    assert lab.starts == [first_run, second_run]


def test_a_supervisor_that_is_killed_takes_no_run_with_it_and_the_next_takes_over(lab):
    (first, first_run), (second, second_run) = lab.submit(0), lab.submit(1)
    killed = lab.supervise()
    lab.wait_for(first, "running")
    killed.kill()
    killed.wait()
    assert lab.queue.job(first).state == "running" and not lab.queue.supervisor_is_alive()
    # Two at once, as two servers would start them: one of them goes.
    lab.supervise(), lab.supervise()
    eventually(lab.queue.supervisor_is_alive)
    eventually(lambda: sum(process.poll() is None for process in lab.supervisors) == 1)
    assert lab.queue.job(first).state == "running"
    lab.let_end(first_run)
    lab.wait_for(second, "running")
    lab.let_end(second_run)
    lab.wait_for(second, "done")
    assert lab.starts == [first_run, second_run]


def test_a_killed_run_is_lost_at_once_and_after_a_restart_of_the_machine_too(lab):
    number, run_id = lab.submit(0)
    supervisor = lab.supervise()
    lab.wait_for(number, "running")
    supervisor.kill()
    supervisor.wait()
    job = lab.queue.job(number)
    with lab.queue._writing() as connection:
        before = f"{job.process.rpartition(' ')[0]} 00000000-another-boot"
        connection.execute("UPDATE jobs SET process = ? WHERE id = ?", (before, number))
    assert (lab.queue.job(number).state, lab.queue.job(number).reason) == ("lost", "The machine was restarted.")
    os.kill(int(job.process.split()[0]), signal.SIGKILL)
    lab.queue.resume(number)
    lab.supervise()
    lab.wait_for(number, "running")
    os.kill(int(lab.queue.job(number).process.split()[0]), signal.SIGKILL)
    lab.wait_for(number, "lost")
    lab.queue.resume(number)
    lab.supervise()
    lab.let_end(run_id)
    lab.wait_for(number, "done")


def test_a_run_that_cannot_begin_fails_with_what_it_printed(lab):
    number = lab.queue.submit(["no settings"], "broken")
    lab.supervise()
    lab.wait_for(number, "failed")
    assert "before it began to train" in lab.queue.job(number).reason
    assert "JSONDecodeError" in lab.queue.log_tail(number)
