"""Tasks of one's own: what a task file says of them, and the definition by which records and pages know them.

A task file is TOML; paths in it are relative to it::

    text = "review"             # the column of the text; of pairs both, as a list
    label = "verdict"           # the column of the classes
    train = "reviews.csv"       # csv, tsv, jsonl, parquet; a folder of datasets.save_to_disk; a data set of the hub
    dev = "reviews-dev.csv"     # left out: a share of every class of train is held out
    metrics = ["accuracy"]      # the first is the main one; left out: accuracy
    title = "Film reviews"      # left out: the name of the file
    dev_share = 0.2             # held out where there is no dev
    split_seed = 0              # of the draw

    [classes]                   # as the label column spells them, each with its label word
    "very good" = "great"
    bad = "terrible"

``classes = ["very good", "bad"]`` has no label words: a linear head is trained.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from smp_lab.errors import ConfigError, first_line
from smp_lab.paths import text_name
from smp_lab.tasks import TASKS, Task
from smp_lab.tasks.kinds import CLASSES, MANY_CLASSES

# A prediction is stored in a byte.
MOST_CLASSES = 255
MAX_FILE_BYTES = 2**20
# Of a column, a class or a word.
_LONGEST = 100
DEV_SHARE, SPLIT_SEED = 0.2, 0
# All but the first are of one class against the other, so of two classes alone.
METRICS = ("accuracy", "f1", "matthews_correlation")


class _Said(BaseModel):
    """What a task file may say."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | list[Any]
    label: str
    train: str
    dev: str | None = None
    metrics: str | list[Any] = METRICS[0]
    title: str | None = None
    dev_share: float = Field(DEV_SHARE, gt=0, lt=1)
    split_seed: int = Field(SPLIT_SEED, ge=0, lt=2**32)
    classes: dict[str, Any] | list[Any]


@dataclass(frozen=True)
class TaskFile:
    """A task of one's own with its data.

    Parameters
    ----------
    path
        Of the file that says so.
    task
        What is asked for.
    label
        Column of the classes.
    train, dev
        Where the examples are, as the file has it; no dev holds some of the training examples out.
    dev_share, split_seed
        Share of every class that is held out then, and the seed of the draw.
    """

    path: Path
    task: Task
    label: str
    train: str
    dev: str | None = None
    dev_share: float = DEV_SHARE
    split_seed: int = SPLIT_SEED


def read_task_file(path: Path) -> TaskFile:
    """Read and check a task file; its data are not looked at.

    Raises
    ------
    ConfigError
        If it cannot be read, its name is not UTF-8, a key is missing, unknown or of another type, or the task cannot be
        one.
    """
    where = f"Task file {text_name(path)[:100]}"
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"{where} is larger than {MAX_FILE_BYTES // 2**20} MiB. It names data and holds none.")
        said = _Said.model_validate(tomllib.loads(content.decode()))
    except OSError as error:
        raise ConfigError(f"{where} cannot be read: {error.strerror}.") from None
    except ValidationError as error:
        fault = error.errors()[0]
        got = "" if fault["type"] == "missing" else f"; got {str(fault['input'])[:80]!r}"
        raise ConfigError(
            f"{where}, key {str(fault['loc'][0])[:80]!r}: {fault['msg']}{got}. Keys: {', '.join(_Said.model_fields)}."
        ) from None
    except (ValueError, RecursionError) as error:
        twice = " A class stands in it once." if "overwrite" in str(error) else ""
        raise ConfigError(f"{where} is not TOML ({first_line(error)[:200]}).{twice}") from None
    try:
        task = own_task(
            name=path.stem,
            title=path.stem if said.title is None else said.title,
            text_fields=_listed(said.text),
            classes=list(said.classes),
            label_words=list(said.classes.values()) if isinstance(said.classes, dict) else [],
            metrics=_listed(said.metrics),
        )
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    if said.label in task.text_fields:
        raise ConfigError(f"{where}: the label cannot be the text {said.label[:80]!r} too.")
    return TaskFile(path, task, said.label, said.train, said.dev, said.dev_share, said.split_seed)


