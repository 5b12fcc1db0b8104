"""The queue without processes: a runner that only pretends."""

import json
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from conftest import make_run, tiny_config

from smp_lab.cli import place
from smp_lab.cli.this_job import told_to_queue
from smp_lab.errors import JobError, RunExistsError
from smp_lab.jobs import queue as queue_module
from smp_lab.jobs.queue import JOB_VARIABLE, Queue, ThisJob, title_of
from smp_lab.lease import held
from smp_lab.paths import SEAL_FILE, unfinished_folder
from smp_lab.recipes import PACKAGED_ENCODER


class PretendRunner:
    """Processes that run until a test ends them."""

    def __init__(self):
        self.started, self.alive, self.stopped, self.environments = [], set(), [], []

    def start(self, words, cwd, environment, log):
        handle = f"{1000 + len(self.started)} 1.00 boot"
        self.started.append(list(words))
        self.environments.append(dict(environment))
        self.alive.add(handle)
        return handle

    def is_alive(self, handle):
        return handle in self.alive

    def stop(self, handle):
        self.stopped.append(handle)

    def reason_of_end(self, handle):
        return "Its process is gone."


@pytest.fixture
def runner():
    return PretendRunner()


@pytest.fixture
def queue(runs, runner):
    return Queue(runs, runner)


def submit(queue, seed=0):
    return queue.submit(["--task", "rte", "--seed", str(seed)], f"RTE seed {seed}")


def trained(queue, number, seed=0):
    """The job as it is once its process has begun to train."""
    job = queue.job(number)
    assert queue.claim(number, job.attempt, job.process)
    queue.begins(number, tiny_config(seed=seed).run_id)
    return queue.job(number)


def states(queue):
    return [job.state for job in queue.jobs()]


def test_a_job_from_queued_to_done(queue, runner, runs):
    number = submit(queue)
    assert states(queue) == ["queued"]
    assert queue.start_next() and not queue.start_next()
    assert runner.started == [["train", "--task", "rte", "--seed", "0", "--runs", str(runs)]]
    starting = queue.job(number)
    running = trained(queue, number)
    queue.ends(number, "done")
    (done,) = queue.jobs()
    assert (starting.state, running.state, done.state) == ("starting", "running", "done")
    assert starting.created <= starting.changed <= running.changed <= done.changed


def test_no_more_than_the_slots_run_and_they_share_the_cores(queue, runner, monkeypatch):
    monkeypatch.setattr(queue_module, "usable_cores", lambda: 8)
    for seed in range(4):
        submit(queue, seed)
    queue.set_slots(3)
    assert [queue.start_next() for _ in range(4)] == [True, True, True, False]
    assert [environment["OMP_NUM_THREADS"] for environment in runner.environments] == ["2", "2", "2"]
    with pytest.raises(JobError, match="At least 1"):
        queue.set_slots(0)


def test_runs_of_a_sweep_share_the_cores_that_may_be_used(runs, monkeypatch):
    monkeypatch.setattr(place, "usable_cores", lambda: 8)
    _, environment = place.the_place("local", runs, 3, cpus=1, gpus=0, memory=0, device=None)
    assert environment(None) == {"OMP_NUM_THREADS": "2"}


def test_each_accelerator_takes_one(queue, runner, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    for seed in range(3):
        submit(queue, seed)
    assert [queue.start_next() for _ in range(3)] == [True, True, False]
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in runner.environments] == ["2", "5"]


