"""SQuAD's files and its copy on the hub, and whole runs of a span task."""

import json
import re

import datasets
import huggingface_hub
import numpy as np
import pytest
from training.conftest import bert_folder, bert_with_head_folder, prepared, tiny_data  # noqa: F401 - fixtures

from smp_lab.errors import ConfigError, DataError
from smp_lab.paths import DATA_VARIABLES
from smp_lab.tasks.spans import Span, exact_match, f1
from smp_lab.training.data import load_task_data
from smp_lab.training.run import train
from smp_lab.training.squad import FILES
from smp_lab.training.transfer import transfer

CONTEXT = "Å is a letter. The cat sat."
QUESTION = {"id": "q1", "question": "Who sat?", "answers": [{"text": "cat", "answer_start": 19}]}
TWO = QUESTION | {"id": "q2", "answers": [{"text": "The cat", "answer_start": 15}, {"text": "cat", "answer_start": 19}]}


def content(*questions, context=CONTEXT):
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": [{"context": context, "qas": list(questions)}]}]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.delenv(DATA_VARIABLES["squad"], raising=False)
    write(tmp_path, content(QUESTION), content(TWO))
    return tmp_path


def write(folder, *contents):
    for name, text in zip(FILES.values(), contents, strict=False):
        (folder / name).write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")


def test_files_are_read_with_all_their_answers(folder, monkeypatch):
    read = load_task_data("squad", data_folders={"squad": folder})
    assert read.train.texts == (["Who sat?"], [CONTEXT])
    assert read.train.targets.tolist() == [(Span("cat", 19),)]
    assert read.development["validation"].targets.tolist() == [(Span("The cat", 15), Span("cat", 19))]
    assert read.source == "folder of JSON files"
    monkeypatch.setenv(DATA_VARIABLES["squad"], str(folder))
    assert load_task_data("squad").sha256 == read.sha256
    write(folder, content(TWO))
    assert load_task_data("squad").sha256 != read.sha256
    write(folder, content(QUESTION, TWO))
    assert load_task_data("squad", train_examples=1).sha256 == read.sha256


UNANSWERABLE = QUESTION | {"answers": [], "is_impossible": True}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (content(UNANSWERABLE), "question 'q1' has no answer. Unanswerable questions are of SQuAD v2.0"),
        (content(QUESTION, context="x" + CONTEXT), "answer 'cat' at character 19, where its context has ' ca'"),
        (content(QUESTION, context="The cat"), "answer 'cat' at character 19, where its context has ''"),
        (content(QUESTION | {"answers": [{"text": "at.", "answer_start": -3}]}), "at character -3"),
        (content(QUESTION | {"answers": [{"text": " ", "answer_start": 18}]}), "question 'q1' has an empty answer"),
        (
            content(QUESTION | {"answers": [{"text": ["cat"], "answer_start": 19}]}),
            "question 'q1' has a question, a context",
        ),
        (content(QUESTION | {"answers": [{"text": "cat", "answer_start": "19"}]}), "whose start is no whole number"),
        (content(QUESTION | {"question": None}), "an answer that is no text"),
        (content(), "holds no questions."),
        (content(QUESTION | {"question": "Who \ud83d"}), "an answer that is no text"),
        ("{", "cannot be read as one of SQuAD's files (JSONDecodeError: "),
        (99_999 * "[", "cannot be read as one of SQuAD's files (RecursionError: "),
        ("version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS and not the file"),
        ([], "(TypeError: list indices must be integers or slices, not str). Expected JSON with data, paragraphs"),
        ({"data": [{"title": "T"}]}, "(KeyError: 'paragraphs'). Expected JSON with data, paragraphs"),
    ],
)
def test_files_that_cannot_be_used_are_a_sentence(folder, text, sentence):
    write(folder, text)
    with pytest.raises(DataError, match=re.escape(sentence)):
        load_task_data("squad", data_folders={"squad": folder})


