"""GLUE's tasks in folders as people have them: the official tab-separated files, the hub's columns, parquet, arrow.

What is unusual about a file is either read for what it is and said, or refused in one line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from smp_lab.errors import DataError, told
from smp_lab.paths import DATA_VARIABLES
from smp_lab.storage.store import cut
from smp_lab.tasks import Task
from smp_lab.tasks.kinds import NUMBER, Targets
from smp_lab.tasks.rows import columns_of, fault_of, lines_of, require_fetched, said, unquoted

TRAIN = "train"
# A row of QQP's official train.tsv that holds a line break is two broken ones, and few are; of a file with more of them
# most would be lost.
_ONE_BREAK, _MOST_BROKEN = 2, 0.01
# What a file, and a data set, of the hub has for the labels of a test split, which it keeps to itself.
_HIDDEN = ("-1", None)
# MNLI's sentence pairs on which its annotators did not agree; its authors say to leave them out.
_NO_GOLD_LABEL = "-"

Columns = tuple[tuple[list[str], ...], Targets]


@dataclass(frozen=True)
class _Layout:
    """How GLUE's official files of one task are laid out.

    Parameters
    ----------
    folder
        Official name of the task's folder.
    texts, label
        Names of the columns, found in the header.
    labels
        How the classes are spelled, in the task's order.
    header
        Column names where the file has none.
    """

    folder: str
    texts: tuple[str, ...]
    label: str
    labels: tuple[str, ...] = ("0", "1")
    header: tuple[str, ...] | None = None


_LAYOUTS: Mapping[str, _Layout] = {
    "sst2": _Layout("SST-2", ("sentence",), "label"),
    "cola": _Layout("CoLA", ("sentence",), "label", header=("source", "label", "star", "sentence")),
    "mrpc": _Layout("MRPC", ("#1 String", "#2 String"), "Quality"),
    "qqp": _Layout("QQP", ("question1", "question2"), "is_duplicate"),
    "stsb": _Layout("STS-B", ("sentence1", "sentence2"), "score", labels=()),
    "mnli": _Layout("MNLI", ("sentence1", "sentence2"), "gold_label", ("entailment", "neutral", "contradiction")),
    "qnli": _Layout("QNLI", ("question", "sentence"), "label", ("entailment", "not_entailment")),
    "rte": _Layout("RTE", ("sentence1", "sentence2"), "label", ("entailment", "not_entailment")),
    "wnli": _Layout("WNLI", ("sentence1", "sentence2"), "label"),
}


@dataclass
class _Unlike:
    """What of a file was not read as it stands: rows that were left out, and quotes that were taken off."""

    broken: int = 0
    no_label: int = 0
    rows: int = 0
    quoted: bool = False


def read_folder(
    task: Task, folder: Path, allow_broken: bool = False
) -> tuple[dict[str, Columns], str, tuple[str, ...]]:
    """Every split of a task, the training split first.

    Parameters
    ----------
    task
        One of GLUE's.
    folder
        Holds the task's own folder by its official name or the hub's, or is it.
    allow_broken
        Leave out broken rows however many there are.

    Returns
    -------
    dict
        Split -> a column of texts for each text field, and the targets.
    str
        What the files are, in words.
    tuple of str
        Sentences on what is unusual about them.

    Raises
    ------
    DataError
        If a file is missing, or is not what it should be; one line, whatever is in the file.
    """
    layout = _LAYOUTS[task.name]
    if not folder.is_dir():
        raise DataError(f"GLUE folder {folder} is not a folder. Check --glue-dir or {DATA_VARIABLES['glue']}.")
    places = [folder / layout.folder, folder / task.name, folder]
    for place in places:
        if found := _data_set(task, place):
            return found, "folder of a data set", tuple(_unusual(task, found))
    files = {TRAIN: "train.tsv", **{split: f"{split.replace('validation', 'dev')}.tsv" for _, split in task.splits}}
    # The folder itself is meant where it has such a file and no folder of the task.
    place = next((place for place in places if (place / files[TRAIN]).is_file()), places[0])
    for name in files.values():
        if not (place / name).is_file():
            raise DataError(
                f"GLUE folder {folder} has no file {layout.folder}/{name}; "
                f"task {task.name!r} needs {', '.join(files.values())} there."
            )
    splits, notes, source = {}, [], "folder of tab-separated files"
    for split, name in files.items():
        unlike = _Unlike()
        # A few questions in QQP's official train.tsv hold a line break, which nothing quotes. The hub's copy leaves
        # these rows out too.
        splits[split] = _read_file(
            task, layout, place / name, unlike, leave_broken=task.name == "qqp" and split == TRAIN
        )
        if unlike.broken > (unlike.rows if allow_broken else max(_ONE_BREAK, _MOST_BROKEN * unlike.rows)):
            raise DataError(
                f"{place / name}: {unlike.broken:,} of {unlike.rows:,} rows have too few fields; more than "
                f"{_MOST_BROKEN:.0%} is no accident. Write the file anew, without line breaks in texts, or leave these "
                "rows out with --allow-broken-rows."
            )
        if unlike.broken:
            source += f", {unlike.broken} broken rows of {name} left out"
            notes.append(f"{unlike.broken:,} of {unlike.rows:,} rows of {name} are broken and left out.")
        if unlike.quoted:
            notes.append(f"{name} was written as CSV: the quotes around its texts were taken off.")
        if unlike.no_label:
            notes.append(
                f"{unlike.no_label:,} of {unlike.rows:,} rows of {name} have no gold label ('-') and are left out."
            )
    return splits, source, (*notes, *_unusual(task, splits))


def _read_file(task: Task, layout: _Layout, path: Path, unlike: _Unlike, *, leave_broken: bool) -> Columns:
    texts: tuple[list[str], ...] = tuple([] for _ in task.text_fields)
    labels: list[tuple[int, str]] = []
    with told(DataError, f"{path} cannot be read", "Make it readable."):
        require_fetched(path, path)
    lines = lines_of(path, path)
    number, first = next(lines, (1, ""))
    header, names = _header(task, layout, path, first.split("\t"))
    if header is layout.header:
        lines = chain([(number, first)], lines)
    columns = [header.index(name) for name in names]
    for number, line in lines:
        row = line.split("\t")
        unlike.rows += 1
        if len(row) != len(header):
            if leave_broken and len(row) < len(header):
                unlike.broken += 1
                continue
            raise DataError(f"{path}, line {number}: got {len(row)} tab-separated fields; expected {len(header)}.")
        *written, label = (row[column] for column in columns)
        if label == _NO_GOLD_LABEL and task.name == "mnli":
            unlike.no_label += 1
            continue
        if fault := next(filter(None, map(fault_of, written)), None):
            raise DataError(f"{path}, line {number}: a text holds {fault}, so the file is no text or damaged.")
        labels.append((number, label))
        for column, text in zip(texts, written, strict=True):
            column.append(text)
    if not labels:
        raise DataError(f"{path} holds no examples.")
    as_written, texts = texts, unquoted(texts)
    unlike.quoted = texts is not as_written
    # The hub's files have numbers of classes where the official ones have their names.
    in_numbers = labels[0][1].isdigit() and task.kind is not NUMBER
    spelled = tuple(map(str, range(len(task.classes)))) if in_numbers else layout.labels
    return texts, _targets(task, f"{path}, line", labels, spelled)


def _header(
    task: Task, layout: _Layout, path: Path, fields: list[str]
) -> tuple[tuple[str, ...] | list[str], tuple[str, ...]]:
    """Names of a file's columns, and those of them that hold the texts and the label."""
    for names in ((*layout.texts, layout.label), (*task.text_fields, "label")):
        if set(names) <= set(fields):
            return fields, names
    if layout.header:
        return layout.header, (*layout.texts, layout.label)
    missing = next(name for name in (*layout.texts, layout.label) if name not in fields)
    raise DataError(
        f"{path}, line 1: the header has no column {missing!r}; it has: {cut(', '.join(fields)) or 'nothing'}."
    )


