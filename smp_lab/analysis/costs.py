"""What a task costs: parameters, fractions that remain, and bytes on disk (Table 1 of Jiang et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd

from smp_lab.analysis.run_table import Run
from smp_lab.layout import EncoderLayout
from smp_lab.tasks import get_task

BYTES_PER_PARAMETER = 4
_CUTS = ["run_id", "run", "task", "cut", "left", "metric", "value", "low", "high", "change", "n_examples"]


class Measurement(Protocol):
    """What was measured of a mask; a measurement record has it."""

    @property
    def settings(self) -> Any:
        """kind, mask_id and task."""

    @property
    def table(self) -> pd.DataFrame:
        """Columns of its kind."""


class Trained(Run, Protocol):
    """A run with the shapes of its encoder and its results; a run record has them."""

    @property
    def layout(self) -> EncoderLayout:
        """Shapes of the encoder."""

    @property
    def results(self) -> Mapping[str, Any]:
        """Of a record: trainable_parameters, new_parameters and kept."""

    @property
    def has_masks(self) -> bool:
        """Whether a mask is stored."""


def costs(runs: Iterable[Trained], labels: Mapping[str, str], mask_bytes: Mapping[str, int]) -> pd.DataFrame:
    """A row per run.

    Parameters
    ----------
    runs
        With masks or without.
    labels, mask_bytes
        Run id -> label; run id -> size of the file of its mask, where it is known.

    Returns
    -------
    DataFrame
        Columns run (label), task, method, trainable and new (parameters), encoder and model (remaining fractions),
        packed and stored (bytes of the mask at one bit a weight, and as stored; NaN without), base_model, run_id.
    """
    return pd.DataFrame(
        {
            "run": labels[run.run_id],
            "task": run.config.task,
            "method": run.config.method,
            "trainable": int(run.results["trainable_parameters"]),
            "new": float(run.results["new_parameters"]),
            "encoder": run.remaining,
            "model": model_remaining(run.layout, int(np.sum(run.results["kept"]))),
            "packed": plain_mask_bytes(run.layout) if run.has_masks else np.nan,
            "stored": mask_bytes.get(run.run_id, np.nan),
            "base_model": run.config.base_model,
            "run_id": run.run_id,
        }
        for run in runs
    )


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


def cut_table(measurements: Iterable[Measurement], labels: Mapping[str, str]) -> pd.DataFrame:
    """What is left of encoders, and of the main metric, where rows of few kept weights are emptied and cut out.

    Parameters
    ----------
    measurements
        Of the kinds "score" and "size"; those that have both are taken.
    labels
        Mask id -> label; others are left out.

    Returns
    -------
    DataFrame
        A row per mask and cut: run_id, run (label), task, cut, left (fraction of the encoder's parameters), metric,
        value, low, high (fractions), change (of the value, to cut 0), n_examples.
    """
    tables: dict[tuple[str, str], pd.DataFrame] = {}
    for each in measurements:
        if each.settings.mask_id in labels:
            tables[each.settings.mask_id, each.settings.kind] = each.table.assign(task=each.settings.task)
    rows = []
    for (mask_id, kind), scores in tables.items():
        if kind != "score" or (mask_id, "size") not in tables:
            continue
        metric = get_task(scores["task"].iloc[0]).main_metric
        scores = scores[scores["metric"] == metric].merge(tables[mask_id, "size"].drop(columns="task"), on="cut")
        rows.append(
            scores.assign(
                run_id=mask_id,
                run=labels[mask_id],
                left=scores["parameters"] / scores["published"],
                change=scores["value"] - scores.loc[scores["cut"] == 0, "value"].min(),
            )
        )
    return pd.concat(rows, ignore_index=True)[_CUTS] if rows else pd.DataFrame(columns=_CUTS)


def tasks_until_masks_are_smaller(layout: EncoderLayout, mask_bytes: float, model_bytes: float) -> int | None:
    """Fewest tasks at which one float32 encoder with a mask each takes less than a model of `model_bytes` each.

    None where a model is no larger than a mask: they never do.
    """
    gain = model_bytes - mask_bytes
    return math.floor(BYTES_PER_PARAMETER * layout.n_parameters / gain) + 1 if gain > 0 else None
