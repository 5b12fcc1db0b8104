"""Where a run's process lives. A runner starts it, says whether it is alive, and stops it; here: this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psutil

from smp_lab.errors import JobError
from smp_lab.processes import boot_id, find_process, handle_of, has_ended, is_suspended, same_process

# How a process ended, as far as its runner knows: LOST says nothing against the run, but its machine is gone.
DONE, FAILED, STOPPED, LOST = "done", "failed", "stopped", "lost"
SMP_LAB = (sys.executable, "-m", "smp_lab")


class Runner(Protocol):
    """What a sweep needs of a place where processes run. A process is known by a handle, a text."""

    # How often a run may fail before a sweep sets it aside.
    attempts: int
    # Whether its processes may be cut off from the one that asks.
    is_far: bool

    @property
    def slots(self) -> int:
        """How many there is room for."""

    def start(self, words: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path) -> str:
        """Start ``smp-lab`` with these words and return its handle; what it prints goes to the log."""

    def is_alive(self, handle: str) -> bool:
        """Whether the process runs, or stands still and may run again."""

    def stop(self, handle: str) -> None:
        """Ask it to leave a checkpoint and end; nothing where it has ended."""

    def outcome(self, handle: str) -> tuple[str, str]:
        """How a process that this runner started has ended, and what is known about it."""


def start_process(
    command: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
    preexec_fn: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """A child in a session of its own, with these variables beside its parent's; what it prints goes to the log."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=preexec_fn,
        )


def reason_of(code: int) -> str:
    """What the exit status of a process says about its end."""
    if code < 0:
        # Real-time signals have no names.
        name = signal.Signals(-code).name if -code in [*signal.Signals] else f"signal {-code}"
        return f"Its process was killed ({name}{', often for want of memory' if name == 'SIGKILL' else ''})."
    return f"Its process ended with exit status {code}."


def answer_of(command: Sequence[str], seconds: float, **how: Any) -> Any:
    """What a process prints as JSON; `how` as of `subprocess.Popen`.

    Raises
    ------
    JobError
        If it fails: its last line on stderr; where it was killed or said nothing, that.
    subprocess.TimeoutExpired, OSError, ValueError
        If it takes more seconds, cannot be started, or prints something else.
    """
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds, check=False, **how
    )
    if done.returncode:
        said = [] if done.returncode < 0 else done.stderr.strip().splitlines()
        raise JobError(said[-1].removeprefix("smp-lab: ")[:1000] if said else reason_of(done.returncode))
    return json.loads(done.stdout)


class LocalRunner:
    """Processes of this machine; the handle is pid, start time since boot in seconds, and the machine's boot id.

    Parameters
    ----------
    command
        What the words are appended to.
    slots
        How many a sweep keeps at a time.
    """

    # The same machine would fail again.
    attempts = 1
    is_far = False

    def __init__(self, command: Sequence[str] = SMP_LAB, slots: int = 1) -> None:
        self._command = list(command)
        self.slots = slots
        self._children: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}

    def start(self, words: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path) -> str:
        """As in `Runner`. The process outlives this one."""
        child = start_process([*self._command, *words], cwd, environment, log)
        handle = handle_of(psutil.Process(child.pid))
        self._children[child.pid] = handle, child
        return handle

    def is_alive(self, handle: str) -> bool:
        """As in `Runner`; a zombie has ended."""
        child = self._child(handle)
        if child is not None:
            # Reaps it: it would stay a zombie for as long as this process lives.
            return child.poll() is None
        return not has_ended(find_process(handle))

    def is_suspended(self, handle: str) -> bool:
        """Whether it stands still (SIGSTOP)."""
        return is_suspended(find_process(handle))

    def stop(self, handle: str) -> None:
        """As in `Runner`."""
        process = find_process(handle)
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
                # One that stands still cannot hear.
                process.resume()

    def reason_of_end(self, handle: str) -> str:
        """What is known about why a process that said nothing has ended."""
        if handle.rpartition(" ")[2] != boot_id():
            return "The machine was restarted."
        child = self._child(handle)
        code = None if child is None else child.poll()
        return "Its process is gone: killed, or out of memory." if code is None else reason_of(code)

    def outcome(self, handle: str) -> tuple[str, str]:
        """As in `Runner`."""
        child = self._child(handle)
        if child is not None and child.poll() == 0:
            return DONE, ""
        return FAILED, self.reason_of_end(handle)

    def _child(self, handle: str) -> subprocess.Popen[bytes] | None:
        started, child = self._children.get(int(handle.split()[0]), ("", None))
        return child if child is not None and same_process(started, handle) else None
