"""How a sweep deals with machines that are lost, stand still or fail; the machines are made of words here."""

from __future__ import annotations

import json

import pytest
from conftest import tiny_config
from training.test_sweep import OfRecord

from smp_lab.errors import TrainingError
from smp_lab.grid import GridRun
from smp_lab.jobs.runners import DONE, FAILED, LOST
from smp_lab.jobs.whereabouts import unfinished_runs, whereabouts
from smp_lab.lease import LEASE_VARIABLE, held
from smp_lab.paths import LOGS_FOLDER, unfinished_folder
from smp_lab.training.sweep import DRAIN, MAX_LOSSES, STOP, Sweep, ask

ASKED = GridRun(1, "rte", "smp_s", 0.5, 0, {"epochs": 2, "batch_size": 32})


class Words:
    """A runner whose processes end as they are told to; one of None stands still until it is stopped."""

    attempts, is_far, slots = 3, True, 2

    def __init__(self, *ends: tuple[str, str] | None) -> None:
        self.ends, self.started, self.stopped = list(ends), [], []

    def start(self, words, cwd, environment, log):
        self.started.append(log)
        return str(len(self.started) - 1)

    def is_alive(self, handle):
        return self.ends[int(handle)] is None and handle not in self.stopped

    def outcome(self, handle):
        return self.ends[int(handle)] or (LOST, "")

    def stop(self, handle):
        self.stopped.append(handle)


@pytest.fixture
def sweep(runs):
    return Sweep(runs, fingerprints=OfRecord(tiny_config()))


def make(sweep, runner):
    lines: list[str] = []
    try:
        sweep.make([ASKED], runner, write=lines.append)
    except TrainingError as error:
        lines.append(str(error))
    return lines


def test_a_lost_machine_costs_a_run_nothing_and_three_failures_set_it_aside(sweep):
    runner = Words((LOST, "Gone."), (FAILED, "one"), (LOST, "Gone."), (FAILED, "two"), (FAILED, "three"))
    lines = [line.split()[0] for line in make(sweep, runner)]
    assert lines == ["start", "lost", "start", "again", "start", "lost", "start", "again", "start", "failed", "0"]


def test_a_run_that_loses_every_machine_is_not_started_for_ever(sweep):
    lines = make(sweep, Words(*[(LOST, "Gone.")] * (MAX_LOSSES + 3)))
    assert sum(line.startswith("lost") for line in lines) == MAX_LOSSES
    assert lines[-1].startswith("0 of 1 runs are done, 1 failed")


def test_a_run_that_another_process_holds_is_no_failure(sweep, runs):
    with held(unfinished_folder(runs, sweep.state(ASKED).config.run_id)):
        lines = make(sweep, Words((FAILED, "being trained"), (DONE, "on b")))
    assert [line.split()[0] for line in lines] == ["start", "lost", "start", "done", "1"]


def test_a_machine_that_stands_still_is_given_up(sweep, runs, monkeypatch):
    monkeypatch.setenv(LEASE_VARIABLE, "0.5")
    folder = unfinished_folder(runs, sweep.state(ASKED).config.run_id)

    class Frozen(Words):
        def start(self, words, cwd, environment, log):
            if not self.started:
                # It takes the lease, and is not heard of again.
                (folder / "lease" / "a").mkdir(parents=True)
                who = {"node": "far", "machine": "far", "process": "1 2 3"}
                (folder / "lease" / "a" / "holder.json").write_text(json.dumps(who))
            return super().start(words, cwd, environment, log)

    runner = Frozen(None, (DONE, "on b"))
    lines = make(sweep, runner)
    assert "It gave no sign of life for 0.75 s. It resumes elsewhere." in lines[1] and runner.stopped == ["0"]
    assert lines[-1] == "1 of 1 runs are done."


@pytest.mark.parametrize(("word", "end"), [(STOP, "0 of 1 runs are done, 0 failed, stopped"), (DRAIN, "0 of")])
def test_another_machine_asks_it_to_stop(sweep, runs, word, end):
    class Asked(Words):
        def start(self, words, cwd, environment, log):
            ask(runs, word)
            return super().start(words, cwd, environment, log)

    assert make(sweep, Asked((LOST, "Gone.") if word == DRAIN else None))[-1].startswith(end)


def test_where_a_run_is(runs):
    folder = unfinished_folder(runs, "a-run")
    assert (whereabouts(runs, "a-run").node, unfinished_runs(runs)) == (None, [])
    (runs / LOGS_FOLDER).mkdir()
    (runs / LOGS_FOLDER / "a-run.txt").write_text("x" * 9000 + "\nstep 1\n")
    with held(folder):
        (found,) = unfinished_runs(runs)
        assert found.node and (found.title, found.step, found.last_line) == ("a-run", None, "step 1")
