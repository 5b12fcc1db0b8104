"""All runs of a grid: what is there is skipped, what was cut off is resumed, what is missing is trained.

Each run is a process of its own with the command that a person would give, so that one that fails or is killed takes no
other with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smp_lab.config import RunConfig
from smp_lab.errors import RunFormatError, SmpLabError, TrainingError
from smp_lab.grid import DENSE_TEACHER, SHARED_WITH_TEACHER, GridRun
from smp_lab.paths import LOGS_FOLDER, unfinished_folder
from smp_lab.recipes import PACKAGED_ENCODER, draft
from smp_lab.storage.runs import load_run
from smp_lab.training.data import load_task_data
from smp_lab.training.encoders import EncoderFiles, find_encoder
from smp_lab.training.teachers import find_teacher

DONE, UNFINISHED, MISSING = "done", "unfinished", "missing"
_POLL_SECONDS = 1.0


class _TeacherMissingError(TrainingError):
    def __init__(self, run_id: str) -> None:
        super().__init__(f"Its teacher {run_id} is not there yet.")
        self.run_id = run_id


class Fingerprints:
    """Encoders and data as runs name them, each read once however many runs ask.

    Parameters
    ----------
    folders
        glue_folder and squad_folder, as in `load_task_data`.
    find, load
        What reads an encoder, and the data of a task.
    """

    def __init__(
        self,
        folders: Mapping[str, Path | None] | None = None,
        *,
        find: Callable[..., EncoderFiles] = find_encoder,
        load: Callable[..., Any] = load_task_data,
    ) -> None:
        self._folders, self._find, self._load = folders or {}, find, load
        self._known: dict[tuple[Any, ...], Any] = {}

    def encoder(self, name: str) -> EncoderFiles:
        """As `find_encoder`."""
        return self._once((name,), lambda: self._find(name))

    def data(self, task: str, source: str | None, train_examples: int | None) -> str:
        """sha256 of a task's data."""

        def read() -> str:
            return self._load(task, source=source, train_examples=train_examples, **self._folders).sha256

        return self._once((task, source, train_examples), read)

    def _once(self, key: tuple[Any, ...], read: Callable[[], Any]) -> Any:
        if key not in self._known:
            try:
                self._known[key] = read()
            except SmpLabError as error:
                # Where the hub is out of reach, each question would wait for it anew.
                self._known[key] = error
        if isinstance(self._known[key], SmpLabError):
            raise self._known[key]
        return self._known[key]


@dataclass(frozen=True)
class State:
    """What there is of a run of a grid.

    Parameters
    ----------
    name
        "done", "unfinished" (it has a checkpoint) or "missing".
    config
        Of the run as it is there, else as it would be trained.
    asked
        The run with its teacher by id.
    in_other_precision
        Whether the run that is there has another precision than the one asked for.
    """

    name: str
    config: RunConfig
    asked: GridRun
    in_other_precision: bool = False


