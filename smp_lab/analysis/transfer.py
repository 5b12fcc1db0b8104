"""What a mask scores on other tasks than its own, beside the masks of those tasks and masks that nobody trained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from smp_lab.analysis.labels import method_name, percent
from smp_lab.analysis.sampling import Reliability
from smp_lab.errors import RunFormatError
from smp_lab.tasks import TASKS

OWN, OTHER_TASK, RANDOM, MAGNITUDE = KINDS = ("own", "other task", "random", "magnitude")


class Transfer(Protocol):
    """One mask in the classifier of one task; a transfer record has it."""

    @property
    def transfer_id(self) -> str:
        """Identity."""

    @property
    def settings(self) -> Any:
        """Which mask and which classifier; `storage.transfers.TransferSettings`."""

    @property
    def results(self) -> Mapping[str, Any]:
        """Metrics, and those of the majority-class baseline."""


SomeTransfer = TypeVar("SomeTransfer", bound=Transfer)


def transfers_of_masks(
    transfers: Iterable[SomeTransfer], mask_sha256: Mapping[str, str]
) -> tuple[list[SomeTransfer], list[str]]:
    """Transfers of the masks that some runs hold now, and of control masks that keep as much of the same encoder.

    Parameters
    ----------
    transfers
        All there are.
    mask_sha256
        Run id -> digest of its mask.

    Returns
    -------
    list of Transfer
        In their order, those of controls last.
    list of str
        Runs that hold another mask now than the one that was measured.
    """
    every = list(transfers)
    ours = [transfer for transfer in every if transfer.settings.mask_run in mask_sha256]
    known = [t for t in ours if mask_sha256[t.settings.mask_run] == t.settings.mask_sha256]
    kinds = {(t.settings.base_model_sha256, t.settings.mask_remaining) for t in known}
    controls = [
        t
        for t in every
        if t.settings.mask_run is None and (t.settings.base_model_sha256, t.settings.mask_remaining) in kinds
    ]
    altered = {t.settings.mask_run for t in ours} - {t.settings.mask_run for t in known}
    return known + controls, sorted(altered)


def measured_transfers(
    transfers: Sequence[Transfer], known: Sequence[Reliability], labels: Mapping[str, str]
) -> pd.DataFrame:
    """Transfers as the rows that `transfer_table` reads, by task of the mask, then by label and task.

    Parameters
    ----------
    transfers
        Of masks of one encoder that keep equally much.
    known
        Of the main metric of each.
    labels
        Run id -> what its mask is called. A control mask is called by its method.

    Raises
    ------
    RunFormatError
        If there are none, or if they are not of one encoder and level.
    """
    kinds = {(t.settings.base_model_sha256, percent(t.settings.mask_remaining)) for t in transfers}
    if len(kinds) > 1:
        raise RunFormatError(
            f"Transfers are compared for masks of one encoder that keep equally much; got {len(kinds)} of such kinds. "
            "Take those of one."
        )
    if not transfers:
        raise RunFormatError("There are no transfers to compare. `smp-lab transfer` measures masks on other tasks.")
    places = {task: place for place, task in enumerate(TASKS)}
    rows = []
    for transfer, reliability in zip(transfers, known, strict=True):
        settings = transfer.settings
        metric = settings.task_info.main_metric
        rows.append(
            {
                "transfer_id": transfer.transfer_id,
                "label": labels.get(settings.mask_run) or _control_name(settings),
                "mask_run": settings.mask_run,
                "mask_task": settings.mask_task,
                "mask_method": settings.mask_method,
                "mask_seed": settings.mask_seed,
                "task": settings.task,
                "classifier": settings.classifier,
                "metric": metric,
                "value": transfer.results["metrics"][metric],
                "low": reliability.low,
                "high": reliability.high,
                "n_examples": reliability.n_examples,
                "majority": transfer.results["majority"][metric],
            }
        )
    table = pd.DataFrame(rows)
    table = table.assign(
        mask_place=table["mask_task"].map(places).fillna(len(places)), task_place=table["task"].map(places)
    ).sort_values(["mask_place", "label", "task_place"], kind="stable", ignore_index=True)
    return table.drop(columns=["mask_place", "task_place"])


def _control_name(settings: Any) -> str:
    name = method_name(settings.mask_method)
    return f"{name}, draw {settings.mask_seed}" if settings.mask_method == "random" else name


def transfer_table(transfers: pd.DataFrame) -> pd.DataFrame:
    """Each mask on each task, with what the task's own masks and the controls score on the same examples.

    Parameters
    ----------
    transfers
        A row per mask and task, masks of one encoder that keep equally much: mask_task (None for a mask that no run
        holds), mask_method, task, classifier (text that two share if their numbers can be compared: words, lengths,
        precision, examples), value and majority (of one metric per task, fractions).

    Returns
    -------
    DataFrame
        The rows of the most frequent classifier of each task, with kind (one of `KINDS`); own, random, magnitude: mean
        value of the masks of that kind on that task, NaN where there is none; difference_to_own, difference_to_random,
        difference_to_magnitude: value minus that; share: where the value lies between the majority-class baseline (0)
        and the own masks (1), NaN where those are not above it.
    """
    method, own = transfers["mask_method"], transfers["mask_task"] == transfers["task"]
    is_of = [method == "random", method == "magnitude_frozen", own]
    table = transfers.assign(kind=np.select(is_of, [RANDOM, MAGNITUDE, OWN], OTHER_TASK))
    usual = table.groupby("task")["classifier"].transform(lambda classifiers: classifiers.value_counts().index[0])
    table = table[table["classifier"] == usual].reset_index(drop=True)
    for kind in (OWN, RANDOM, MAGNITUDE):
        mean = table[table["kind"] == kind].groupby("task")["value"].mean()
        table[kind] = table["task"].map(mean).astype(float)
        table[f"difference_to_{kind}"] = table["value"] - table[kind]
    reach = table[OWN] - table["majority"]
    return table.assign(share=((table["value"] - table["majority"]) / reach).where(reach > 0))
