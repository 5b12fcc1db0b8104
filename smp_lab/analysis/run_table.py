"""A run as a row of a table: made here and nowhere else, with the type of every column as data."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import pandas as pd

from smp_lab.analysis.labels import variants
from smp_lab.analysis.replicates import settings_but_seed
from smp_lab.config import RunConfig
from smp_lab.layout import EncoderLayout
from smp_lab.tasks import get_task

# Column -> its type. Fractions are fractions; text is never missing.
COLUMNS: Mapping[str, str] = {
    "run_id": "str",
    "task": "str",
    "method": "str",
    # The fraction that the run was asked to keep; NaN where its method measures it.
    "level": "float64",
    # The measured fraction of the encoder's prunable weights.
    "remaining": "float64",
    # What sets it apart from the usual run of its task, method and encoder in the table; empty for a usual run.
    "variant": "str",
    "seed": "int64",
    # The task's main metric at the last evaluation: its name, its value, the examples it was measured on.
    "metric": "str",
    "value": "float64",
    "n_examples": "int64",
    "base_model": "str",
    "base_model_sha256": "str",
    "data_sha256": "str",
    # All settings but the seed: runs that agree in it are replicates.
    "settings": "str",
}
# What tells one encoder's rows from another's.
ENCODER = ["base_model", "base_model_sha256"]


class Run(Protocol):
    """What a row is made of, and results; a run record has them."""

    @property
    def config(self) -> RunConfig:
        """Settings."""

    @property
    def run_id(self) -> str:
        """Identity."""

    @property
    def remaining(self) -> float:
        """Measured fraction of the encoder's prunable weights."""

    @property
    def main_metric(self) -> str:
        """Name of the task's main metric."""

    @property
    def main_value(self) -> float:
        """Main metric at the last evaluation, a fraction."""

    @property
    def n_examples(self) -> int:
        """Examples that it was measured on."""

    @property
    def layout(self) -> EncoderLayout:
        """Shapes of its encoder."""

    @property
    def has_masks(self) -> bool:
        """Whether a mask is stored."""

    @property
    def results(self) -> Mapping[str, Any]:
        """Of a record: kept, evaluations, trainable_parameters, new_parameters."""


def run_table(runs: Iterable[Run]) -> pd.DataFrame:
    """A row per run, in order.

    Parameters
    ----------
    runs
        All that are available: which settings are usual is decided among them, so a page takes its rows from the
        table of all runs.

    Returns
    -------
    DataFrame
        Columns and types of `COLUMNS`. Encoders of one name have the start of their hash behind it, so that whatever
        goes by the name holds one encoder.
    """
    runs = list(runs)
    rows = [_row(run, variant) for run, variant in zip(runs, variants([run.config for run in runs]), strict=True)]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict(COLUMNS))
    shared = table.groupby("base_model")["base_model_sha256"].transform("nunique") > 1
    table.loc[shared, "base_model"] += " " + table["base_model_sha256"].str[:8]
    return table


def _row(run: Run, variant: str) -> tuple[Any, ...]:
    config = run.config
    facts = {
        "run_id": run.run_id,
        "level": config.remaining,
        "remaining": run.remaining,
        "variant": variant,
        "metric": run.main_metric,
        "value": run.main_value,
        "n_examples": run.n_examples,
        "settings": settings_but_seed(config),
    }
    return tuple(facts[name] if name in facts else getattr(config, name) for name in COLUMNS)


class Mask(Protocol):
    """What is known of a mask beside its bits; a mask record has it."""

    @property
    def mask_id(self) -> str:
        """Identity."""

    @property
    def task(self) -> str | None:
        """The task that it was learned on; None where it is not known."""

    @property
    def encoder(self) -> str:
        """Name of the encoder that it is for."""

    @property
    def encoder_sha256(self) -> str:
        """Fingerprint of that encoder."""

    @property
    def config(self) -> RunConfig | None:
        """Settings of the run that it is of; None elsewhere."""


def by_encoder(table: pd.DataFrame) -> list[tuple[tuple[str, str], pd.DataFrame]]:
    """Name and fingerprint of each encoder with its rows of a table with the columns `ENCODER`, as they appear."""
    return [((str(name), str(digest)), part) for (name, digest), part in table.groupby(ENCODER, sort=False)]


def of_main_metric(table: pd.DataFrame) -> pd.Series[bool]:
    """Whether each row is of the main metric of its task."""
    return table["metric"] == table["task"].map(lambda task: get_task(task).main_metric)


def rows_of(table: pd.DataFrame, run_ids: Sequence[str]) -> pd.DataFrame:
    """The rows of runs, in the order of their ids."""
    return table.set_index("run_id", drop=False).loc[list(run_ids)].reset_index(drop=True)


def tables_of_runs(contents: Sequence[tuple[Run | Mask, pd.DataFrame]], labels: Mapping[str, str]) -> pd.DataFrame:
    """One table of several, with the columns run_id, run, line, task, method, level, seed and `ENCODER` in front.

    Run is the run's label; line is what it shares with its replicates: the label without the seed, and with a hash
    where others have that too.

    Parameters
    ----------
    contents
        Runs, and a table of each. A mask without a run is taken too: its id stands as run_id, and of its method, level
        and seed nothing is known (empty, NaN and NaN).
    labels
        Run or mask id -> label.
    """
    tables = []
    replicates = Counter(_settings(each) for each, _ in contents)
    lines: dict[str, str] = {}
    for each, table in contents:
        facts, settings = _origin(each), _settings(each)
        label = labels[facts["run_id"]]
        if settings not in lines:
            n_seeds = replicates[settings]
            line = f"{re.sub(r' · seed [0-9]+.*$', '', label)} · {n_seeds} seeds" if n_seeds > 1 else label
            lines[settings] = f"{line} · {facts['run_id'][-8:]}" if line in lines.values() else line
        facts = {"run_id": facts["run_id"], "run": label, "line": lines[settings], **facts}
        tables.append(pd.concat([pd.DataFrame(facts, index=table.index), table], axis=1))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _settings(each: Any) -> str:
    # A mask may be that of a run beside it: it is nobody's replicate.
    return getattr(each, "mask_id", None) or settings_but_seed(each.config)


def _origin(each: Any) -> dict[str, Any]:
    config = each.config
    if config is None:
        return {
            "run_id": each.mask_id,
            "task": each.task or "",
            "method": "",
            "level": math.nan,
            "seed": math.nan,
            "base_model": each.encoder,
            "base_model_sha256": each.encoder_sha256,
        }
    return {
        "run_id": config.run_id,
        "task": config.task,
        "method": config.method,
        "level": math.nan if config.remaining is None else config.remaining,
        "seed": config.seed,
        "base_model": config.base_model,
        "base_model_sha256": config.base_model_sha256,
    }


def search(table: pd.DataFrame, labels: Mapping[str, str], words: str) -> pd.DataFrame:
    """The rows in whose label, id, metric, encoder or seed every word is found, whatever its case.

    A number has to be a word of its own: 1 is not part of 10.

    Parameters
    ----------
    table
        Of `run_table`.
    labels
        Run id -> label.
    words
        With blanks between; none for all rows.
    """
    wanted = words.casefold().split()
    if not wanted:
        return table
    parts = zip(table["run_id"], table["metric"], table["base_model"], table["seed"], strict=True)
    texts = [
        f"{labels[run_id]} {run_id} {metric} {base_model} seed {seed}".casefold()
        for run_id, metric, base_model, seed in parts
    ]
    return table[[all(word in (text.split() if word.isdigit() else text) for word in wanted) for text in texts]]
