"""Tasks of one's own from the file to the record, with a tiny encoder."""

import json
import subprocess
import sys

import datasets
import numpy as np
import pandas as pd
import pytest
from conftest import HANGS
from training.conftest import WORDS
from training.test_cli import shell

from smp_lab.errors import DataError
from smp_lab.storage.runs import list_runs
from smp_lab.tasks.own import read_task_file
from smp_lab.training import own_data
from smp_lab.training.data import load_task_data

NAMES = ["Как кошка", "2 dogs", "neither"]
WORDED = dict(zip(NAMES, ["cat", "dog", "maybe"], strict=True))


def rows(n=60):
    """The class is said by the first word."""
    rng = np.random.default_rng(0)
    first = ["cat", "dog", "the"]
    return pd.DataFrame(
        {
            "id": range(n),
            "said": [" ".join([first[i % 3], *rng.choice(WORDS[7:], 4)]) for i in range(n)],
            "kind": [NAMES[i % 3] for i in range(n)],
        }
    )


def task_file(tmp_path, train="mine.csv", more=""):
    path = tmp_path / "mine.toml"
    # What JSON writes of a text is TOML too.
    classes = "\n".join(f"{json.dumps(name)} = {json.dumps(word)}" for name, word in WORDED.items())
    path.write_text(f'text = "said"\nlabel = "kind"\ntrain = "{train}"\n{more}\n[classes]\n{classes}\n')
    return path


@pytest.fixture
def mine(tmp_path):
    rows().to_csv(tmp_path / "mine.csv", index=False)
    return task_file(tmp_path)


def saved(frame):
    features = datasets.Features(
        {
            "id": datasets.Value("int64"),
            "said": datasets.Value("string"),
            "kind": datasets.ClassLabel(names=NAMES[::-1]),
        }
    )
    return datasets.Dataset.from_pandas(frame, features=features, preserve_index=False)


def test_the_same_examples_from_every_place(tmp_path, mine, monkeypatch):
    frame = rows()
    frame.to_json(tmp_path / "mine.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "mine.parquet")
    frame.to_csv(tmp_path / "mine.tsv", sep="\t", index=False)
    saved(frame).save_to_disk(tmp_path / "folder")
    asked = []
    monkeypatch.setattr(datasets, "load_dataset", lambda *names: asked.append(names) or saved(frame))
    found = {}
    for place in ("mine.csv", "mine.jsonl", "mine.parquet", "mine.tsv", "folder", "someone/mine:small"):
        file = read_task_file(task_file(tmp_path, train=place))
        found[place] = load_task_data(file.task.name, task_file=file)
    assert len({data.sha256 for data in found.values()}) == 1 and asked == [("someone/mine", "small")]
    data = found["mine.csv"]
    assert data.source == "own file mine.csv, 48 rows to train on and 12 held out, 20% of every class with seed 0"
    assert data.class_balance == {"train": [16, 16, 16], "validation": [4, 4, 4]}
    held = set(data.development["validation"].texts[0])
    assert sorted([*data.train.texts[0], *held]) == sorted(frame["said"])
    by_name = dict(zip(frame["said"], frame["kind"], strict=True))
    assert [NAMES[target] for target in data.train.targets] == [by_name[text] for text in data.train.texts[0]]


def test_the_split_is_that_of_its_seed_and_keeps_the_classes_shares(tmp_path):
    frame = rows(90)
    frame.loc[9:, "kind"] = NAMES[0]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    parts = {}
    for seed in (0, 0, 1):
        file = read_task_file(task_file(tmp_path, more=f"split_seed = {seed}\ndev_share = 0.1"))
        train, held, _, _ = own_data.read_own(file)
        assert np.bincount(held[1]).tolist() == [8, 1, 1] and np.bincount(train[1]).tolist() == [76, 2, 2]
        assert parts.setdefault(seed, held[0]) == held[0]
    assert parts[0] != parts[1]


def test_more_development_examples_than_a_record_holds_are_refused_before_the_work(mine, monkeypatch):
    monkeypatch.setattr(own_data, "MOST_EXAMPLES", 11)
    with pytest.raises(DataError, match="gives 12 development examples; a record holds at most 11"):
        own_data.read_own(read_task_file(mine))


def test_a_dev_file_and_a_split_of_a_folder_are_taken_as_they_are(tmp_path, mine):
    rows(30).to_csv(tmp_path / "dev.csv", index=False)
    train, held, source, notes = own_data.read_own(read_task_file(task_file(tmp_path, more='dev = "dev.csv"')))
    assert (len(train[1]), len(held[1]), source) == (60, 30, "own file mine.csv and own file dev.csv")
    assert "30 of 30 development examples have texts of the training examples" in notes[0]
    splits = {"train": saved(rows()), "test": saved(rows(6)), "validation": saved(rows(9))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "splits")
    train, held, _, _ = own_data.read_own(read_task_file(task_file(tmp_path, train="splits")))
    assert (len(train[1]), len(held[1])) == (60, 9)


def test_texts_without_a_word_are_counted_in_a_note(tmp_path, mine):
    frame = rows()
    frame.loc[frame["id"] < 3, "said"] = [" ", "", " "]
    frame.to_csv(tmp_path / "mine.csv", index=False)
    *_, notes = own_data.read_own(read_task_file(mine))
    counted = [int(note.split()[0]) for note in notes if note.endswith("examples have an empty text.")]
    assert sum(counted) == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda frame: frame.drop(columns="said"), "has no column 'said'; it has: id, kind"),
        (lambda frame: frame.rename(columns={"kind": "sort"}), "has no column 'kind'; it has: id, said, sort"),
        (lambda frame: frame.head(10), "has 10 rows; at least 20 are needed"),
        (
            lambda frame: frame.assign(kind=frame["kind"].replace("neither", "both")),
            "20 of 60 rows have the label 'both'",
        ),
        (lambda frame: frame.replace("neither", " "), "20 of 60 rows have no label"),
        (lambda frame: frame[(frame["kind"] != "neither") | (frame["id"] == 2)], "Class 'neither' has 1 example;"),
    ],
)
def test_data_that_cannot_be_learned_from_are_one_sentence(
    monkeypatch, capsys, runs, bert_folder, tmp_path, mine, change, sentence
):
    change(rows()).to_csv(tmp_path / "mine.csv", index=False)
    status, errors = shell(
        monkeypatch, capsys, "--task-file", mine, "--remaining", 0.5, "--encoder", bert_folder, "--runs", runs
    )
    assert status == 1 and sentence in errors and errors.count("\n") == 1 and list(runs.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--task", "rte"], "Name a task with --task, or the file of your own with --task-file: one of the two."),
        (["--source", "hub"], "The data of a task of your own are named in its file. Leave --source hub out."),
        (["--label-words", "un unreal no,cat,dog"], "'un unreal no' is 4 tokens"),
        (["--label-words", "cat,CAT,dog"], "are one token for this tokenizer"),
        (["--label-words", "cat,dog"], "needs 3 label words; got 2"),
        (["--recipe", "paper"], "The paper has no recipe for task 'mine-"),
    ],
)
def test_what_does_not_fit_the_task_is_one_sentence(monkeypatch, capsys, runs, bert_folder, mine, arguments, sentence):
    asked = ["--task-file", mine, "--remaining", 0.5, "--encoder", bert_folder, "--runs", runs, "--max-length", 40]
    status, errors = shell(monkeypatch, capsys, *asked, *arguments)
    assert status == 1 and sentence in errors and errors.count("\n") == 1
    assert not list_runs([runs]).records