@pytest.mark.parametrize(
    ("state", "knows_its_run", "has_record", "shown", "said"),
    [
        ("running", True, False, "lost", "Its process is gone."),
        ("running", True, True, "done", ""),
        ("stopping", True, False, "stopped", "between two checkpoints"),
        ("stopping", False, False, "stopped", "before it began to train"),
        ("starting", False, False, "failed", "before it began to train"),
    ],
)
def test_what_a_dead_process_leaves_is_shown_at_once_and_written_by_settle(
    queue, runner, runs, state, knows_its_run, has_record, shown, said
):
    number = submit(queue)
    queue.start_next()
    if knows_its_run:
        trained(queue, number)
    if has_record:
        make_run(runs)
    if state == "stopping":
        queue.stop(number)
        assert runner.stopped == [queue.job(number).process]
    assert queue.job(number).state == state
    runner.alive.clear()
    job = queue.job(number)
    assert job.state == shown and said in job.reason
    written = Queue(runs, SimpleNamespace(is_alive=lambda handle: True))
    assert written.job(number).state == state
    if knows_its_run:
        (left := unfinished_folder(runs, job.run_id)).mkdir(parents=True, exist_ok=True)
    queue.settle()
    assert written.job(number).state == shown
    # What is not done may be resumed.
    assert not knows_its_run or left.exists() != has_record


def test_a_lost_run_is_resumed_with_options_that_are_asked_for(queue, runner):
    number = submit(queue)
    queue.start_next()
    trained(queue, number)
    runner.alive.clear()
    queue.resume(number, "--resume-anyway")
    assert queue.job(number).state == "queued"
    assert queue.start_next()
    assert runner.environments[1][JOB_VARIABLE] == f"{number}:2"
    assert "--resume-anyway" in runner.started[1]
    with pytest.raises(JobError, match=f"Job {number} is starting and cannot be resumed"):
        queue.resume(number)


def test_waiting_jobs_are_cancelled_moved_and_held_back(queue, runner):
    first, second, third = (submit(queue, seed) for seed in range(3))
    queue.pause(True)
    assert not queue.start_next()
    queue.move(third, -1)
    queue.move(first, 5)
    assert [job.id for job in queue.jobs()] == [third, second, first]
    queue.stop(second)
    assert queue.job(second).reason == "It was cancelled."
    queue.pause(False)
    assert queue.start_next()
    assert queue.job(third).state == "starting"
    with pytest.raises(JobError, match="only waiting jobs"):
        queue.move(third, 1)


def test_delete_removes_job_log_and_checkpoints_and_leaves_records_and_what_runs(queue, runner, runs):
    record = make_run(runs, seed=1)
    number = submit(queue)
    queue.start_next()
    job = trained(queue, number)
    with pytest.raises(JobError, match="is running and cannot be deleted"):
        queue.delete(number)
    checkpoint = unfinished_folder(runs, job.run_id) / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    queue.log_file(number).write_text("step 5\n")
    runner.alive.clear()
    queue.delete(number)
    assert not checkpoint.parent.exists() and not queue.log_file(number).exists() and not queue.jobs()
    assert record.path.exists()


def test_what_was_left_behind_goes_but_not_what_a_job_or_a_process_has(queue, runner, runs):
    number = submit(queue)
    queue.start_next()
    config = tiny_config()
    folder = unfinished_folder(runs, config.run_id)
    with pytest.raises(JobError, match="no unfinished run"):
        queue.remove_left_behind(config.run_id)
    with held(folder), pytest.raises(RunExistsError, match="another process"):
        queue.remove_left_behind(config.run_id)
    folder.mkdir(parents=True)
    trained(queue, number)
    with pytest.raises(JobError, match="is of a job"):
        queue.remove_left_behind(config.run_id)
    runner.alive.clear()
    with held(folder), pytest.raises(RunExistsError, match="another process"):
        queue.delete(number)
    assert states(queue) == ["lost"]
    queue.delete(number)
    folder.mkdir(parents=True)
    queue.remove_left_behind(config.run_id)
    assert not folder.exists()


def test_of_two_jobs_of_a_run_the_one_that_came_too_late_leaves_it_alone(queue, runner, runs):
    queue.set_slots(2)
    first, second = submit(queue), submit(queue)
    assert queue.start_next() and queue.start_next()
    run_id = trained(queue, first).run_id
    assert trained(queue, second).run_id == run_id
    queue.ends(second, "failed", "is being trained by another process")
    checkpoint = unfinished_folder(runs, run_id) / "checkpoint-5"
    checkpoint.mkdir(parents=True)
    with held(unfinished_folder(runs, run_id)):
        queue.delete(second)
    queue.ends(first, "stopped")
    assert checkpoint.exists() and states(queue) == ["stopped"]
    queue.delete(first)
    assert not checkpoint.exists()