class Sweep:
    """The runs of a grid in a folder.

    A run that differs from what is asked for in its precision alone counts as done: the same grid is the same one on
    machines that multiply bf16 and on those that do not.

    Parameters
    ----------
    runs
        Folder of runs.
    glue_folder, squad_folder
        As in `load_task_data`; None takes data as `smp-lab train` does.
    fingerprints
        Of encoders and data; None reads them.
    """

    def __init__(
        self,
        runs: Path,
        glue_folder: Path | None = None,
        squad_folder: Path | None = None,
        *,
        fingerprints: Fingerprints | None = None,
    ) -> None:
        self.runs = runs
        self._folders = {"glue_folder": glue_folder, "squad_folder": squad_folder}
        self.fingerprints = fingerprints or Fingerprints(self._folders)

    def state(self, run: GridRun) -> State:
        """What there is of a run.

        Raises
        ------
        SmpLabError
            If it is not there and cannot be trained.
        """
        asked = self._with_teacher(run)
        config, no_teacher = self._config(asked), None
        if config.teacher is not None:
            encoder = self.fingerprints.encoder(asked.settings.get("encoder", PACKAGED_ENCODER))
            try:
                teacher = find_teacher(config.teacher, config.task_info, runs=[self.runs], encoder=encoder)
                config = replace(config, teacher=teacher.name)
            except SmpLabError as error:
                # A run that it has taught is there all the same.
                no_teacher = error
        there = find_made(self.runs, config)
        if there is not None:
            return State(DONE, there, asked, there.precision != config.precision)
        if no_teacher is not None:
            raise no_teacher
        unfinished = any(unfinished_folder(self.runs, config.run_id).glob("checkpoint-*"))
        return State(UNFINISHED if unfinished else MISSING, config, asked)

    def _with_teacher(self, run: GridRun) -> GridRun:
        """The run with its dense teacher by id; another run as it is."""
        if run.settings.get("teacher") != DENSE_TEACHER:
            return run
        shared = {name: run.settings[name] for name in SHARED_WITH_TEACHER if name in run.settings}
        wanted = self._config(replace(run, method="dense", remaining=None, settings=shared))
        teacher = find_made(self.runs, wanted)
        if teacher is None:
            raise _TeacherMissingError(wanted.run_id)
        return replace(run, settings={**run.settings, "teacher": teacher.run_id})

    def _config(self, run: GridRun) -> RunConfig:
        """Settings of a run, its teacher as it is named."""
        changes = dict(run.settings)
        source = changes.pop("source", None)
        asked = draft(run.task, run.method, remaining=run.remaining, seed=run.seed, **changes)
        files = self.fingerprints.encoder(asked.base_model)
        data_sha256 = self.fingerprints.data(run.task, source, asked.train_examples)
        return replace(asked, base_model=files.name, base_model_sha256=files.sha256, data_sha256=data_sha256)

    def command(self, run: GridRun) -> list[str]:
        """Command that trains a run whose teacher is named by id."""
        folders = ["--runs", str(self.runs)]
        for name, folder in self._folders.items():
            if folder is not None:
                folders += [f"--{name.removesuffix('_folder')}-dir", str(folder)]
        return [sys.executable, "-m", "smp_lab.cli", "train", *run.options(), *folders]

    def make(self, wanted: Sequence[GridRun], *, jobs: int, write: Callable[[str], Any]) -> None:
        """Train what is not done, in order, some at a time. A run whose teacher is in work waits for it.

        A signal to stop (Ctrl-C, or a polite kill) is passed on, so that each run in work leaves a checkpoint.

        Parameters
        ----------
        wanted
            Runs of a grid.
        jobs
            Processes at a time; they share the CPU's cores evenly.
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
                        state = self.state(run)
                    except SmpLabError as error:
                        in_work = [run_id for _, run_id, _ in working.values()]
                        if isinstance(error, _TeacherMissingError) and error.run_id in in_work:
                            postponed.append(run)
                            continue
                        failed += 1
                        write(f"failed  {run}: {error}")
                        continue
                    run_id = state.config.run_id
                    if state.name == DONE:
                        n_done += 1
                        if state.in_other_precision:
                            write(f"there   {run}, in {state.config.precision}; it is not trained anew")
                        continue
                    write(f"start   {run_id}")
                    with (logs / f"{run_id}.txt").open("ab") as log:
                        # A session of its own: the terminal's Ctrl-C must reach it once, from here.
                        process = subprocess.Popen(
                            self.command(state.asked), stdout=log, stderr=log, env=environment, start_new_session=True
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
                "same command resumes."
            )
        write(f"{sentence}.")


def find_made(runs: Path, config: RunConfig) -> RunConfig | None:
    """Settings of a run as it is in a folder: these, or in another precision; None where it is not there.

    A teacher without a fingerprint is the same by name.
    """
    if (runs / config.run_id).exists():
        return config
    # All of an id but its hash.
    for folder in sorted(runs.glob(f"{config.run_id[:-8]}*")):
        try:
            other = load_run(folder).config
        except RunFormatError:
            continue
        teacher = other.teacher
        if teacher is not None and "@" not in str(config.teacher):
            teacher = teacher.rpartition("@")[0]
        if replace(other, precision=config.precision, teacher=teacher) == config:
            return other
    return None


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
