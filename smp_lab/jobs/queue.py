"""The queue of a folder of runs: what was asked for, in order, and what became of it.

One sqlite file, written in short transactions by whoever acts: a page, a terminal, the supervisor, a run's own process.
A state that needs a living process is only as true as that process: `Queue.jobs` looks at it, so that one that has died
is shown as lost whether or not a supervisor is there to notice.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smp_lab.config import RunConfig
from smp_lab.errors import JobError
from smp_lab.jobs.runners import DONE, FAILED, LOST, STOPPED, LocalRunner
from smp_lab.lease import living_holder, remove_finished, require_free
from smp_lab.paths import RECORD_FILE, SEAL_FILE, jobs_folder, unfinished_folder
from smp_lab.processes import this_process, usable_cores
from smp_lab.recipes import PACKAGED_ENCODER

QUEUED, STARTING, RUNNING, STOPPING = "queued", "starting", "running", "stopping"
# With a process.
ACTIVE = (STARTING, RUNNING, STOPPING)
# From these a run can be queued again.
RESUMABLE = (STOPPED, FAILED, LOST)

MAX_QUEUED = 100
MAX_LOG_BYTES = 16 * 2**20
# Of a log, for its last lines.
_TAIL_BYTES = 64 * 2**10
# What an unfinished run may take: three checkpoints of the largest encoders, with room.
MAX_RUN_BYTES = 32 * 2**30
# Tells a run's process which job it is, and at which attempt.
JOB_VARIABLE = "SMP_LAB_JOB"
# In its place: the queue is told nothing, since its file cannot be shared by machines.
NO_JOB = "-"
_RUN_ID = re.compile(r"[A-Za-z0-9][\w.-]*")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT, words TEXT NOT NULL, cwd TEXT NOT NULL, title TEXT NOT NULL,
    state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', place REAL NOT NULL, attempt INTEGER NOT NULL DEFAULT 0,
    process TEXT, run_id TEXT, threads INTEGER, device INTEGER, created REAL NOT NULL, changed REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass(frozen=True)
class Job:
    """One thing asked for.

    Parameters
    ----------
    id
        Number in the queue; never given twice.
    words, cwd
        Options of ``smp-lab train`` but for the folder of runs, and the folder they are meant in.
    title
        What people call it.
    state, reason
        One of the states above, and a sentence that says why; empty where there is nothing to say.
    place
        Order of the queue.
    attempt
        How often a process was started for it.
    process
        Handle of its process, as in `Runner`; None before the first.
    run_id
        Of the run, once its process knows it.
    threads, device
        CPU threads, and number of the accelerator, that the queue gave it; None where it was started elsewhere.
    created, changed
        Seconds since 1970.
    """

    id: int
    words: tuple[str, ...]
    cwd: str
    title: str
    state: str
    reason: str
    place: float
    attempt: int
    process: str | None
    run_id: str | None
    threads: int | None
    device: int | None
    created: float
    changed: float

    @property
    def is_active(self) -> bool:
        """Whether it has a process."""
        return self.state in ACTIVE


class Queue:
    """The queue of one folder of runs.

    Parameters
    ----------
    runs
        Folder of runs.
    runner
        Where its processes are.
    """

    def __init__(self, runs: Path, runner: LocalRunner | None = None) -> None:
        self.runs = runs.absolute()
        self.runner = runner or LocalRunner()
        self.folder = jobs_folder(self.runs)
        self._file = self.folder / "queue.sqlite"

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that excludes all others."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._file, timeout=30, isolation_level=None)
            try:
                connection.row_factory = sqlite3.Row
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_SCHEMA)
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            finally:
                # What is not committed is rolled back.
                connection.close()
        except UnicodeEncodeError as error:
            raise JobError(f"{error.object} has a name that is not UTF-8. Rename it, or start elsewhere.") from None
        except (OSError, sqlite3.Error) as error:
            raise JobError(
                f"The queue {self._file} cannot be written ({error}). Make its folder writable, free space, or name "
                "another folder of runs."
            ) from None

    def _rows(self, query: str, *values: Any) -> list[sqlite3.Row]:
        if not self._file.exists():
            return []
        try:
            try:
                return self._read("", query, values)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
                    raise
                # Even to read, sqlite makes files beside its own. Where it may not, nobody changes that one either.
                return self._read("?immutable=1", query, values)
        except sqlite3.Error as error:
            if "no such table" in str(error):
                # Somebody is just making it.
                return []
            raise JobError(f"The queue {self._file} cannot be read ({error}).") from None

    def _read(self, how: str, query: str, values: Sequence[Any]) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(f"{self._file.as_uri()}{how}", uri=True, timeout=30)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query, values).fetchall()

    def jobs(self) -> list[Job]:
        """All jobs as they are now, in the order of the queue, those that ended first."""
        return [self._seen(_job(row)) for row in self._rows("SELECT * FROM jobs ORDER BY place")]

    def job(self, number: int) -> Job:
        """One job as it is now.

        Raises
        ------
        JobError
            If there is none of this number.
        """
        return self._seen(self._stored(number))

    def node_of(self, job: Job) -> str | None:
        """Name of the machine that trains a job's run; None where none does yet, or any more."""
        if not job.is_active or job.run_id is None:
            return None
        holder = living_holder(unfinished_folder(self.runs, job.run_id))
        return None if holder is None else holder.node

    def _stored(self, number: int) -> Job:
        rows = self._rows("SELECT * FROM jobs WHERE id = ?", number)
        if not rows:
            raise JobError(f"There is no job {number} in {self.runs}. `smp-lab jobs` lists them.")
        return _job(rows[0])

    def _seen(self, job: Job) -> Job:
        """A job whose state does not claim a process that has ended."""
        if not job.is_active or job.process is None or self.runner.is_alive(job.process):
            return job
        state, reason = LOST, self.runner.reason_of_end(job.process)
        if job.run_id and (self.runs / job.run_id / RECORD_FILE).exists():
            state, reason = DONE, ""
        elif job.state == STOPPING:
            state = STOPPED
            reason = f"It was stopped {'between two checkpoints' if job.run_id else 'before it began to train'}."
        elif job.run_id is None:
            state, reason = FAILED, f"It ended before it began to train. {reason}"
        return replace(job, state=state, reason=reason)

    def settle(self) -> None:
        """Write down what `jobs` sees of processes that have ended."""
        for stored in map(_job, self._rows(f"SELECT * FROM jobs WHERE state IN {ACTIVE}")):
            seen = self._seen(stored)
            if seen.state == DONE and seen.run_id is not None:
                remove_finished(unfinished_folder(self.runs, seen.run_id))
            if seen is not stored:
                with self._writing() as connection:
                    # Unless its process has said how it ended, or another one was started meanwhile.
                    same = (stored.state, stored.process)
                    _change(
                        connection, stored.id, seen.state, seen.reason, where="state = ? AND process IS ?", values=same
                    )

    # What people do.

    def submit(self, words: Sequence[str], title: str) -> int:
        """Put a run at the end of the queue and return the job's number; words and title as of `Job`.

        Raises
        ------
        JobError
            If the queue is full or cannot be written.
        """
        with self._writing() as connection:
            (n_queued,) = connection.execute("SELECT count(*) FROM jobs WHERE state = ?", (QUEUED,)).fetchone()
            if n_queued >= MAX_QUEUED:
                raise JobError(
                    f"{n_queued} runs wait already, and no more than {MAX_QUEUED} may. Cancel some, or wait."
                )
            return _insert(connection, words, title, QUEUED)

    def resume(self, number: int, *more: str) -> None:
        """Queue a job again, with more options such as ``--resume-anyway``; it resumes from its newest checkpoint."""
        self.settle()
        job = self._require(number, RESUMABLE, "resumed")
        with self._writing() as connection:
            words = json.dumps([*job.words, *(word for word in more if word not in job.words)])
            connection.execute(
                "UPDATE jobs SET words = ?, place = ? WHERE id = ?", (words, _last_place(connection), number)
            )
            _change(connection, number, QUEUED, where=f"state IN {RESUMABLE}")

    def stop(self, number: int) -> None:
        """Stop a job: one that waits is cancelled, one that runs leaves a checkpoint and ends."""
        # Without a process it waits, or whoever starts one now, or was killed at it, has not begun.
        waits, values = "(state = ? OR state = ? AND process IS NULL)", (QUEUED, STARTING)
        with self._writing() as connection:
            if _change(connection, number, STOPPED, "It was cancelled.", where=waits, values=values):
                return
        self._stop(self._require(number, ACTIVE, "stopped"))

    def _stop(self, job: Job, reason: str = "") -> None:
        with self._writing() as connection:
            _change(connection, job.id, STOPPING, reason, where=f"state IN {(STARTING, RUNNING)}")
        if job.process is not None:
            self.runner.stop(job.process)

    def delete(self, number: int) -> None:
        """Remove a job, its log and the checkpoints of its unfinished run. A finished run stays.

        Raises
        ------
        JobError
            If there is none, or it has a process.
        RunExistsError
            If another process trains its run.
        """
        self.settle()
        job = self._require(number, (*RESUMABLE, QUEUED, DONE), "deleted")
        # A job that found its run in the hands of another one leaves that alone.
        run_ids = [each.run_id for each in self.jobs()]
        folder = unfinished_folder(self.runs, job.run_id) if job.run_id and run_ids.count(job.run_id) == 1 else None
        if folder is not None:
            require_free(folder)
        with self._writing() as connection:
            gone = self._forget(connection, number, job.state)
        if gone and folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _forget(self, connection: sqlite3.Connection, number: int, state: str) -> bool:
        """Remove a job that is in a state, and its log; whether it was in it."""
        if not connection.execute("DELETE FROM jobs WHERE id = ? AND state = ?", (number, state)).rowcount:
            return False
        self.log_file(number).unlink(missing_ok=True)
        return True

    def remove_left_behind(self, run_id: str) -> None:
        """Remove an unfinished run that no job is of.

        Raises
        ------
        JobError
            If there is no such run, or it is of a job.
        RunExistsError
            If a process trains it.
        """
        folder = unfinished_folder(self.runs, run_id)
        if not _RUN_ID.fullmatch(run_id) or not folder.is_dir():
            raise JobError(f"There is no unfinished run {run_id[:80]!r} in {self.runs}.")
        if any(job.run_id == run_id for job in self.jobs()):
            raise JobError(f"Run {run_id} is of a job. Delete the job instead.")
        require_free(folder)
        shutil.rmtree(folder, ignore_errors=True)

    def move(self, number: int, places: int) -> None:
        """Move a waiting job by so many places: -1 is one earlier."""
        with self._writing() as connection:
            waiting = connection.execute(
                "SELECT id, place FROM jobs WHERE state = ? ORDER BY place", (QUEUED,)
            ).fetchall()
            order = [row["id"] for row in waiting]
            if number not in order:
                raise JobError(f"Job {number} does not wait; only waiting jobs can be moved.")
            at = order.index(number)
            order.insert(min(max(at + places, 0), len(order) - 1), order.pop(at))
            for job, row in zip(order, waiting, strict=True):
                connection.execute("UPDATE jobs SET place = ? WHERE id = ?", (row["place"], job))

    def pause(self, paused: bool) -> None:
        """Start nothing more, or start again; what runs is left alone."""
        self._set("paused", "1" if paused else "")

    @property
    def paused(self) -> bool:
        """Whether nothing more is started."""
        return bool(self._setting("paused"))

    def set_slots(self, slots: int) -> None:
        """How many runs may train at once.

        Raises
        ------
        JobError
            If it is below 1.
        """
        if slots < 1:
            raise JobError(f"At least 1 run must be allowed at once; got {slots}.")
        self._set("slots", str(slots))

    @property
    def slots(self) -> int:
        """How many runs may train at once: one an accelerator, one on a CPU, unless it was set."""
        return int(self._setting("slots") or max(len(accelerators()), 1))

    @property
    def threads(self) -> int:
        """CPU threads of each run: the cores shared out."""
        return max(usable_cores() // self.slots, 1)

    def _threads_so_far(self, run_id: str | None) -> int | None:
        """Those of a run's newest checkpoint, with others of which it would end at another mask; None where none is."""
        seals = [*unfinished_folder(self.runs, run_id).glob(f"checkpoint-*/{SEAL_FILE}")] if run_id else []
        try:
            # Their names have no leading zeros.
            newest = max(seals, key=lambda seal: (len(seal.parent.name), seal.parent.name))
            return int(json.loads(newest.read_text().partition("\n")[0])["conditions"]["threads"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def log_file(self, number: int) -> Path:
        """What the processes of a job printed."""
        return self.folder / f"{number}.log"

    def log_tail(self, number: int) -> str:
        """The last lines of it; empty where it printed nothing."""
        return "\n".join(last_lines(self.log_file(number), 30))

    def _require(self, number: int, states: Sequence[str], done: str) -> Job:
        job = self.job(number)
        if job.state not in states:
            raise JobError(f"Job {number} is {job.state} and cannot be {done}; that is for {', '.join(states)}.")
        return job

    def _setting(self, name: str) -> str:
        rows = self._rows("SELECT value FROM settings WHERE name = ?", name)
        return rows[0][0] if rows else ""

    def _set(self, name: str, value: str) -> None:
        with self._writing() as connection:
            connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    # What the supervisor does.

    def supervisor_is_alive(self) -> bool:
        """Whether a process watches over this queue."""
        handle = self._setting("supervisor")
        return bool(handle) and self.runner.is_alive(handle)

    def become_supervisor(self, handle: str) -> bool:
        """Take the one place of a supervisor; False where a living one has it."""
        with self._writing() as connection:
            if self._setting("supervisor") != handle and self.supervisor_is_alive():
                return False
            connection.execute("INSERT OR REPLACE INTO settings VALUES ('supervisor', ?)", (handle,))
            # Started by one that was killed before it could note the process: should that one live, it will find
            # that its attempt is over.
            connection.execute(
                "UPDATE jobs SET state = ?, changed = ? WHERE state = ? AND process IS NULL",
                (QUEUED, time.time(), STARTING),
            )
        return True

    def retire(self) -> bool:
        """Give the place up if there is nothing to do; False where there is."""
        with self._writing() as connection:
            busy = ACTIVE if self.paused else (*ACTIVE, QUEUED)
            (n,) = connection.execute(f"SELECT count(*) FROM jobs WHERE state IN {busy}").fetchone()
            if n:
                return False
            connection.execute("UPDATE settings SET value = '' WHERE name = 'supervisor'")
        return True

    def keep_limits(self) -> None:
        """Empty a log that has grown too long, and stop a run that has grown too large."""
        for log in self.folder.glob("*.log"):
            with suppress(FileNotFoundError):
                if log.stat().st_size > MAX_LOG_BYTES:
                    # Its process appends: what comes next stands at the front.
                    os.truncate(log, 0)
        for job in map(_job, self._rows("SELECT * FROM jobs WHERE state = ?", RUNNING)):
            if job.run_id is not None and size_of(unfinished_folder(self.runs, job.run_id)) > MAX_RUN_BYTES:
                self._stop(job, f"It took more than {MAX_RUN_BYTES / 2**30:.0f} GiB of disk.")

    def start_next(self) -> bool:
        """Start the next job if one may run; whether it was."""
        if self.paused:
            return False
        slots, devices = self.slots, accelerators()
        with self._writing() as connection:
            active = connection.execute(f"SELECT device FROM jobs WHERE state IN {ACTIVE}").fetchall()
            row = connection.execute("SELECT * FROM jobs WHERE state = ? ORDER BY place LIMIT 1", (QUEUED,)).fetchone()
            if row is None or len(active) >= slots:
                return False
            taken = [other["device"] for other in active]
            device = min(devices, key=taken.count, default=None)
            threads = self._threads_so_far(row["run_id"]) or self.threads
            connection.execute(
                "UPDATE jobs SET attempt = attempt + 1, process = NULL, threads = ?, device = ? WHERE id = ?",
                (threads, device, row["id"]),
            )
            _change(connection, row["id"], STARTING)
        job = self._stored(row["id"])
        environment = {JOB_VARIABLE: f"{job.id}:{job.attempt}", "OMP_NUM_THREADS": str(threads)}
        if device is not None:
            environment["CUDA_VISIBLE_DEVICES"] = str(device)
        try:
            handle = self.runner.start(
                ["train", *job.words, "--runs", str(self.runs)], Path(job.cwd), environment, self.log_file(job.id)
            )
        except (OSError, ValueError) as error:
            # Such as a folder that is gone, or a word that no system call takes.
            with self._writing() as connection:
                _change(connection, job.id, FAILED, f"Its process could not be started ({error}).")
            return True
        with self._writing() as connection:
            connection.execute(
                "UPDATE jobs SET process = ? WHERE id = ? AND attempt = ?", (handle, job.id, job.attempt)
            )
        return True

    # What a run's own process does.

    def claim(self, number: int, attempt: int, handle: str) -> bool:
        """Take a job that was started for this process; False where it was given to another one, or stopped."""
        with self._writing() as connection:
            return bool(
                connection.execute(
                    "UPDATE jobs SET process = ? WHERE id = ? AND attempt = ? AND state = ?",
                    (handle, number, attempt, STARTING),
                ).rowcount
            )

    def register(self, words: Sequence[str], title: str, handle: str, run_id: str) -> int | None:
        """Enter a run that a terminal started; None where a living process has that run already."""
        self.settle()
        with self._writing() as connection:
            row = connection.execute("SELECT id, state FROM jobs WHERE run_id = ?", (run_id,)).fetchone()
            if row is not None and row["state"] in ACTIVE:
                return None
            number = row["id"] if row is not None else _insert(connection, words, title, STARTING)
            connection.execute(
                "UPDATE jobs SET words = ?, cwd = ?, process = ?, run_id = ?, threads = NULL, device = NULL, "
                "attempt = attempt + 1 WHERE id = ?",
                (json.dumps(list(words)), str(Path.cwd()), handle, run_id, number),
            )
            _change(connection, number, RUNNING)
        return number

    def begins(self, number: int, run_id: str) -> None:
        """Note which run a job is; an older job of the same run that has ended goes."""
        if not _RUN_ID.fullmatch(run_id):
            raise JobError(f"{run_id[:80]!r} is no id of a run.")
        with self._writing() as connection:
            older = connection.execute(
                f"SELECT id, state FROM jobs WHERE run_id = ? AND id <> ? AND state NOT IN {ACTIVE}", (run_id, number)
            ).fetchall()
            for row in older:
                self._forget(connection, row["id"], row["state"])
            connection.execute("UPDATE jobs SET run_id = ? WHERE id = ?", (run_id, number))
            _change(connection, number, RUNNING, where="state = ?", values=(STARTING,))

    def ends(self, number: int, state: str, reason: str = "") -> None:
        """Note how a job's process ends; why it was told to stands first."""
        with self._writing() as connection:
            row = connection.execute("SELECT reason FROM jobs WHERE id = ?", (number,)).fetchone()
            _change(connection, number, state, " ".join(filter(None, [row and row["reason"], reason])))


def last_lines(log: Path, most: int) -> list[str]:
    """What a log ends with, but for empty lines; nothing where nothing was printed, or it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
            return file.read().decode(errors="replace").rstrip().splitlines()[-most:]
    except OSError:
        return []


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder, which come and go meanwhile; a missing one has none."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                size += Path(place, name).lstat().st_size
    return size


def title_of(config: RunConfig) -> str:
    """What people call a run of these settings."""
    remaining = "" if config.remaining is None else f"{100 * config.remaining:.3g} %"
    encoder = "" if config.base_model == PACKAGED_ENCODER else config.base_model
    parts = [config.task_info.title, config.method_info.short_title, remaining, encoder, f"seed {config.seed}"]
    return " · ".join(filter(None, parts))


class ThisJob:
    """What the queue is told of the present process, which trains a run.

    A run trains whether or not the queue can be written.

    Parameters
    ----------
    queue
        Of the folder that the run goes to.

    Raises
    ------
    JobError
        If the process was started for a job that has been stopped, or given to another process, meanwhile.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._number: int | None = None
        started_for = os.environ.pop(JOB_VARIABLE, "")
        self._told = started_for != NO_JOB
        if self._told and started_for:
            number, attempt = map(int, started_for.split(":"))
            if not queue.claim(number, attempt, this_process()):
                raise JobError(f"Job {number} was stopped, or given to another process.")
            self._number = number

    def begins(self, words: Sequence[str], config: RunConfig) -> None:
        """The run is known, and is trained from now on."""
        if not self._told:
            return
        with suppress(JobError):
            if self._number is None:
                self._number = self._queue.register(words, title_of(config), this_process(), config.run_id)
            else:
                self._queue.begins(self._number, config.run_id)

    def ends(self, state: str, reason: str = "") -> None:
        """How it has ended."""
        with suppress(JobError):
            if self._number is not None:
                self._queue.ends(self._number, state, reason)


def accelerators() -> list[int]:
    """Numbers of the NVIDIA devices of this machine, as CUDA_VISIBLE_DEVICES names them; asks no driver."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is not None:
        return [int(number) for number in chosen.split(",") if number.isdecimal()]
    names = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return sorted(int(name) for name in names if name.isdecimal())


def _job(row: sqlite3.Row) -> Job:
    return Job(**{**dict(row), "words": tuple(json.loads(row["words"]))})


def _last_place(connection: sqlite3.Connection) -> float:
    return connection.execute("SELECT coalesce(max(place), 0) + 1 FROM jobs").fetchone()[0]


def _insert(connection: sqlite3.Connection, words: Sequence[str], title: str, state: str) -> int:
    now = time.time()
    number = connection.execute(
        "INSERT INTO jobs (words, cwd, title, state, place, created, changed) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (json.dumps(list(words)), str(Path.cwd()), title, state, _last_place(connection), now, now),
    ).lastrowid
    return int(number or 0)


def _change(
    connection: sqlite3.Connection,
    number: int,
    state: str,
    reason: str = "",
    where: str = "1",
    values: tuple[Any, ...] = (),
) -> bool:
    """Change the state of a job where a condition holds; whether it held."""
    changed = connection.execute(
        f"UPDATE jobs SET state = ?, reason = ?, changed = ? WHERE id = ? AND {where}",
        (state, reason, time.time(), number, *values),
    )
    return bool(changed.rowcount)