@pytest.mark.parametrize("name", ["..", "../..", ".", ""])
def test_nothing_but_an_unfinished_run_is_removed(queue, runs, name):
    (runs / ".unfinished").mkdir()
    with pytest.raises(JobError, match="no unfinished run"):
        queue.remove_left_behind(name)
    assert (runs / ".unfinished").exists()


def test_the_queue_has_an_end(queue, monkeypatch):
    monkeypatch.setattr(queue_module, "MAX_QUEUED", 2)
    submit(queue), submit(queue)
    with pytest.raises(JobError, match="2 runs wait already"):
        submit(queue)


def test_many_who_start_at_once_start_each_job_once(runs, runner):
    """Two servers and a terminal, or a supervisor and its successor."""
    for seed in range(6):
        submit(Queue(runs, runner), seed)
    Queue(runs, runner).set_slots(4)
    threads = [threading.Thread(target=Queue(runs, runner).start_next) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seeds = [words[4] for words in runner.started]
    assert sorted(seeds) == ["0", "1", "2", "3"]


def test_one_supervisor_at_a_time_and_the_next_takes_over(queue, runner):
    runner.alive |= {"1 1.00 boot", "2 1.00 boot"}
    number = submit(queue)
    assert queue.become_supervisor("1 1.00 boot")
    assert not queue.become_supervisor("2 1.00 boot")
    assert queue.supervisor_is_alive() and not queue.retire()
    queue.start_next()
    trained(queue, number)
    runner.alive.remove("1 1.00 boot")
    assert queue.become_supervisor("2 1.00 boot")
    assert states(queue) == ["running"] and not queue.start_next()
    queue.ends(number, "done")
    assert queue.retire() and not queue.supervisor_is_alive()


def test_a_start_that_a_kill_cut_off_is_done_again_and_its_child_finds_itself_replaced(queue, runner):
    runner.alive |= {"1 1.00 boot", "2 1.00 boot"}
    queue.become_supervisor("1 1.00 boot")
    number = submit(queue)

    def killed(*_):
        raise KeyboardInterrupt

    start, runner.start = runner.start, killed
    with pytest.raises(KeyboardInterrupt):
        queue.start_next()
    runner.start = start
    assert states(queue) == ["starting"]
    runner.alive.remove("1 1.00 boot")
    queue.become_supervisor("2 1.00 boot")
    assert states(queue) == ["queued"] and queue.start_next()
    assert not queue.claim(number, 1, "77 1.00 boot")
    assert queue.claim(number, 2, queue.job(number).process)


def test_a_start_that_a_kill_cut_off_can_be_cancelled_and_gives_its_place_to_the_next(queue, runner, monkeypatch):
    first, second = submit(queue), submit(queue, 1)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(runner, "start", killed)
        queue.start_next()
    queue.stop(first)
    assert queue.job(first).state == "stopped" and queue.start_next()
    assert queue.job(second).state == "starting"
    assert not queue.claim(first, 1, "77 1.00 boot")
    queue.delete(first)


def test_a_run_from_a_terminal_is_a_job_and_stays_one_when_it_is_resumed(runs, monkeypatch):
    queue = Queue(runs)
    config = tiny_config()
    one = ThisJob(queue)
    one.begins(["--task", "rte"], config)
    (job,) = queue.jobs()
    assert (job.state, job.run_id, job.words) == ("running", config.run_id, ("--task", "rte"))
    assert job.title == "RTE · SMP-S · 50 % · tiny-test-encoder · seed 0" == title_of(config)
    assert title_of(tiny_config(base_model=PACKAGED_ENCODER)) == "RTE · SMP-S · 50 % · seed 0"
    # A second process with the same run leaves the job to the first.
    other = ThisJob(queue)
    other.begins(["--task", "rte"], config)
    other.ends("failed", "is being trained by another process")
    assert states(queue) == ["running"]
    one.ends("stopped", "Stopped at step 3")
    again = ThisJob(queue)
    again.begins(["--task", "rte"], config)
    assert [(job.id, job.state) for job in queue.jobs()] == [(1, "running")]


def test_a_run_is_resumed_with_the_threads_of_its_newest_checkpoint(runs, runner):
    queue, config = Queue(runs, runner), tiny_config()
    one = ThisJob(queue)
    one.begins(["--task", "rte"], config)
    one.ends("stopped")
    (job,) = queue.jobs()
    for step, threads in ((90, 5), (100, 7)):
        seal = unfinished_folder(runs, config.run_id) / f"checkpoint-{step}" / SEAL_FILE
        seal.parent.mkdir(parents=True)
        seal.write_text(json.dumps({"conditions": {"threads": threads}}) + "\ndigest")
    for content, wanted in ((None, 7), ("torn", queue.threads)):
        if content:
            seal.write_text(content)
        queue.resume(job.id)
        queue.start_next()
        assert runner.environments[-1]["OMP_NUM_THREADS"] == str(wanted)
        runner.alive.clear()


@pytest.mark.parametrize("state", ["done", "stopped", "failed"])
def test_a_run_that_has_ended_and_begins_again_is_one_job(queue, runner, state):
    config = tiny_config()
    one = ThisJob(queue)
    one.begins(["--task", "rte"], config)
    one.ends(state)
    (job,) = queue.jobs()
    queue.log_file(job.id).write_text("step 5\n")
    again = submit(queue)
    queue.start_next()
    trained(queue, again, seed=config.seed)
    assert [(job.id, job.state) for job in queue.jobs()] == [(again, "running")]
    assert not queue.log_file(job.id).exists()
    # Nor does a terminal begin it once more.
    ThisJob(queue).begins(["--task", "rte"], config)
    assert [(job.id, job.state) for job in queue.jobs()] == [(again, "running")]


def test_a_process_whose_job_was_stopped_meanwhile_ends(queue, runner, monkeypatch):
    number = submit(queue)
    queue.start_next()
    queue.stop(number)
    monkeypatch.setenv(JOB_VARIABLE, f"{number}:1")
    with pytest.raises(JobError, match=f"Job {number} was stopped"):
        ThisJob(queue)


def test_a_queue_that_cannot_be_written_is_told_and_stops_no_training(tmp_path, monkeypatch):
    (tmp_path / "runs").write_text("in the way")
    queue = Queue(tmp_path / "runs")
    with pytest.raises(JobError, match="cannot be written"):
        submit(queue)
    job = ThisJob(queue)
    job.begins([], tiny_config())
    job.ends("done")
    assert not Path(tmp_path / "runs").is_dir()


def test_a_folder_whose_name_is_no_text_is_told_and_stops_no_training(queue, tmp_path, monkeypatch):
    (odd := tmp_path / os.fsdecode(b"a\xff")).mkdir()
    monkeypatch.chdir(odd)
    with pytest.raises(JobError, match=r"a\\udcff has a name that is not UTF-8. Rename it"):
        submit(queue)
    ThisJob(queue).begins([], tiny_config())
    assert not queue.jobs()


def test_a_queue_that_is_just_being_made_is_empty(queue):
    queue.folder.mkdir()
    (queue.folder / "queue.sqlite").touch()
    assert not queue.jobs() and not queue.paused and not queue.supervisor_is_alive()


def test_a_queue_in_a_folder_that_may_not_be_written_is_read(queue, runner):
    number = submit(queue)
    # As a copy on a read-only disk: sqlite can make no file beside it.
    queue.folder.chmod(0o555)
    user = os.geteuid()
    places = [queue.folder, *queue.folder.parents]
    modes = {place: place.stat().st_mode for place in places if user == 0 and not place.stat().st_mode & 0o001}
    try:
        for place, mode in modes.items():
            place.chmod(mode | 0o555)
        if user == 0:
            os.seteuid(65534)
        assert [job.id for job in queue.jobs()] == [number]
        with pytest.raises(JobError, match="cannot be written"):
            submit(queue)
    finally:
        os.seteuid(user)
        queue.folder.chmod(0o755)
        for place, mode in modes.items():
            place.chmod(mode)


def test_a_stop_outside_of_training_is_said_in_words(queue):
    given = {"task": "rte", "allow_unknown_tokens": True, "allow_broken_rows": False}
    context = SimpleNamespace(params=given, get_parameter_source=lambda name: SimpleNamespace(name="COMMANDLINE"))
    with pytest.raises(KeyboardInterrupt), told_to_queue(context, queue.runs) as run_begins:
        run_begins(tiny_config())
        raise KeyboardInterrupt
    (job,) = queue.jobs()
    assert (job.state, job.reason) == ("stopped", "It was stopped.")
    assert job.words == ("--task", "rte", "--allow-unknown-tokens")


def test_a_job_that_no_process_can_be_made_of_fails(runs):
    queue = Queue(runs)
    number = queue.submit(["--task", "a\0b"], "no words")
    assert queue.start_next()
    assert queue.job(number).state == "failed" and "could not be started (embedded null" in queue.job(number).reason


@pytest.mark.parametrize("run_id", ["../elsewhere", "a/b", "", ".hidden"])
def test_a_run_id_names_no_place_outside(queue, run_id):
    number = submit(queue)
    with pytest.raises(JobError, match="is no id of a run"):
        queue.begins(number, run_id)


def test_words_are_never_a_shells(queue, runner):
    queue.submit(["--task", "rte; touch harm", "--encoder", "$(touch harm)"], "harmless")
    queue.start_next()
    assert runner.started[0][1:5] == ["--task", "rte; touch harm", "--encoder", "$(touch harm)"]


def test_five_hundred_finished_and_fifty_waiting(queue, runner):
    looked_at = []
    is_alive, runner.is_alive = runner.is_alive, lambda handle: looked_at.append(handle) or is_alive(handle)
    queue.set_slots(1)
    with queue._writing() as connection:
        for number in range(550):
            queue_module._insert(connection, [], f"job {number}", "done" if number < 500 else "queued")
    assert queue.start_next()
    looked_at.clear()
    queue.settle()
    assert len(queue.jobs()) == 550
    # Only what has a process is looked at: twice the one that runs.
    assert len(looked_at) == 2


def test_the_tail_of_a_log(queue):
    number = submit(queue)
    assert queue.log_tail(number) == ""
    queue.log_file(number).write_bytes(b"".join(b"line %d \xff\n" % n for n in range(50)))
    assert queue.log_tail(number).splitlines()[0].startswith("line 20 ")


def test_a_run_that_takes_too_much_disk_is_stopped_and_says_so(queue, runner, runs, monkeypatch):
    monkeypatch.setattr(queue_module, "MAX_RUN_BYTES", 2**10)
    number = submit(queue)
    queue.start_next()
    job = trained(queue, number)
    checkpoint = unfinished_folder(runs, job.run_id) / "checkpoint-3"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model").write_bytes(bytes(2**10))
    queue.keep_limits()
    assert not runner.stopped
    (checkpoint / "more").write_bytes(b"x")
    queue.keep_limits(), queue.keep_limits()
    assert runner.stopped == [job.process]
    queue.ends(number, "stopped", "Stopped at step 3 of 9.")
    assert queue.job(number).reason == "It took more than 0 GiB of disk. Stopped at step 3 of 9."


def test_a_log_does_not_grow_for_ever(queue, monkeypatch):
    monkeypatch.setattr(queue_module, "MAX_LOG_BYTES", 2**10)
    number = submit(queue)
    for size, left in ((2**10, 2**10), (2**10 + 1, 0)):
        queue.log_file(number).write_bytes(bytes(size))
        queue.keep_limits()
        assert queue.log_file(number).stat().st_size == left
