"""A grid on a Ray cluster of real processes: machines are lost, frozen or full, and the masks are those of a desk."""

from __future__ import annotations

import os
import platform
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from conftest import HANGS, eventually

from smp_lab.cli.sweep import _listed
from smp_lab.grid import load_grid
from smp_lab.jobs.queue import DONE, QUEUED, STOPPED, Queue
from smp_lab.jobs.supervisor import ensure_supervisor
from smp_lab.lease import LEASE_VARIABLE, holder_of
from smp_lab.paths import LOGS_FOLDER, UNFINISHED_FOLDER
from smp_lab.storage.runs import list_runs
from smp_lab.training.sweep import Sweep

pytest.importorskip("ray", reason="needs the extra: pip install -e '.[cluster]'")
from ray.cluster_utils import Cluster

# Ray leaves processes of machines that were killed to the system.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

MASKS = """
[settings]
encoder = "{encoder}"
batch_size = 4
precision = "fp32"
max_length = 40

[[group]]
name = "masks"
tasks = ["rte"]
methods = ["smp_l"]
remaining = {remaining}
seeds = {seeds}
settings = [{{ epochs = {epochs} }}]
"""
MORE = """
[[group]]
name = "taught"
tasks = ["rte"]
methods = ["smp_s"]
remaining = [0.5]
seeds = [0]
settings = [{{ teacher = "dense", epochs = {epochs} }}]

[[group]]
name = "teacher"
tasks = ["rte"]
methods = ["dense"]
seeds = [0]

[[group]]
name = "one that fails"
tasks = ["rte"]
methods = ["random"]
remaining = [0.5]
seeds = [0]
settings = [{{ max_length = 400 }}]
"""
# Files of a process that trains may not grow beyond this: what a full disk of one machine does.
SMALL = """
import resource, sys
if "train" in sys.orig_argv:
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
"""
# A node that is gone is noticed after some five seconds; sooner, a busy one would be too.
HEALTH = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 10}


class Lab:
    """A grid, its folder of runs, and a cluster of machines with one CPU each."""

    def __init__(self, folder: Path, grid: Path, glue: Path) -> None:
        self.folder, self.grid, self.glue, self.runs = folder, grid, glue, folder / "runs"
        self.environment = os.environ | {LEASE_VARIABLE: "4", "SMP_LAB_CHECKPOINT_SECONDS": "0.5"}
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "_system_config": HEALTH, "include_dashboard": False},
        )
        self.nodes: list = []
        self.started: list[subprocess.Popen] = []

    def sweep(self, runs: Path, *options: str, log: str = "driver") -> subprocess.Popen:
        command = [sys.executable, "-m", "smp_lab", "sweep", str(self.grid), *options]
        command += ["--runs", str(runs), "--glue-dir", str(self.glue)]
        with (self.folder / log).open("ab") as output:
            self.started.append(
                subprocess.Popen(command, env=self.environment, stdout=output, stderr=subprocess.STDOUT)
            )
        return self.started[-1]

    def drive(self) -> subprocess.Popen:
        return self.sweep(self.runs, "--on", f"ray://{self.cluster.address}", "--memory", "0")

    @property
    def told(self) -> str:
        return (self.folder / "driver").read_text()

    def add(self, **given) -> None:
        self.nodes.append(self.cluster.add_node(num_cpus=1, **given))

    def kill(self, node) -> None:
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)

    def training(self):
        """Pid of the process of a run that has a checkpoint, its folder, and the node that it is on."""
        for folder in self.runs.glob(f"{UNFINISHED_FOLDER}/*"):
            holder = holder_of(folder)
            if holder is None or holder.has_ended or not any(folder.glob("checkpoint-*")):
                continue
            pid = int(holder.process.split()[0])
            for node in self.nodes:
                raylet = node.all_processes["raylet"][0].process.pid
                try:
                    family = {process.pid for process in psutil.Process(raylet).children(recursive=True)}
                except psutil.NoSuchProcess:
                    continue
                if pid in family:
                    return pid, folder, node
        return None

    def freeze(self, pid: int, node) -> list[psutil.Process]:
        """Let a whole machine stand still."""
        raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
        family = [raylet, *raylet.children(recursive=True)]
        for process in family:
            # A run may end meanwhile.
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        return family


def wake_once_another_has_it(pid: int, folder: Path, family: list[psutil.Process]) -> None:
    """Wake the run's own process alone, look what it says, and then the rest of its machine."""
    eventually(lambda: (now := holder_of(folder)) is None or int(now.process.split()[0]) != pid)
    log = folder.parents[1] / LOGS_FOLDER / f"{folder.name}.txt"
    (run,) = (process for process in family if process.pid == pid)
    run.resume()
    eventually(lambda: not run.is_running() or run.status() == psutil.STATUS_ZOMBIE)
    assert "was taken over by another process" in log.read_text()
    for process in family:
        if process.is_running():
            process.kill()


@pytest.fixture
def lab(tmp_path, glue, bert_folder, request):
    groups, remaining, seeds, epochs = request.param
    grid = tmp_path / "grid.toml"
    grid.write_text(groups.format(encoder=bert_folder, epochs=epochs, remaining=remaining, seeds=seeds))
    made = Lab(tmp_path, grid, glue)
    yield made
    for process in made.started:
        process.kill()
        process.wait()
    made.cluster.shutdown()


