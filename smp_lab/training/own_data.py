"""Examples of a task of one's own, from the places that its task file names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smp_lab.errors import DataError, told
from smp_lab.paths import named_path
from smp_lab.storage.store import cut
from smp_lab.storage.versions import MOST_EXAMPLES
from smp_lab.tasks.own import TaskFile, n_held_out
from smp_lab.tasks.rows import FORMATS, Table, columns_of, read_table, said

# With fewer rows a metric is a matter of luck, and a mask learns nothing.
FEWEST_ROWS = 20
_TRAIN = "train"
# What people call the split that they develop on.
_DEVELOPMENT = ("validation", "dev", "valid", "eval", "test")

# Texts, and the number of the class of each row.
Columns = tuple[tuple[list[str], ...], np.ndarray]


def read_own(file: TaskFile) -> tuple[Columns, Columns, str, tuple[str, ...]]:
    """Training and development examples of a task file, where they are from in words, and what is unusual about them.

    Raises
    ------
    DataError
        If a file, a column or a label is missing, a label is none of the classes, a class has too few examples, or
        there are too few rows, or more development examples than a record holds.
    """
    train, found, source = _tables(file, file.train)
    columns = _examples(file, train, f"{Path(file.train).name} ({_TRAIN})")
    if file.dev is not None:
        development, _, other = _tables(file, file.dev, _DEVELOPMENT)
        source = f"{source} and {other}"
    else:
        development = found
    if len(columns[1]) < FEWEST_ROWS:
        raise DataError(
            f"{Path(file.train).name[:100]} has {len(columns[1])} rows; at least {FEWEST_ROWS} are needed, and some "
            "hundreds to learn from."
        )
    if development is not None:
        held = _examples(file, development, f"{Path(file.dev or file.train).name} (development)")
    else:
        columns, held = _split(file, columns)
        source += (
            f", {len(columns[1]):,} rows to train on and {len(held[1]):,} held out, {file.dev_share:.0%} of every "
            f"class with seed {file.split_seed}"
        )
    if len(held[1]) > MOST_EXAMPLES:
        raise DataError(
            f"Task file {file.path.name[:100]} gives {len(held[1]):,} development examples; a record holds at most "
            f"{MOST_EXAMPLES:,}. Name a smaller dev, or a smaller dev_share."
        )
    counts = np.bincount(columns[1], minlength=len(file.task.classes))
    if (counts == 0).any():
        missing = file.task.classes[int(counts.argmin())]
        raise DataError(f"{Path(file.train).name[:100]} has no example of class {missing!r} to train on.")
    return columns, held, source, tuple(_notes(file, columns, held))


def _tables(file: TaskFile, named: str, splits: tuple[str, ...] = (_TRAIN,)) -> tuple[Table, Table | None, str]:
    """Rows of a place, those of its development split where it has one, and what the place is in words."""
    path = file.path.parent / named_path(named)
    if path.is_file():
        return read_table(path), None, f"own file {path.name[:100]}"
    from datasets import load_dataset, load_from_disk

    if path.is_dir():
        name, source = path.name[:100], f"own folder {path.name[:100]}"
        with told(DataError, f"Folder {name} cannot be read", "It should be one of datasets.save_to_disk."):
            found = load_from_disk(str(path))
    elif path.suffix.lower() in FORMATS or len(Path(named).parts) > 2:
        raise DataError(f"Task file {file.path.name[:100]} names {named[:200]}, and there is no such file beside it.")
    else:
        name, source = named[:100], f"hub: {named[:100]}"
        data_set, _, configuration = named.partition(":")
        with told(DataError, f"{name!r} cannot be loaded from the hub", "It is no file beside the task file either."):
            found = load_dataset(data_set, configuration or None)
    if not hasattr(found, "keys"):
        return columns_of(found), None, source
    chosen = next((split for split in splits if split in found), None)
    if chosen is None:
        raise DataError(f"{name} has no split {splits[0]!r}; it has: {', '.join(found)[:200]}.")
    development = next((found[split] for split in _DEVELOPMENT if split in found and split != chosen), None)
    return columns_of(found[chosen]), None if development is None else columns_of(development), source


def _examples(file: TaskFile, table: Mapping[str, list[Any]], where: str) -> Columns:
    where = where[:100]
    for column in (*file.task.text_fields, file.label):
        if column not in table:
            raise DataError(f"{where} has no column {column!r}; it has: {cut(', '.join(map(str, table)))}.")
    texts = tuple(said(table[column], column, where) for column in file.task.text_fields)
    labels = [label.strip() for label in said(table[file.label], file.label, where)]
    numbers = {name: number for number, name in enumerate(file.task.classes)}
    if others := Counter(label for label in labels if label not in numbers):
        label, times = others.most_common(1)[0]
        what = f"have the label {cut(label, 60)!r}" if label else "have no label"
        raise DataError(
            f"{where}: {times:,} of {len(labels):,} rows {what}, first row {labels.index(label) + 1}; the classes are "
            f"{cut(', '.join(numbers))}. Name it among the classes, or take its rows out."
        )
    return texts, np.array([numbers[label] for label in labels], np.int64)


def _split(file: TaskFile, columns: Columns) -> tuple[Columns, Columns]:
    """Hold out a share of every class, at least one of its examples; both parts in the order of the file."""
    texts, targets = columns
    rng, held = np.random.default_rng(file.split_seed), np.zeros(len(targets), bool)
    for number, name in enumerate(file.task.classes):
        places = np.flatnonzero(targets == number)
        if len(places) < 2:
            raise DataError(
                f"Class {name!r} has {len(places)} example{'s' * (len(places) != 1)}; one to train on and one to hold "
                "out are needed. Name a dev file, or take the class out."
            )
        held[rng.permutation(places)[: n_held_out(file.dev_share, len(places))]] = True

    def part(chosen: np.ndarray) -> Columns:
        places = np.flatnonzero(chosen)
        return tuple([column[place] for place in places] for column in texts), targets[places]

    return part(~held), part(held)


def _notes(file: TaskFile, train: Columns, development: Columns) -> list[str]:
    seen = set(zip(*train[0], strict=True))
    again = sum(texts in seen for texts in zip(*development[0], strict=True))
    notes = []
    for (texts, _), name in ((train, "training"), (development, "development")):
        if blank := sum(not all(map(str.strip, row)) for row in zip(*texts, strict=True)):
            notes.append(f"{blank:,} of {len(texts[0]):,} {name} examples have an empty text.")
    if again:
        notes.append(
            f"{again:,} of {len(development[1]):,} development examples have texts of the training examples: the "
            "metric says in part what was learned by heart."
        )
    if missing := sorted(set(range(len(file.task.classes))) - set(development[1].tolist())):
        notes.append(
            f"{len(missing)} of the classes have no development example, first {file.task.classes[missing[0]]!r}."
        )
    return notes
