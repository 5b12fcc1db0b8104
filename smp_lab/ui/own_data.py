"""A task of one's own in the form: a file, its columns picked from a preview, and a label word for each class."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from smp_lab.errors import DataError, JobError
from smp_lab.paths import named_path, own_runs_folder, task_files_folder
from smp_lab.storage.sealed import replace_durably
from smp_lab.tasks import Task
from smp_lab.tasks.own import DEV_SHARE, METRICS, MOST_CLASSES, n_held_out, own_task, read_task_file
from smp_lab.tasks.rows import FORMATS, read_table, said
from smp_lab.ui import cache, messages, safety

# What the list of tasks has for it.
OWN = "own data"
_PREFIX = "own_"
_SHOWN_ROWS = 5


@dataclass(frozen=True)
class OwnData:
    """A task of one's own as the form has it, with its task file.

    `text` is to be written there, None where somebody wrote the file; `examples` are trained on, None if not known.
    """

    task: Task
    file: Path
    text: str | None = None
    examples: int | None = None

    def written(self) -> Path:
        """Its file, which is written where the form made it; a `JobError` where it cannot be."""
        try:
            if self.text is not None and not self.file.exists():
                self.file.parent.mkdir(parents=True, exist_ok=True)
                replace_durably(self.file, self.text.encode())
        except OSError as error:
            raise JobError(
                f"Task file {self.file} cannot be written ({error.strerror}). Give the file of rows a shorter name, or "
                "name a folder of runs that can be written."
            ) from None
        return self.file


@messages.sentence_instead()
def pick() -> OwnData | None:
    """Draw the part of the form that makes a task of a file; None where something is missing, which is said."""
    if not safety.is_local():
        st.info("From other machines no file can be named.")
        return None
    named = st.text_input(
        "A file on this machine",
        key=f"{_PREFIX}file",
        placeholder="reviews.csv",
        max_chars=1000,
        help=f"Rows ({', '.join(FORMATS)}), or a task file of smp-lab train --task-file (.toml).",
    )
    if not named.strip():
        return None
    path = named_path(named.strip()).absolute()
    return OwnData(read_task_file(path).task, path) if path.suffix == ".toml" else _of_rows(path)


def _of_rows(path: Path) -> OwnData | None:
    table = _table(*cache.file_stamp(path))
    st.dataframe(pd.DataFrame({name: [str(value) for value in table[name][:_SHOWN_ROWS]] for name in table}))
    names, first = list(table), st.columns(4)
    label = first[1].selectbox("Column of the classes", names, index=len(names) - 1, key=f"{_PREFIX}label")
    texts = first[0].multiselect(
        "Columns of the text", [name for name in names if name != label], max_selections=2, key=f"{_PREFIX}text"
    )
    title = first[2].text_input("Title", path.stem, key=f"{_PREFIX}title {path}", max_chars=60)
    share = first[3].number_input(
        "Held out to measure on", 0.05, 0.5, DEV_SHARE, 0.05, key=f"{_PREFIX}share", help="A share of every class."
    )
    labels = Counter(map(str.strip, said(table[label], label, path.name)))
    if labels[""]:
        raise DataError(f"Column {label!r} is empty in {labels['']:,} rows. Take them out, or pick another column.")
    if len(labels) > MOST_CLASSES:
        raise DataError(
            f"Column {label!r} has {len(labels):,} different values; at most {MOST_CLASSES} can be classes. Pick the "
            "column that says the class."
        )
    words = _label_words(labels, f"{_PREFIX}words {label} {path}")
    metric = st.selectbox("Metric", METRICS if len(labels) == 2 else METRICS[:1], key=f"{_PREFIX}metric")
    worded = any(words.values())
    if not texts:
        st.info("Pick the column of the text, or both of a pair.")
        return None
    if worded and not all(words.values()):
        st.info("Every class takes a label word. Where none has one, a linear head is trained.")
        return None
    task = own_task(
        name=path.stem,
        title=title or path.stem,
        text_fields=texts,
        classes=list(words),
        label_words=list(words.values()) if worded else [],
        metrics=[metric],
    )
    held = sum(n_held_out(share, times) for times in labels.values())
    values = {"title": title or path.stem, "text": texts, "label": label, "train": str(path)}
    lines = [f"{key} = {_toml(value)}" for key, value in {**values, "metrics": [metric], "dev_share": share}.items()]
    if worded:
        lines += ["[classes]", *(f"{_toml(name)} = {_toml(word)}" for name, word in words.items())]
    else:
        lines.append(f"classes = {_toml(list(words))}")
    text = "\n".join(lines) + "\n"
    file = task_files_folder(own_runs_folder(), text) / f"{path.stem}.toml"
    return OwnData(task, file, text, len(table[label]) - held)


def _label_words(labels: Counter[str], key: str) -> dict[str, str]:
    """Classes in the order of their names, each with its label word or the empty text.

    Streamlit keeps what was typed by row: the classes of another column or file need another key.
    """
    classes = sorted(labels)
    table = st.data_editor(
        pd.DataFrame({"class": classes, "rows": [labels[name] for name in classes], "word": [""] * len(classes)}),
        key=key,
        hide_index=True,
        disabled=["class", "rows"],
        column_config={
            "class": "Class",
            "rows": st.column_config.NumberColumn("Rows", format="localized"),
            "word": st.column_config.TextColumn(
                "Label word",
                help="One token of the encoder. Without label words a linear head is trained.",
                max_chars=40,
            ),
        },
    )
    return {name: (word or "").strip() for name, word in zip(classes, table["word"], strict=True)}


def _toml(value: Any) -> str:
    """A text, a number or a list of texts; what JSON writes of them is TOML too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


@st.cache_data(max_entries=2, show_spinner="Reading the file")
def _table(path: str, changed: int) -> dict[str, list[Any]]:
    return read_table(Path(path))