def test_missing_files_and_folders_are_named(folder):
    (folder / FILES["validation"]).rename(folder / "dev-v2.0.json")
    with pytest.raises(DataError, match=r"needs .* there\. It holds v2\.0, which is another task\."):
        load_task_data("squad", data_folders={"squad": folder})
    (folder / "dev-v2.0.json").unlink()
    with pytest.raises(DataError, match=r"has no file dev-v1\.1\.json; task 'squad' needs train-v1\.1\.json and dev"):
        load_task_data("squad", data_folders={"squad": folder})
    with pytest.raises(DataError, match="is not a folder. Check --squad-dir or SMP_LAB_SQUAD_DIR."):
        load_task_data("squad", data_folders={"squad": folder / "none"})
    with pytest.raises(DataError, match="No folder of SQuAD's JSON files is named. Name one with --squad-dir"):
        load_task_data("squad", source="folder")


def test_the_hub_and_the_files_give_the_same(folder, monkeypatch):
    def split(question):
        answers = {"text": [a["text"] for a in question["answers"]]}
        answers["answer_start"] = [a["answer_start"] for a in question["answers"]]
        row = {"id": question["id"], "title": "T", "context": CONTEXT, "question": "Who sat?", "answers": answers}
        return datasets.Dataset.from_list([row])

    info = huggingface_hub.DatasetInfo(id="x", sha="0123", private=False, downloads=0, likes=0, tags=[])
    copy = datasets.DatasetDict({"train": split(QUESTION), "validation": split(TWO)})
    asked = []
    monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", lambda *_, **__: info)
    monkeypatch.setattr(datasets, "load_dataset", lambda *place, revision: asked.append(place) or copy)
    from_hub = load_task_data("squad")
    assert asked == [("rajpurkar/squad",)]
    assert from_hub.sha256 == load_task_data("squad", data_folders={"squad": folder}).sha256
    assert from_hub.source == "hub: rajpurkar/squad at revision 0123"


@pytest.mark.parametrize(
    ("encoder", "changes"),
    [("bert_folder", {}), ("bert_with_head_folder", {}), ("bert_folder", {"head": "linear"})],
    ids=["without a language-model head", "with one", "a linear head"],
)
def test_a_span_run_is_recorded_whole(prepared, runs, request, encoder, changes):  # noqa: F811
    folder = str(request.getfixturevalue(encoder))
    ready = prepared("squad", encoder=folder, max_length=20, epochs=3, n_train=32, **changes)
    record = train(ready, runs, command="smp-lab train")
    record.verify()
    table = record.predictions
    texts, targets = ready.data.development["validation"].texts[1], ready.data.development["validation"].targets
    assert len(table) == len(texts) == record.n_examples
    for row, context, answers in zip(table.itertuples(), texts, targets, strict=True):
        said = Span(context[row.start : row.end], row.start)
        assert (row.exact_match, row.f1) == (exact_match(said, answers), pytest.approx(f1(said, answers)))
    assert 0 < table["f1"].mean() < 1
    assert record.results["metrics"] == {
        "f1": pytest.approx(table["f1"].mean()),
        "exact_match": pytest.approx(table["exact_match"].mean()),
    }
    assert record.remaining == pytest.approx(0.4, abs=0.002)


def test_a_span_run_learns_from_a_dense_one_and_its_mask_is_scored_elsewhere(prepared, runs, bert_folder):  # noqa: F811
    settings = {"encoder": str(bert_folder), "max_length": 20, "epochs": 1, "n_train": 16}
    dense = train(prepared("toy-span", "dense", None, **settings), runs, command="smp-lab train")
    taught = prepared("toy-span", teacher=dense.run_id, teacher_runs=[runs], **settings)
    record = train(taught, runs, command="smp-lab train")
    assert record.config.teacher.startswith(dense.run_id)
    assert np.isfinite(record.history["loss"]).all()
    own = transfer([record], ["toy-span"], runs, command="smp-lab transfer", encoder=str(bert_folder))[0]
    assert own.results["metrics"] == record.results["metrics"]
    assert own.results["majority"] == {"f1": 0, "exact_match": 0}
    np.testing.assert_array_equal(own.predictions["start"], record.predictions["start"])
    with pytest.raises(ConfigError, match="a teacher of task 'toy-span' is a dense run of this lab"):
        prepared("toy-span", teacher=str(bert_folder), teacher_runs=[runs], **settings)
