"""The metric against remaining weights: which runs are replicates, their mean and spread, and sizes on disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from smp_lab.config import RunConfig, canonical_json
from smp_lab.layout import EncoderLayout
from smp_lab.methods import MEASURED

# What runs of one line may differ in: the level, and what a schedule has to be told to get there.
_ALONG_A_LINE = frozenset({"remaining", "seed", "schedule_fraction", "schedule_steps"})
# What comes and goes with another setting, which says enough: label words with the head, a ramp with the regulariser.
_FOLLOWS = frozenset(
    {
        "label_words",
        "head_learning_rate",
        "regularizer_ramp",
        "kl_direction",
        "distillation_temperature",
        "distillation_weight",
    }
)
# A method that measures the remaining fraction gets to another one by these.
_LEVELS_OF_MEASURED = frozenset({"regularizer", "threshold"})
# Fingerprints say nothing to a reader; the names beside them do, and differ where these differ but for altered copies.
_LINE = ["task", "metric", "method", "variant", "base_model", "base_model_sha256", "data_sha256"]
_SAME_TASK = ["task", "metric", "base_model_sha256", "data_sha256"]

BYTES_PER_PARAMETER = 4


def variants(configs: Sequence[RunConfig]) -> list[str]:
    """What sets each run apart from the usual run of its task and method among these, in words.

    Runs with the same variant stand on one line. Of each setting the most common value is the usual one.

    Returns
    -------
    list of str
        As "head linear, epochs 3"; empty for a usual run. What comes and goes with another setting is left out where
        the rest still tells the runs apart.
    """
    described = [_line_settings(config) for config in configs]
    usual: dict[tuple[str, str, str], Counter[object]] = {}
    for config, settings in zip(configs, described, strict=True):
        for name, value in settings.items():
            usual.setdefault((config.task, config.method, name), Counter())[value] += 1
    names: list[str] = []
    short_names: list[str] = []
    meanings: dict[tuple[str, str], set[str]] = {}
    for config, settings in zip(configs, described, strict=True):
        common = {name: usual[config.task, config.method, name].most_common(1)[0][0] for name in settings}
        unusual = {name: setting_text(value) for name, value in settings.items() if value != common[name]}
        following = {name for name in unusual if name in _FOLLOWS and None in (settings[name], common[name])}
        names.append(", ".join(f"{name} {text}" for name, text in unusual.items()))
        short_names.append(", ".join(f"{name} {text}" for name, text in unusual.items() if name not in following))
        meanings.setdefault((config.method, short_names[-1]), set()).add(names[-1])
    return [
        short if len(meanings[config.method, short]) == 1 else name
        for config, short, name in zip(configs, short_names, names, strict=True)
    ]


def settings_but_seed(config: RunConfig) -> str:
    """One text of all settings but the seed: runs that agree in it are replicates."""
    return canonical_json(config.to_dict() | {"seed": None})


def _line_settings(config: RunConfig) -> dict[str, object]:
    """Settings that runs of one line share, task and method aside."""
    along = _ALONG_A_LINE | (_LEVELS_OF_MEASURED if config.method_info.remaining == MEASURED else frozenset())
    hidden = along | {"task", "method", "base_model", "base_model_sha256", "data_sha256"}
    return {name: value for name, value in config.to_dict().items() if name not in hidden}


def setting_text(value: object) -> str:
    """A setting as people write it: ``("yes", "no")`` as "yes/no", ``8.0`` as "8"."""
    if isinstance(value, (list, tuple)):
        return "/".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def over_seeds(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over runs that differ in the seed alone.

    Parameters
    ----------
    runs
        A row per run: task, metric, method, variant, base_model, base_model_sha256, data_sha256, name (what legends
        call that line), level (what sets runs of a line apart, the seed aside), remaining, value, low, high
        (fractions), n_examples.

    Returns
    -------
    DataFrame
        A row per replicated setting, by line and then by remaining: the columns that define it, remaining and mean
        (means over seeds), sd (over seeds, n - 1 in the denominator; NaN for one seed), n_seeds, n_examples, sampling
        (half the width of the development set's interval, mean over seeds).
    """
    table = runs.assign(sampling=(runs["high"] - runs["low"]) / 2)
    grouped = table.groupby([*_LINE, "level"], sort=False, dropna=False).agg(
        name=("name", "first"),
        remaining=("remaining", "mean"),
        mean=("value", "mean"),
        sd=("value", "std"),
        n_seeds=("value", "size"),
        n_examples=("n_examples", "first"),
        sampling=("sampling", "mean"),
    )
    return grouped.reset_index().sort_values([*_LINE, "remaining"], kind="stable", ignore_index=True)


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
