"""Metrics of predictions against targets: means over the examples, or from scikit-learn and scipy."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from scipy import stats
from sklearn import metrics

from smp_lab.tasks import Task


def _correlation(statistic: Callable) -> Callable[[np.ndarray, np.ndarray], float]:
    def correlate(targets: np.ndarray, predictions: np.ndarray) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.ConstantInputWarning)
            value = float(statistic(predictions, targets).statistic)
        # A constant prediction says nothing about the target: no correlation, as matthews_correlation has it.
        return 0.0 if np.isnan(value) else value

    return correlate


# Of those that are no means over the examples; these are of the task's kind.
METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "f1": lambda targets, predictions: float(metrics.f1_score(targets, predictions, zero_division=0)),
    "matthews_correlation": lambda targets, predictions: float(metrics.matthews_corrcoef(targets, predictions)),
    "pearson": _correlation(stats.pearsonr),
    "spearman": _correlation(stats.spearmanr),
}


def compute_metrics(task: Task, suffix: str, targets: np.ndarray, predictions: np.ndarray) -> dict[str, float]:
    """Metrics of one development split, by the names of the task table.

    Parameters
    ----------
    task
        Which metrics.
    suffix
        Of the split: mnli's "_matched" gives accuracy_matched.
    targets, predictions
        ``(n_examples,)``, as the task's kind has them.
    """
    columns = task.kind.table(predictions, targets)
    found = {}
    for name in task.metrics:
        if name.endswith(suffix):
            metric = name.removesuffix(suffix)
            column = task.kind.means.get(metric)
            found[name] = float(np.mean(columns[column])) if column else METRICS[metric](targets, predictions)
    return found
