"""What a task costs: parameters, fractions that remain, and bytes on disk (Table 1 of Jiang et al. 2023)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from smp_lab.analysis.labels import percent
from smp_lab.analysis.run_table import Run, of_main_metric
from smp_lab.config import canonical_json
from smp_lab.layout import EncoderLayout
from smp_lab.tasks import get_task

BYTES_PER_PARAMETER = 4
_CUTS = [
    *("run_id", "run", "task", "cut", "parameters", "left"),
    *("metric", "value", "low", "high", "change", "n_examples", "majority"),
]


class Measurement(Protocol):
    """What was measured of a mask; a measurement record has it."""

    @property
    def settings(self) -> Any:
        """kind, mask_id, task, base_model_sha256, data_sha256 and options."""

    @property
    def provenance(self) -> Mapping[str, Any]:
        """created_utc and processor."""

    @property
    def table(self) -> pd.DataFrame:
        """Columns of its kind."""


def costs(runs: Iterable[Run], labels: Mapping[str, str], mask_bytes: Mapping[str, int]) -> pd.DataFrame:
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


def storage_of_tasks(layout: EncoderLayout, n_tasks: int, mask_bytes: float, compact: float = math.nan) -> pd.DataFrame:
    """Bytes that several tasks take, with float32 weights: models of their own against masks over one shared encoder.

    Parameters
    ----------
    layout
        Of the encoder; task heads of either way are left out.
    n_tasks
        How many.
    mask_bytes
        Of one stored mask.
    compact
        Bytes of one compact model.

    Returns
    -------
    DataFrame
        Rows "fine-tuned", "masks, one bit a weight", "masks, as stored" and, where its size is known, "compact": bytes,
        and times (how many of these the fine-tuned models would take).
    """
    model = BYTES_PER_PARAMETER * layout.n_parameters
    ways = {
        "fine-tuned": n_tasks * model,
        "masks, one bit a weight": model + n_tasks * plain_mask_bytes(layout),
        "masks, as stored": model + n_tasks * mask_bytes,
        "compact": n_tasks * compact,
    }
    table = pd.DataFrame({"way": list(ways), "n_tasks": n_tasks, "bytes": list(map(float, ways.values()))}).dropna()
    return table.assign(times=table["bytes"].iloc[0] / table["bytes"])


def cut_table(measurements: Iterable[Measurement], labels: Mapping[str, str]) -> pd.DataFrame:
    """What is left of encoders, and of the main metric, where rows of few kept weights are emptied and cut out.

    Parameters
    ----------
    measurements
        Of the kinds "score" and "size"; those that have both are taken, of several the newest. A mask's scores on a
        task are of the newest classifier and examples: those of two differ for other reasons than a cut.
    labels
        Mask id -> label; others are left out.

    Returns
    -------
    DataFrame
        A row per mask, task that it was scored on, and cut: run_id, run (label, and the task where there are several),
        task, cut, parameters (of the encoder), left (their fraction of the whole encoder's), metric, value, low, high
        (fractions), change (of the value, to cut 0), n_examples, majority (the baseline's value).
    """
    measured = list(measurements)
    scores, sizes = (_rows(measured, labels, kind) for kind in ("score", "size"))
    if scores.empty or sizes.empty:
        return pd.DataFrame(columns=_CUTS)
    newest = scores.groupby(["run_id", "task"])["classifier"].transform("last")
    scores = scores[scores["classifier"] == newest]
    table = scores[of_main_metric(scores)].merge(
        sizes[["run_id", "cut", "parameters", "published"]], on=["run_id", "cut"]
    )
    whole = table["value"].where(table["cut"] == 0).groupby([table["run_id"], table["task"]]).transform("first")
    several = table.groupby("run_id")["task"].transform("nunique") > 1
    titles = table["task"].map(lambda task: get_task(task).title)
    return table.assign(
        run=table["run"].where(~several, table["run"] + ", on " + titles),
        left=table["parameters"] / table["published"],
        change=table["value"] - whole,
    )[_CUTS]


def _classifier(measured: Measurement) -> str:
    """What a mask was scored with, and on which examples."""
    settings = measured.settings
    options = {name: value for name, value in settings.options.items() if name != "cuts"}
    return canonical_json([settings.base_model_sha256, settings.data_sha256, options])


def time_table(measurements: Iterable[Measurement], labels: Mapping[str, str]) -> pd.DataFrame:
    """How long forms of masked encoders take, of several measurements the newest.

    Parameters
    ----------
    measurements
        Of the kinds "time" and "size".
    labels
        Mask id -> label; others are left out.

    Returns
    -------
    DataFrame
        A row per mask, form, cut, number of threads, length and batch: run_id, run (label), task, the columns of kind
        "time", left (fraction of the encoder's parameters in it; NaN where it was not measured) and machine.
    """
    measured = list(measurements)
    times, sizes = (_rows(measured, labels, kind) for kind in ("time", "size"))
    times = times.merge(sizes[["run_id", "cut", "parameters", "published"]], on=["run_id", "cut"], how="left")
    # Zeros are parameters too: masked weights and sparse rows leave the encoder as large as it was.
    smaller = times["form"].isin(["compact", "onnx"])
    left = (times["parameters"] / times["published"]).where(smaller, 1.0)
    return times.drop(columns="classifier").assign(left=left)


# Kind of measurement -> the columns that tell its rows apart.
_IDENTITY: Mapping[str, list[str]] = {
    "score": ["run_id", "task", "cut", "metric", "classifier"],
    "size": ["run_id", "cut"],
    "time": ["run_id", "form", "cut", "threads", "length", "batch"],
}


# Others that are asked for where nothing was measured.
_COLUMNS: Mapping[str, list[str]] = {
    "score": ["run"],
    "size": ["parameters", "published"],
    "time": ["run", "task", "faster", "machine", "classifier"],
}


def _rows(measured: Sequence[Measurement], labels: Mapping[str, str], kind: str) -> pd.DataFrame:
    """Rows of all measurements of a kind; of those that say the same thing the newest."""
    tables = [
        each.table.assign(
            run_id=each.settings.mask_id,
            run=labels[each.settings.mask_id],
            task=each.settings.task,
            machine=str(each.provenance.get("processor", "")),
            classifier=_classifier(each),
        )
        for each in sorted(measured, key=lambda each: each.provenance.get("created_utc", ""))
        if each.settings.kind == kind and each.settings.mask_id in labels
    ]
    by = _IDENTITY[kind]
    if not tables:
        return pd.DataFrame(columns=[*by, *_COLUMNS[kind]])
    return pd.concat(tables, ignore_index=True).drop_duplicates(by, keep="last").reset_index(drop=True)


def cut_cells(cuts: pd.DataFrame, times: pd.DataFrame) -> pd.DataFrame:
    """What was measured of compact forms as people read it.

    Parameters
    ----------
    cuts, times
        Of `cut_table`, and of `time_table` at one size and number of threads.

    Returns
    -------
    DataFrame
        A row per run, the smallest encoder first, and a column per cut: what is left of the encoder, change of the
        metric in points (where the cut is not 0) and times as fast as masked weights (where it was timed).
    """
    compact = times.loc[times["form"] == "compact", ["run_id", "task", "cut", "faster"]]
    both = cuts.merge(compact, on=["run_id", "task", "cut"], how="left")
    both["cell"] = [
        ", ".join(
            [
                percent(left),
                # Not -0.0.
                *([f"{100 * change:+z.1f}"] if cut else []),
                *([f"{faster:.2f} x"] if faster == faster else []),
            ]
        )
        for cut, left, change, faster in both[["cut", "left", "change", "faster"]].to_numpy().tolist()
    ]
    cells = both.pivot_table(index="run", columns="cut", values="cell", aggfunc="first").fillna("-")
    fewest = both.groupby("run")["left"].min().sort_values(kind="stable")
    cells = cells.loc[fewest.index].reset_index()
    return cells.rename(columns=lambda name: name if name == "run" else f"K = {name}")


def best_cut(cuts: pd.DataFrame, times: pd.DataFrame) -> pd.Series[Any] | None:
    """The fastest compact form that loses at most a point of its metric, of masks that learned something.

    Fastest by the lower end of the middle half of its rounds; a mask has learned something where the interval of its
    metric lies above the majority-class baseline.

    Parameters
    ----------
    cuts, times
        Of `cut_table`, and of `time_table` at one size and number of threads.

    Returns
    -------
    Series
        Columns of both; None where nothing was timed.
    """
    learned = cuts[cuts["low"] > cuts["majority"].fillna(0)].drop(columns=["run", "left"])
    both = times[times["form"] == "compact"].merge(learned, on=["run_id", "task", "cut"])
    # Rounded first: 0.85 - 0.86 is a little more than a point in floating point.
    both = both[both["change"].round(9) >= -0.01]
    return None if both.empty else both.iloc[int(both["faster_low"].argmax())]


def tasks_until_masks_are_smaller(layout: EncoderLayout, mask_bytes: float, model_bytes: float) -> int | None:
    """Fewest tasks at which one float32 encoder with a mask each takes less than a model of `model_bytes` each.

    None where a model is no larger than a mask: they never do.
    """
    gain = model_bytes - mask_bytes
    return math.floor(BYTES_PER_PARAMETER * layout.n_parameters / gain) + 1 if gain > 0 else None
