"""All runs of a grid: what is there is skipped, what was cut off goes on, what is missing is trained.

Each run is a process of its own with the command that a person would give, so that one that fails or is killed takes no
other with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from smp_lab.errors import SmpLabError, TrainingError
from smp_lab.grid import DENSE_TEACHER, SHARED_WITH_TEACHER, GridRun
from smp_lab.paths import LOGS_FOLDER, unfinished_folder
from smp_lab.training.prepare import prepare

DONE, UNFINISHED, MISSING = "done", "unfinished", "missing"
_POLL_SECONDS = 1.0


class _TeacherMissingError(TrainingError):
    def __init__(self, run_id: str) -> None:
        super().__init__(f"Its teacher {run_id} is not there yet.")
        self.run_id = run_id


class Corpus:
    """The runs of a grid in a folder.

    Parameters
    ----------
    runs
        Folder of runs.
    glue_folder
        As in `load_task_data`; None takes data as `smp-lab train` does.
    """

    def __init__(self, runs: Path, glue_folder: Path | None = None) -> None:
        self.runs = runs
        self.glue_folder = glue_folder

    def resolve(self, run: GridRun) -> GridRun:
        """The run with its dense teacher by id; another run as it is.

        Raises
        ------
        SmpLabError
            If the teacher is not there yet.
        """
        if run.settings.get("teacher") != DENSE_TEACHER:
            return run
        shared = {name: run.settings[name] for name in SHARED_WITH_TEACHER if name in run.settings}
        teacher = self.run_id(replace(run, method="dense", remaining=None, settings=shared))
        if not (self.runs / teacher).exists():
            raise _TeacherMissingError(teacher)
        return replace(run, settings={**run.settings, "teacher": teacher})

    def run_id(self, run: GridRun) -> str:
        """Identity of a resolved run with the data and the encoder at hand.

        Raises
        ------
        SmpLabError
            If it cannot be trained.
        """
        settings = dict(run.settings)
        prepared = prepare(
            run.task,
            run.method,
            remaining=run.remaining,
            seed=run.seed,
            glue_folder=self.glue_folder,
            teacher=settings.pop("teacher", None),
            teacher_runs=[self.runs],
            **settings,
        )
        return prepared.config.run_id

    def state(self, run: GridRun) -> str:
        """Whether a run is done, unfinished (has a checkpoint) or missing.

        Raises
        ------
        SmpLabError
            As in `resolve` and `run_id`.
        """
        run_id = self.run_id(self.resolve(run))
        if (self.runs / run_id).exists():
            return DONE
        return UNFINISHED if any(unfinished_folder(self.runs, run_id).glob("checkpoint-*")) else MISSING

    def command(self, run: GridRun) -> list[str]:
        """Command that trains a resolved run."""
        folders = ["--runs", str(self.runs)]
        if self.glue_folder is not None:
            folders += ["--glue-dir", str(self.glue_folder)]
        return [sys.executable, "-m", "smp_lab.cli", "train", *run.options(), *folders]

    def make(self, wanted: Sequence[GridRun], *, jobs: int, write: Callable[[str], Any]) -> None:
        """Train what is not done, in order, some at a time. A run whose teacher is in work waits for it.

        A signal to stop (Ctrl-C, or a polite kill) is passed on, so that each run in work leaves a checkpoint.

        Parameters
        ----------
        wanted
            Runs of a grid.
        jobs
            Processes at a time; they share the processor's cores evenly.
        write
            Prints a line.

        Raises
        ------
        TrainingError
            If runs failed, after all others are made; or after a stop.
        """
        waiting = list(wanted)
        # Until the next run in work ends.
        postponed: list[GridRun] = []
        working: dict[subprocess.Popen[bytes], tuple[GridRun, str, float]] = {}
        failed = n_done = 0
        logs = self.runs / LOGS_FOLDER
        logs.mkdir(parents=True, exist_ok=True)
        environment = os.environ
        if jobs > 1:
            environment = {**os.environ, "OMP_NUM_THREADS": str(max((os.cpu_count() or 1) // jobs, 1))}
        with _signals_noted() as stop:
            while working or (waiting and not stop):
                while waiting and len(working) < jobs and not stop:
                    run = waiting.pop(0)
                    try:
                        resolved = self.resolve(run)
                        run_id = self.run_id(resolved)
                    except SmpLabError as error:
                        in_work = [run_id for _, run_id, _ in working.values()]
                        if isinstance(error, _TeacherMissingError) and error.run_id in in_work:
                            postponed.append(run)
                            continue
                        failed += 1
                        write(f"failed  {run}: {error}")
                        continue
                    if (self.runs / run_id).exists():
                        n_done += 1
                        continue
                    write(f"start   {run_id}")
                    with (logs / f"{run_id}.txt").open("ab") as log:
                        # A session of its own: the terminal's Ctrl-C must reach it once, from here.
                        process = subprocess.Popen(
                            self.command(resolved), stdout=log, stderr=log, env=environment, start_new_session=True
                        )
                    working[process] = (run, run_id, time.monotonic())
                for process in [process for process in working if process.poll() is not None]:
                    run, run_id, start = working.pop(process)
                    waiting[:0], postponed = postponed, []
                    minutes = (time.monotonic() - start) / 60
                    if process.returncode == 0:
                        n_done += 1
                        write(f"done    {run} in {minutes:.1f} min")
                    elif not stop:
                        failed += 1
                        write(f"failed  {run}: {_last_line(logs / f'{run_id}.txt')}")
                if stop and working:
                    for process in working:
                        process.send_signal(signal.SIGTERM)
                    for process in working:
                        process.wait()
                    working.clear()
                    break
                if working:
                    time.sleep(_POLL_SECONDS)
        sentence = f"{n_done} of {len(wanted)} runs are done"
        if failed or stop:
            raise TrainingError(
                f"{sentence}, {failed} failed{', stopped on request' if stop else ''}. Their output is in {logs}; the "
                "same command goes on."
            )
        write(f"{sentence}.")


@contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """A list that gets a signal's number when one asks to stop."""
    noted: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda number, frame: noted.append(number)) for number in numbers]
    try:
        yield noted
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"
