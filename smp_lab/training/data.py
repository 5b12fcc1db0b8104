"""A task's training and development examples, from a folder of its own files, from the hub, or generated."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np

from smp_lab.config import canonical_json
from smp_lab.errors import ConfigError, DataError, MissingDependencyError, first_line
from smp_lab.paths import DATA_VARIABLES, named_path
from smp_lab.storage.runs import RunRecord
from smp_lab.tasks import TASKS, Task, get_task
from smp_lab.tasks.kinds import SPAN, Targets
from smp_lab.tasks.own import TaskFile
from smp_lab.tasks.spans import Span
from smp_lab.training import glue_files, own_data, squad, toy

FOLDER, HUB, TOY = "folder", "hub", "toy"
SOURCES = (FOLDER, HUB, TOY)

HUB_DATA_SET, HUB_SQUAD = "nyu-mll/glue", "rajpurkar/squad"
# Seconds. One question with this limit comes first, because `datasets` by itself asks six times with growing pauses:
# 23 seconds where no name resolves, and six time-outs more where nothing answers. The hub's client may spend 3 seconds
# of its own before its first question, on what it reports of the machine (HF_HUB_DISABLE_TELEMETRY).
HUB_TIMEOUT = 5.0
TOY_SEED = 0

_TRAIN = "train"
_FILES = {"glue": "GLUE's tab-separated files", "squad": "SQuAD's JSON files"}


def _other_ways(task: Task) -> str:
    files = f"{_FILES[task.files]} with --{task.files}-dir or {DATA_VARIABLES[task.files]}"
    generated = ", ".join(task.name for task in TASKS.values() if task.synthetic)
    return f"Without the hub, name a folder of {files}, or take a generated task: {generated}."


@dataclass(frozen=True, eq=False)
class Examples:
    """A column of texts per text field of the task, and ``(n,)`` targets.

    Targets are int64 numbers of the classes in the task's order, float32 for regression, or a tuple of `Span` objects
    for a span, the first of them to be learned.
    """

    texts: tuple[list[str], ...]
    targets: Targets

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class TaskData:
    """All examples that a run trains on and is scored on, in the order of their source.

    `development` is by split, as ``task.splits``. `source` and the sentences of `notes`, on what is unusual, are for
    people and hold no path of this machine.
    """

    task: Task
    train: Examples
    development: Mapping[str, Examples]
    source: str
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Fingerprint of the content, the same for the same examples whatever their source.

        Two data sets are equal if they are of the same task and have the same examples in the same order in every
        split: texts character by character (a blank at the end counts, as GLUE's SST-2 has it in its files and on the
        hub), classes by number in the task's order, regression targets as float32, spans with all their answers.
        """
        return self._fingerprint({_TRAIN: self.train, **self.development})

    @property
    def class_balance(self) -> dict[str, list[int]]:
        """Examples of each class in the task's order, by split; empty where the task has no classes."""
        n_classes = len(self.task.classes)
        splits = {_TRAIN: self.train, **self.development} if n_classes else {}
        return {name: np.bincount(part.targets, minlength=n_classes).tolist() for name, part in splits.items()}

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


def require_data_of(run: RunRecord, data: TaskData) -> None:
    """Refuse, with a `DataError`, other examples than those that a run of their task was made with."""
    if data.sha256 != run.config.data_sha256:
        raise DataError(
            f"The examples of task {data.task.name!r} here ({data.source}) are not those of run {run.run_id}: their "
            "fingerprints differ. Name the data that it was trained on."
        )


