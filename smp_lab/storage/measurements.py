"""What was measured of a finished mask, after its training: one JSON file each in the measurements folder of some runs.

A record of a mask never changes; these are records of their own, written once and verified whenever they are read::

    measurements/{measurement_id}.json   schema_version, measurement_id, settings, provenance, results, sha256

What kinds there are, and what a row of each says, stands in `KINDS`; a new kind is a line there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic.dataclasses import dataclass as checked_dataclass

from smp_lab.config import digest_of
from smp_lab.errors import ConfigError, RunFormatError
from smp_lab.paths import MEASUREMENTS_FOLDER
from smp_lab.storage.store import Store
from smp_lab.storage.versions import EXACT, MeasurementVersion1
from smp_lab.tasks import get_task

SCORE, SIZE, TIME, FORM, HEADS = "score", "size", "time", "form", "heads"

# Kind -> columns of its table, with their types. Fractions are fractions, `low` and `high` ends of a 95 % interval.
KINDS: Mapping[str, Mapping[str, type]] = {
    # The metrics of a mask on a task's development examples, whole (cut 0) and with rows of fewer than `cut` kept
    # weights emptied; `majority` is the majority-class baseline.
    SCORE: {
        "cut": int,
        "metric": str,
        "value": float,
        "low": float,
        "high": float,
        "n_examples": int,
        "majority": float,
    },
    # Parameters of the encoder (with embeddings and biases) in its exact compact form, and as it was published.
    SIZE: {"cut": int, "parameters": int, "published": int},
    # Median time of a form of the model for a batch of `batch` texts of `length` tokens, and the middle half of the
    # rounds; `faster` is how many times as fast it is as masked weights in the same round, with the middle half.
    TIME: {
        "form": str,
        "cut": int,
        "threads": int,
        "length": int,
        "batch": int,
        "milliseconds": float,
        "low": float,
        "high": float,
        "faster": float,
        "faster_low": float,
        "faster_high": float,
        "rounds": int,
    },
    # The main metric on a task's development examples with one attention head emptied in the mask; `change` is to the
    # whole mask, on the same examples, and `low` and `high` are the ends of its interval.
    HEADS: {
        "layer": int,
        "head": int,
        "metric": str,
        "value": float,
        "change": float,
        "low": float,
        "high": float,
        "n_examples": int,
    },
    # One exported form: parameters and bytes of its encoder, bytes of its folder, largest difference of its scores to
    # the mask's on `n_compared` examples, and the main metric on the development set (n_examples 0 where none was
    # at hand).
    FORM: {
        "form": str,
        "cut": int,
        "parameters": int,
        "encoder_bytes": int,
        "folder_bytes": int,
        "difference": float,
        "n_compared": int,
        "metric": str,
        "value": float,
        "low": float,
        "high": float,
        "n_examples": int,
    },
}


@checked_dataclass(frozen=True, kw_only=True, config=EXACT)
class MeasurementSettings:
    """What defines a measurement.

    Parameters
    ----------
    kind
        One of `KINDS`.
    mask_id
        Of the mask record: the run id of a run's mask.
    mask_sha256
        Of `MaskSet.sha256`.
    base_model, base_model_sha256
        As in `RunConfig`.
    task
        The task whose classifier was measured.
    data_sha256
        Of `TaskData.development_sha256`; None where nothing was measured on examples.
    options
        What else defines it, by name: text, numbers, and lists of these.

    Raises
    ------
    ValidationError
        If a setting is missing, unknown or of another type.
    ConfigError
        If the kind or task is unknown.
    """

    kind: str
    mask_id: str
    mask_sha256: str
    base_model: str
    base_model_sha256: str
    task: str
    data_sha256: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigError(f"Unknown kind {self.kind!r} of measurement. Choose one of: {', '.join(KINDS)}.")
        get_task(self.task)

    @property
    def measurement_id(self) -> str:
        """``{mask_id}-{kind}-{hash8}``; the words are for eyes, the hash of all settings is the identity."""
        return f"{self.mask_id}-{self.kind}-{digest_of(asdict(self))[:8]}"


@dataclass(frozen=True)
class MeasurementRecord:
    """One measurement of one mask.

    Parameters
    ----------
    path
        Its file.
    settings
        What defined it.
    provenance
        As in `RunRecord`; wall_seconds is the time that measuring took.
    results
        ``table``: a list of values for each column of its kind in `KINDS`, None where a value is missing.
    """

    path: Path
    settings: MeasurementSettings
    provenance: Mapping[str, Any]
    results: Mapping[str, Any]

    @property
    def measurement_id(self) -> str:
        """Identity of the measurement."""
        return self.settings.measurement_id

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows that were measured, with the columns of its kind; NaN where a value is missing."""
        return pd.DataFrame(self.results["table"]).astype(KINDS[self.settings.kind])


def save_measurement(
    runs: Path, *, settings: MeasurementSettings, provenance: Mapping[str, Any], table: pd.DataFrame
) -> MeasurementRecord:
    """Write a measurement as `Store.save` does, its table with the columns of its kind; raises as that."""
    columns = table.astype(object).where(table.notna(), None).to_dict("list")
    return MEASUREMENTS.save(runs, settings, provenance, {"table": columns})


def _build(file: Path, content: Mapping[str, Any], model: MeasurementVersion1) -> MeasurementRecord:
    settings = MeasurementSettings(**content["settings"])
    types, columns = KINDS[settings.kind], model.results.table
    if list(columns) != list(types) or len({len(values) for values in columns.values()}) > 1:
        raise RunFormatError(
            f"{file} has not the columns {', '.join(types)}, equally long, of a measurement of kind {settings.kind}. "
            f"{MEASUREMENTS.again}"
        )
    for name, values in columns.items():
        # A count may stand where any number may; no number where text, and no boolean where a number is.
        taken = (float, int, type(None)) if types[name] is float else types[name]
        if wrong := [value for value in values if not isinstance(value, taken) or isinstance(value, bool)]:
            raise RunFormatError(f"{file} has {name} = {str(wrong[0])[:60]!r}, not of type {types[name].__name__}.")
    return MeasurementRecord(file, settings, content["provenance"], content["results"])


MEASUREMENTS: Store[MeasurementRecord] = Store(
    kind="measurement",
    id_name="measurement_id",
    versions={1: MeasurementVersion1},
    folder=MEASUREMENTS_FOLDER,
    json_name=None,
    build=_build,
    again="Restore it, or delete it and measure again.",
)
