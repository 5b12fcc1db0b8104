"""What a finished mask scores on a task, its own or another: one JSON file each in the transfers folder of some runs.

With frozen weights a mask, the encoder and a task's label words are a whole classifier, so that the mask of one task
can be tried on another. A run record never changes; these are records of their own, written once and verified whenever
they are read::

    transfers/{transfer_id}.json   schema_version, transfer_id, settings, provenance, results, sha256 of all that
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
import pandas as pd

from smp_lab.config import canonical_json
from smp_lab.errors import ConfigError, MaskFormatError, RunFormatError, RunWriteError
from smp_lab.methods import get_method
from smp_lab.paths import TEMPORARY_PREFIX, transfers_folder
from smp_lab.storage.runs import PREDICTION_COLUMNS, RunRecord
from smp_lab.storage.sealed import DIGEST, from_json, is_number, own_sha256, read_all, to_json, write_durably
from smp_lab.tasks import Task, get_task

SCHEMA_VERSION = 1
SUFFIX = ".json"

_KINDS = {"str": str, "int": int, "float": float, "tuple[str, ...]": tuple, "None": NoneType}


@dataclass(frozen=True, kw_only=True)
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
    ConfigError
        If a setting is of another type, or the task or method is unknown.
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
    label_words: tuple[str, ...]
    regression_head: str | None
    max_length: int
    precision: str

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, tuple(_KINDS[kind] for kind in str(field.type).split(" | "))):
                raise ConfigError(f"Setting {field.name} = {value!r} of a transfer is not of type {field.type}.")
        get_method(self.mask_method)
        for task in filter(None, (self.task, self.mask_task)):
            get_task(task)

    @property
    def transfer_id(self) -> str:
        """``{mask}-on-{task}-{hash8}``; the words are for eyes, the hash of all settings is the identity."""
        mask = self.mask_run or f"{self.mask_method}-r{self.mask_remaining:g}-s{self.mask_seed}"
        digest = hashlib.sha256(canonical_json(asdict(self)).encode()).hexdigest()
        return f"{mask}-on-{self.task}-{digest[:8]}"

    @property
    def task_info(self) -> Task:
        """Entry of the task table for the task that the mask is scored on."""
        return get_task(self.task)

    @property
    def classifier(self) -> str:
        """One text of all settings but the mask's: transfers to one task that agree in it can be compared."""
        return canonical_json({name: value for name, value in asdict(self).items() if not name.startswith("mask_")})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TransferSettings:
        """Inverse of `asdict`, for values from JSON.

        Raises
        ------
        ConfigError
            If a setting is missing, unknown or cannot be used.
        """
        words = values.get("label_words")
        try:
            return cls(**{**values, "label_words": tuple(words) if isinstance(words, list) else words})
        except TypeError as error:
            raise ConfigError(f"Settings of a transfer do not fit: {error}.") from None


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
        columns = _predictions_from_text(self.results["predictions"], self.settings.task_info.is_regression)
        sizes = [self.results["n_examples"][split] for _, split in self.settings.task_info.splits]
        return pd.DataFrame({"split": np.repeat(np.arange(len(sizes), dtype=np.uint8), sizes), **columns})

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


def _predictions_from_text(texts: Mapping[str, str], is_regression: bool) -> dict[str, Any]:
    types = {"prediction": np.float32 if is_regression else np.uint8, "error": np.float32, "correct": np.bool_}
    # Text is no boolean: "0" and "1" are numbers first.
    return {name: np.array(text.split(), np.float64).astype(types[name]) for name, text in texts.items()}


