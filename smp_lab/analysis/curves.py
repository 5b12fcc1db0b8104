"""The metric against remaining weights: lines over seeds, differences to dense fine-tuning, and sizes on disk."""

from __future__ import annotations

import numpy as np
import pandas as pd

from smp_lab.analysis.labels import method_name, without_tags
from smp_lab.analysis.replicates import over_seeds
from smp_lab.layout import EncoderLayout

# What a line of a figure is; fingerprints set altered copies apart.
_LINE = ["task", "metric", "method", "variant", "base_model", "base_model_sha256", "data_sha256"]
_SAME_TASK = ["task", "metric", "base_model_sha256", "data_sha256"]

BYTES_PER_PARAMETER = 4


def line_names(runs: pd.DataFrame) -> list[str]:
    """What legends call the line of each run: its method, its variant, and the encoder where there are several.

    Parameters
    ----------
    runs
        Columns method, variant, base_model.
    """
    several = len(set(runs["base_model"])) > 1
    encoders = runs["base_model"] if several else [""] * len(runs)
    parts = zip(runs["method"].map(method_name), runs["variant"], encoders, strict=True)
    return [without_tags(", ".join(filter(None, names))) for names in parts]


def mean_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds in the order in which they are drawn: line by line, from few weights to many.

    Parameters
    ----------
    runs
        A row per run: columns of `run_table.COLUMNS`, low and high (of the development set's interval), and name (of
        `line_names`).

    Returns
    -------
    DataFrame
        From `replicates.over_seeds`.
    """
    return over_seeds(runs).sort_values([*_LINE, "remaining"], kind="stable", ignore_index=True)


def difference_to_dense(runs: pd.DataFrame, value: str = "value") -> pd.DataFrame:
    """Each row's value minus the mean of dense fine-tuning of the same task, encoder and data.

    Parameters
    ----------
    runs
        Columns task, metric, method, base_model_sha256, data_sha256 and `value`.
    value
        The column to compare; a fraction.

    Returns
    -------
    DataFrame
        The rows for which there is a dense run, dense ones left out, with the columns dense (its mean) and difference.
    """
    dense = runs[runs["method"] == "dense"].groupby(_SAME_TASK, as_index=False).agg(dense=(value, "mean"))
    table = runs[runs["method"] != "dense"].merge(dense, on=_SAME_TASK)
    return table.assign(difference=table[value] - table["dense"])


def model_remaining(layout: EncoderLayout, kept: int) -> float:
    """Remaining fraction of the whole model: embeddings, biases, LayerNorm and pooler are never pruned."""
    return (layout.n_parameters - layout.n_weights + kept) / layout.n_parameters


def plain_mask_bytes(layout: EncoderLayout) -> int:
    """Bytes of one mask at one bit a weight, not compressed."""
    return -(-layout.n_weights // 8)


def storage_of_tasks(layout: EncoderLayout, n_tasks: int, mask_bytes: float) -> pd.DataFrame:
    """Bytes that several tasks take, with float32 weights: fine-tuned models against masks over one shared encoder.

    Parameters
    ----------
    layout
        Of the encoder; task heads of either way are left out.
    n_tasks
        How many.
    mask_bytes
        Of one stored mask.

    Returns
    -------
    DataFrame
        Rows "fine-tuned", "masks, one bit a weight" and "masks, as stored": bytes, and times (how many of these the
        fine-tuned models would take).
    """
    model = BYTES_PER_PARAMETER * layout.n_parameters
    n_bytes = np.array(
        [n_tasks * model, model + n_tasks * plain_mask_bytes(layout), model + n_tasks * mask_bytes], np.float64
    )
    ways = ["fine-tuned", "masks, one bit a weight", "masks, as stored"]
    return pd.DataFrame({"way": ways, "n_tasks": n_tasks, "bytes": n_bytes, "times": n_bytes[0] / n_bytes})
