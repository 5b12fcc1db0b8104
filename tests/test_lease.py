"""One process writes a run, whoever else would: by renames alone, with neither locks nor clocks that agree."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from conftest import eventually

from smp_lab.errors import ConfigError, RunExistsError
from smp_lab.lease import LEASE_VARIABLE, LeaseLostError, held, holder_of, living_holder, remove_finished
from smp_lab.processes import find_process, is_suspended, this_process

HOLDS = """
import sys, time
from pathlib import Path
from smp_lab.lease import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(1e6)
"""
# All who find the run free write a line; each holds it for a moment, and looks whether another one does.
RACES = """
import os, sys, time
from pathlib import Path
from smp_lab.errors import RunExistsError
from smp_lab.lease import held
folder, alone = Path(sys.argv[1]), Path(sys.argv[2])
end, got = time.monotonic() + 3, 0
while time.monotonic() < end:
    try:
        with held(folder):
            os.close(os.open(alone, os.O_CREAT | os.O_EXCL))
            time.sleep(0.001)
            alone.unlink()
            got += 1
    except RunExistsError:
        pass
print(got)
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setenv(LEASE_VARIABLE, "1")

    def refuse(*_):
        raise OSError(37, "No locks available")

    # As on a network file system without them.
    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(fcntl, "lockf", refuse)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def holder(folder):
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def stamped(lease, name="a"):
    """A file that the holder has written."""
    path = lease.staging / name
    path.write_text(lease.token)
    return path


def test_what_is_published_comes_to_its_place_and_nothing_is_left(folder, tmp_path):
    with held(folder) as lease:
        assert holder_of(folder).process == this_process() and holder_of(folder).is_running
        lease.publish(stamped(lease), tmp_path / "a")
        stamped(lease, "half")
    assert (tmp_path / "a").read_text() == lease.token
    assert not folder.exists()


def test_a_run_that_is_held_is_refused_and_names_the_machine(folder, holder):
    with pytest.raises(RunExistsError, match=f"trained by another process, on {holder_of(folder).node}"), held(folder):
        pass


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder in which none can be made")
def test_a_folder_that_cannot_be_made_is_refused_at_once(monkeypatch):
    monkeypatch.setenv(LEASE_VARIABLE, "1e6")
    with pytest.raises(FileNotFoundError), held(Path("/proc/runs/.unfinished/run")):
        pass


@pytest.mark.parametrize("said", ["soon", "0", "-1", "nan"])
def test_a_time_that_is_none_is_a_sentence(folder, monkeypatch, said):
    monkeypatch.setenv(LEASE_VARIABLE, said)
    with pytest.raises(ConfigError, match=f"SMP_LAB_LEASE_SECONDS = '{said}' is no number of seconds"), held(folder):
        pass


def test_a_dead_holder_is_followed_at_once(folder, holder, monkeypatch):
    monkeypatch.setenv(LEASE_VARIABLE, "1e6")
    holder.kill()
    holder.wait()
    with held(folder):
        assert holder_of(folder).process.split()[0] == str(os.getpid())


def test_what_a_finished_run_left_is_removed_once_its_process_is_gone(folder, holder):
    remove_finished(folder)
    assert holder_of(folder) is not None
    holder.kill()
    holder.wait()
    remove_finished(folder)
    assert not folder.exists()
    remove_finished(folder)


def test_a_frozen_holder_is_followed_after_a_while_and_knows_when_it_wakes(folder, holder, tmp_path):
    holder.send_signal(signal.SIGSTOP)
    eventually(lambda: is_suspended(find_process(holder_of(folder).process)))
    told = []
    with held(folder, told.append):
        assert "waits up to 1 s for a sign of life" in told[0]
        holder.send_signal(signal.SIGCONT)
        # It goes on, and takes nothing with it when it ends.
        holder.terminate()
        holder.wait()
        assert holder_of(folder).process.split()[0] == str(os.getpid())


def test_a_lost_lease_publishes_nothing(folder, tmp_path):
    with held(folder) as first:
        written = stamped(first)
        os.rename(folder / "lease" / first.token, folder / "lease" / "another")  # noqa: PTH104
        with pytest.raises(LeaseLostError, match="was taken over by another process"):
            first.publish(written, tmp_path / "a")
        with pytest.raises(LeaseLostError):
            first.require()
    assert not (tmp_path / "a").exists() and (folder / "lease" / "another").exists()


def test_another_machines_process_is_judged_by_its_heartbeat_alone(folder, holder):
    (place,) = (folder / "lease").iterdir()
    who = json.loads((place / "holder.json").read_text())
    (place / "holder.json").write_text(json.dumps(who | {"machine": "another"}))
    # It beats.
    with pytest.raises(RunExistsError), held(folder):
        pass
    holder.kill()
    with held(folder) as lease:
        lease.require()


def test_of_many_at_a_time_one_holds_it(folder, tmp_path):
    command = [sys.executable, "-c", RACES, str(folder), str(tmp_path / "alone")]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    counts = [int(racer.communicate()[0]) for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * 4 and sum(counts) > 10
    assert not folder.exists()


def test_a_holder_from_before_a_restart_is_taken_for_dead_when_its_lease_has_passed(folder, monkeypatch):
    with held(folder):
        (file,) = folder.glob("lease/*/holder.json")
        shutil.copytree(folder / "lease", folder.parent / "left")
    shutil.copytree(folder.parent / "left", folder / "lease")
    (file,) = folder.glob("lease/*/holder.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"machine": "before the restart"}))
    assert living_holder(folder).node == holder_of(folder).node
    beat = file.stat().st_mtime - 2
    os.utime(file, (beat, beat))
    assert living_holder(folder) is None and holder_of(folder) is not None
    # A folder that is only shown has this machine's clock.
    monkeypatch.setattr(os, "utime", refuse := Mock(side_effect=PermissionError))
    assert living_holder(folder) is None and refuse.called
