"""Where a run's process lives. A runner starts it, says whether it is alive, and stops it; here: this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Runner(Protocol):
    """What the queue needs of a place where processes run. A process is known by a handle, a text."""

    def start(self, words: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path) -> str:
        """Start ``smp-lab train`` with these words and return its handle; what it prints goes to the log."""

    def is_alive(self, handle: str) -> bool:
        """Whether the process runs, or stands still and may run again."""

    def is_suspended(self, handle: str) -> bool:
        """Whether it stands still (SIGSTOP)."""

    def stop(self, handle: str) -> None:
        """Ask it to leave a checkpoint and end; nothing where it has ended."""

    def reason_of_end(self, handle: str) -> str:
        """What is known about why a process that said nothing has ended."""


def this_process() -> str:
    """Handle of the present process."""
    return _handle(psutil.Process())


def _handle(process: psutil.Process) -> str:
    # Since boot: a clock that is set changes that as little as the pid, which alone is given again to others.
    boot = None
    while boot != (boot := psutil.boot_time()):
        started = process.create_time() - boot
    return f"{process.pid} {started:.2f} {_boot_id()}"


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "-"


class LocalRunner:
    """Processes of this machine; the handle is pid, start time since boot in seconds, and the machine's boot id.

    Parameters
    ----------
    command
        What the words are appended to.
    """

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "smp_lab.cli", "train")) -> None:
        self._command = list(command)
        self._children: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}

    def start(self, words: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path) -> str:
        """As in `Runner`. The process outlives this one."""
        with log.open("ab") as output:
            child = subprocess.Popen(
                [*self._command, *words],
                cwd=cwd,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        handle = _handle(psutil.Process(child.pid))
        self._children[child.pid] = handle, child
        return handle

    def is_alive(self, handle: str) -> bool:
        """As in `Runner`; a zombie has ended."""
        child = self._child(handle)
        if child is not None:
            # Reaps it: it would stay a zombie for as long as this process lives.
            return child.poll() is None
        process = self._find(handle)
        return process is not None and process.status() != psutil.STATUS_ZOMBIE

    def is_suspended(self, handle: str) -> bool:
        """As in `Runner`."""
        process = self._find(handle)
        return process is not None and process.status() == psutil.STATUS_STOPPED

    def stop(self, handle: str) -> None:
        """As in `Runner`."""
        process = self._find(handle)
        if process is not None:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGTERM)
                # One that stands still cannot hear.
                process.resume()

    def reason_of_end(self, handle: str) -> str:
        """As in `Runner`."""
        if handle.rpartition(" ")[2] != _boot_id():
            return "The machine was restarted."
        child = self._child(handle)
        code = None if child is None else child.poll()
        if code is None:
            return "Its process is gone: killed, or out of memory."
        if code < 0:
            name = signal.Signals(-code).name
            return f"Its process was killed ({name}{', often for want of memory' if name == 'SIGKILL' else ''})."
        return f"Its process ended with exit status {code}."

    def _child(self, handle: str) -> subprocess.Popen[bytes] | None:
        started, child = self._children.get(int(handle.split()[0]), ("", None))
        return child if child is not None and _same_start(started, handle) else None

    @staticmethod
    def _find(handle: str) -> psutil.Process | None:
        """The very process, or None where it has ended, even if another has its pid now."""
        with suppress(psutil.NoSuchProcess, ValueError):
            process = psutil.Process(int(handle.split()[0]))
            if _same_start(_handle(process), handle):
                return process
        return None


def _same_start(one: str, other: str) -> bool:
    """Whether two handles name one process; two readings of a start time may differ in their last digit."""
    (pid, start, boot), (other_pid, other_start, other_boot) = one.split(), other.split()
    return (pid, boot) == (other_pid, other_boot) and abs(float(start) - float(other_start)) < 0.05
