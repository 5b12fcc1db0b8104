"""Processes of this machine: known by more than their pid, reaped, woken to be stopped."""

import signal
import socket
import subprocess
import sys

import psutil
import pytest
from conftest import eventually

from smp_lab.errors import ConfigError
from smp_lab.jobs.cluster import RayRunner
from smp_lab.jobs.runners import LocalRunner, reason_of
from smp_lab.processes import this_process

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def started(tmp_path):
    """``started(command)`` is a runner with a process, and its handle; ended afterwards."""
    made = []

    def start(command=SLEEP):
        runner = LocalRunner(command)
        made.append((runner, runner.start([], tmp_path, {}, tmp_path / "log")))
        return made[-1]

    yield start
    for runner, handle in made:
        if runner.is_alive(handle):
            psutil.Process(int(handle.split()[0])).kill()
        eventually(lambda runner=runner, handle=handle: not runner.is_alive(handle))


def test_a_killed_process_is_dead_reaped_and_has_a_reason(started):
    runner, handle = started()
    other = LocalRunner()
    assert runner.is_alive(handle) and other.is_alive(handle)
    psutil.Process(int(handle.split()[0])).kill()
    eventually(lambda: not other.is_alive(handle))
    assert not runner.is_alive(handle)
    assert not psutil.pid_exists(int(handle.split()[0]))
    assert "killed (SIGKILL" in runner.reason_of_end(handle)
    assert "process is gone" in other.reason_of_end(handle)


def test_a_signal_without_a_name_is_told_by_its_number():
    assert reason_of(-signal.SIGRTMIN - 1) == f"Its process was killed (signal {signal.SIGRTMIN + 1})."


def test_an_exit_status_is_told(started):
    runner, handle = started([sys.executable, "-c", "raise SystemExit(3)"])
    eventually(lambda: not runner.is_alive(handle))
    assert "exit status 3" in runner.reason_of_end(handle)


def test_a_pid_that_was_given_again_is_not_the_process(started):
    runner, _ = started()
    pid, start, boot = this_process().split()
    assert runner.is_alive(f"{pid} {start} {boot}")
    later = f"{pid} {float(start) + 60:.2f} {boot}"
    assert not runner.is_alive(later)
    # Nor is it sent anything: this process would end here.
    runner.stop(later)


def test_after_a_restart_of_the_machine_no_process_is_the_one_from_before(started):
    runner, handle = started()
    before = f"{handle.rpartition(' ')[0]} 00000000-another-boot"
    assert not runner.is_alive(before)
    assert runner.reason_of_end(before) == "The machine was restarted."


def test_a_clock_that_is_set_changes_no_handle(monkeypatch):
    now = this_process()
    boot, created = psutil.boot_time(), psutil.Process().create_time()
    for day in (-86400, 86400):
        # What the system derives from its clock moves with it.
        monkeypatch.setattr(psutil, "boot_time", lambda day=day: boot + day)
        monkeypatch.setattr(psutil.Process, "create_time", lambda self, day=day: created + day)
        assert LocalRunner().is_alive(now)


def test_a_suspended_process_is_told_and_hears_a_stop(started, tmp_path):
    code = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7)); print('ready', flush=1); time.sleep(60)"
    )
    runner, handle = started([sys.executable, "-c", code])
    process = psutil.Process(int(handle.split()[0]))
    eventually(lambda: (tmp_path / "log").read_text() == "ready\n")
    process.send_signal(signal.SIGSTOP)
    eventually(lambda: runner.is_suspended(handle))
    assert runner.is_alive(handle)
    runner.stop(handle)
    eventually(lambda: not runner.is_alive(handle))
    assert "exit status 7" in runner.reason_of_end(handle)


def test_a_process_outlives_the_one_that_started_it(tmp_path):
    code = (
        "import sys; from pathlib import Path; from smp_lab.jobs.runners import LocalRunner\n"
        f"print(LocalRunner({SLEEP!r}).start([], Path('.'), {{}}, Path('log')), flush=True)"
    )
    starter = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    handle = starter.stdout.strip()
    try:
        assert LocalRunner().is_alive(handle)
    finally:
        LocalRunner().stop(handle)


def test_a_cluster_that_is_not_there_is_told_soon(tmp_path):
    pytest.importorskip("ray", reason="needs the extra: pip install -e '.[cluster]'")
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    for nowhere in (address, "a machine without a port"):
        with pytest.raises(ConfigError, match=f"No Ray cluster answers at {nowhere}.*ray start --head"):
            RayRunner(nowhere, tmp_path)