def _targets(task: Task, where: str, labels: Iterable[tuple[int, Any]], spelled: Sequence[str]) -> Targets:
    """Targets of labels with their numbers, of lines or rows as `where` ends."""
    targets = []
    for number, label in labels:
        try:
            targets.append(task.kind.parse(task, label, spelled))
        except ValueError as error:
            hidden = " The hub hides the labels of its test splits: take another split." if label in _HIDDEN else ""
            raise DataError(f"{where} {number}: {cut(str(error))}{hidden}") from None
    return np.array(targets, task.kind.target_type)


def _unusual(task: Task, splits: Mapping[str, Columns]) -> Iterator[str]:
    """Sentences on targets and splits that make numbers say less than they seem to."""
    train, *development = splits.values()
    for name, (_, targets) in splits.items():
        if task.kind is NUMBER and task.target_range and len(targets) > 1 and targets.max() <= task.target_range[1] / 5:
            yield f"All scores of {name} lie from {targets.min():g} to {targets.max():g}; {task.title}'s go to 5."
        elif len(targets) > 1 and len(np.unique(targets)) == 1:
            yield f"All {len(targets):,} examples of {name} have one target, so no metric says anything of it."
    for name, other in zip(list(splits)[1:], development, strict=True):
        if len(other[1]) > 1 and other[0] == train[0]:
            yield f"The texts of {name} are those of the training split: the metric says what was learned by heart."


def _data_set(task: Task, place: Path) -> dict[str, Columns] | None:
    """The splits of a folder of parquet files as the hub has them, or of `datasets.save_to_disk`; None of another."""
    from datasets import Dataset, load_from_disk

    wanted = (TRAIN, *(split for _, split in task.splits))
    with told(DataError, f"{place} cannot be read as a data set", "Fetch or save it once more."):
        if (place / "dataset_dict.json").is_file():
            saved = load_from_disk(str(place))
            sets: dict[str, Any] = {split: saved[split] for split in wanted if split in saved}
        else:
            found = {split: sorted(map(str, place.glob(f"{split}-*.parquet"))) for split in wanted}
            sets = {split: Dataset.from_parquet(files) for split, files in found.items() if files}
    if not sets:
        return None
    if missing := [split for split in wanted if split not in sets]:
        raise DataError(f"{place} has no split {missing[0]!r}; it has: {', '.join(sets)}.")
    return {split: examples_of(task, data, f"{place.name}, split {split!r}") for split, data in sets.items()}


def examples_of(task: Task, data_set: Any, what: str) -> Columns:
    """One split of a `datasets.Dataset`, its classes by their names; a `DataError` says of `what`."""
    table = columns_of(data_set)
    if missing := [name for name in (*task.text_fields, "label") if name not in table]:
        raise DataError(f"{what}: there is no column {missing[0]!r}; there are: {', '.join(table)}.")
    texts = tuple(said(table[name], name, what) for name in task.text_fields)
    return texts, _targets(task, f"{what}, row", enumerate(table["label"], 1), task.classes)