def save_transfer(
    runs: Path,
    *,
    settings: TransferSettings,
    provenance: Mapping[str, Any],
    results: Mapping[str, Any],
    predictions: pd.DataFrame,
) -> TransferRecord:
    """Write a transfer whole or not at all, and read it back. One that is there already is left as it is.

    Raises
    ------
    RunFormatError
        If results are missing or contradict the task.
    RunWriteError
        If a fact is not JSON, the folder cannot be written or the disk is full. Nothing is left behind.
    """
    file = transfer_file(runs, settings)
    columns = predictions.drop(columns="split")
    # Nine digits name every float32.
    texts = {str(name): " ".join(f"{value:.9g}" for value in columns[name]) for name in columns}
    record = {
        "schema_version": SCHEMA_VERSION,
        "transfer_id": settings.transfer_id,
        "settings": asdict(settings),
        "provenance": dict(provenance),
        "results": {**results, "predictions": texts},
    }
    try:
        content = to_json(record)
    except (TypeError, ValueError) as error:
        raise RunWriteError(f"Transfer {settings.transfer_id} cannot be written as JSON: {error}.") from None
    # A record that could not be read back must not come to stand among the others.
    _parse_transfer(file, from_json(content))

    temporary = file.parent / f"{TEMPORARY_PREFIX}{settings.transfer_id}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_durably(temporary, content)
        if not file.exists():
            temporary.rename(file)
    except OSError as error:
        raise RunWriteError(
            f"Transfer {settings.transfer_id} could not be written to {file.parent}: {error.strerror or error}. "
            "Nothing was left behind; free space or name another folder, then start the same command again."
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
    return load_transfer(file)


def transfer_file(runs: Path, settings: TransferSettings) -> Path:
    """The file of a transfer in a folder of runs, written or not."""
    return transfers_folder(runs) / f"{settings.transfer_id}{SUFFIX}"


def load_transfer(file: Path) -> TransferRecord:
    """Read and verify one transfer.

    Raises
    ------
    RunFormatError
        If the file is no transfer, is cut off or altered, or its schema is not this one.
    """
    try:
        content = from_json(file.read_bytes())
    except OSError as error:
        raise RunFormatError(f"{file} cannot be read ({error.strerror}).") from None
    except ValueError:
        raise RunFormatError(f"{file} is cut off or is not JSON. {_AGAIN}") from None
    return _parse_transfer(file, content)


_AGAIN = "Restore it, or delete it and start smp-lab transfer again."


def _parse_transfer(file: Path, content: Any) -> TransferRecord:
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        raise RunFormatError(
            f"{file} has schema version {version!r}; this SMP Lab reads transfers of version {SCHEMA_VERSION}. {_AGAIN}"
        )
    try:
        settings = TransferSettings.from_dict(content["settings"])
        transfer_id, provenance, results = (content[key] for key in ("transfer_id", "provenance", "results"))
        holds = isinstance(provenance, dict) and _results_hold(results, settings.task_info)
    except ConfigError as error:
        raise RunFormatError(f"{file} cannot be used: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise RunFormatError(f"{file} lacks a part or has one of another kind: {error!r}.") from None
    if not holds:
        raise RunFormatError(f"{file} has metrics, counts or predictions that do not fit its task. {_AGAIN}")
    if not transfer_id == settings.transfer_id == file.name.removesuffix(SUFFIX):
        raise RunFormatError(
            f"{file} says transfer {transfer_id!r}, but its settings are those of {settings.transfer_id}. {_AGAIN}"
        )
    if content.get(DIGEST) != own_sha256(content):
        raise RunFormatError(f"{file} was altered: its content is not what its own sha256 says. {_AGAIN}")
    return TransferRecord(file, settings, provenance, results)


def _results_hold(results: Mapping[str, Any], task: Task) -> bool:
    sizes = [results["n_examples"][split] for _, split in task.splits]
    columns = _predictions_from_text(results["predictions"], task.is_regression)
    return (
        all(is_number(results[kind][name]) for kind in ("metrics", "majority") for name in task.metrics)
        and all(isinstance(size, int) and size > 0 for size in sizes)
        and {"split", *columns} == PREDICTION_COLUMNS[task.is_regression]
        and all(len(values) == sum(sizes) for values in columns.values())
        and all(isinstance(results[name], int) for name in ("kept", "n_weights"))
        and 0 <= results["kept"] <= results["n_weights"]
    )


@dataclass(frozen=True)
class TransferIndex:
    """Transfers in some folders of runs, and what among them could not be read.

    Parameters
    ----------
    transfers
        By id; one in several folders is taken from the first.
    problems
        ``(file, sentence)`` for each that should be a transfer and is not.
    """

    transfers: Mapping[str, TransferRecord]
    problems: tuple[tuple[Path, str], ...]


def list_transfers(folders: Iterable[Path]) -> TransferIndex:
    """Read every transfer in some folders of runs; a folder without any counts as empty."""
    transfers, problems = read_all(folders, transfer_files, load_transfer)
    by_id = {transfer.transfer_id: transfer for transfer in sorted(transfers[::-1], key=lambda each: each.transfer_id)}
    return TransferIndex(by_id, problems)


def transfer_files(runs: Path) -> list[Path]:
    """The files in a folder of runs that should be transfers, by name; none where it has no such folder.

    Raises
    ------
    RunFormatError
        If the folder is there and cannot be read.
    """
    folder = transfers_folder(runs)
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFormatError(f"Folder {folder} of transfers cannot be read ({error.strerror}).") from None
