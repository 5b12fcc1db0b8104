"""The metric against remaining weights: lines over seeds, and differences to dense fine-tuning."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pandas as pd

from smp_lab.analysis.labels import method_name, without_tags
from smp_lab.analysis.replicates import over_seeds
from smp_lab.analysis.run_table import of_main_metric
from smp_lab.analysis.sampling import Reliability

# What a line of a figure is.
_LINE = ["task", "metric", "method", "variant", "base_model", "base_model_sha256", "data_sha256"]
_SAME_TASK = ["task", "metric", "base_model_sha256", "data_sha256"]


def with_reliability(runs: pd.DataFrame, known: Sequence[Reliability]) -> pd.DataFrame:
    """Runs as the figures of this module read them.

    Parameters
    ----------
    runs
        A row per run: columns of `run_table.COLUMNS`.
    known
        Of each run's metric.

    Returns
    -------
    DataFrame
        With the columns of `Reliability`, name (what legends call the line of a run: its method and its variant, and of
        several copies of a task's data which one) and encoder (what its panel is called, of several of one name which
        one; empty where there is one encoder alone).
    """
    columns = pd.DataFrame(known, columns=Reliability._fields, index=runs.index)
    copies = _copies(runs, "task", "data_sha256").map(lambda copy: f"data {copy}" if copy else "")
    parts = zip(runs["method"].map(method_name), runs["variant"], copies, strict=True)
    named = zip(runs["base_model"], _copies(runs, "base_model", "base_model_sha256"), strict=True)
    encoders = [" ".join(filter(None, names)) for names in named]
    return runs.assign(
        **{str(name): values for name, values in columns.items()},
        name=[without_tags(", ".join(filter(None, names))) for names in parts],
        encoder=[without_tags(name) for name in encoders] if len(set(encoders)) > 1 else "",
    )


def _copies(runs: pd.DataFrame, name: str, sha256: str) -> pd.Series:
    """Where one name goes with several fingerprints, the beginning of each run's; empty elsewhere."""
    return runs[sha256].str[:8].where(runs.groupby(name)[sha256].transform("nunique") > 1, "")


def mean_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds in the order in which they are drawn: line by line, from few weights to many.

    Parameters
    ----------
    runs
        A row per run: columns of `run_table.COLUMNS`, low and high (of the development set's interval), and name (of
        `with_reliability`).

    Returns
    -------
    DataFrame
        From `replicates.over_seeds`.
    """
    return over_seeds(runs).sort_values([*_LINE, "remaining"], kind="stable", ignore_index=True)


def difference_to_dense(table: pd.DataFrame, runs: pd.DataFrame | None = None, value: str = "value") -> pd.DataFrame:
    """Each row's value minus the mean of dense fine-tuning of the same task, encoder and data.

    Of dense runs the usual ones are taken; those of unusual settings where there are no others.

    Parameters
    ----------
    table
        Columns task, metric, method, variant, base_model_sha256, data_sha256 and `value`.
    runs
        A row per run, the dense ones among them, with the same columns and value; None where `table` is that.
    value
        The column of `table` to compare; a fraction.

    Returns
    -------
    DataFrame
        The rows for which there is a dense run, dense ones left out, with the columns dense (its mean) and difference.
    """
    runs = table if runs is None else runs
    dense = runs[runs["method"] == "dense"]
    unusual = dense["variant"] != ""
    dense = dense[~unusual | unusual.groupby([dense[column] for column in _SAME_TASK]).transform("all")]
    dense = dense.groupby(_SAME_TASK, as_index=False).agg(dense=("value", "mean"))
    table = table[table["method"] != "dense"].merge(dense, on=_SAME_TASK)
    return table.assign(difference=table[value] - table["dense"])


def published_lines(
    published: pd.DataFrame, tasks: Collection[str], methods: Collection[str], metric: str | None = None
) -> pd.DataFrame:
    """Published points of some tasks and methods, with the columns name for each line and encoder, of no panel here.

    Parameters
    ----------
    published
        From `smp_lab.storage.published.published_points`.
    tasks, methods
        Which ones.
    metric
        Which one; None for the main metric of each task.
    """
    wanted = of_main_metric(published) if metric is None else published["metric"] == metric
    table = published[wanted & published["task"].isin(list(tasks)) & published["method"].isin(list(methods))]
    suffix = table["distilled"].map({True: ", distilled", False: ""})
    return table.assign(name=table["method_title"] + ", " + table["base_model"] + suffix, encoder="")


def differences(
    runs: pd.DataFrame, means: pd.DataFrame, published: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """`difference_to_dense` of runs, of means over them, and of published points, whose dense runs are their own.

    A line and its dots have one reference: the mean over dense runs.
    """
    reference = published.assign(base_model_sha256=published["base_model"], data_sha256="published", variant="")
    published = difference_to_dense(reference)
    if runs.empty:
        return runs, means, published
    return difference_to_dense(runs), difference_to_dense(means, runs, "mean"), published