@pytest.mark.parametrize("train", ["gone.csv", "empty"])
def test_a_place_that_is_not_there_is_one_sentence(tmp_path, train):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no such file beside it|It should be one of datasets.save_to_disk"):
        own_data.read_own(read_task_file(task_file(tmp_path, train=train)))


ELSEWHERE = """
import sys
from pathlib import Path
from smp_lab import plots
from smp_lab.storage.runs import list_runs
from smp_lab.storage.transfers import TRANSFERS
from smp_lab.storage.measurements import MEASUREMENTS
folder = Path(sys.argv[1])
if sys.argv[2:]:
    moved, measured = TRANSFERS.list([folder]), MEASUREMENTS.list([folder])
    print(moved.problems, measured.problems, len(moved.records), len(measured.records))
else:
    (run,) = list_runs([folder]).records.values()
    print(run.config.task_info.title, run.config.task_info.classes[0], run.mask_record.label)
    figure = plots.curves([run])
    print(figure.layout.annotations[0].text)
"""


def elsewhere(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=False,
    )
    assert not done.returncode, done.stderr
    return done.stdout


def test_a_record_opens_where_nobody_has_the_task_file(monkeypatch, capsys, runs, bert_folder, mine):
    from smp_lab import cli

    def command(*words):
        monkeypatch.setattr(sys, "argv", ["smp-lab", *map(str, words)])
        try:
            cli.main()
        except SystemExit as ended:
            assert not ended.code, capsys.readouterr().err
        return capsys.readouterr().out

    asked = ["--remaining", 0.5, "--encoder", bert_folder, "--runs", runs, "--max-length", 40, "--epochs", 8]
    said = command("train", "--task-file", mine, *asked)
    assert "accuracy" in said
    (run,) = list_runs([runs]).records.values()
    assert run.provenance["class_balance"] == {"train": [16, 16, 16], "validation": [4, 4, 4]}
    assert run.provenance["command"].startswith("smp-lab train --task-file mine.toml --method smp_s")
    predictions = run.predictions
    assert np.bincount(predictions["target"]).tolist() == [4, 4, 4]
    assert run.main_value == predictions["correct"].mean()
    out = elsewhere(runs)
    assert "mine Как кошка" in out and f"{run.mask_record.label}\nmine\n" in out
    scored = command("evaluate", run.run_id, "--task-file", mine, "--encoder", bert_folder, "--runs", runs)
    assert "majority-class baseline 0.3333" in scored
    moved = command("transfer", run.run_id, "--task-file", mine, "--encoder", bert_folder, "--runs", runs)
    assert "as its run has it" in moved
    assert "() () 5 2" in elsewhere(runs, "kept")
