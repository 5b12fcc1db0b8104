"""Processes, known by more than their pid, which is given again to others."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESS_IDS = Path("/proc/self/ns/pid")


def this_process() -> str:
    """Handle of the present process: pid, start time since boot in seconds, and the machine's boot id."""
    return handle_of(psutil.Process())


def find_process(handle: str) -> psutil.Process | None:
    """The very process, or None where it has ended, even if another has its pid now."""
    with suppress(psutil.NoSuchProcess, ValueError):
        process = psutil.Process(int(handle.split()[0]))
        if same_process(handle_of(process), handle):
            return process
    return None


def has_ended(process: psutil.Process | None) -> bool:
    """Whether a process is gone; a zombie has ended."""
    if process is None:
        return True
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_suspended(process: psutil.Process | None) -> bool:
    """Whether a process stands still (SIGSTOP)."""
    with suppress(psutil.NoSuchProcess):
        return process is not None and process.status() == psutil.STATUS_STOPPED
    return False


def boot_id() -> str:
    """Of this start of this machine."""
    return _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else "-"


def this_machine() -> str:
    """Where pids mean what they mean here: this start of this machine, and the container within it."""
    # A link whose text names the namespace.
    inside = str(_PROCESS_IDS.readlink()) if _PROCESS_IDS.is_symlink() else "-"
    return f"{boot_id()} {inside}"


def same_process(one: str, other: str) -> bool:
    """Whether two handles name one process; two readings of a start time may differ in their last digit."""
    (pid, start, boot), (other_pid, other_start, other_boot) = one.split(), other.split()
    return (pid, boot) == (other_pid, other_boot) and abs(float(start) - float(other_start)) < 0.05


def handle_of(process: psutil.Process) -> str:
    """Handle of a process that is there."""
    # Since boot: a clock that is set changes that as little as the pid, which alone is given again to others.
    boot = None
    while boot != (boot := psutil.boot_time()):
        started = process.create_time() - boot
    return f"{process.pid} {started:.2f} {boot_id()}"


def is_first_process() -> bool:
    """Whether this process is the one that writes, of several that share a run (torchrun)."""
    return os.environ.get("RANK", "0") == "0"


def usable_cores() -> int:
    """Cores that a process here may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, psutil.cpu_count(logical=False) or allowed)
