"""The metrics by name: title and range; of all of them more is better. `smp_lab.training.metrics` computes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """One metric.

    Parameters
    ----------
    name, title
        As in tables, and as people write it.
    lowest, highest
        Ends of its range, as fractions.
    """

    name: str
    title: str
    lowest: float = 0.0
    highest: float = 1.0


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "Accuracy"),
        Metric("accuracy_matched", "Accuracy, matched"),
        Metric("accuracy_mismatched", "Accuracy, mismatched"),
        Metric("f1", "F1"),
        Metric("exact_match", "Exact match"),
        Metric("matthews_correlation", "MCC", lowest=-1.0),
        Metric("pearson", "Pearson r", lowest=-1.0),
        Metric("spearman", "Spearman rho", lowest=-1.0),
    )
}