def check(lab: Lab, n_runs: int, n_failed: int = 0) -> None:
    """Every run once, with the masks of an undisturbed desk, and nothing left."""
    disturbed = list_runs([lab.runs])
    assert not disturbed.problems and len(disturbed.records) == n_runs
    left = [folder for folder in lab.runs.glob(f"{UNFINISHED_FOLDER}/*") if holder_of(folder) is not None]
    assert not left and not list(lab.runs.glob(".writing-*"))
    assert f"{n_runs} of {n_runs + n_failed} runs are done" in lab.told
    assert lab.sweep(lab.folder / "whole", "--jobs", "2", log="desk").wait(timeout=HANGS) == n_failed
    desk = list_runs([lab.folder / "whole"]).records
    assert sorted(desk) == sorted(disturbed.records)
    for name, run in disturbed.records.items():
        run.verify()
        if run.has_masks:
            assert run.masks.sha256 == desk[name].masks.sha256, name
        assert run.results["evaluations"] == desk[name].results["evaluations"]


def lose_one_of_two(lab: Lab) -> tuple[subprocess.Popen, int]:
    """The driver of a sweep on two machines, the one that trained first killed, and the process that trained there."""
    lab.add()
    lab.add()
    driver = lab.drive()
    pid, _, node = eventually(lab.training)
    lab.kill(node)
    return driver, pid


@pytest.mark.parametrize("lab", [(MASKS, "[0.3]", "[0, 1]", 60)], indirect=True)
def test_a_machine_is_lost(lab):
    driver, _ = lose_one_of_two(lab)
    # The other one makes both.
    assert driver.wait(timeout=HANGS) == 0
    assert "lost    " in lab.told
    check(lab, 2)


@pytest.mark.exhaustive
@pytest.mark.parametrize("lab", [(MASKS + MORE, "[0.3]", "[0]", 60)], indirect=True)
def test_a_machine_is_lost_and_another_one_freezes(lab):
    driver, pid = lose_one_of_two(lab)
    lab.add()
    eventually(lambda: psutil.pid_exists(pid) is False or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    pid, folder, node = eventually(lab.training)
    family = lab.freeze(pid, node)
    wake_once_another_has_it(pid, folder, family)
    assert driver.wait(timeout=HANGS) == 1
    assert "takes at most 40 tokens" in lab.told
    assert "lost    " in lab.told and lab.told.count("again   --task rte --method random") == 2
    check(lab, 3, n_failed=1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("lab", [(MASKS + MORE, "[0.5, 0.3, 0.1]", "[0, 1, 2]", 60)], indirect=True)
def test_machines_are_lost_all_the_time(lab):
    """Twelve runs; a machine is lost every few seconds, one freezes, the disk of one is full, the driver is killed."""
    for _ in range(3):
        lab.add()
    site = lab.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SMALL)
    lab.add(env_vars={"PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])})
    full = lab.nodes[-1]
    driver, rng, kills, done = lab.drive(), random.Random(0), 0, 0
    sweep, wanted = Sweep(lab.runs, {"glue": lab.glue}), load_grid(lab.grid).runs
    while driver.poll() is None:
        time.sleep(rng.uniform(2, 6))
        rows = _listed(sweep, wanted)
        made = sum(row["state"] == "done" for row in rows)
        assert len(rows) == 12 and made >= done
        assert all(row["node"] == platform.node() for row in rows if row["state"] == "running")
        done = made
        found = lab.training()
        if found is None:
            continue
        pid, folder, node = found
        kills += 1
        if kills == 4:
            driver.kill()
            driver.wait()
            driver = lab.drive()
        elif kills == 6:
            wake_once_another_has_it(pid, folder, lab.freeze(pid, node))
            lab.nodes.remove(node)
            lab.add()
        elif kills < 12 and node is not full:
            lab.kill(node)
            lab.add()
    assert kills > 6
    assert "could not be written" in "".join(log.read_text() for log in (lab.runs / LOGS_FOLDER).glob("*.txt"))
    check(lab, 11, n_failed=1)


@pytest.mark.exhaustive
@pytest.mark.parametrize("lab", [(MASKS, "[0.3]", "[0]", 60)], indirect=True)
def test_a_job_of_the_queue_trains_on_the_cluster(lab, monkeypatch):
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    lab.add()
    (asked,) = load_grid(lab.grid).runs
    words = [*asked.options(), "--glue-dir", str(lab.glue), "--on", f"ray://{lab.cluster.address}", "--memory", "0"]
    queue = Queue(lab.runs)
    number = queue.submit(words, "one")
    ensure_supervisor(queue)
    eventually(lab.training)
    assert queue.node_of(queue.job(number)) == platform.node()
    queue.stop(number)
    eventually(lambda: queue.job(number).state == STOPPED)
    assert any(lab.runs.glob(f"{UNFINISHED_FOLDER}/*/checkpoint-*"))
    queue.resume(number)
    ensure_supervisor(queue)
    eventually(lambda: not queue.job(number).is_active and queue.job(number).state != QUEUED)
    assert queue.job(number).state == DONE, queue.log_tail(number)
    (lab.folder / "driver").write_text(queue.log_tail(number))
    check(lab, 1)
