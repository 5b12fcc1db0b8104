"""Own data in the form of the page Train: nothing is trained here."""

import shlex
from pathlib import Path

import pytest

from pages.conftest import sentences
from pages.test_train import labels, press
from smp_lab.errors import JobError
from smp_lab.jobs.queue import Queue
from smp_lab.tasks import get_task
from smp_lab.tasks.own import read_task_file
from smp_lab.ui.own_data import OwnData


def test_own_data_are_asked_for_by_columns_of_a_preview(open_page, local, runs, tmp_path):
    file = tmp_path / "my reviews.csv"
    file.write_text("id,said,verdict\n" + "".join(f'{i},"a, {i}",{("thumbs up", "плохо")[i % 2]}\n' for i in range(40)))
    app = open_page("train.py")
    app.selectbox(key="new_task").set_value("own data").run()
    assert not app.exception and not app.code
    app.text_input(key="own_file").set_value(str(file)).run()
    assert app.selectbox(key="own_label").value == "verdict" and "Pick the column of the text" in sentences(app.info)
    app.multiselect(key="own_text").set_value(["said"]).run()
    assert not app.exception
    command = shlex.split(app.code[0].value)
    app = press(app, "Start")
    (job,) = Queue(runs).jobs()
    assert [*job.words, "--runs", str(runs)] == command[2:] and "my reviews" in job.title
    written = read_task_file(Path(command[command.index("--task-file") + 1]))
    assert (written.task.classes, written.task.text_fields) == (("thumbs up", "плохо"), ("said",))
    assert written.label == "verdict"
    assert (written.train, written.dev_share, written.task.label_words) == (str(file), 0.2, ())
    app.selectbox(key="own_label").set_value("id").run()
    app.text_input(key="own_file").set_value("/no/such.csv").run()
    assert "File such.csv cannot be read" in sentences(app.error) and "Start" not in labels(app)


def test_a_task_file_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "runs").write_text("")
    for file in (tmp_path / "runs" / "a.toml", tmp_path / f"{'a' * 300}.toml"):
        with pytest.raises(JobError, match="cannot be written .* Give the file of rows a shorter name"):
            OwnData(get_task("rte"), file, "text").written()


def test_another_file_has_a_title_and_words_of_its_own(open_page, local, tmp_path):
    for name, classes in (("reviews", "neg pos"), ("mails", "ham spam")):
        rows = "".join(f"text {i},{classes.split()[i % 2]}\n" for i in range(40))
        (tmp_path / f"{name}.csv").write_text("said,verdict\n" + rows)
    app = open_page("train.py")
    app.selectbox(key="new_task").set_value("own data").run()
    for name in ("reviews", "mails"):
        app.text_input(key="own_file").set_value(str(tmp_path / f"{name}.csv")).run()
        (title,) = (field for field in app.text_input if field.label == "Title")
        assert title.value == name
        # What is typed beside a class belongs to this file and this column.
        assert f"own_words verdict {tmp_path / name}.csv" in app.session_state


def test_a_task_file_is_taken_as_it_is(open_page, local, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('text = "a"\nlabel = "b"\ntrain = "mine.csv"\nclasses = ["1", "2", "3"]\n')
    app = open_page("train.py")
    app.selectbox(key="new_task").set_value("own data").run()
    app.text_input(key="own_file").set_value(str(file)).run()
    assert f"--task-file {file} --method smp_s" in app.code[0].value


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (f"{'x' * 300}.csv", None, "cannot be read as .csv (File name too long)"),
        ("cut.jsonl", '{"a": "\\ud83d\\ude00", "b": 1}\n{"a": "\\ud83d", "b": 0}\n', "line 2 holds half a character"),
    ],
)
def test_a_file_that_cannot_be_shown_is_a_sentence(open_page, local, tmp_path, name, text, said):
    if text is not None:
        (tmp_path / name).write_text(text)
    app = open_page("train.py")
    app.selectbox(key="new_task").set_value("own data").run()
    app.text_input(key="own_file").set_value(str(tmp_path / name)).run()
    assert said in sentences(app.error)
    assert not app.exception
