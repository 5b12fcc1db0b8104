"""Tasks of one's own: their files, their definitions, and rows of data files as people have them."""

import json

import pandas as pd
import pytest

from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError, DataError
from smp_lab.recipes import draft
from smp_lab.tasks import BUILT_IN, TASKS
from smp_lab.tasks.kinds import CLASSES, MANY_CLASSES
from smp_lab.tasks.own import METRICS, defined_task, own_task, read_task_file
from smp_lab.tasks.rows import FORMATS, read_table, said

PARTS = {
    "name": "My reviews",
    "title": "Отзывы",
    "text_fields": ["review"],
    "classes": ["very good", "плохо"],
    "label_words": ["great", "terrible"],
    "metrics": ["accuracy", "f1"],
}
FILE = """
text = ["review"]
label = "verdict"
train = "reviews.csv"
[classes]
"very good" = "great"
1 = "terrible"
"""


def write(tmp_path, text=FILE, **replaced):
    for old, new in replaced.items():
        text = text.replace(old, new)
    path = tmp_path / "Reviews of 2026.toml"
    path.write_text(text)
    return path


def test_a_task_is_its_definition_wherever_it_is_read():
    task = own_task(**PARTS)
    assert task.name.startswith("my-reviews-") and TASKS[task.name] is task and task.name not in BUILT_IN
    assert (task.title, task.classes, task.main_metric, task.kind) == (
        "Отзывы",
        ("very good", "плохо"),
        "accuracy",
        CLASSES,
    )
    assert defined_task(task.definition) == task
    assert own_task(**PARTS | {"classes": ["плохо", "very good"]}).name != task.name
    config = draft(task.name, "smp_s", remaining=0.5)
    assert config.run_id.startswith(f"{task.name}-smp_s-r0.5-s0-") and config.label_words == ("great", "terrible")
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    with pytest.raises(ConfigError, match="definition of another task"):
        RunConfig.from_dict(config.to_dict() | {"task": "rte"})


def test_the_passes_make_so_many_updates():
    task = own_task(**PARTS)
    epochs = [draft(task.name, "smp_s", remaining=0.5, examples=n).epochs for n in (300, 3200, 32_000, 10**6)]
    assert epochs == [40, 10, 1, 0.032]


def test_without_label_words_a_linear_head_is_trained():
    task = own_task(**PARTS | {"label_words": []})
    assert draft(task.name, "smp_s", remaining=0.5).head == "linear"
    worded = draft(task.name, "smp_s", remaining=0.5, label_words=("yes", "no"))
    assert (worded.head, worded.label_words) == ("label_words", ("yes", "no"))


@pytest.mark.parametrize("n", [2, 3, 150])
def test_two_to_many_classes(n):
    task = own_task(**PARTS | {"classes": [str(i) for i in range(n)], "label_words": [], "metrics": ["accuracy"]})
    assert len(task.classes) == n and task.kind is (CLASSES if n == 2 else MANY_CLASSES)


@pytest.mark.parametrize(
    "definition",
    [
        "",
        "[]",
        '{"name": 1}',
        json.dumps(PARTS),
        "[" * 100_000,
        json.dumps({**PARTS, "title": "<b>"}, sort_keys=True, separators=(",", ":")),
    ],
)
def test_what_this_project_did_not_write_defines_no_task(definition):
    known = len(TASKS)
    with pytest.raises(ConfigError, match="Not the definition of a task"):
        defined_task(definition)
    assert len(TASKS) == known


def test_a_title_is_text_on_every_page():
    title = own_task(
        **PARTS | {"title": "<b>a</b> [x](http://y) *z* `q` :red[w] $u$ www.z.com \u202e" + 99 * "é"}
    ).title
    assert not set(title) & set("<>[]*`:$_.\u202e") and len(title) <= 60


def test_a_task_file(tmp_path):
    file = read_task_file(write(tmp_path))
    assert file.task.name.startswith("reviews-of-2026-") and file.task.classes == ("very good", "1")
    assert (file.label, file.train, file.dev, file.dev_share, file.split_seed) == (
        "verdict",
        "reviews.csv",
        None,
        0.2,
        0,
    )


