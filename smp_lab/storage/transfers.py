"""What a finished mask scores on a task, its own or another: one JSON file each in the transfers folder of some runs.

With frozen weights a mask, the encoder and a task's label words are a whole classifier, so that the mask of one task
can be tried on another. A run record never changes; these are records of their own, written once and verified whenever
they are read::

    transfers/{transfer_id}.json   schema_version, transfer_id, settings, provenance, results, sha256 of all that
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Strict
from pydantic.dataclasses import dataclass as checked_dataclass

from smp_lab.config import canonical_json, digest_of
from smp_lab.errors import MaskFormatError, RunFormatError
from smp_lab.methods import get_method
from smp_lab.paths import TRANSFERS_FOLDER
from smp_lab.storage.predictions import predictions_table
from smp_lab.storage.runs import RunRecord
from smp_lab.storage.store import Store, cut
from smp_lab.storage.versions import EXACT, TransferVersion1
from smp_lab.tasks import Task, get_task


@checked_dataclass(frozen=True, kw_only=True, config=EXACT)
class TransferSettings:
    """What defines a transfer: a mask, and the classifier that it makes of its encoder.

    Parameters
    ----------
    mask_run, mask_task
        The run that the mask is of, and its task; None for a control mask, which is made for the comparison.
    mask_method, mask_seed
        Of the run, or of the control.
    mask_remaining
        Fraction that the mask was asked to keep; the one it keeps where its method measures that.
    mask_sha256
        Of `MaskSet.sha256`.
    base_model, base_model_sha256
        As in `RunConfig`.
    task
        The task that it is scored on.
    data_sha256
        Of `TaskData.development_sha256`.
    label_words, regression_head, max_length, precision
        Of the classifier, as in `RunConfig`.

    Raises
    ------
    ValidationError
        If a setting is missing, unknown or of another type.
    ConfigError
        If the task or method is unknown.
    """

    mask_run: str | None
    mask_task: str | None
    mask_method: str
    mask_remaining: float
    mask_seed: int
    mask_sha256: str
    base_model: str
    base_model_sha256: str
    task: str
    data_sha256: str
    # JSON has lists.
    label_words: Annotated[tuple[str, ...], Strict(False)]
    regression_head: str | None
    max_length: int
    precision: str

    def __post_init__(self) -> None:
        get_method(self.mask_method)
        for task in filter(None, (self.task, self.mask_task)):
            get_task(task)

    @property
    def transfer_id(self) -> str:
        """``{mask}-on-{task}-{hash8}``; the words are for eyes, the hash of all settings is the identity."""
        mask = self.mask_run or f"{self.mask_method}-r{self.mask_remaining:g}-s{self.mask_seed}"
        return f"{mask}-on-{self.task}-{digest_of(asdict(self))[:8]}"

    @property
    def task_info(self) -> Task:
        """Entry of the task table for the task that the mask is scored on."""
        return get_task(self.task)

    @property
    def classifier(self) -> str:
        """One text of all settings but the mask's: transfers to one task that agree in it can be compared."""
        return canonical_json({name: value for name, value in asdict(self).items() if not name.startswith("mask_")})


@dataclass(frozen=True)
class TransferRecord:
    """One mask on one task.

    Parameters
    ----------
    path
        Its file.
    settings
        What defined it.
    provenance
        As in `RunRecord`; wall_seconds is the time of the evaluation.
    results
        ``metrics``: value per metric, a fraction; ``majority``: the same of the best answer that is one and the same
        for all examples (0 for a correlation); ``n_examples`` per development split; ``kept``, ``n_weights``: counts of
        the encoder; ``predictions``: a text per column, values with blanks between.
    """

    path: Path
    settings: TransferSettings
    provenance: Mapping[str, Any]
    results: Mapping[str, Any]

    @property
    def transfer_id(self) -> str:
        """Identity of the transfer."""
        return self.settings.transfer_id

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row per development example; columns as in `RunRecord.predictions`."""
        task, n_examples = self.settings.task_info, self.results["n_examples"]
        columns = _predictions_from_text(self.results["predictions"], task)
        sizes = [n_examples[split] for _, split in task.splits]
        split = np.repeat(np.arange(len(sizes), dtype=np.uint8), sizes)
        return predictions_table({"split": split, **columns}, task, n_examples, f"{self.path}: predictions")

    def check_mask(self, run: RunRecord) -> None:
        """Refuse a transfer of another mask than its run holds now.

        Raises
        ------
        RunFormatError, MaskFormatError
            If it is, or the mask of the run cannot be read.
        """
        if run.masks.sha256 != self.settings.mask_sha256:
            raise MaskFormatError(
                f"{self.path} was made with another mask than run {run.run_id} holds. Delete it and start smp-lab "
                "transfer again."
            )


def _predictions_from_text(texts: Mapping[str, str], task: Task) -> dict[str, Any]:
    types = task.kind.columns
    if unknown := sorted(set(texts) - set(types)):
        raise RunFormatError(f"Predictions have no column {cut(unknown[0])!r}.")
    columns = {}
    for name, text in texts.items():
        # Text is no boolean: "0" and "1" are numbers first.
        values = np.array(text.split(), np.float64)
        columns[name] = values.astype(types[name])
        if types[name] is not np.float32 and not np.array_equal(columns[name], values):
            raise RunFormatError(f"Predictions have a {name} that is no whole number of its range.")
    return columns


def save_transfer(
    runs: Path,
    *,
    settings: TransferSettings,
    provenance: Mapping[str, Any],
    results: Mapping[str, Any],
    predictions: pd.DataFrame,
) -> TransferRecord:
    """Write a transfer as `Store.save` does; raises as that."""
    columns = predictions.drop(columns="split")
    # Nine digits name every float32.
    texts = {str(name): " ".join(f"{value:.9g}" for value in columns[name]) for name in columns}
    return TRANSFERS.save(runs, settings, provenance, {**results, "predictions": texts})


def _build(file: Path, content: Mapping[str, Any], model: TransferVersion1) -> TransferRecord:
    settings, results = TransferSettings(**content["settings"]), model.results
    task = settings.task_info
    record = TransferRecord(file, settings, content["provenance"], content["results"])
    if (
        set(results.n_examples) != {split for _, split in task.splits}
        or not set(task.metrics) <= set(results.metrics) & set(results.majority)
        or results.kept > results.n_weights
    ):
        raise RunFormatError(f"{file} has metrics or counts that do not fit its task. {TRANSFERS.again}")
    # Read once, so that a listed transfer is one whose predictions can be shown; a table of them is not kept.
    _ = record.predictions
    return TransferRecord(file, settings, content["provenance"], content["results"])


TRANSFERS: Store[TransferRecord] = Store(
    kind="transfer",
    id_name="transfer_id",
    versions={1: TransferVersion1},
    folder=TRANSFERS_FOLDER,
    json_name=None,
    build=_build,
    again="Restore it, or delete it and start smp-lab transfer again.",
)
