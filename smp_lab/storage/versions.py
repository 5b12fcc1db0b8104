"""What a schema version means, for every kind of record: one model a version, which is its reader.

A model says what may stand in a record of that version: names, types, bounds. What is asked of a record of the newest
version, an older one answers too, so that nothing above has to know of versions. A model is never changed so that it
refuses what it took; a new version is a model and an entry in the `Store` of its kind of record.

In words they are in ``.github/FORMAT.md``.

Numbers are finite and fit 64 bits, and text is Unicode: `sealed.from_json` has seen to that before a model looks.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Text = Annotated[str, Field(max_length=10_000)]
# Longer names are not those of files.
Name = Annotated[str, Field(max_length=255)]
# Of the tasks of one's own that settings name, as JSON: 255 classes of 100 characters with a label word each.
TaskDefinitions = Annotated[list[Annotated[str, Field(max_length=2**19)]], Field(max_length=2)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
# An accuracy or a correlation.
Metric = Annotated[float, Field(ge=-1, le=1)]
# GLUE's largest development set has 40,430.
MOST_EXAMPLES = 2**20
Examples = Annotated[int, Field(ge=1, le=MOST_EXAMPLES)]
# Three hundred years.
Seconds = Annotated[float, Field(ge=0, le=1e10)]
ArrayFile = Literal["history.npz", "masks.npz", "scores.npz", "predictions.npz"]


# No value of another type, and none that has no name here.
EXACT = ConfigDict(strict=True, extra="forbid")


class _Exact(BaseModel):
    model_config = EXACT


class Seal(_Exact):
    """What a record says of one of its files: its digest, and its size in bytes or None in a version without.

    A mask may be stored as its difference from a shared one; `base` is the digest of that one's file.
    """

    sha256: Sha256
    size: Count | None
    base: Sha256 | None = None


def _of_digest_alone(sha256: Any) -> Any:
    return {"sha256": sha256, "size": None}


class _Record(_Exact):
    schema_version: int
    sha256: Sha256


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, Text | Count | float | bool | None]


class _Provenance(_Part):
    created_utc: Name = ""
    smp_lab_version: Name = ""
    git_commit: Name | None = None
    git_dirty: bool | None = None
    python: Name = ""
    platform: Text = ""
    processor: Text = ""
    threads: Count = 0
    packages: dict[Name, Name] = {}
    wall_seconds: Seconds = 0
    resumed: Count = 0
    processes: list[_Part] = []
    data_source: Text = ""
    # Examples of each class, by split.
    class_balance: dict[Name, list[Count]] = {}
    task_definitions: TaskDefinitions = []
    base_model_source: Text = ""
    teacher_source: Text = ""
    command: Text = ""


class _Evaluation(_Part):
    step: Count
    epoch: Annotated[float, Field(ge=0)]
    remaining: Fraction | None
    loss: float


class _Best(_Part):
    metric: Name
    value: Metric
    step: Count


class _RunResults(_Part):
    metrics: dict[Name, Metric]
    n_examples: dict[Name, Examples]
    total_steps: Count
    evaluations: Annotated[list[_Evaluation], Field(min_length=1)]
    best: _Best
    best_at_final_density: _Best | None = None
    trainable_parameters: Count
    new_parameters: Annotated[float, Field(ge=0)]
    kept: list[list[Count]]
    kept_per_head: list[list[list[Count]]]


class RunVersion1(_Record):
    """Content of run.json, version 1; `RunRecord` says what its parts mean."""

    run_id: Name
    config: dict[Name, Any]
    layout: dict[Name, Any]
    provenance: _Provenance
    results: _RunResults
    files: dict[ArrayFile, Annotated[Seal, BeforeValidator(_of_digest_alone)]]


class RunVersion2(RunVersion1):
    """The same, version 2."""

    files: dict[ArrayFile, Seal]


class RunVersion3(RunVersion2):
    """The same, version 3: the seal of a mask may have a base, which readers of version 2 do not know."""


class _TransferResults(_Part):
    metrics: dict[Name, Metric]
    majority: dict[Name, Metric]
    n_examples: dict[Name, Examples]
    kept: Count
    n_weights: Count
    predictions: dict[Name, str]


class TransferVersion1(_Record):
    """Content of the file of a transfer, version 1; `TransferRecord` says what its parts mean."""

    transfer_id: Name
    settings: dict[Name, Any]
    provenance: _Provenance
    results: _TransferResults


# The most rows that a measurement has: 24 layers of 16 heads are 384.
_Column = Annotated[list[Text | int | float | bool | None], Field(max_length=10_000)]


class _MeasurementResults(_Part):
    table: dict[Name, _Column]


class MeasurementVersion1(_Record):
    """Content of the file of a measurement, version 1; `MeasurementRecord` says what its parts mean."""

    measurement_id: Name
    settings: dict[Name, Any]
    provenance: _Provenance
    results: _MeasurementResults


class _ImportedSettings(_Exact):
    label: Name
    task: Name | None
    format: Name
    encoder: Name
    encoder_sha256: Sha256
    mask_sha256: Sha256
    metric: Name | None
    value: Metric | None
    n_examples: Examples | None


class _ImportedProvenance(_Exact):
    created_utc: Name
    smp_lab_version: Name
    source: Name
    assumed: Annotated[list[Text], Field(max_length=20)]
    task_definitions: TaskDefinitions = []


class _Kept(_Exact):
    kept: list[list[Count]]
    kept_per_head: list[list[list[Count]]]


class ImportedVersion1(_Record):
    """Content of mask.json of an imported mask, version 1; `ImportedMask` says what its parts mean."""

    mask_id: Name
    settings: _ImportedSettings
    layout: dict[Name, Any]
    provenance: _ImportedProvenance
    results: _Kept
    files: dict[Literal["masks.npz"], Seal]
