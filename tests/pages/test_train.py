"""Page Train: asking, watching, steering, and refusing on the server; nothing is trained here."""

import json
import platform
from dataclasses import asdict

import numpy as np
import pytest
from conftest import TINY, make_run, random_masks, tiny_config, tiny_scores

from pages.conftest import charts, sentences
from smp_lab.errors import JobError
from smp_lab.jobs import supervisor
from smp_lab.jobs.queue import Queue
from smp_lab.jobs.speed import Speed
from smp_lab.lease import held
from smp_lab.paths import (
    ALLOW_TRAINING_VARIABLE,
    CLUSTER_VARIABLE,
    LOGS_FOLDER,
    READ_ONLY_VARIABLE,
    events_file,
    snapshots_folder,
    unfinished_folder,
)
from smp_lab.processes import this_process
from smp_lab.recipes import draft
from smp_lab.ui import actions, forms, safety
from smp_lab.ui.pace import Pace

WORDS = ["--task", "rte", "--remaining", "0.5"]


@pytest.fixture
def training(runs):
    """A job whose run is at step 30 of 100; its process is this one."""
    queue, config = Queue(runs), tiny_config()
    number = queue.register(WORDS, "RTE · SMP-S · 50 % · seed 0", this_process(), config.run_id)
    file = events_file(runs, config.run_id)
    file.parent.mkdir(parents=True)
    begin = {"config": config.to_dict(), "layout": asdict(TINY), "from_step": 0, "total_steps": 100}
    kept = [TINY.size(matrix.matrix_type) // 2 for matrix in TINY.matrices]
    lines = [{"event": "begin", "time": 0, "run_id": config.run_id, **begin}]
    for step in (10, 20, 30):
        row = {"step": step, "epoch": step / 50, "loss": 0.5, "regularizer": 0.4, "regularizer_weight": 9.0}
        row |= {"remaining": 0.5, "kept": sum(kept), "flips_in": 3, "flips_out": 40, "kept_by_matrix": kept}
        lines.append({"event": "log", "time": step, **row})
    lines.append({"event": "evaluate", "time": 30, "step": 30, "epoch": 0.6, "remaining": 0.5, "accuracy": 0.61})
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    scores = tiny_scores(masks := random_masks(TINY, 0.5))
    folder = snapshots_folder(runs, config.run_id)
    folder.mkdir()
    np.savez(
        folder / "snapshot-00000030.npz",
        edges=scores.edges,
        kept=scores.kept_histogram[-1],
        removed=scores.removed_histogram[-1],
        score_cut=scores.score_cut[-1],
        **{f"bits.{matrix.layer}.{matrix.matrix_type}": bits for matrix, bits in masks.bits.items()},
    )
    return number


def press(app, label):
    next(button for button in app.button if button.label == label).click()
    return app.run()


def labels(app):
    return [button.label for button in app.button]


def test_a_run_of_a_sweep_is_shown_with_its_machine(open_page, local, runs):
    folder = unfinished_folder(runs, "rte-smp_s-r0.5-s0-0a0b0c0d")
    with held(folder):
        (runs / LOGS_FOLDER).mkdir()
        (runs / LOGS_FOLDER / f"{folder.name}.txt").write_text("one\nstep 3/9 <b>x</b>\n")
        page = open_page("train.py")
        (table,) = (frame.value for frame in page.dataframe if "machine" in frame.value)
        assert table[["run", "last_line"]].to_numpy().tolist() == [[folder.name, "step 3/9 <b>x</b>"]]
        assert table["machine"].item() == platform.node()
    assert not any("machine" in frame.value for frame in open_page("train.py").dataframe)


def test_what_no_job_is_of_is_shown_and_removed_unless_a_process_holds_it(open_page, local, runs):
    folder = unfinished_folder(runs, "rte-smp_s-r0.5-s0-0a0b0c0d")
    (folder / "checkpoint-3").mkdir(parents=True)
    (folder / "checkpoint-3" / "model").write_bytes(bytes(4_000_000))
    app = open_page("train.py")
    (title,) = (part.label for part in app.expander if part.label.startswith("Left behind"))
    assert title == "Left behind: an unfinished run without a job, 4 MB"
    with held(folder):
        # Begun since the page was drawn.
        press(app, "Remove it")
        assert "is being trained by another process" in sentences(app.error) and folder.exists()
    press(open_page("train.py"), "Remove it")
    assert not folder.exists()
    assert "Remove it" not in labels(open_page("train.py"))


def test_a_run_is_asked_for_with_the_equal_command_line(open_page, local, runs, monkeypatch):
    monkeypatch.setenv(CLUSTER_VARIABLE, "--on ray://head:6379 --cpus 4")
    app = open_page("train.py")
    assert "Nothing trains now, and no job is in the queue" in sentences(app.markdown)
    app.selectbox(key="new_task").set_value("mrpc")
    app.number_input(key="new_remaining").set_value(0.1)
    app.number_input(key="new_epochs").set_value(2.0)
    app.run()
    app.text_input(key="new_data_dir").set_value("/data/my-glue").run()
    command = app.code[0].value
    options = "--task mrpc --method smp_s --remaining 0.1 --seed 0 --epochs 2.0 --glue-dir /data/my-glue"
    assert command == f"smp-lab train {options} --runs {runs}"
    command = app.toggle(key="on_cluster").set_value(True).run().code[0].value
    options += " --on ray://head:6379 --cpus 4"
    assert command == f"smp-lab train {options} --runs {runs}"
    app = press(app, "Start")
    assert not app.exception
    (job,) = Queue(runs).jobs()
    assert "Nothing trains now, and 1 waits." in sentences(app.markdown)
    assert (job.state, list(job.words)) == ("queued", options.split())
    assert "Cancel" in labels(app) and "Stop" not in labels(app)
    press(app, "Cancel")
    assert Queue(runs).job(job.id).state == "stopped"


def test_a_folder_of_questions_is_named_as_what_it_is(open_page, local, monkeypatch):
    asked = []
    monkeypatch.setattr(actions.speed, "measure", lambda *given: asked.append(given) or Speed(4711, 600.0))
    app = open_page("train.py")
    app.selectbox(key="new_task").set_value("squad").run()
    # All of SQuAD, of which the cached run has learned a part.
    assert sentences(app.caption).startswith("500 steps;")
    folder = app.text_input(key="new_data_dir")
    assert folder.label == "Folder of SQuAD's files"
    folder.set_value("/data/my-squad").run()
    assert " --squad-dir /data/my-squad " in app.code[0].value
    press(app, "Measure")
    ((settings, _),) = asked
    assert settings["data_folders"] == {"squad": "/data/my-squad"}


def test_a_run_is_measured_when_asked_and_until_it_is_another(open_page, local, monkeypatch):
    asked = []
    monkeypatch.setattr(actions.speed, "measure", lambda *given: asked.append(given) or Speed(4711, 600.0))
    app = press(open_page("train.py"), "Measure")
    assert "4,711 steps; about 10 min on this machine, as measured" in sentences(app.caption)
    app.number_input(key="new_seed").set_value(1).run()
    assert "4,711 steps" in sentences(app.caption)
    app.number_input(key="new_epochs").set_value(2.0).run()
    assert "4,711 steps" not in sentences(app.caption) and len(asked) == 1


def test_nothing_is_measured_while_a_run_trains(open_page, local, training, monkeypatch):
    app = press(open_page("train.py"), "Measure")
    assert "A run is at work" in sentences(app.error)


def test_what_contradicts_itself_is_refused_while_one_types(open_page, local, runs):
    app = open_page("train.py")
    app.selectbox(key="new_head").set_value("linear")
    app.selectbox(key="new_method").set_value("random").run()
    assert "is not trained, so a new linear head would say nothing" in sentences(app.error)
    assert "Start" not in labels(app)


def test_the_papers_value_stands_beside_each_field(open_page, local, runs):
    app = open_page("train.py")
    app.selectbox(key="new_task").set_value("rte").run()
    # Section 5.2 and the authors' scripts contradict each other.
    assert app.number_input(key="new_batch_size").label == "Batch size (examples), paper's code: 32, text: 64"
    assert app.number_input(key="new_regularizer").label == "Regularizer, paper: 400"
    assert app.number_input(key="new_train_examples").label == "Train examples (examples)"
    app.selectbox(key="new_task").set_value("mnli")
    app.selectbox(key="new_recipe").set_value("paper-code").run()
    share = app.number_input(key="new_share_temperature")
    assert (share.label, share.placeholder) == ("Share temperature, paper's code: 3, text: 1", "recipe: 3")
    # The scripts have p = 3 without a teacher alone.
    app.text_input(key="new_teacher").set_value("anyone").run()
    share = app.number_input(key="new_share_temperature")
    assert (share.label, share.placeholder) == ("Share temperature, paper: 1", "recipe: 1")


@pytest.mark.parametrize("preset", list(forms.PRESETS))
def test_presets_fill_the_form(open_page, local, preset):
    app = open_page("train.py")
    app.button_group(key="preset").set_value(preset).run()
    values = forms.PRESETS[preset][1]
    assert not app.exception and f"--task {values['task']}" in app.code[0].value
    assert ("--recipe" in app.code[0].value) == preset.startswith("paper")
    assert "GB are free." in sentences(app.caption)


def test_a_finished_run_is_done_again_with_changes(open_page, local, runs):
    run = make_run(runs, task="cola", remaining=0.25, seed=3, epochs=7)
    app = open_page("train.py", like=run.run_id)
    words = app.code[0].value.split()[2:]
    asked = dict(zip(words[::2], words[1::2], strict=True))
    assert (asked["--task"], asked["--remaining"], asked["--seed"], asked["--epochs"]) == ("cola", "0.25", "3", "7.0")


def test_a_level_below_a_thousandth_is_asked_for_again(open_page, local, runs):
    run = make_run(runs, remaining=0.0005)
    app = open_page("train.py", like=run.run_id)
    assert "--remaining 0.0005 " in app.code[0].value
    app.number_input(key="new_remaining").set_value(0.0).run()
    assert "Remaining fraction 0 is outside" in sentences(app.error) and "Start" not in labels(app)


def test_a_run_to_be_done_again_that_is_not_here_is_said(open_page, local):
    assert "There is no run 'gone' here" in sentences(open_page("train.py", like="gone").warning)


def test_an_encoder_that_cannot_be_named_is_said(open_page, local, runs, monkeypatch):
    monkeypatch.setattr(safety, "is_local", lambda: False)
    monkeypatch.setenv(ALLOW_TRAINING_VARIABLE, "1")
    app = open_page("train.py", like=make_run(runs).run_id)
    assert "Encoder 'tiny-test-encoder' cannot be named from another machine" in sentences(app.warning)
    assert "--encoder" not in app.code[0].value


def test_the_teacher_of_a_run_is_asked_for_by_its_name(open_page, local, runs):
    taught = {"kl_direction": "teacher_student", "distillation_temperature": 2.0, "distillation_weight": 0.5}
    run = make_run(runs, task="cola", teacher="cola-dense-r1-s0-01234567@0123456789abcdef", **taught)
    words = open_page("train.py", like=run.run_id).code[0].value.split()
    assert words[words.index("--teacher") + 1] == "cola-dense-r1-s0-01234567"


def test_a_run_that_trains_is_watched_and_stopped(open_page, local, training, runs, monkeypatch):
    stopped = []
    monkeypatch.setattr("smp_lab.jobs.runners.LocalRunner.stop", lambda self, handle: stopped.append(handle))
    make_run(runs, seed=1)
    with held(unfinished_folder(runs, tiny_config().run_id)):
        app = open_page("train.py", job=str(training))
    assert f"It trains on {platform.node()}. You may close" in sentences(app.caption)
    figures = {metric.label: metric.value for metric in app.metric}
    assert figures["Step"] == "30 / 100" and figures["Accuracy"] == "61.0" and figures["Loss"] == "0.500"
    assert len(charts(app)) == 7
    # The finished run of another seed, in grey.
    assert "finished run, seed 1" in str(charts(app)[0].proto.spec)
    assert any("Query, layer 0, step 30 of 100" in str(chart.proto.spec) for chart in charts(app))
    press(app, "Stop")
    assert sentences(app.markdown).startswith("RTE · SMP-S · 50 % · seed 0 trains now.")
    assert stopped == [this_process()] and Queue(runs).job(training).state == "stopping"


@pytest.mark.parametrize(("seconds", "shown"), [(2.0, False), (16.0, True)])
def test_where_many_watch_it_looks_less_often_and_says_so(open_page, local, training, monkeypatch, seconds, shown):
    monkeypatch.setattr(Pace, "seconds", lambda *_: seconds)
    said = "Many watch, and training needs the machine: this page looks every 16 seconds."
    assert (said in [caption.value for caption in open_page("train.py", job=str(training)).caption]) == shown


def test_each_of_several_jobs_can_be_chosen(open_page, local, training, runs):
    queue = Queue(runs)
    queue.pause(True)
    queued = [queue.submit(WORDS, f"waits {number}") for number in range(3)]
    for number in (training, *queued):
        app = open_page("train.py", job=str(number))
        assert app.header[0].value.endswith("queued" if number in queued else "running")
    # By itself the one that trains is shown.
    assert open_page("train.py").header[0].value.endswith("running")


def test_the_lecture_view_has_three_pictures_and_no_form(open_page, local, training):
    app = open_page("train.py", lecture="1")
    assert len(charts(app)) == 3 and "Stop" not in labels(app) and not app.expander


def test_a_failure_has_a_face_and_a_way_on(open_page, local, training, runs):
    queue = Queue(runs)
    queue.ends(training, "failed", "Out of memory (x). Choose a smaller batch.")
    queue.log_file(training).write_text("\n".join(f"line {n}" for n in range(40)))
    app = open_page("train.py")
    assert "Out of memory" in sentences(app.error)
    assert any("line 39" in code.value and "line 9\n" not in code.value for code in app.code)
    press(app, "Resume")
    assert queue.job(training).state == "queued"


def test_a_finished_run_has_links(open_page, local, runs):
    run = make_run(runs)
    queue = Queue(runs)
    number = queue.register(WORDS, "RTE", this_process(), run.run_id)
    queue.ends(number, "done")
    app = open_page("train.py")
    assert "stands among the others" in sentences(app.success)
    assert "Nothing trains now. The last one, RTE, is done." in sentences(app.markdown)


@pytest.mark.parametrize("elsewhere", [True, False])
def test_an_app_that_only_shows_refuses_on_the_server(open_page, local, training, runs, monkeypatch, elsewhere):
    if elsewhere:
        monkeypatch.setattr(safety, "is_local", lambda: False)
    else:
        monkeypatch.setenv(READ_ONLY_VARIABLE, "1")
    app = open_page("train.py")
    assert {"Start", "Stop", "Pause the queue"}.isdisjoint(labels(app)) and len(charts(app)) == 7
    for act in (
        lambda: actions.submit(WORDS, {"task": "rte", "method": "smp_s", "remaining": 0.5}),
        lambda: actions.submit(WORDS, {"task": "rte", "method": "smp_s", "remaining": 0.5}, on_cluster=True),
        lambda: actions.measure(WORDS, {"task": "rte", "method": "smp_s", "remaining": 0.5}),
        lambda: actions.change(Queue.stop, training),
    ):
        with pytest.raises(JobError, match="only shows"):
            act()
    assert [job.state for job in Queue(runs).jobs()] == ["running"]


def test_other_machines_name_no_places_here(local, runs, monkeypatch):
    monkeypatch.setenv("SMP_LAB_RUNS", str(runs))
    monkeypatch.setattr(safety, "is_local", lambda: False)
    monkeypatch.setenv(ALLOW_TRAINING_VARIABLE, "1")
    asked = {"task": "rte", "method": "smp_s", "remaining": 0.5}
    with pytest.raises(JobError, match="only these encoders"):
        actions.submit(WORDS, {**asked, "encoder": "/etc"})
    for option in ("--glue-dir", "--on"):
        with pytest.raises(JobError, match=f"{option} cannot be given"):
            actions.submit([*WORDS, option, "/etc"], asked)
    with pytest.raises(JobError, match="started without a cluster"):
        actions.submit(WORDS, asked, on_cluster=True)
    with pytest.raises(JobError, match="only these encoders"):
        actions.measure(WORDS, {**asked, "encoder": "/etc"})
    assert not Queue(runs).jobs()
    assert actions.submit(WORDS, asked) == 1


def test_the_words_of_a_form_ask_for_the_same_run():
    asked = {"task": "stsb", "method": "smp_l", "remaining": 0.1, "seed": 2, "label_words": ("no", "yes")}
    words = forms.words_of({**asked, "recipe": "desk", "encoder": "minilm-l6"})
    assert words == [
        *("--task", "stsb", "--method", "smp_l", "--remaining", "0.1", "--seed", "2", "--label-words", "no,yes")
    ]
    draft(**asked)


def test_a_supervisor_is_started_once(runs, monkeypatch):
    started = []
    monkeypatch.setattr(supervisor, "start_process", lambda *args: started.append(args) or Ended())
    queue = Queue(runs)
    supervisor.ensure_supervisor(queue)
    queue.become_supervisor(this_process())
    supervisor.ensure_supervisor(queue)
    assert len(started) == 1


class Ended:
    def wait(self):
        return 0
