"""What a mask, or a smaller form of its model, scores on a task's development examples, with its sampling error."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt
import pandas as pd
import torch

from smp_lab.analysis.sampling import reliability
from smp_lab.errors import ConfigError
from smp_lab.inference.pruned import Model, Pruned, scores_of
from smp_lab.tasks.spans import Span
from smp_lab.training.data import Examples, TaskData
from smp_lab.training.kinds import development_splits
from smp_lab.training.metrics import compute_metrics
from smp_lab.training.results import predictions_of
from smp_lab.training.squad import column


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
    tokenizer = pruned.encoder.tokenizer
    splits = development_splits(data, tokenizer, pruned.config.max_length)
    predicted = [
        split.predictions(scores_of(split, tokenizer, model or pruned.forward), pruned.model.target) for split in splits
    ]
    return predictions_of(data.task, splits, predicted)


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
        examples = data.development[name]
        for metric, value in compute_metrics(data.task, suffix, examples.targets, _predicted(said, examples)).items():
            known = reliability(predictions, data.task, metric)
            rows.append((metric, value, known.low, known.high, known.n_examples, known.majority_baseline))
    return pd.DataFrame(rows, columns=["metric", "value", "low", "high", "n_examples", "majority"])


def _predicted(said: pd.DataFrame, examples: Examples) -> npt.NDArray[Any]:
    """Predictions as `compute_metrics` takes them."""
    if "prediction" in said:
        return said["prediction"].to_numpy()
    spans = zip(examples.texts[1], said["start"], said["end"], strict=True)
    return column([Span(context[start:end], start) for context, start, end in spans])
