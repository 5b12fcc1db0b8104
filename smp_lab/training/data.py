"""A task's training and development examples, from a folder of GLUE's files, from the hub, or generated."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from smp_lab.config import canonical_json
from smp_lab.errors import ConfigError, DataError, MissingDependencyError, first_line
from smp_lab.paths import GLUE_VARIABLE
from smp_lab.tasks import TASKS, Task, get_task
from smp_lab.tasks.kinds import Targets
from smp_lab.training import toy

FOLDER, HUB, TOY = "folder", "hub", "toy"
SOURCES = (FOLDER, HUB, TOY)

HUB_DATA_SET = "nyu-mll/glue"
# Seconds. One question with this limit comes first, because `datasets` by itself asks six times with growing pauses:
# 23 seconds where no name resolves, and six time-outs more where nothing answers. The hub's client may spend 3 seconds
# of its own before its first question, on what it reports of the machine (HF_HUB_DISABLE_TELEMETRY).
HUB_TIMEOUT = 5.0
TOY_SEED = 0

_TRAIN = "train"
_OTHER_WAYS = (
    f"Without the hub, name a folder of GLUE's tab-separated files with --glue-dir or {GLUE_VARIABLE}, "
    f"or take a generated task: {', '.join(task.name for task in TASKS.values() if task.synthetic)}."
)


@dataclass(frozen=True, eq=False)
class Examples:
    """Texts and targets of one split.

    Parameters
    ----------
    texts
        A column of strings per text field of the task, in its order.
    targets
        ``(n,)``: int64 numbers of the classes in the task's order, or float32 for regression.
    """

    texts: tuple[list[str], ...]
    targets: Targets

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class TaskData:
    """All examples that a run trains on and is scored on.

    Parameters
    ----------
    task
        Entry of the task table.
    train
        Training examples, in the order of their source.
    development
        Split name -> examples, in the order of ``task.splits``.
    source
        Where they come from, for people; holds no path of this machine.
    """

    task: Task
    train: Examples
    development: Mapping[str, Examples]
    source: str

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of the content, the same for the same examples whatever their source.

        Two data sets are equal if they are of the same task and have the same examples in the same order in every
        split: texts character by character (a blank at the end counts, as GLUE's SST-2 has it in its files and on the
        hub), classes by number in the task's order, regression targets as float32.
        """
        return self._fingerprint({_TRAIN: self.train, **self.development})

    @cached_property
    def development_sha256(self) -> str:
        """The same of the development examples alone."""
        return self._fingerprint(self.development)

    def _fingerprint(self, splits: Mapping[str, Examples]) -> str:
        digest = hashlib.sha256()
        for name, examples in splits.items():
            # A line of JSON each: no text can look like the start of the next part.
            parts = ([self.task.name, *self.task.text_fields, name], *examples.texts, examples.targets.tolist())
            for part in parts:
                digest.update(canonical_json(part).encode() + b"\n")
        return digest.hexdigest()


def load_task_data(
    task: str, *, source: str | None = None, glue_folder: Path | None = None, train_examples: int | None = None
) -> TaskData:
    """Training and development examples of a task.

    Parameters
    ----------
    task
        Name in `smp_lab.tasks.TASKS`.
    source
        "folder", "hub" or "toy". None takes "toy" for generated tasks; else "folder" if one is named by `glue_folder`
        or the environment variable SMP_LAB_GLUE_DIR; else "hub".
    glue_folder
        Holds GLUE's own files as ``CoLA/train.tsv``, ``CoLA/dev.tsv`` and so on; None takes SMP_LAB_GLUE_DIR.
    train_examples
        Take this many, from the first; None for all.

    Raises
    ------
    ConfigError
        If the task or source is unknown, or the source does not have the task.
    DataError
        If the data are missing, malformed or out of reach, or there are fewer training examples than asked for.
    MissingDependencyError
        If the hub is needed and the package ``datasets`` is not installed.
    """
    info = get_task(task)
    if glue_folder is None and (named := os.environ.get(GLUE_VARIABLE)):
        glue_folder = Path(named).expanduser()
    if source is None:
        source = TOY if info.synthetic else FOLDER if glue_folder is not None else HUB
    if source not in SOURCES:
        raise ConfigError(f"Unknown data source {source!r}. Choose one of: {', '.join(SOURCES)}.")
    if info.synthetic != (source == TOY):
        fitting = TOY if info.synthetic else f"{FOLDER} or {HUB}"
        raise ConfigError(f"Task {task!r} does not come from source {source!r}; its source is {fitting}.")
    if source == TOY:
        data = _generated(info)
    elif source == HUB:
        data = _from_hub(info)
    elif glue_folder is not None:
        data = _from_folder(info, glue_folder)
    else:
        raise DataError(f"No GLUE folder is named. Name one with --glue-dir or {GLUE_VARIABLE}.")
    return data if train_examples is None else _first(data, train_examples)


def _first(data: TaskData, n: int) -> TaskData:
    if not 1 <= n <= len(data.train):
        raise DataError(f"Cannot take {n} training examples of {data.task.name}: there are 1 to {len(data.train)}.")
    texts = tuple(column[:n] for column in data.train.texts)
    return replace(data, train=Examples(texts, data.train.targets[:n].copy()))


def _generated(task: Task) -> TaskData:
    train, development = (
        Examples(
            tuple(list(column) for column in zip(*(texts for _, texts in rows), strict=True)),
            np.array([task.classes.index(name) for name, _ in rows], np.int64),
        )
        for rows in toy.generate(task.name, TOY_SEED)
    )
    ((_, split),) = task.splits
    return TaskData(task, train, {split: development}, f"generated (synthetic), seed {TOY_SEED}")