def n_held_out(share: float, n: int) -> int:
    """Examples of a class of `n` that are held out: its share, one at least, and not all."""
    return min(max(round(share * n), 1), n - 1)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def own_task(**values: Any) -> Task:
    """A task of one's own, checked, and known to `TASKS` from now on.

    Parameters
    ----------
    name
        Any text; what a folder's name may hold of it is the start of the task's. Its end is the hash of all of them.
    title
        As people write it; signs that mean something on a page become blanks.
    text_fields, classes, label_words, metrics
        As of `Task`; no label words where a linear head is trained.

    Raises
    ------
    ConfigError
        If it has more than two texts, fewer than two classes or two alike, a label word that is missing or stands for
        two classes, or a metric that its classes cannot have.
    """
    return defined_task(_definition(**values))


@lru_cache(maxsize=256)
def defined_task(definition: str) -> Task:
    """The task of a definition, as records hold it; known to `TASKS` from now on.

    Raises
    ------
    ConfigError
        If it is none that `own_task` makes.
    """
    try:
        parts = json.loads(definition)
        genuine = _definition(**parts) == definition
    except (ValueError, TypeError, RecursionError):
        genuine = False
    if not genuine:
        raise ConfigError(f"Not the definition of a task: {definition[:80]!r}.")
    lists = {key: tuple(value) for key, value in parts.items() if isinstance(value, list)}
    task = Task(
        name=f"{parts['name']}-{hashlib.sha256(definition.encode()).hexdigest()[:8]}",
        title=parts["title"],
        text_fields=lists["text_fields"],
        classes=lists["classes"],
        label_words=lists["label_words"],
        metrics=lists["metrics"],
        kind=MANY_CLASSES if len(lists["classes"]) > 2 else CLASSES,
        definition=definition,
    )
    known = TASKS.get(task.name, task)
    if known != task:
        raise ConfigError(f"Task {task.name!r} is another one here. Give this one another name.")
    TASKS.add(task)
    return task


def _definition(
    *,
    name: str,
    title: str,
    text_fields: Sequence[str],
    classes: Sequence[str],
    label_words: Sequence[str],
    metrics: Sequence[str],
) -> str:
    """JSON with one spelling for a task; raises `ConfigError` as `own_task`."""
    _check_texts(text_fields, "text field", 1, 2)
    _check_texts(classes, "class", 2, MOST_CLASSES)
    if label_words:
        _check_texts(label_words, "label word", len(classes), len(classes))
    _check_texts(metrics, "metric", 1, len(METRICS))
    fitting = METRICS if len(classes) == 2 else METRICS[:1]
    if other := [metric for metric in metrics if metric not in fitting]:
        raise ConfigError(
            f"metric {other[0]!r} cannot be measured of {len(classes)} classes. Choose of: {', '.join(fitting)}."
        )
    values = {
        "name": re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-") or "task",
        "title": _shown(title) or "Own task",
        "text_fields": list(text_fields),
        "classes": list(classes),
        "label_words": list(label_words),
        "metrics": list(metrics),
    }
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def _check_texts(texts: Sequence[str], what: str, fewest: int, most: int) -> None:
    if not fewest <= len(texts) <= most:
        many = f"{fewest} to {most}" if fewest < most else f"{most}"
        raise ConfigError(f"it has {len(texts)} of what should be {many}: {what}.")
    for text in texts:
        if not isinstance(text, str) or not text.strip() or text != text.strip() or len(text) > _LONGEST:
            raise ConfigError(
                f"{what} {str(text)[:80]!r} is no text of 1 to {_LONGEST} characters without blanks around it. Numbers "
                "stand in quotes."
            )
    if twice := [text for text, times in Counter(texts).items() if times > 1]:
        raise ConfigError(f"{what} {twice[0]!r} stands there twice.")


def _shown(title: str) -> str:
    """A title whose signs no page, figure or legend reads as anything but text."""
    kept = (sign if unicodedata.category(sign)[0] in "LMN" or sign in "-,'()+" else " " for sign in title)
    return " ".join("".join(kept).split())[:60].strip()
