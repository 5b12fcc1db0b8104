"""What a mask, or a smaller form of its model, scores on a task's development examples, with its sampling error."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
from torch import Tensor

from smp_lab.analysis.sampling import reliability
from smp_lab.errors import ConfigError
from smp_lab.inference.pruned import Pruned
from smp_lab.training.data import TaskData
from smp_lab.training.examples import DevelopmentSplit
from smp_lab.training.kinds import development_splits
from smp_lab.training.metrics import compute_metrics
from smp_lab.training.results import predictions_of

BATCH_SIZE = 64

Model = Callable[..., Tensor]


@torch.inference_mode()
def predict(pruned: Pruned, data: TaskData, model: Model | None = None) -> pd.DataFrame:
    """What a model says on each development example.

    Parameters
    ----------
    pruned
        Its task, label words, tokenizer and lengths hold.
    data
        Of its task.
    model
        From token numbers by name to scores of the label words, ``(n, n_words)``: another form of the model. None
        takes the mask's own.

    Returns
    -------
    DataFrame
        Columns as of `RunRecord.predictions`.

    Raises
    ------
    ConfigError
        If the data are of another task.
    """
    if data.task.name != pruned.config.task:
        raise ConfigError(f"The mask answers task {pruned.config.task!r}; the examples are of {data.task.name!r}.")
    splits = development_splits(data, pruned.encoder.tokenizer, pruned.config.max_length)
    predicted = [
        split.predictions(torch.cat(_scores(pruned, split, model)).numpy(), pruned.model.target) for split in splits
    ]
    return predictions_of(data.task, splits, predicted)


def _scores(pruned: Pruned, split: DevelopmentSplit, model: Model | None) -> list[Tensor]:
    columns, n = split.examples.columns, len(split.examples)
    batches = (
        {name: column[start : start + BATCH_SIZE] for name, column in columns.items()}
        for start in range(0, n, BATCH_SIZE)
    )
    answer = model or pruned.forward
    return [answer(**pruned.encoder.tokenizer.pad(batch, return_tensors="pt")) for batch in batches]


def score_table(predictions: pd.DataFrame, data: TaskData) -> pd.DataFrame:
    """The task's metrics of predictions, with the 95 % interval over development sets of their size.

    Parameters
    ----------
    predictions
        Of `predict`.
    data
        That they are of.

    Returns
    -------
    DataFrame
        A row per metric of the task: metric, value, low, high, n_examples and majority (the majority-class baseline,
        NaN where a metric has none); fractions.
    """
    rows = []
    for (suffix, name), (_, said) in zip(data.task.splits, predictions.groupby("split"), strict=True):
        column = said["prediction"].to_numpy()
        for metric, value in compute_metrics(data.task, suffix, data.development[name].targets, column).items():
            known = reliability(predictions, data.task, metric)
            rows.append((metric, value, known.low, known.high, known.n_examples, known.majority_baseline))
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "n_examples", "majority"])
