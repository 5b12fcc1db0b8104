"""Who may write an unfinished run: one process alone, also on file systems that many machines share.

::

    .unfinished/ID/lease/{token}/          one at a time: it comes by a rename, which fails where another one is
                         holder.json       who holds it; its time of change is the heartbeat
    .unfinished/ID/writing-{token}/        what the holder is writing

What is finished is renamed into the folder of the holder's token, and from there to its place. Whoever takes a lease
over renames that folder: nothing that the earlier holder writes finds its way any more, however long it was frozen or
cut off. That needs a rename that is whole or not at all, and a folder that is seen by all; neither flock, which network
file systems may lack, nor clocks that agree: a heartbeat is looked at for as long as it may take, by the clock of the
one who looks.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smp_lab.errors import ConfigError, RunExistsError, TrainingError
from smp_lab.processes import find_process, has_ended, is_suspended, this_machine, this_process

LEASE_VARIABLE = "SMP_LAB_LEASE_SECONDS"
# Tells a process which run or measurement of a sweep it makes.
ITEM_VARIABLE = "SMP_LAB_ITEM"
_BEATS = 12
_PLACE, _HOLDER = "lease", "holder.json"


class LeaseLostError(TrainingError):
    """Another process has taken the run over; this one must write nothing more."""


@dataclass(frozen=True)
class Holder:
    """Who holds a run.

    Parameters
    ----------
    node
        Name of the machine.
    machine, process
        From `smp_lab.processes`: pids of another machine say nothing here.
    beat
        Time of the last heartbeat, seconds since 1970 by the clock of the file system.
    """

    node: str
    machine: str
    process: str
    beat: float

    @property
    def has_ended(self) -> bool:
        """Whether it is known to be gone; of another machine's processes nothing is."""
        return self.machine == this_machine() and has_ended(find_process(self.process))

    @property
    def is_running(self) -> bool:
        """Whether it is known to run, and not to stand still."""
        return self.machine == this_machine() and not self.has_ended and not is_suspended(find_process(self.process))


def holder_of(folder: Path) -> Holder | None:
    """Who holds an unfinished run; None where nobody does."""
    place = _token_folder(folder)
    return None if place is None else _read(place)


def living_holder(folder: Path) -> Holder | None:
    """Who holds an unfinished run and may be alive; None where nobody does, or has given no sign of life for long."""
    holder = holder_of(folder)
    if holder is None or holder.has_ended:
        return None
    return holder if holder.is_running or _now(folder) - holder.beat < lease_seconds() else None


def require_free(folder: Path) -> None:
    """Raise unless nobody writes an unfinished run any more.

    Raises
    ------
    RunExistsError
        If a process holds it that may be alive.
    """
    if (holder := living_holder(folder)) is not None:
        raise _busy(folder, holder)


def remove_finished(folder: Path) -> None:
    """Remove what a process that was killed between its record and its end left of a run, once it is surely gone."""
    if folder.is_dir() and living_holder(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)


def _now(folder: Path) -> float:
    # Heartbeats bear the time of the file system; a folder that may not be written has this machine's.
    with suppress(OSError):
        os.utime(folder)
        return folder.stat().st_mtime
    return time.time()


def lease_seconds() -> float:
    """How long a lease lasts without a heartbeat. Network file systems may show a change a minute late."""
    return seconds_of(LEASE_VARIABLE)


def seconds_of(variable: str) -> float:
    """A time from the environment, 120 seconds where it says none; raises `ConfigError`."""
    said = os.environ.get(variable) or "120"
    with suppress(ValueError):
        if (seconds := float(said)) > 0:
            return seconds
    raise ConfigError(f"{variable} = {said[:80]!r} is no number of seconds above 0, such as 120.")


class Lease:
    """The right of this process to write an unfinished run.

    Parameters
    ----------
    folder
        Of the unfinished run.
    token
        Of this holder.
    """

    def __init__(self, folder: Path, token: str) -> None:
        self.folder, self.token = folder, token
        self.staging = folder / f"writing-{token}"
        self._place = folder / _PLACE / token
        self._lost = False
        self._seen = time.monotonic()
        self._interval = lease_seconds() / _BEATS
        self._released = threading.Event()

    def require(self) -> None:
        """Raise unless the lease is held; asks the file system only where no heartbeat has done so lately.

        Raises
        ------
        LeaseLostError
            If another process has taken the run over.
        """
        if not self._lost and time.monotonic() - self._seen > self._interval:
            self._beat()
        if self._lost:
            raise LeaseLostError(
                f"Run {self.folder.name} was taken over by another process, because this one gave no sign of life for "
                f"{lease_seconds():g} s. Nothing more is written here."
            )

    def publish(self, path: Path, target: Path) -> None:
        """Bring what was written in `staging` to its place, if the lease is held.

        Raises
        ------
        LeaseLostError
            If it is not.
        OSError
            If the file system refuses.
        """
        through = self._place / path.name
        try:
            path.rename(through)
            through.rename(target)
        except FileNotFoundError:
            self._beat()
            self.require()
            raise

    def keep_alive(self) -> None:
        """Send heartbeats until the lease is released or lost."""
        while not self._lost and not self._released.wait(self._interval):
            self._beat()

    def _beat(self) -> None:
        try:
            os.utime(self._place / _HOLDER)
            self._seen = time.monotonic()
        except FileNotFoundError:
            self._lost = True
        except OSError:
            # A server that is away for a while; should it be away for long, the lease goes.
            pass

    def release(self) -> None:
        """Give the run up, and leave what is in `staging` to nobody."""
        self._released.set()
        shutil.rmtree(self.staging, ignore_errors=True)
        shutil.rmtree(self._place, ignore_errors=True)
        for empty in (self._place.parent, self.folder, self.folder.parent):
            with suppress(OSError):
                empty.rmdir()