@pytest.mark.parametrize(
    ("replaced", "sentence"),
    [
        ({"label = ": "labels = "}, "key 'label': Field required. Keys: text, label"),
        ({"[classes]": "more = 1\n[classes]"}, "key 'more': Extra inputs are not permitted; got '1'"),
        ({"train = ": "train = 3 # "}, "key 'train': Input should be a valid string; got '3'"),
        ({'1 = "terrible"': '"very good" = "x"'}, "stands in it once"),
        ({'1 = "terrible"': '1 = "great"'}, "label word 'great' stands there twice"),
        ({'1 = "terrible"': '" 1" = "x"'}, "without blanks around it"),
        ({'1 = "terrible"': "1 = 2"}, "label word '2' is no text"),
        ({'1 = "terrible"': ""}, "1 of what should be 2 to 255: class"),
        ({'"review"]': '"a", "b", "c"]'}, "3 of what should be 1 to 2: text field"),
        ({"[classes]": 'metrics = "bleu"\n[classes]'}, "metric 'bleu' cannot be measured"),
        ({"[classes]": "dev_share = 1.5\n[classes]"}, "key 'dev_share': Input should be less than 1; got '1.5'"),
        ({"[classes]": "split_seed = -1\n[classes]"}, "key 'split_seed': Input should be greater than or equal to 0"),
        ({"verdict": "review"}, "cannot be the text 'review' too"),
        ({"text =": "text ==" + 5000 * "="}, "is not TOML"),
        ({"text =": "text = " + 9999 * "["}, "is not TOML"),
    ],
)
def test_a_task_file_that_cannot_be_is_one_sentence(tmp_path, replaced, sentence):
    with pytest.raises(ConfigError, match=sentence) as raised:
        read_task_file(write(tmp_path, **replaced))
    assert len(str(raised.value)) < 700 and "\n" not in str(raised.value)


def test_of_more_classes_than_two_there_is_an_accuracy_alone():
    with pytest.raises(ConfigError, match="'f1' cannot be measured of 3 classes. Choose of: accuracy"):
        own_task(**PARTS | {"classes": ["a", "b", "c"], "label_words": []})
    assert METRICS == ("accuracy", "f1", "matthews_correlation")


# ruff: noqa: RUF001 - other alphabets are what is tested
ROWS = {"text": ['He said "no", twice', "две\u2028строки", "three; four\tfive"], "label": ["0", "1", "0"]}


def test_rows_of_every_format_are_the_same(tmp_path):
    frame = pd.DataFrame(ROWS)
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "semicolons.csv", index=False, sep=";")
    frame.astype({"label": int}).to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.astype({"label": float}).to_parquet(tmp_path / "a.parquet")
    for name in ("a.csv", "semicolons.csv", "a.jsonl", "a.parquet"):
        table = read_table(tmp_path / name)
        assert {column: said(table[column], column, name) for column in table} == ROWS
    (tmp_path / "a.tsv").write_text('text\tlabel\nsay "a\t0\nb\u2028c\t1\n\n')
    assert read_table(tmp_path / "a.tsv") == {"text": ['say "a', "b\u2028c"], "label": ["0", "1"]}
    assert set(FORMATS) == {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet"}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.xlsx", b"", "none of the endings that are read: .csv"),
        ("a.csv", b"", "holds no rows"),
        ("a.csv", b"a,b\n", "holds no rows"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "row 2: got 3 fields; the header has 2: a, b"),
        ("a.csv", b"a,a\n1,2\n", "two columns have one name"),
        ("a.csv", b'a,b\n"1,2\n', r"cannot be read as .csv \(Error: unexpected end of data\)"),
        ("a.csv", b"a,b\n\xff,2\n", r"cannot be read as .csv \(UnicodeDecodeError: .*and its text UTF-8"),
        ("a.csv", b"version https://git-lfs.github.com/spec/v1", "Run git lfs pull"),
        ("a.tsv", b"a\tb\r1\t2\r" + 9000 * b"x", "end in CR alone"),
        ("a.jsonl", b'{"a": 1}\n{"a": ', "line 2 is not JSON"),
        ("a.jsonl", b"[1]\n", "is no JSON object"),
        ("a.parquet", b"PAR1 and no more", r"cannot be read as .parquet \(ArrowInvalid: "),
    ],
)
def test_a_file_that_is_no_table_is_one_sentence(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=sentence) as raised:
        read_table(tmp_path / name)
    assert len(str(raised.value)) < 600 and "\n" not in str(raised.value)


def test_the_first_line_with_words_is_the_header_and_blanks_around_its_names_are_none(tmp_path):
    (tmp_path / "a.csv").write_text("\ntext, label\nhere,yes\n\n")
    assert read_table(tmp_path / "a.csv") == {"text": ["here"], "label": ["yes"]}


def test_a_long_text_is_a_text(tmp_path):
    long = f'He said "no". {"so " * 99_999}'
    pd.DataFrame({"text": [long], "label": ["0"]}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"text": [long], "label": ["0"]}).to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    assert read_table(tmp_path / "a.csv")["text"] == read_table(tmp_path / "a.tsv")["text"] == [long]


def test_what_is_no_text_is_refused():
    assert said([None, float("nan"), 1.0, 1.5, True, "a"], "x", "f") == ["", "", "1", "1.5", "true", "a"]
    with pytest.raises(DataError, match="f, row 2: 'x' holds a list"):
        said(["a", [1]], "x", "f")
    with pytest.raises(DataError, match="f, row 1: 'x' holds a null character"):
        said(["a\0"], "x", "f")
    with pytest.raises(DataError, match=r"f, row 2: 'x' holds half a character \(a lone surrogate\); text or a number"):
        said(["\U0001f600", "\ud83d"], "x", "f")
