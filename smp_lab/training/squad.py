"""SQuAD v1.1 in its own JSON, or on the hub: questions, contexts, and where the answers stand in them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smp_lab.errors import DataError, told
from smp_lab.paths import DATA_VARIABLES
from smp_lab.tasks import Task
from smp_lab.tasks.rows import fault_of, require_fetched
from smp_lab.tasks.spans import Span

# Questions, their contexts, and for each the answers that are taken for right, the first of them to be learned.
Rows = tuple[tuple[list[str], list[str]], npt.NDArray[np.object_]]

FILES: Mapping[str, str] = {"train": "train-v1.1.json", "validation": "dev-v1.1.json"}


def read_folder(task: Task, folder: Path, allow_broken: bool = False) -> tuple[dict[str, Rows], str, tuple[str, ...]]:
    """Each split of a folder, where it is from in words, and no notes: JSON has no broken rows."""
    if not folder.is_dir():
        raise DataError(f"SQuAD folder {folder} is not a folder. Check --squad-dir or {DATA_VARIABLES['squad']}.")
    if missing := [name for name in FILES.values() if not (folder / name).is_file()]:
        other = ". It holds v2.0, which is another task" if any(folder.glob("*-v2.0.json")) else ""
        raise DataError(
            f"SQuAD folder {folder} has no file {missing[0]}; task {task.name!r} needs {' and '.join(FILES.values())} "
            f"there{other}."
        )
    return {split: read_file(folder / name) for split, name in FILES.items()}, "folder of JSON files", ()


def read_file(path: Path) -> Rows:
    """Questions of one file, in its order; a `DataError` if it cannot be read, or as `checked`."""
    layout = "Expected JSON with data, paragraphs, context, qas, question, answers, text and answer_start."
    with told(DataError, f"{path} cannot be read as one of SQuAD's files", layout):
        require_fetched(path, path)
        return checked(_questions(json.loads(path.read_bytes())), str(path))


def _questions(content: Any) -> Iterator[tuple[str, str, str, list[Span]]]:
    """Id, question, context and answers."""
    for article in content["data"]:
        for paragraph in article["paragraphs"]:
            for asked in paragraph["qas"]:
                answers = [Span(answer["text"], answer["answer_start"]) for answer in asked["answers"]]
                yield str(asked["id"]), asked["question"], paragraph["context"], answers


def checked(questions: Iterable[tuple[str, str, str, list[Span]]], what: str) -> Rows:
    """Questions, given by id, question, context and answers, whose answers stand where they say.

    Raises
    ------
    DataError
        If a question has no answer, as in version 2, an answer does not stand where it says, or a text is none.
    """
    asked: list[str] = []
    contexts: list[str] = []
    targets: list[tuple[Span, ...]] = []
    for name, question, context, answers in questions:
        texts = (question, context, *(answer.text for answer in answers))
        are_texts = all(isinstance(text, str) and fault_of(text) is None for text in texts)
        if not are_texts or not all(type(answer.start) is int for answer in answers):
            raise DataError(
                f"{what}: question {name!r} has a question, a context or an answer that is no text, or an answer whose "
                "start is no whole number. The file was altered; take it from where it came."
            )
        if not answers:
            raise DataError(
                f"{what}: question {name!r} has no answer. Unanswerable questions are of SQuAD v2.0, which is another "
                f"task; name files of version 1.1: {', '.join(FILES.values())}."
            )
        for answer in answers:
            if not answer.text.strip():
                raise DataError(f"{what}: question {name!r} has an empty answer. Take its question out of the file.")
            found = context[answer.start : answer.start + len(answer.text)] if answer.start >= 0 else ""
            if found != answer.text:
                raise DataError(
                    f"{what}: question {name!r} has answer {answer.text[:40]!r} at character {answer.start}, where its "
                    f"context has {found[:40]!r}. The file was altered, or counts bytes; take it from where it came."
                )
        asked.append(question)
        contexts.append(context)
        targets.append(tuple(answers))
    if not asked:
        raise DataError(f"{what} holds no questions.")
    return (asked, contexts), column(targets)


def column(values: Sequence[object]) -> npt.NDArray[np.object_]:
    """Objects as an array ``(n,)``, tuples too and not what is in them."""
    return np.fromiter(values, np.object_, len(values))


def examples_of(task: Task, data_set: Any, what: str) -> Rows:
    """One split of a `datasets.Dataset` of the hub's SQuAD; raises what `checked` raises."""
    if missing := [name for name in ("id", "question", "context", "answers") if name not in data_set.column_names]:
        raise DataError(f"{what}: there is no column {missing[0]!r}; there are: {', '.join(data_set.column_names)}.")
    columns = (data_set[name][:] for name in ("id", "question", "context", "answers"))
    return checked(
        (
            (name, question, context, list(map(Span, answers["text"], answers["answer_start"])))
            for name, question, context, answers in zip(*columns, strict=True)
        ),
        what,
    )
