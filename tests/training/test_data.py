import hashlib
import itertools
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple
from unittest.mock import Mock

import datasets
import huggingface_hub
import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from smp_lab.errors import ConfigError, DataError, MissingDependencyError, SmpLabError
from smp_lab.paths import DATA_VARIABLES
from smp_lab.tasks import TASKS
from smp_lab.training import data
from smp_lab.training.data import load_task_data
from smp_lab.training.prepare import prepare

# Folder, header (None: there is none) and one training row of each task as GLUE's files have them, then what it means.
MNLI_START = "index\tpromptID\tpairID\tgenre\tp1\th1\tp2\th2\tsentence1\tsentence2\tlabel1"
MNLI_ROW = "0\t31\t31n\tfiction\t( a )\t( b )\t(ROOT a)\t(ROOT b)\tIt rains.\tIt is wet."
STSB_HEADER = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
FILES = {
    "sst2": ("SST-2", "sentence\tlabel", "a fine film \t1", ("a fine film ",), 1),
    "cola": ("CoLA", None, "gj04\t0\t*\tThem is here.", ("Them is here.",), 0),
    "mrpc": ("MRPC", "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String", "1\t7\t8\tHe ran .\tHe did .", None, 1),
    "qqp": ("QQP", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate", "5\t1\t2\tWhy?\tHow?\t0", ("Why?", "How?"), 0),
    "stsb": ("STS-B", STSB_HEADER, "0\tg\tf\t2012\t1\tn\tn\tA b.\tA c.\t3.800", ("A b.", "A c."), np.float32(3.8)),
    "mnli": ("MNLI", f"{MNLI_START}\tgold_label", f"{MNLI_ROW}\tneutral\tneutral", ("It rains.", "It is wet."), 1),
    "qnli": ("QNLI", "index\tquestion\tsentence\tlabel", "0\tWho?\tI.\tnot_entailment", ("Who?", "I."), 1),
    "rte": ("RTE", "index\tsentence1\tsentence2\tlabel", "0\tA.\tB.\tentailment", ("A.", "B."), 0),
    "wnli": ("WNLI", "index\tsentence1\tsentence2\tlabel", "0\tA.\tB.\t1", ("A.", "B."), 1),
}
FILES["mrpc"] = (*FILES["mrpc"][:3], ("He ran .", "He did ."), 1)
GLUE_TASKS = list(FILES)
RTE_HEADER = FILES["rte"][1]


def write(glue: Path, folder: str, name: str, content: str | bytes) -> Path:
    path = glue / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def write_task(
    glue: Path, task: str, rows: Sequence[str] = (), development: Sequence[str] = (), end: str = "\n"
) -> Path:
    """The files of one task: the rows given, or the one example row in each file."""
    folder, header, row, _, _ = FILES[task]
    names = ("dev_matched.tsv", "dev_mismatched.tsv") if task == "mnli" else ("dev.tsv",)
    for name, lines in (("train.tsv", rows), *((name, development) for name in names)):
        start = [] if header is None else [header]
        write(glue, folder, name, "".join(line + end for line in [*start, *(lines or [row])]))
    return glue


@pytest.fixture
def glue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty GLUE folder, which the environment does not name."""
    monkeypatch.delenv(DATA_VARIABLES["glue"], raising=False)
    return tmp_path


# --- The folder ---


@pytest.mark.parametrize("task", GLUE_TASKS)
def test_files_of_every_task_are_read(glue: Path, task: str) -> None:
    *_, texts, target = FILES[task]
    read = load_task_data(task, data_folders={"glue": write_task(glue, task)})
    assert list(read.development) == [split for _, split in TASKS[task].splits]
    for examples in (read.train, *read.development.values()):
        assert examples.texts == tuple([text] for text in texts)
        assert examples.targets.tolist() == [target]
        assert examples.targets.dtype == (np.float32 if task == "stsb" else np.int64)
        assert len(examples) == 1
    assert read.task is TASKS[task]
    assert read.source == "folder of tab-separated files"


def test_the_two_mnli_splits_are_not_mixed_up(glue: Path) -> None:
    write_task(glue, "mnli")
    path = glue / "MNLI" / "dev_mismatched.tsv"
    path.write_text(path.read_text().replace("It rains.", "It snows."))
    development = load_task_data("mnli", data_folders={"glue": glue}).development
    assert development["validation_matched"].texts[0] == ["It rains."]
    assert development["validation_mismatched"].texts[0] == ["It snows."]


def test_columns_are_found_by_their_name(glue: Path) -> None:
    write_task(glue, "rte")
    write(glue, "RTE", "train.tsv", "label\tsentence2\tsentence1\nentailment\tsecond\tfirst\n")
    assert load_task_data("rte", data_folders={"glue": glue}).train.texts == (["first"], ["second"])


@pytest.mark.parametrize("text", ['"open', 'a "b" c"', "a\u2028b\u0085c\x0bd\x0ce\x1cf\rg", "", " x ", "\ufeff", "'"])
def test_texts_are_kept_as_they_are(glue: Path, text: str) -> None:
    rows = [f"0\t{text}\tB.\tentailment", f"1\tA.\t{text}\tnot_entailment"]
    read = load_task_data("rte", data_folders={"glue": write_task(glue, "rte", rows)})
    assert read.train.texts == ([text, "A."], ["B.", text])


def test_long_texts_are_read(glue: Path) -> None:
    text = "word " * 200_000
    read = load_task_data("rte", data_folders={"glue": write_task(glue, "rte", [f"0\t{text}\tB.\tentailment"])})
    assert read.train.texts[0] == [text]


def test_windows_line_ends_and_a_last_line_without_one(glue: Path) -> None:
    want = load_task_data("rte", data_folders={"glue": write_task(glue, "rte")}).sha256
    assert load_task_data("rte", data_folders={"glue": write_task(glue, "rte", end="\r\n")}).sha256 == want
    path = glue / "RTE" / "train.tsv"
    path.write_bytes(path.read_bytes().removesuffix(b"\r\n"))
    assert load_task_data("rte", data_folders={"glue": glue}).sha256 == want


GOOD = "0\tA.\tB.\tentailment\n"
BAD_FILES = {
    "too few fields": (f"{RTE_HEADER}\n{GOOD}1\tA.\tB.\n", ", line 3: got 3 tab-separated fields; expected 4."),
    "too many fields": (
        f"{RTE_HEADER}\n0\tA\t.\tB.\tentailment\n",
        ", line 2: got 5 tab-separated fields; expected 4.",
    ),
    "a pointer": ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", " is a pointer of Git LFS"),
    "lines that end in CR": (f"{RTE_HEADER}\r{GOOD * 999}".replace("\n", "\r"), " has lines that end in CR alone."),
    "a null character": (f"{RTE_HEADER}\n0\tA\0\tB.\tentailment\n", ", line 2: a text holds a null character"),
    "labels of a test split": (f"{RTE_HEADER}\n0\tA.\tB.\t-1\n", ", line 2: unknown label '-1'; expected one of"),
    "unknown label": (
        f"{RTE_HEADER}\n0\tA.\tB.\tneutral\n",
        ", line 2: unknown label 'neutral'; expected one of: entailment, not_entailment.",
    ),
    "no such column": (
        f"index\tsentence1\thypothesis\tlabel\n{GOOD}",
        ", line 1: the header has no column 'sentence2'; it has: index, sentence1, hypothesis, label.",
    ),
    "not UTF-8": (f"{RTE_HEADER}\n{GOOD}".encode() + b"1\tcaf\xe9 A.\tB.\tentailment\n", ", line 3: not UTF-8 text ("),
    "UTF-16": (f"{RTE_HEADER}\n{GOOD}".encode("utf-16"), ", line 1: not UTF-8 text ("),
    "header only": (f"{RTE_HEADER}\n", " holds no examples."),
    "empty": ("", ", line 1: the header has no column 'sentence1'; it has: nothing."),
}


@pytest.mark.parametrize("name", ["train.tsv", "dev.tsv"])
@pytest.mark.parametrize("fault", BAD_FILES)
def test_a_bad_file_is_named_with_its_line(glue: Path, fault: str, name: str) -> None:
    write_task(glue, "rte")
    content, message = BAD_FILES[fault]
    path = write(glue, "RTE", name, content)
    with pytest.raises(DataError, match=re.escape(f"{path}{message}")):
        load_task_data("rte", data_folders={"glue": glue})


@pytest.mark.parametrize("score", ["5.1", "-0.1", "nan", "inf", "", "high"])
def test_scores_are_numbers_in_range(glue: Path, score: str) -> None:
    write_task(glue, "stsb", [f"0\tg\tf\t2012\t1\tn\tn\tA b.\tA c.\t{score}"])
    with pytest.raises(DataError, match=re.escape(f"line 2: score {score!r} is not a number from 0 to 5.")):
        load_task_data("stsb", data_folders={"glue": glue})


def test_no_sentence_is_longer_than_a_line_of_a_screen(glue: Path) -> None:
    write_task(glue, "rte")
    write(glue, "RTE", "train.tsv", "word\t" * 100_000)
    with pytest.raises(DataError) as raised:
        load_task_data("rte", data_folders={"glue": glue})
    assert len(str(raised.value)) < 1000


HUB_FILES = {
    "cola": ("sentence\tlabel\tidx", "A b.\t1\t0", ["A b."], 1),
    "mrpc": ("sentence1\tsentence2\tlabel\tidx", "A.\tB.\t1\t0", ["A.", "B."], 1),
    "rte": ("sentence1\tsentence2\tlabel\tidx", "A.\tB.\t1\t0", ["A.", "B."], 1),
    "mnli": ("premise\thypothesis\tlabel\tidx", "A.\tB.\t2\t0", ["A.", "B."], 2),
    "stsb": ("sentence1\tsentence2\tlabel\tidx", "A.\tB.\t2.5\t0", ["A.", "B."], 2.5),
}


@pytest.mark.parametrize("place", ["official", "hub", "itself"])
@pytest.mark.parametrize("task", HUB_FILES)
def test_the_columns_and_the_folder_of_the_hub(glue: Path, task: str, place: str) -> None:
    header, row, texts, target = HUB_FILES[task]
    folder = {"official": FILES[task][0], "hub": task, "itself": "."}[place]
    for name in ("train.tsv", *(f"{split.replace('validation', 'dev')}.tsv" for _, split in TASKS[task].splits)):
        write(glue, folder, name, f"{header}\n{row}\n\n\n")
    read = load_task_data(task, data_folders={"glue": glue})
    for examples in (read.train, *read.development.values()):
        assert examples.texts == tuple([text] for text in texts)
        assert examples.targets.tolist() == [target]


@pytest.mark.parametrize("kind", ["parquet", "saved"])
def test_a_data_set_of_the_hub_as_files(glue: Path, kind: str) -> None:
    want = load_task_data("rte", data_folders={"glue": write_task(glue / "official", "rte")})
    names = ClassLabel(names=["not_entailment", "entailment"])
    features = Features({**dict.fromkeys(("sentence1", "sentence2"), Value("string")), "label": names})
    (first,), (second,) = want.train.texts
    rows = {"sentence1": [first], "sentence2": [second], "label": ["entailment"]}
    saved = DatasetDict(dict.fromkeys(("train", "validation"), Dataset.from_dict(rows, features)))
    if kind == "saved":
        saved.save_to_disk(str(glue / "rte"))
    for split in saved if kind == "parquet" else ():
        (glue / "rte").mkdir(exist_ok=True)
        saved[split].to_parquet(str(glue / "rte" / f"{split}-00000-of-00001.parquet"))
    read = load_task_data("rte", data_folders={"glue": glue})
    assert read.sha256 == want.sha256
    assert read.source == "folder of a data set"


def test_quotes_of_a_csv_writer_are_taken_off_and_those_of_people_stay(glue: Path) -> None:
    def texts(*written: str) -> list[str]:
        rows = [f"{place}\t{text}\tB.\tentailment" for place, text in enumerate(written)]
        return load_task_data("rte", data_folders={"glue": write_task(glue, "rte", rows)}).train.texts[0]

    assert texts('"say ""a"" now"', '"b, c"', "d") == ['say "a" now', "b, c", "d"]
    for as_it_is in (['"say ""a"" now"', 'he said "b"'], ['"b, c"', "d"], ['""', "d"]):
        assert texts(*as_it_is) == as_it_is


def notes(task: str, glue: Path, rows: list[str], development: list[str] | None = None) -> str:
    return " ".join(load_task_data(task, data_folders={"glue": write_task(glue, task, rows, development)}).notes)


def test_what_is_unusual_is_said(glue: Path) -> None:
    rte = ["0\tA.\tB.\tentailment", "1\tC.\tD.\tnot_entailment"]
    assert notes("rte", glue, rte, [rte[0], "2\tE.\tF.\tnot_entailment"]) == ""
    assert "texts of validation are those of the training split" in notes("rte", glue, rte, rte)
    assert "All 2 examples of validation have one target" in notes("rte", glue, rte, [rte[0]] * 2)
    stsb = [f"0\tg\tf\t2012\t1\tn\tn\tA {score}\tA c.\t{score}" for score in (0.1, 0.9)]
    assert "All scores of train lie from 0.1 to 0.9" in notes("stsb", glue, stsb, [stsb[0].replace("0.1", "4.1")] * 2)
    mnli = FILES["mnli"][2]
    assert "1 of 2 rows of train.tsv have no gold label" in notes(
        "mnli", glue, [mnli, mnli.rpartition("\t")[0] + "\t-"]
    )
    assert "2 of 3 rows of train.tsv are broken" in notes("qqp", glue, QQP_BROKEN)
    assert "train.tsv was written as CSV" in notes("rte", glue, ['0\t"a ""b"""\tB.\tentailment', *rte])


def test_a_file_of_broken_rows_is_refused_unless_that_is_asked_for(glue: Path) -> None:
    write_task(glue, "qqp", QQP_BROKEN * 3)
    with pytest.raises(DataError, match="6 of 9 rows have too few fields"):
        load_task_data("qqp", data_folders={"glue": glue})
    asked = load_task_data("qqp", data_folders={"glue": glue}, allow_broken=True)
    assert len(asked.train) == 3 and asked.notes[0] == "6 of 9 rows of train.tsv are broken and left out."


QQP_BROKEN = ["7\t1\t2\tWhy is", "it so?\tHow?\t0", "8\t1\t2\tA?\tB?\t1"]


def test_broken_rows_of_qqp_are_left_out_of_training_and_counted(glue: Path) -> None:
    read = load_task_data("qqp", data_folders={"glue": write_task(glue, "qqp", QQP_BROKEN)})
    assert read.train.texts == (["A?"], ["B?"])
    assert read.source == "folder of tab-separated files, 2 broken rows of train.tsv left out"


def test_no_row_is_left_out_of_development(glue: Path) -> None:
    write_task(glue, "qqp", development=QQP_BROKEN)
    with pytest.raises(DataError, match=r"dev\.tsv, line 2: got 4 tab-separated fields; expected 6\."):
        load_task_data("qqp", data_folders={"glue": glue})


@pytest.mark.parametrize("name", ["train.tsv", "dev_matched.tsv", "dev_mismatched.tsv"])
def test_a_missing_file_is_named(glue: Path, name: str) -> None:
    write_task(glue, "mnli")
    (glue / "MNLI" / name).unlink()
    with pytest.raises(DataError, match=rf"has no file MNLI/{name}; task 'mnli' needs train\.tsv, dev_matched\.tsv, "):
        load_task_data("mnli", data_folders={"glue": glue})


def test_a_file_that_cannot_be_opened_is_a_fault_of_its_data(glue: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_task(glue, "rte")
    monkeypatch.setattr(Path, "open", Mock(side_effect=PermissionError(13, "Permission denied")))
    with pytest.raises(DataError, match=r"train\.tsv cannot be read \(Permission denied\)\. Make it readable\."):
        load_task_data("rte", data_folders={"glue": glue})


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.write_text("")], ids=["missing", "a file"])
def test_a_folder_that_is_none(glue: Path, make: Callable[[Path], object]) -> None:
    path = glue / "none"
    make(path)
    with pytest.raises(DataError, match=r"none is not a folder\. Check --glue-dir or SMP_LAB_GLUE_DIR\."):
        load_task_data("rte", data_folders={"glue": path})


