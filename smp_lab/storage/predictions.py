"""What a final model said on each development example, as runs and transfers keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from smp_lab.errors import RunFormatError
from smp_lab.tasks import Task


def predictions_table(
    columns: Mapping[str, npt.NDArray[Any]], task: Task, n_examples: Mapping[str, int], what: str
) -> pd.DataFrame:
    """Columns of predictions as a table, checked against the task and the counts of the record that they are of.

    Parameters
    ----------
    columns
        ``split`` (number in the task's splits, in their order), and the columns of the task's kind.
    task, n_examples
        Of the record.
    what
        Start of a sentence: "Run ID: predictions.npz".

    Raises
    ------
    RunFormatError
        If a column is missing, superfluous or of another kind, or there are more or fewer rows than examples.
    """
    sizes = [n_examples[split] for _, split in task.splits]
    types: Mapping[str, type[np.generic]] = {"split": np.uint8, **task.kind.columns}
    kinds = {name: "iu" if np.dtype(kind).kind in "iu" else np.dtype(kind).kind for name, kind in types.items()}
    if set(columns) != set(kinds) or any(column.shape != (sum(sizes),) for column in columns.values()):
        got = ", ".join(f"{name} {column.shape}" for name, column in sorted(columns.items())[:6])
        raise RunFormatError(
            f"{what} has columns {got}; expected {', '.join(kinds)} with a row for each of {sum(sizes):,} examples."
        )
    for name, kind in kinds.items():
        column = columns[name]
        if column.dtype.kind not in kind or (kind == "f" and not np.isfinite(column).all()):
            raise RunFormatError(f"{what} has a column {name} of {column.dtype} that is not of plain numbers.")
    if not np.array_equal(columns["split"], np.repeat(np.arange(len(sizes)), sizes)):
        raise RunFormatError(f"{what} has other numbers of examples in its splits than {sizes}.")
    if problem := task.kind.problem(task, columns):
        raise RunFormatError(f"{what} {problem}.")
    return pd.DataFrame({name: columns[name] for name in kinds})