# ---------------------------------------------------------------------------------------------------------------------
# GLUE's own files


@dataclass(frozen=True)
class _Layout:
    """How GLUE's files of one task are laid out.

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


def _from_folder(task: Task, glue_folder: Path) -> TaskData:
    layout = _LAYOUTS[task.name]
    files = {_TRAIN: "train.tsv", **{split: f"{split.replace('validation', 'dev')}.tsv" for _, split in task.splits}}
    if not glue_folder.is_dir():
        raise DataError(f"GLUE folder {glue_folder} is not a folder. Check --glue-dir or {GLUE_VARIABLE}.")
    for name in files.values():
        if not (glue_folder / layout.folder / name).is_file():
            raise DataError(
                f"GLUE folder {glue_folder} has no file {layout.folder}/{name}; "
                f"task {task.name!r} needs {', '.join(files.values())} there."
            )
    # A few questions in QQP's official train.tsv hold a line break, which nothing quotes. The hub's copy leaves these
    # rows out too.
    skipped: list[int] | None = [] if task.name == "qqp" else None
    train = _read_file(task, layout, glue_folder / layout.folder / files.pop(_TRAIN), skipped)
    development = {split: _read_file(task, layout, glue_folder / layout.folder / name) for split, name in files.items()}
    source = "folder of tab-separated files"
    if skipped:
        source += f", {len(skipped)} broken rows of train.tsv left out"
    return TaskData(task, train, development, source)


def _read_file(task: Task, layout: _Layout, path: Path, skipped: list[int] | None = None) -> Examples:
    """One split. Numbers of lines with too few fields go to `skipped`; without it they are an error."""
    parse = task.kind.parser(task, layout.labels)
    texts: tuple[list[str], ...] = tuple([] for _ in layout.texts)
    targets: list[float] = []
    lines = _lines(path)
    header = layout.header or tuple(next(lines, (1, ""))[1].split("\t"))
    if missing := [name for name in (*layout.texts, layout.label) if name not in header]:
        raise DataError(
            f"{path}, line 1: the header has no column {missing[0]!r}; it has: {', '.join(header) or 'nothing'}."
        )
    columns = [header.index(name) for name in layout.texts]
    label_column = header.index(layout.label)
    for number, line in lines:
        row = line.split("\t")
        if len(row) != len(header):
            if skipped is not None and len(row) < len(header):
                skipped.append(number)
                continue
            raise DataError(f"{path}, line {number}: got {len(row)} tab-separated fields; expected {len(header)}.")
        try:
            targets.append(parse(row[label_column]))
        except ValueError as error:
            raise DataError(f"{path}, line {number}: {error}") from None
        for column, index in zip(texts, columns, strict=True):
            column.append(row[index])
    if not targets:
        raise DataError(f"{path} holds no examples.")
    return Examples(texts, np.array(targets, task.kind.target_type))


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Lines from 1 with their numbers. Only "\n" and "\r\n" end one: texts hold U+0085, U+2028 and the like."""
    number = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}, line {number}: not UTF-8 text ({error.reason}).") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from None


# ---------------------------------------------------------------------------------------------------------------------
# The hub


def _from_hub(task: Task) -> TaskData:
    try:
        import datasets
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingDependencyError(
            f"Package {error.name!r} is not installed, so task {task.name!r} cannot be loaded from the hub. Install "
            f"the training packages with: pip install -e '.[train]'. {_OTHER_WAYS}"
        ) from None
    # The client, its HTTP library and the sockets below each raise errors of their own, with no parent in common but
    # Exception; whichever it is, the hub gave no answer.
    unreachable: Exception | None = None
    revision: str | None = None
    try:
        revision = HfApi().dataset_info(HUB_DATA_SET, timeout=HUB_TIMEOUT).sha
    except Exception as error:
        unreachable = error
    was_offline = datasets.config.HF_HUB_OFFLINE
    try:
        # An earlier download still serves, and is found without another round of questions.
        datasets.config.HF_HUB_OFFLINE = was_offline or unreachable is not None
        splits = datasets.load_dataset(HUB_DATA_SET, task.name, revision=revision)
    except Exception as error:
        reason = unreachable or error
        raise DataError(
            f"Task {task.name!r} cannot be loaded from the hub as {HUB_DATA_SET} "
            f"({type(reason).__name__}: {first_line(reason)}). {_OTHER_WAYS}"
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = was_offline
    wanted = (_TRAIN, *(split for _, split in task.splits))
    if missing := [split for split in wanted if split not in splits]:
        raise DataError(f"{HUB_DATA_SET} has no split {missing[0]!r} of task {task.name!r}; it has: {sorted(splits)}.")
    train, *development = (_from_data_set(task, splits[split], split) for split in wanted)
    where = f"at revision {revision}" if revision else "as downloaded earlier"
    return TaskData(task, train, dict(zip(wanted[1:], development, strict=True)), f"hub: {HUB_DATA_SET} {where}")


def _from_data_set(task: Task, data_set: Any, split: str) -> Examples:
    """One split of a `datasets.Dataset`, its classes put in the task's order by name."""
    what = f"{HUB_DATA_SET}, task {task.name!r}, split {split!r}"
    if missing := [name for name in (*task.text_fields, "label") if name not in data_set.column_names]:
        raise DataError(f"{what}: there is no column {missing[0]!r}; there are: {', '.join(data_set.column_names)}.")
    labels = np.asarray(data_set["label"][:])
    texts = tuple(data_set[name][:] for name in task.text_fields)
    names: Sequence[str] = getattr(data_set.features["label"], "names", None) or ()
    try:
        return Examples(texts, task.kind.of_data_set(task, labels, names))
    except ValueError as error:
        raise DataError(f"{what}: {error}") from None