@contextmanager
def held(folder: Path, write: Callable[[str], Any] | None = None) -> Iterator[Lease]:
    """Hold the lease of an unfinished run, whose folder is made; waits, and says so, where its holder may be gone.

    Raises
    ------
    RunExistsError
        If another process holds it and is alive.
    OSError
        If the folder cannot be written.
    """
    lease = _take(folder, write)
    thread = threading.Thread(target=lease.keep_alive, daemon=True)
    thread.start()
    try:
        lease.staging.mkdir(exist_ok=True)
        yield lease
    finally:
        lease.release()
        thread.join()


def _take(folder: Path, write: Callable[[str], Any] | None) -> Lease:
    token = secrets.token_hex(8)
    place = folder / _PLACE
    # The folder of runs stays, whoever releases what: one that cannot be made is told at once.
    folder.parent.parent.mkdir(parents=True, exist_ok=True)
    seen: tuple[str, float] | None = None
    since = free_since = time.monotonic()
    while True:
        fresh = folder / f"{_PLACE}-{token}"
        try:
            (fresh / token).mkdir(parents=True)
            _write_holder(fresh / token)
            # Where a folder is that is not empty this fails, whoever put it there and when.
            fresh.rename(place)
            return Lease(folder, token)
        except OSError as error:
            # Another one is there; or all goes with its last holder, and is made anew.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise
            refused = error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        other = _token_folder(folder)
        if other is None:
            # Released, or on the way from one holder to the next.
            time.sleep(0.01)
            if time.monotonic() - free_since > lease_seconds():
                raise refused
            continue
        free_since = time.monotonic()
        holder = _read(other)
        if holder is not None and holder.is_running:
            raise _busy(folder, holder)
        now = other.name, holder.beat if holder is not None else 0.0
        if now != seen:
            if seen is not None and holder is not None and not holder.has_ended:
                raise _busy(folder, holder)
            if write and seen is None and not (holder and holder.has_ended):
                where = holder.node if holder is not None else "another machine"
                write(
                    f"waits up to {lease_seconds():g} s for a sign of life of the process on {where} that holds the run"
                )
            seen, since = now, time.monotonic()
        if (holder is not None and holder.has_ended) or time.monotonic() - since > lease_seconds():
            # Of several who try, one finds it there.
            with suppress(FileNotFoundError):
                other.rename(place / token)
                # Not made anew: should another one have taken this over in turn, it is not there.
                _write_holder(place / token)
                for left in set((place / token).iterdir()) - {place / token / _HOLDER}:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
                return Lease(folder, token)
            continue
        time.sleep(min(1.0, lease_seconds() / _BEATS))


def _busy(folder: Path, holder: Holder) -> RunExistsError:
    return RunExistsError(
        f"Run {folder.name} is being trained by another process, on {holder.node}. Wait for it, or stop it first."
    )


def _token_folder(folder: Path) -> Path | None:
    # Not by a glob, which fails where the folder goes meanwhile.
    try:
        names = os.listdir(folder / _PLACE)  # noqa: PTH208
    except OSError:
        return None
    return folder / _PLACE / names[0] if names else None


def _write_holder(place: Path) -> None:
    who = {"node": platform.node(), "machine": this_machine(), "process": this_process()}
    temporary = place / f"{_HOLDER}.tmp"
    temporary.write_text(json.dumps(who))
    temporary.replace(place / _HOLDER)


def _read(place: Path) -> Holder | None:
    # Opened, not looked at: a network file system asks its server then.
    try:
        with (place / _HOLDER).open("rb") as file:
            content: Any = json.loads(file.read(2**16))
            beat = os.fstat(file.fileno()).st_mtime
        return Holder(str(content["node"]), str(content["machine"]), str(content["process"]), beat)
    except (OSError, ValueError, KeyError, TypeError):
        return None