# --- The choice of a source ---


def test_the_environment_names_the_folder_and_the_argument_wins(
    glue: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_task(glue / "one", "rte")
    write_task(glue / "two", "rte", ["0\tOther.\tB.\tentailment"])
    monkeypatch.setenv(DATA_VARIABLES["glue"], str(glue / "one"))
    assert load_task_data("rte").train.texts[0] == ["A."]
    assert load_task_data("rte", source="folder").train.texts[0] == ["A."]
    assert load_task_data("rte", data_folders={"glue": glue / "two"}).train.texts[0] == ["Other."]
    # A generated task needs no folder, and is not looked for in one.
    assert load_task_data("toy-sentiment").source == "generated (synthetic), seed 0"


@pytest.mark.parametrize(
    ("task", "source", "kind", "message"),
    [
        ("glue", None, ConfigError, "Unknown task 'glue'. Choose one of: sst2, "),
        ("rte", "web", ConfigError, "Unknown data source 'web'. Choose one of: folder, hub, toy."),
        ("rte", "toy", ConfigError, "Task 'rte' does not come from source 'toy'; its source is folder or hub."),
        ("toy-sentiment", "hub", ConfigError, "'toy-sentiment' does not come from source 'hub'; its source is toy."),
        (
            "rte",
            "folder",
            DataError,
            "No folder of GLUE's tab-separated files is named. Name one with --glue-dir or SMP_LAB_GLUE_DIR.",
        ),
    ],
)
@pytest.mark.usefixtures("glue")
def test_requests_that_cannot_be_met(task: str, source: str | None, kind: type[SmpLabError], message: str) -> None:
    with pytest.raises(kind, match=re.escape(message)):
        load_task_data(task, source=source)


def test_importing_it_loads_no_training_package() -> None:
    program = "import sys, smp_lab.training.data; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "huggingface_hub", "sklearn", "scipy"} & set(loaded)


# --- Fewer training examples ---

THREE = ["0\tA.\tB.\tentailment", "1\tC.\tD.\tnot_entailment", "2\tE.\tF.\tentailment"]


def test_the_first_training_examples_are_taken(glue: Path) -> None:
    write_task(glue, "rte", THREE, THREE)
    read = load_task_data("rte", data_folders={"glue": glue}, train_examples=2)
    assert read.train.texts == (["A.", "C."], ["B.", "D."])
    assert read.train.targets.tolist() == [0, 1]
    assert len(read.development["validation"]) == 3
    whole = load_task_data("rte", data_folders={"glue": glue})
    assert read.sha256 != whole.sha256
    assert load_task_data("rte", data_folders={"glue": glue}, train_examples=3).sha256 == whole.sha256


@pytest.mark.parametrize("n", [4, 0, -1])
def test_no_more_training_examples_than_there_are(glue: Path, n: int) -> None:
    write_task(glue, "rte", THREE)
    with pytest.raises(DataError, match=f"Cannot take {n} training examples of rte: there are 1 to 3"):
        load_task_data("rte", data_folders={"glue": glue}, train_examples=n)


# --- The fingerprint ---


def test_fingerprint_by_hand(glue: Path) -> None:
    lines = ["rte", "sentence1", "sentence2", "train"], ["A."], ["B."], [0]
    lines += ["rte", "sentence1", "sentence2", "validation"], ["A."], ["B."], [0]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    read = load_task_data("rte", data_folders={"glue": write_task(glue, "rte")})
    assert read.sha256 == hashlib.sha256(text.encode()).hexdigest()
    development = "".join(text.splitlines(keepends=True)[4:])
    assert read.development_sha256 == hashlib.sha256(development.encode()).hexdigest()


@pytest.mark.parametrize(
    "rows",
    [
        ["0\tA.\tB. \tentailment", *THREE[1:]],
        ["0\tA.\tB.\tnot_entailment", *THREE[1:]],
        ["0\tB.\tA.\tentailment", *THREE[1:]],
        THREE[::-1],
        THREE[:2],
    ],
    ids=["blank", "label", "fields", "order", "fewer"],
)
def test_fingerprint_sees_every_change(glue: Path, rows: list[str]) -> None:
    original = load_task_data("rte", data_folders={"glue": write_task(glue, "rte", THREE, THREE)}).sha256
    changed_train = load_task_data("rte", data_folders={"glue": write_task(glue, "rte", rows, THREE)}).sha256
    changed_development = load_task_data("rte", data_folders={"glue": write_task(glue, "rte", THREE, rows)}).sha256
    assert len({original, changed_train, changed_development}) == 3


def test_fingerprint_sees_content_only(glue: Path) -> None:
    first = write_task(glue / "first", "stsb", ["0\tg\tf\t2012\t1\tn\tn\tA b.\tA c.\t3.800"])
    second = write_task(glue / "second", "stsb", ["9\tx\tx\t1999\t9\tx\tx\tA b.\tA c.\t3.8"])
    assert (
        load_task_data("stsb", data_folders={"glue": first}).sha256
        == load_task_data("stsb", data_folders={"glue": second}).sha256
    )


@pytest.mark.parametrize(
    ("task", "sha256"),
    [
        ("toy-sentiment", "408019b911b50f8903ddf64bed6889cf0cb9c466949543b6235d8d4e133fef54"),
        ("toy-acceptability", "3f2b339df13c0f1a33d7a54e61c33e622fab91360e2c26b221bc952249b108bd"),
        ("toy-entailment", "068720999267524c8290b69105c589c7e485a2bac0852f5d65659f02d7d09e40"),
    ],
)
def test_generated_data_never_change(task: str, sha256: str) -> None:
    # Run ids hang on them: another value here makes every recorded run of the task another run.
    read = load_task_data(task)
    assert read.sha256 == sha256
    assert (len(read.train), len(read.development["validation"])) == (2000, 400)
    assert len(read.train.texts) == len(read.task.text_fields)
    assert read.train.targets.mean() == read.development["validation"].targets.mean() == 0.5
    assert "synthetic" in read.source


# --- The hub, with data sets made here ---


def features(task: str, names: Sequence[str] | None = None) -> Features:
    label = Value("float32") if task == "stsb" else ClassLabel(names=list(names or TASKS[task].classes))
    return Features(
        {**{field: Value("string") for field in TASKS[task].text_fields}, "label": label, "idx": Value("int32")}
    )


def hub_copy(task: str, names: Sequence[str] | None = None, label: float | None = None) -> DatasetDict:
    """The example row as the hub has it, its class numbered by `names`."""
    *_, texts, target = FILES[task]
    number = target if task == "stsb" else list(names or TASKS[task].classes).index(TASKS[task].classes[target])
    row = {
        **dict(zip(TASKS[task].text_fields, texts, strict=True)),
        "label": number if label is None else label,
        "idx": 0,
    }
    split = Dataset.from_list([row], features=features(task, names))
    return DatasetDict({"train": split, **{name: split for _, name in TASKS[task].splits}, "test": split})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Callable[[DatasetDict], list[tuple]]:
    """Answer for the hub; returns the list of the questions."""

    def answer(copy: DatasetDict) -> list[tuple]:
        questions = []

        def dataset_info(self, name: str, timeout: float) -> huggingface_hub.DatasetInfo:
            assert timeout == data.HUB_TIMEOUT
            return huggingface_hub.DatasetInfo(id=name, sha="0123abcd", private=False, downloads=0, likes=0, tags=[])

        def load_dataset(*arguments: str, revision: str) -> DatasetDict:
            questions.append((*arguments, revision))
            return copy

        monkeypatch.delenv(DATA_VARIABLES["glue"], raising=False)
        monkeypatch.setattr(huggingface_hub.HfApi, "dataset_info", dataset_info)
        monkeypatch.setattr(datasets, "load_dataset", load_dataset)
        return questions

    return answer


@pytest.mark.parametrize("task", GLUE_TASKS)
def test_the_hub_and_the_files_give_the_same(glue: Path, hub: Callable, task: str) -> None:
    questions = hub(hub_copy(task))
    from_hub = load_task_data(task)
    from_files = load_task_data(task, data_folders={"glue": write_task(glue, task)})
    assert questions == [("nyu-mll/glue", task, "0123abcd")]
    assert from_hub.source == "hub: nyu-mll/glue at revision 0123abcd"
    assert from_hub.sha256 == from_files.sha256
    assert list(from_hub.development) == list(from_files.development)
    assert from_hub.train.targets.dtype == from_files.train.targets.dtype
    assert all(type(column) is list for column in from_hub.train.texts)


@pytest.mark.parametrize(
    "names", [("neutral", "contradiction", "entailment"), ("contradiction", "entailment", "neutral")]
)
def test_hub_classes_are_matched_by_name(hub: Callable, names: tuple[str, ...]) -> None:
    hub(hub_copy("mnli", names))
    assert load_task_data("mnli").train.targets.tolist() == [TASKS["mnli"].classes.index("neutral")]


def test_other_classes_on_the_hub_are_refused(hub: Callable) -> None:
    copy = hub_copy("rte")
    other = Features({**copy["train"].features, "label": ClassLabel(names=["yes", "no"])})
    hub(DatasetDict({name: split.cast(other) for name, split in copy.items()}))
    with pytest.raises(
        DataError, match=r"split 'train', row 1: unknown label 'yes'; expected one of: entailment, not_entailment\."
    ):
        load_task_data("rte")


@pytest.mark.parametrize(
    ("copy", "message"),
    [
        (
            hub_copy("rte", label=-1),
            "split 'train', row 1: unknown label None; expected one of: ",
        ),
        (hub_copy("stsb", label=float("nan")), "split 'train', row 1: score nan is not a number from 0 to 5."),
        (hub_copy("stsb", label=5.5), "split 'train', row 1: score 5.5 is not a number from 0 to 5."),
        (hub_copy("rte").cast_column("label", Value("int64")), "row 1: unknown label 0; expected one of: entailment, "),
        (hub_copy("rte").rename_column("sentence2", "text"), "there is no column 'sentence2'; there are: sentence1, "),
        (
            DatasetDict({"train": hub_copy("rte")["train"]}),
            "has no split 'validation' of task 'rte'; it has: ['train'].",
        ),
    ],
)
def test_malformed_data_on_the_hub(hub: Callable, copy: DatasetDict, message: str) -> None:
    hub(copy)
    task = "stsb" if "score" in message else "rte"
    with pytest.raises(DataError, match=re.escape(message)):
        load_task_data(task)


OTHER_WAYS = re.escape(
    "Without the hub, name a folder of GLUE's tab-separated files with --glue-dir or SMP_LAB_GLUE_DIR, "
    "or take a generated task: toy-sentiment, toy-acceptability, toy-entailment, toy-span."
)


class SilentHub(NamedTuple):
    """An empty cache, and a server that never answers."""

    cache: Path
    server: socket.socket

    def n_calls(self) -> int:
        """How often it was called since last asked."""
        for n in itertools.count():
            try:
                self.server.accept()[0].close()
            except BlockingIOError:
                return n


@pytest.fixture
def silent_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A hub that takes calls and never answers, on this machine, and an empty cache."""
    monkeypatch.delenv(DATA_VARIABLES["glue"], raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setattr(data, "HUB_TIMEOUT", 0.2)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    # Else the client first waits, once a process and with a limit of its own, for what it reports of the machine.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        huggingface_hub.close_session()
        server.setblocking(False)
        yield SilentHub(tmp_path / "cache", server)
    huggingface_hub.close_session()


def test_an_unreachable_hub_is_one_sentence_after_one_call(silent_hub: SilentHub) -> None:
    with pytest.raises(DataError, match=r"Task 'rte' cannot be loaded from the hub as nyu-mll/glue \(ReadTimeout: "):
        load_task_data("rte")
    assert silent_hub.n_calls() == 1
    with pytest.raises(DataError, match=OTHER_WAYS):
        load_task_data("rte")
    assert not datasets.config.HF_HUB_OFFLINE


@pytest.mark.usefixtures("silent_hub")
def test_offline_mode_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=rf"OfflineModeIsEnabled: .*\. {OTHER_WAYS}"):
        load_task_data("rte")
    assert datasets.config.HF_HUB_OFFLINE


def test_an_earlier_download_serves_without_the_hub(silent_hub: SilentHub, tmp_path: Path) -> None:
    # What `datasets` leaves in its cache after a download: here of a folder on this disk, then renamed to the hub's.
    folder = tmp_path / "glue"
    for name in ("train", "validation"):
        (folder / "rte").mkdir(parents=True, exist_ok=True)
        hub_copy("rte")[name].to_parquet(folder / "rte" / f"{name}-0.parquet")
    files = {"train": "rte/train-*", "validation": "rte/validation-*"}
    entries = [{"split": name, "path": pattern} for name, pattern in files.items()]
    (folder / "README.md").write_text(
        f"---\nconfigs: {json.dumps([{'config_name': 'rte', 'data_files': entries}])}\n---\n"
    )
    datasets.load_dataset(str(folder), "rte")
    (silent_hub.cache / "glue").rename(silent_hub.cache / "nyu-mll___glue")
    read = load_task_data("rte")
    assert read.train.texts == (["A."], ["B."])
    assert read.source == "hub: nyu-mll/glue as downloaded earlier"


@pytest.mark.parametrize("package", ["datasets", "huggingface_hub"])
def test_a_missing_package_is_named_with_what_brings_it(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    monkeypatch.delenv(DATA_VARIABLES["glue"], raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=rf"'{package}' is not installed.*\[train\].*{OTHER_WAYS}"):
        load_task_data("rte")


def test_a_correlation_over_one_example_is_refused_before_training(glue, bert_folder):
    write_task(glue, "stsb")
    with pytest.raises(DataError, match="Split validation of task 'stsb' has 1 example; a correlation needs two"):
        prepare("stsb", "smp_s", remaining=0.5, encoder=str(bert_folder), data_folders={"glue": glue})
