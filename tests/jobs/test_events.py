"""Events are read as they come, whatever a kill or a clock does to them."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from conftest import TINY, random_masks, tiny_config

from smp_lab.errors import JobError
from smp_lab.jobs.events import Follower, newest_snapshot_file, read_snapshot
from smp_lab.jobs.whereabouts import unfinished_runs
from smp_lab.paths import events_file, snapshots_folder

CONFIG = tiny_config()


@pytest.fixture
def file(runs):
    path = events_file(runs, CONFIG.run_id)
    path.parent.mkdir(parents=True)
    return path


def line(event, time=0.0, **content):
    return json.dumps({"event": event, "time": time, **content}) + "\n"


def begin(step=0, time=0.0):
    facts = {"config": CONFIG.to_dict(), "layout": asdict(TINY), "from_step": step, "total_steps": 100}
    # After a line that a kill cut off, and of every first one too: see `add_event`.
    return "\n" + line("begin", time, run_id=CONFIG.run_id, **facts)


def append(file, text):
    with file.open("a") as stream:
        stream.write(text)


def test_a_run_grows_with_its_file(runs, file):
    follower = Follower(runs, CONFIG.run_id)
    assert follower.run() is None
    append(file, begin())
    assert follower.run().step == 0
    append(file, line("log", 5.0, step=10, loss=0.5, kept=7) + line("evaluate", 6.0, step=10, accuracy=0.6))
    append(file, line("save", 7.0, step=10) + line("step", 10.0, step=20, seconds=9.5))
    run = follower.run()
    assert (run.config, run.layout, run.total_steps) == (CONFIG, TINY, 100)
    assert (run.step, run.checkpoint) == (20, 10)
    assert [row["loss"] for row in run.history] == [0.5] and run.evaluations[0]["accuracy"] == 0.6
    assert run.steps_per_second == pytest.approx(2.0) and run.seconds_left == pytest.approx(40.0)
    append(file, end := line("end", 11.0, state="stopped", reason="Stopped at step 20"))
    assert follower.new_events() == [json.loads(end)]


def test_only_whole_lines_are_read_and_a_torn_one_costs_itself_alone(runs, file):
    follower = Follower(runs, CONFIG.run_id)
    append(file, begin() + line("log", step=1, loss=1.0) + '{"event":"log","step":2,"lo')
    assert len(follower.run().history) == 1
    append(file, begin(1) + line("log", step=2, loss=0.5))
    assert [row["step"] for row in follower.run().history] == [1, 2]
    assert [row["step"] for row in Follower(runs, CONFIG.run_id).run().history] == [1, 2]


def test_what_was_done_after_the_checkpoint_is_done_again(runs, file):
    rows = "".join(line("log", step=step, loss=1.0) for step in range(1, 9))
    append(file, begin() + rows + line("evaluate", step=8, accuracy=0.5) + begin(5) + line("log", step=6, loss=2.0))
    run = Follower(runs, CONFIG.run_id).run()
    assert [row["step"] for row in run.history] == [1, 2, 3, 4, 5, 6]
    assert not run.evaluations and (run.from_step, run.step) == (5, 6)


def test_a_file_that_was_begun_anew_is_read_anew(runs, file):
    follower = Follower(runs, CONFIG.run_id)
    append(file, begin() + line("log", step=1, loss=1.0))
    assert len(follower.run().history) == 1
    file.unlink()
    assert follower.run().history
    append(file, begin())
    assert not follower.run().history
    append(file, line("log", step=1, loss=1.0))
    assert follower.run().history
    # A file system may give the next file the number of the one before.
    file.write_text(begin(time=9.0) + line("log", step=1, loss=0.5) + line("log", step=2, loss=0.5))
    assert [row["loss"] for row in follower.run().history] == [0.5, 0.5]


def test_events_that_cannot_be_read_leave_what_is_known(runs, file):
    follower = Follower(runs, CONFIG.run_id)
    append(file, begin())
    known = follower.run()
    file.unlink()
    file.mkdir()
    assert follower.run() is known and Follower(runs, CONFIG.run_id).run() is None
    assert unfinished_runs(runs)[0].step is None
    with pytest.raises(JobError, match="cannot be read"):
        follower.new_events()


def test_null_is_nan(runs, file):
    append(file, begin() + line("log", step=1, remaining=None))
    assert np.isnan(Follower(runs, CONFIG.run_id).run().history[0]["remaining"])


@pytest.mark.parametrize("day", [-86400.0, 86400.0])
def test_a_clock_that_jumps_by_a_day_makes_no_speed_below_zero(runs, file, day):
    append(file, begin() + "".join(line("step", float(s), step=s) for s in range(1, 10)))
    append(file, "".join(line("step", day + s, step=s) for s in range(10, 20)))
    run = Follower(runs, CONFIG.run_id).run()
    assert run.steps_per_second == pytest.approx(1.0)


@pytest.mark.parametrize(
    "text",
    [
        "1\n",
        "[]\n",
        '{"event": "begin"}\n',
        '{"event": "log", "step": "x"}\n',
        "\xff\n",
        '{"event": 3}\n',
        '{"event": "log", "time": null}\n',
    ],
)
def test_lines_that_mean_nothing_are_passed_over(runs, file, text):
    append(file, text + begin() + text + line("log", step=1, loss=1.0))
    assert [row["step"] for row in Follower(runs, CONFIG.run_id).run().history if row["step"] == 1] == [1]


def test_the_newest_snapshot(runs):
    folder = snapshots_folder(runs, CONFIG.run_id)
    assert newest_snapshot_file(runs, CONFIG.run_id) is None
    folder.mkdir(parents=True)
    masks = random_masks(TINY, 0.5)
    n = len(TINY.matrices)
    for step in (0, 100, 20):
        np.savez(
            folder / f"snapshot-{step:08d}.npz",
            edges=np.array([-np.inf, 0, np.inf], np.float32),
            kept=np.ones((n, 2), np.int64),
            removed=np.zeros((n, 2), np.int64),
            score_cut=np.zeros(n, np.float32),
            **{f"bits.{matrix.layer}.{matrix.matrix_type}": bits for matrix, bits in masks.bits.items()},
        )
    file = newest_snapshot_file(runs, CONFIG.run_id)
    snapshot = read_snapshot(file, TINY)
    assert snapshot.step == 100 and snapshot.masks.kept_total == masks.kept_total
    file.write_bytes(file.read_bytes()[:100])
    assert read_snapshot(file, TINY) is None
    file.unlink()
    assert read_snapshot(file, TINY) is None