def load_task_data(
    task: str,
    *,
    source: str | None = None,
    data_folders: Mapping[str, Path | None] | None = None,
    task_file: TaskFile | None = None,
    train_examples: int | None = None,
    allow_broken: bool = False,
) -> TaskData:
    """Training and development examples of a task.

    Parameters
    ----------
    task
        Name in `smp_lab.tasks.TASKS`.
    source
        "folder", "hub" or "toy". None takes "toy" for generated tasks; else "folder" if one is named for the task's
        files; else "hub".
    data_folders
        By `Task.files`. "glue" holds GLUE's own files as ``CoLA/train.tsv``, ``CoLA/dev.tsv`` and so on, "squad"
        ``train-v1.1.json`` and ``dev-v1.1.json``. Where one is missing, its variable of `DATA_VARIABLES` names it.
    task_file
        Of a task of one's own, which has no other source.
    train_examples
        Take this many, from the first; None for all.
    allow_broken
        Leave out broken rows of QQP's training file however many there are.

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
    if info.definition is not None:
        return _own(info, task_file) if train_examples is None else _first(_own(info, task_file), train_examples)
    folder = (data_folders or {}).get(info.files)
    if folder is None and (named := os.environ.get(DATA_VARIABLES[info.files])):
        folder = named_path(named)
    if source is None:
        source = TOY if info.synthetic else FOLDER if folder is not None else HUB
    if source not in SOURCES:
        raise ConfigError(f"Unknown data source {source!r}. Choose one of: {', '.join(SOURCES)}.")
    if info.synthetic != (source == TOY):
        fitting = TOY if info.synthetic else f"{FOLDER} or {HUB}"
        raise ConfigError(f"Task {task!r} does not come from source {source!r}; its source is {fitting}.")
    if source == TOY:
        data = _generated(info)
    elif source == HUB:
        data = _from_hub(info)
    elif folder is None:
        variable = DATA_VARIABLES[info.files]
        raise DataError(f"No folder of {_FILES[info.files]} is named. Name one with --{info.files}-dir or {variable}.")
    else:
        splits, where, notes = _files_of(info).read_folder(info, folder, allow_broken)
        train, *development = (Examples(*columns) for columns in splits.values())
        data = TaskData(info, train, dict(zip(list(splits)[1:], development, strict=True)), where, notes)
    return data if train_examples is None else _first(data, train_examples)


def _files_of(task: Task) -> ModuleType:
    return {"glue": glue_files, "squad": squad}[task.files]


def _own(task: Task, file: TaskFile | None) -> TaskData:
    if file is None or file.task != task:
        raise ConfigError(f"The data of task {task.name!r} are named by its task file. Name it with --task-file.")
    train, development, source, notes = own_data.read_own(file)
    ((_, split),) = task.splits
    return TaskData(task, Examples(*train), {split: Examples(*development)}, source, notes)


def _first(data: TaskData, n: int) -> TaskData:
    if not 1 <= n <= len(data.train):
        raise DataError(f"Cannot take {n} training examples of {data.task.name}: there are 1 to {len(data.train)}.")
    texts = tuple(column[:n] for column in data.train.texts)
    return replace(data, train=Examples(texts, data.train.targets[:n].copy()))


def _generated(task: Task) -> TaskData:
    def examples(rows: Sequence[tuple[str, toy.Texts]]) -> Examples:
        texts = tuple(list(column) for column in zip(*(texts for _, texts in rows), strict=True))
        if task.kind is SPAN:
            return Examples(texts, squad.column([(Span(said, toy.start_of(said, texts)),) for said, texts in rows]))
        return Examples(texts, np.array([task.classes.index(name) for name, _ in rows], np.int64))

    train, development = map(examples, toy.generate(task.name, TOY_SEED))
    ((_, split),) = task.splits
    return TaskData(task, train, {split: development}, f"generated (synthetic), seed {TOY_SEED}")


# ---------------------------------------------------------------------------------------------------------------------
# The hub


def _from_hub(task: Task) -> TaskData:
    try:
        import datasets
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingDependencyError(
            f"Package {error.name!r} is not installed, so task {task.name!r} cannot be loaded from the hub. Install "
            f"the training packages with: pip install -e '.[train]'. {_other_ways(task)}"
        ) from None
    place = (HUB_SQUAD,) if task.kind is SPAN else (HUB_DATA_SET, task.name)
    # The client, its HTTP library and the sockets below each raise errors of their own, with no parent in common but
    # Exception; whichever it is, the hub gave no answer.
    unreachable: Exception | None = None
    revision: str | None = None
    try:
        revision = HfApi().dataset_info(place[0], timeout=HUB_TIMEOUT).sha
    except Exception as error:
        unreachable = error
    was_offline = datasets.config.HF_HUB_OFFLINE
    try:
        # An earlier download still serves, and is found without another round of questions.
        datasets.config.HF_HUB_OFFLINE = was_offline or unreachable is not None
        splits = datasets.load_dataset(*place, revision=revision)
    except Exception as error:
        reason = unreachable or error
        raise DataError(
            f"Task {task.name!r} cannot be loaded from the hub as {place[0]} "
            f"({type(reason).__name__}: {first_line(reason)}). {_other_ways(task)}"
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = was_offline
    wanted = (_TRAIN, *(split for _, split in task.splits))
    if missing := [split for split in wanted if split not in splits]:
        raise DataError(f"{place[0]} has no split {missing[0]!r} of task {task.name!r}; it has: {sorted(splits)}.")
    train, *development = (
        Examples(*_files_of(task).examples_of(task, splits[split], f"{place[0]}, task {task.name!r}, split {split!r}"))
        for split in wanted
    )
    where = f"at revision {revision}" if revision else "as downloaded earlier"
    return TaskData(task, train, dict(zip(wanted[1:], development, strict=True)), f"hub: {place[0]} {where}")
