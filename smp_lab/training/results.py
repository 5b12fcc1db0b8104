"""What a trained run found: its metrics, counts and history, and what it says on each development example."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from smp_lab.methods import NONE, Method
from smp_lab.storage.runs import HISTORY_COLUMNS
from smp_lab.tasks import Task
from smp_lab.training.data import TaskData
from smp_lab.training.examples import DevelopmentSplit
from smp_lab.training.model import PruningModel
from smp_lab.training.trainer import Log, PruningTrainer


def results(trainer: PruningTrainer, data: TaskData) -> dict[str, Any]:
    """What `RunRecord.results` holds, without the kept counts that the record takes from the mask."""
    evaluations = trainer.run_log.evaluations
    metric = data.task.main_metric

    def best(among: list[dict[str, Any]]) -> dict[str, Any]:
        found = max(among, key=lambda evaluation: evaluation[metric])
        return {"metric": metric, "value": found[metric], "step": found["step"]}

    final = evaluations[-1]["remaining"]
    return {
        "metrics": {name: evaluations[-1][name] for name in data.task.metrics},
        "n_examples": {name: len(data.development[name]) for _, name in data.task.splits},
        "n_train_examples": len(data.train),
        "total_steps": trainer.state.max_steps,
        "evaluations": evaluations,
        "best": best(evaluations),
        # Of this kind are the published numbers.
        "best_at_final_density": best([evaluation for evaluation in evaluations if evaluation["remaining"] == final]),
        **parameter_counts(trainer.model, trainer.config.method_info, trainer.model.pruned.kept()),
    }


def parameter_counts(model: PruningModel, method: Method, kept: int) -> dict[str, float]:
    """trainable_parameters and new_parameters of a run whose mask keeps `kept` weights; as in `RunRecord.results`."""
    scores, encoder, head = (
        sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)
        for part in (model.pruned, model.encoder, model.head)
    )
    n_weights = model.pruned.layout.n_weights
    removed = n_weights - kept if method.trains_weights else 0
    mask = 0 if method.remaining == NONE else n_weights / 32
    return {"trainable_parameters": scores + encoder + head, "new_parameters": encoder - removed + head + mask}


def history_table(log: Log) -> pd.DataFrame:
    """A row per logged step; columns as in `RunRecord.history`."""
    counts = ("step", "kept", "flips_in", "flips_out")
    # A control logs no step, and its columns need their types all the same.
    types = {column: np.int64 if column in counts else np.float64 for column in HISTORY_COLUMNS}
    return pd.DataFrame(log.history, columns=list(HISTORY_COLUMNS)).astype(types)


def predictions_of(
    task: Task, development: Sequence[DevelopmentSplit], predictions: Sequence[np.ndarray]
) -> pd.DataFrame:
    """What was said on each development example, from the predictions of each split in the order of its file.

    Columns as in `RunRecord.predictions`.
    """
    parts = []
    for number, (split, predicted) in enumerate(zip(development, predictions, strict=True)):
        columns = task.kind.table(predicted, split.targets)
        typed = {name: columns[name].astype(dtype) for name, dtype in task.kind.columns.items()}
        parts.append(pd.DataFrame({"split": np.full(len(predicted), number, np.uint8), **typed}))
    return pd.concat(parts, ignore_index=True)
