"""Masks from elsewhere, kept beside the runs: one folder each, written once, verified whenever it is read.

::

    imported/{mask_id}/
      mask.json    schema_version, mask_id, settings, layout, provenance, results, size and sha256 of masks.npz, its own
      masks.npz    as of a run
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from smp_lab import __version__
from smp_lab.config import digest_of
from smp_lab.errors import ConfigError, MaskFormatError, RunExistsError, RunFormatError
from smp_lab.layout import EncoderLayout
from smp_lab.masks import MaskSet
from smp_lab.metrics import METRICS
from smp_lab.paths import IMPORTED_FOLDER, MASK_RECORD_FILE, MASKS_FILE
from smp_lab.storage.array_files import counts_fit, kept_counts, masks_to_bytes, read_masks
from smp_lab.storage.formats import Base, Opened, named_base
from smp_lab.storage.mask_records import IMPORTED, MaskRecord
from smp_lab.storage.runs import RunRecord
from smp_lab.storage.store import Store
from smp_lab.storage.versions import ImportedVersion1, Seal
from smp_lab.tasks import get_task

LONGEST_LABEL = 255


@dataclass(frozen=True, kw_only=True)
class ImportedSettings:
    """What identifies an imported mask.

    Parameters
    ----------
    label
        What people call it.
    task
        Name of the task that it was learned on; None where nobody said.
    format
        What it was read as, in words.
    encoder, encoder_sha256
        As of `MaskRecord`.
    mask_sha256
        Digest of its bits.
    metric, value, n_examples
        What somebody says that it scores, and on how many examples; None where nobody did.

    Raises
    ------
    ConfigError
        If the label is empty or too long, the task or the metric is unknown, or the metric has no value from -1 to 1.
    """

    label: str
    task: str | None
    format: str
    encoder: str
    encoder_sha256: str
    mask_sha256: str
    metric: str | None = None
    value: float | None = None
    n_examples: int | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.label) <= LONGEST_LABEL:
            raise ConfigError(f"A label has 1 to {LONGEST_LABEL} characters; got {len(self.label):,}.")
        if self.task is not None:
            get_task(self.task)
        if self.metric is not None and self.metric not in METRICS:
            raise ConfigError(f"Unknown metric {self.metric[:80]!r}. Choose one of: {', '.join(METRICS)}.")
        if (self.metric is None) != (self.value is None):
            raise ConfigError("A metric of an imported mask has a name and a value, such as accuracy=0.82.")
        if self.value is not None and not -1 <= self.value <= 1:
            raise ConfigError(f"A metric is a fraction from -1 to 1; got {self.value:g}.")

    @property
    def mask_id(self) -> str:
        """``{label}-{hash8}``; the words are for eyes, the hash of all settings is the identity."""
        words = re.sub(r"[^a-z0-9]+", "-", self.label.lower()).strip("-")[:60] or "mask"
        return f"{words}-{digest_of(asdict(self))[:8]}"


@dataclass(frozen=True)
class ImportedMask:
    """One mask from elsewhere.

    Parameters
    ----------
    path
        Its folder.
    settings, layout
        What identifies it, and the shapes of its encoder.
    provenance
        created_utc, smp_lab_version, source (name of the file), assumed (sentences on what the file did not say).
    results
        kept and kept_per_head, as in `RunRecord`.
    seal
        Of its masks.npz.
    """

    path: Path
    settings: ImportedSettings
    layout: EncoderLayout
    provenance: Mapping[str, Any]
    results: Mapping[str, Any]
    seal: Seal

    @property
    def mask_id(self) -> str:
        """Identity of the mask."""
        return self.settings.mask_id

    @cached_property
    def mask_record(self) -> MaskRecord:
        """The mask by itself."""
        settings = self.settings
        return MaskRecord(
            mask_id=self.mask_id,
            label=settings.label,
            source=IMPORTED,
            layout=self.layout,
            encoder=settings.encoder,
            encoder_sha256=settings.encoder_sha256,
            task=settings.task,
            kept=np.asarray(self.results["kept"], np.int64),
            kept_per_head=np.asarray(self.results["kept_per_head"], np.int64),
            digest=self.seal.sha256,
            read=self.read,
        )

    def read(self) -> MaskSet:
        """Read and verify its bits; raises `RunFormatError` or `MaskFormatError`."""
        what, file = f"Imported mask {self.mask_id}", self.path / MASKS_FILE
        masks = read_masks(file, self.seal, self.layout, self.results, what=what, again=IMPORTED_MASKS.again)
        if masks.sha256 != self.settings.mask_sha256:
            raise MaskFormatError(f"{what} is of other bits than its {MASK_RECORD_FILE} says.")
        return masks


def save_imported(
    runs: Path, opened: Opened, *, source: str, label: str, task: str | None = None, **metric: Any
) -> ImportedMask:
    """Write an opened mask whole or not at all, and read it back. One that is there already is left as it is.

    `source` is the name of its file; what else somebody says of it is as of `ImportedSettings`.

    Raises
    ------
    ConfigError
        If a setting cannot be used, or the metric is none of the task's.
    RunWriteError
        If the folder cannot be written or the disk is full. Nothing is left behind.
    """
    masks, base = opened.masks, opened.base
    settings = ImportedSettings(
        label=label,
        task=task,
        format=opened.format,
        encoder=base.name,
        encoder_sha256=base.sha256,
        mask_sha256=masks.sha256,
        **metric,
    )
    # Here and not in the settings: a record that is there already stays readable.
    if task is not None and settings.metric not in (None, *(known := get_task(task).metrics)):
        raise ConfigError(f"Task {task!r} has no metric {settings.metric!r}. It has: {', '.join(known)}.")
    target = IMPORTED_MASKS.path_of(runs, settings.mask_id)
    record = {
        "mask_id": settings.mask_id,
        "settings": asdict(settings),
        "layout": masks.layout.to_dict(),
        "provenance": {
            "created_utc": datetime.now(UTC).isoformat(timespec="seconds"),
            "smp_lab_version": __version__,
            "source": source,
            "assumed": list(opened.assumed),
        },
        "results": kept_counts(masks),
    }
    with suppress(RunExistsError), IMPORTED_MASKS.writing(target) as temporary:
        IMPORTED_MASKS.fill(temporary, target, record, {MASKS_FILE: masks_to_bytes(masks)})
    return IMPORTED_MASKS.load(target)


def _build(path: Path, content: Mapping[str, Any], model: ImportedVersion1) -> ImportedMask:
    layout, seal = EncoderLayout.from_dict(content["layout"]), model.files.get("masks.npz")
    if seal is None or not counts_fit(layout, model.results.kept, model.results.kept_per_head):
        raise RunFormatError(
            f"{path / MASK_RECORD_FILE} has kept counts that do not fit its encoder, or names no mask."
        )
    settings = ImportedSettings(**content["settings"])
    return ImportedMask(path, settings, layout, content["provenance"], content["results"], seal)


IMPORTED_MASKS: Store[ImportedMask] = Store(
    kind="imported mask",
    id_name="mask_id",
    versions={1: ImportedVersion1},
    folder=IMPORTED_FOLDER,
    json_name=MASK_RECORD_FILE,
    build=_build,
    again="Restore the folder or import the mask again.",
)


# Encoders that many masks are for. Their weights are not here, so they are known by name and shapes alone.
_PUBLISHED = {
    "bert-base-uncased": EncoderLayout(12, 768, 3072, 12, 109_482_240),
    "roberta-base": EncoderLayout(12, 768, 3072, 12, 124_645_632),
}


def bases_of(runs: Iterable[RunRecord]) -> list[Base]:
    """Encoders of runs, then those that many masks are for."""
    found = [Base(run.config.base_model, run.config.base_model_sha256, run.layout) for run in runs]
    found += [named_base(name, layout) for name, layout in _PUBLISHED.items()]
    return list({base.sha256: base for base in found}.values())
