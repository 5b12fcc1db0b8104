"""Training as others see it: what it tells while it runs, and what a kill, a full disk or a stop leave of it."""

import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

import pytest
from conftest import eventually
from training.conftest import same_masks, stop_at

from smp_lab.jobs.events import Follower, newest_snapshot_file, read_snapshot
from smp_lab.jobs.queue import Queue
from smp_lab.paths import unfinished_folder
from smp_lab.storage.runs import list_runs
from smp_lab.training import trainer as trainer_module
from smp_lab.training.run import train

# `smp-lab train` with a checkpoint after every step: a kill hits the writing of one more often than not.
PROGRAM = """
import sys
from smp_lab import cli
from smp_lab.training import trainer
trainer.SECONDS_BETWEEN_CHECKPOINTS = -1
sys.argv = ["smp-lab", "train", *sys.argv[1:]]
cli.main()
"""


@pytest.fixture
def words(strong_folder, glue):
    options = {"task": "rte", "remaining": 0.4, "encoder": strong_folder, "glue-dir": glue, "batch-size": 4}
    options |= {"epochs": 4, "max-length": 40, "precision": "fp32"}
    return [word for name, value in options.items() for word in (f"--{name}", str(value))]


def start(words, runs):
    command = [sys.executable, "-c", PROGRAM, *words, "--runs", str(runs)]
    with (runs.parent / "told").open("wb") as told:
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)


def test_events_say_what_the_record_will_hold(prepared, strong_folder, runs, monkeypatch):
    def ready():
        return prepared(encoder=str(strong_folder), n_train=96, epochs=1)

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "SECONDS_BETWEEN_CHECKPOINTS", -1)
        stop_at(10, ready(), runs)
    config = ready().config
    live = Follower(runs, config.run_id).run()
    assert (live.config, live.step, live.total_steps, live.checkpoint) == (config, 10, 12, 10)
    end = Follower(runs, config.run_id).new_events()[-1]
    assert end["state"] == "stopped" and "Stopped at step 10 of 12" in end["reason"]
    snapshot = read_snapshot(newest_snapshot_file(runs, config.run_id), live.layout)
    assert snapshot.step == 9
    record = train(ready(), runs, command="")
    for row, kept in zip(live.history, record.history.itertuples(), strict=False):
        assert all(row[name] == getattr(kept, name) for name in ("step", "loss", "kept", "flips_in", "seconds"))
        assert sum(row["kept_by_matrix"]) == row["kept"]
    assert record.results["evaluations"][: len(live.evaluations)] == live.evaluations
    at = list(record.scores.steps).index(9)
    assert (snapshot.kept == record.scores.kept_histogram[at]).all()
    assert (snapshot.edges == record.scores.edges).all()
    assert not unfinished_folder(runs, config.run_id).exists()


def kill_and_resume(words, runs, whole, kills, seed):
    """Kill a run at random moments, resume it, and compare it with an undisturbed one; how often it was lost."""
    assert start(words, whole).wait(timeout=240) == 0
    (undisturbed,) = list_runs([whole]).records.values()
    rng, queue, folder = random.Random(seed), Queue(runs), unfinished_folder(runs, undisturbed.run_id)
    lost = 0
    for number in range(kills):
        process = start(words, runs)
        # Some steps further than the kill before; checkpoints are written all the time.
        aim = 1 + 18 * (number + rng.random()) / kills
        eventually(
            lambda aim=aim, process=process: (
                process.poll() is not None
                or ((live := Follower(runs, undisturbed.run_id).run()) is not None and live.step >= aim - 1)
            )
        )
        time.sleep(rng.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if (runs / undisturbed.run_id).exists():
            break
        (job,) = queue.jobs()
        assert (job.state, job.run_id) == ("lost", undisturbed.run_id)
        lost += 1
    assert lost
    assert start(words, runs).wait(timeout=240) == 0 or not folder.exists()
    (resumed,) = list_runs([runs]).records.values()
    resumed.verify()
    assert same_masks(undisturbed, resumed)
    assert resumed.results["evaluations"] == undisturbed.results["evaluations"]
    assert [job.state for job in queue.jobs()] == ["done"] and not folder.exists()
    return lost


@pytest.mark.slow
def test_kill_9_at_a_random_moment(words, runs, tmp_path):
    kill_and_resume(words, runs, tmp_path / "whole", kills=1, seed=0)


@pytest.mark.exhaustive
def test_kill_9_at_twenty_random_moments(words, runs, tmp_path):
    start = time.monotonic()
    lost = kill_and_resume(words, runs, tmp_path / "whole", kills=20, seed=1)
    print(f"lost and resumed {lost} times, {time.monotonic() - start:.0f} s")  # noqa: T201  # asked for with -s


SERVER = """
import sys
from pathlib import Path
from smp_lab.jobs.queue import Queue
from smp_lab.jobs.supervisor import ensure_supervisor
ensure_supervisor(Queue(Path(sys.argv[1])))
"""


@pytest.mark.slow
def test_two_servers_and_a_terminal_on_one_folder_start_nothing_twice(words, runs):
    queue = Queue(runs)
    queue.set_slots(2)
    jobs = [queue.submit([*words, "--seed", str(seed)], f"seed {seed}") for seed in range(3)]
    others = [subprocess.Popen([sys.executable, "-c", SERVER, str(runs)]) for _ in range(2)]
    # A run that waits in the queue, or trains already.
    others.append(start([*words, "--seed", "0"], runs))
    assert [process.wait(timeout=240) for process in others[:2]] == [0, 0]
    code = others[2].wait(timeout=240)
    eventually(lambda: not queue.supervisor_is_alive() and all(job.state != "queued" for job in queue.jobs()))
    assert all(queue.job(job).attempt == 1 for job in jobs)
    # Of two who have the same run, one trains it and the other says so.
    ends = [queue.job(job).state for job in jobs]
    assert sorted([code == 0, ends[0] == "done"]) == [False, True] and ends[1:] == ["done", "done"]
    said = (runs.parent / "told").read_text() if code else queue.job(jobs[0]).reason
    assert "is being trained by another process" in said or "is already in" in said
    records = list_runs([runs]).records.values()
    assert sorted(run.config.seed for run in records) == [0, 1, 2]
    assert not any(run.provenance["resumed"] for run in records)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 16 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if (
        not shutil.which("mount")
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("needs the right to mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.slow
def test_a_full_disk_is_told_and_costs_no_more_than_the_last_checkpoint(words, small_disk, runs, tmp_path):
    runs.rmdir()
    runs.symlink_to(small_disk)
    process = start(words, runs)
    eventually(lambda: any(runs.glob(".unfinished/*/checkpoint-*")) or process.poll() is not None)
    # The run writes at the same time: whichever comes last finds no space.
    with suppress(OSError), (small_disk / "filler").open("wb", buffering=0) as filler:
        while filler.write(bytes(2**16)):
            pass
    assert process.wait(timeout=120) == 1
    told = (tmp_path / "told").read_text()
    assert "could not be written" in told and "Free space" in told
    (small_disk / "filler").unlink()
    assert start(words, tmp_path / "whole").wait(timeout=240) == 0
    (undisturbed,) = list_runs([tmp_path / "whole"]).records.values()
    assert start(words, runs).wait(timeout=240) == 0
    (resumed,) = list_runs([runs]).records.values()
    assert same_masks(undisturbed, resumed)
