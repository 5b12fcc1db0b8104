"""The run record: one folder per finished run, written once, verified whenever it is read.

::

    {run_id}/
      run.json         schema_version, run_id, config, layout, provenance, results, sha256 of each file and of itself
      history.npz      one array per column, a value per logged step
      masks.npz        the final mask: one zlib stream of packed bits per matrix
      scores.npz       score histograms, kept counts and flips at some twenty moments of training
      predictions.npz  what the final model said on each development example

A run without scores (a control) has no scores.npz, a run without a mask (dense) no masks.npz. The mask of a control is
the same for every task, so it lies once in the folder shared_masks/ beside the runs, under its sha256.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
import shutil
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from smp_lab.config import RunConfig
from smp_lab.errors import (
    ConfigError,
    MaskFormatError,
    RunExistsError,
    RunFormatError,
    RunWriteError,
)
from smp_lab.layout import HEAD_TYPES, MATRIX_TYPES, EncoderLayout
from smp_lab.masks import MaskSet, compress_bits, decompress_bits
from smp_lab.paths import (
    HISTORY_FILE,
    MASKS_FILE,
    PREDICTIONS_FILE,
    RECORD_FILE,
    SCORES_FILE,
    SHARED_MASKS_FOLDER,
    TEMPORARY_PREFIX,
    TRANSFERS_FOLDER,
    shared_masks_file,
)
from smp_lab.storage.mask_records import MEASURED_RUN, MaskRecord
from smp_lab.storage.sealed import (
    DIGEST,
    from_json,
    is_number,
    own_sha256,
    read_all,
    sync_folder,
    to_json,
    write_durably,
)

SCHEMA_VERSION = 1

# Some ten times what the arrays of a 24-layer encoder need; more is a damaged or hostile archive.
MAX_UNPACKED_BYTES = 2**29

HISTORY_COLUMNS = (
    "step",
    "epoch",
    "loss",
    "regularizer",
    "regularizer_weight",
    "remaining",
    "kept",
    "flips_in",
    "flips_out",
    "learning_rate",
    "seconds",
)

PREDICTION_COLUMNS = ({"split", "prediction", "correct"}, {"split", "prediction", "error"})

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ScoreHistory:
    """Scores and masks of every matrix at some moments of training; axis 1 is `EncoderLayout.matrices`.

    Parameters
    ----------
    steps
        ``(n_moments,)``; the state after so many updates. The last is the final mask's.
    edges
        ``(n_bins + 1,)`` edges of the score bins, the same in every run; the first and last are infinite.
    kept_histogram, removed_histogram
        ``(n_moments, n_matrices, n_bins)`` scores of kept and of removed weights.
    score_cut
        ``(n_moments, n_matrices)`` lowest score that is kept; NaN where nothing is.
    kept
        ``(n_moments, n_matrices)`` kept weights.
    flips_in, flips_out
        ``(n_moments, n_matrices)`` weights that came into the mask, and that left it, since the moment before.
    kept_in_final
        ``(n_moments, n_matrices)`` weights kept at the moment and in the final mask.
    weight_edges
        ``(n_weight_bins + 1,)`` edges of log10 of the absolute pre-trained weight; first and last infinite.
    weight_score_histogram
        ``(n_matrices, n_weight_bins, n_bins)`` weights by absolute value and final score.
    kept_by_magnitude
        ``(n_matrices,)`` weights of the final mask that are also among as many largest absolute weights.
    """

    steps: npt.NDArray[np.int64]
    edges: npt.NDArray[np.float32]
    kept_histogram: npt.NDArray[np.uint32]
    removed_histogram: npt.NDArray[np.uint32]
    score_cut: npt.NDArray[np.float32]
    kept: npt.NDArray[np.int64]
    flips_in: npt.NDArray[np.int64]
    flips_out: npt.NDArray[np.int64]
    kept_in_final: npt.NDArray[np.int64]
    weight_edges: npt.NDArray[np.float32]
    weight_score_histogram: npt.NDArray[np.uint32]
    kept_by_magnitude: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        moments, bins, weight_bins = len(self.steps), len(self.edges) - 1, len(self.weight_edges) - 1
        matrices = len(self.kept_by_magnitude)
        for name, want in (
            ("kept_histogram", (moments, matrices, bins)),
            ("removed_histogram", (moments, matrices, bins)),
            ("score_cut", (moments, matrices)),
            ("kept", (moments, matrices)),
            ("flips_in", (moments, matrices)),
            ("flips_out", (moments, matrices)),
            ("kept_in_final", (moments, matrices)),
            ("weight_score_histogram", (matrices, weight_bins, bins)),
        ):
            got = getattr(self, name).shape
            if got != want:
                raise RunFormatError(f"Score history has {name} of shape {got}; expected {want}.")


@dataclass(frozen=True)
class RunRecord:
    """One finished run. Small facts are at hand; the arrays are read and verified when first asked for.

    Parameters
    ----------
    path
        Its folder.
    config, layout
        What defined the run, and the shapes of its encoder.
    provenance
        How, where and when it was made: versions, commit, hardware, wall time, sources, command.
    results
        ``metrics``: final value per metric, a fraction; ``n_examples`` per development split; ``evaluations``: a dict
        per evaluation with step, epoch, remaining, loss and every metric; ``best``: metric, value and step of the best
        evaluation; ``kept``: ``(n_layers, 6)`` kept weights per matrix; ``kept_per_head``: ``(n_layers, 4, n_heads)``
        for query, key, value and attention_output; ``trainable_parameters``: all that the optimiser moves, scores
        and a new head included; ``new_parameters``: what the task adds to a pre-trained encoder that is there
        already: whatever was trained but the scores, without the weights that the mask removes, and the mask, 32 of
        its bits a parameter. These are the columns of the paper's Table 1, which leaves out what beside the prunable
        weights is trained with a mask: biases, LayerNorm and head, a thousandth of BERT-base.
    """

    path: Path
    config: RunConfig
    layout: EncoderLayout
    provenance: Mapping[str, Any]
    results: Mapping[str, Any]
    file_sha256: Mapping[str, str]

    @property
    def run_id(self) -> str:
        """Identity of the run."""
        return self.config.run_id

    @property
    def main_metric(self) -> str:
        """Name of the task's main metric."""
        return self.config.task_info.main_metric

    @property
    def main_value(self) -> float:
        """Main metric at the last evaluation, a fraction."""
        return float(self.results["metrics"][self.main_metric])

    @property
    def n_examples(self) -> int:
        """Examples of the development split that the main metric was measured on."""
        return int(next(iter(self.results["n_examples"].values())))

    @property
    def kept(self) -> npt.NDArray[np.int64]:
        """Kept weights, ``(n_layers, 6)`` in the order of `MATRIX_TYPES`."""
        return np.asarray(self.results["kept"], np.int64)

    @property
    def kept_per_head(self) -> npt.NDArray[np.int64]:
        """Kept weights per head, ``(n_layers, 4, n_heads)`` in the order of `HEAD_TYPES`."""
        return np.asarray(self.results["kept_per_head"], np.int64)

    @property
    def remaining(self) -> float:
        """Measured fraction of the encoder's prunable weights that is kept."""
        return int(self.kept.sum()) / self.layout.n_weights

    @property
    def has_masks(self) -> bool:
        """Whether a mask is stored."""
        return MASKS_FILE in self.file_sha256

    @property
    def masks_file(self) -> Path:
        """Where its mask lies: in its own folder, or, for a control, once for all runs that share it."""
        own = self.path / MASKS_FILE
        if own.exists() or not self.config.method_info.is_control:
            return own
        return shared_masks_file(self.path.parent, self.file_sha256[MASKS_FILE])

    @property
    def mask_bytes(self) -> int:
        """Size of the file of its mask.

        Raises
        ------
        RunFormatError
            If it is missing.
        """
        try:
            return self.masks_file.stat().st_size
        except OSError as error:
            raise self._unreadable(self.masks_file, error) from None

    @property
    def has_scores(self) -> bool:
        """Whether a score history is stored."""
        return SCORES_FILE in self.file_sha256

    @cached_property
    def masks(self) -> MaskSet:
        """The final mask.

        Raises
        ------
        RunFormatError, MaskFormatError
            If it is missing, altered, or does not hold what run.json says.
        """
        return self._read_masks()

    def _read_masks(self) -> MaskSet:
        masks = _masks_from_arrays(self.layout, self._read(MASKS_FILE), self.run_id)
        counted = _kept_counts(self.layout, masks)
        if any(self.results[name] != counts for name, counts in counted.items()):
            raise MaskFormatError(f"Masks of run {self.run_id} keep other counts than its {RECORD_FILE} says.")
        return masks

    @cached_property
    def mask_record(self) -> MaskRecord | None:
        """Its final mask by itself; None where none is stored."""
        if not self.has_masks:
            return None
        config = self.config
        level = f"{100 * self.remaining:.3g} %"
        return MaskRecord(
            mask_id=self.run_id,
            label=" · ".join((config.task_info.title, config.method_info.title, level, f"seed {config.seed}")),
            source=MEASURED_RUN,
            layout=self.layout,
            encoder=config.base_model,
            encoder_sha256=config.base_model_sha256,
            task=None if config.method_info.is_control else config.task,
            kept=self.kept,
            kept_per_head=self.kept_per_head,
            digest=self.file_sha256[MASKS_FILE],
            read=self._read_masks,
            config=config,
        )

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row per logged step, columns `HISTORY_COLUMNS`; NaN where a quantity does not exist."""
        arrays = self._read(HISTORY_FILE)
        if set(arrays) != set(HISTORY_COLUMNS) or not _are_columns(arrays):
            raise RunFormatError(f"History of run {self.run_id} has columns {sorted(arrays)} or unequal lengths.")
        return pd.DataFrame({column: arrays[column] for column in HISTORY_COLUMNS})

    @cached_property
    def scores(self) -> ScoreHistory:
        """Scores over training."""
        arrays = self._read(SCORES_FILE)
        try:
            scores = ScoreHistory(**arrays)
        except TypeError as error:
            raise RunFormatError(f"Score history of run {self.run_id} has other fields: {error}.") from None
        if not np.array_equal(scores.kept[-1:], self.kept.reshape(1, -1)):
            raise RunFormatError(
                f"Score history of run {self.run_id} does not end at the kept counts of its {RECORD_FILE}."
            )
        return scores

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row per development example in file order.

        Columns: ``split`` (number in the task's splits), ``prediction`` (class number, or the score of a regression),
        ``correct`` (classification) or ``error`` (prediction minus target).
        """
        arrays = self._read(PREDICTIONS_FILE)
        if set(arrays) not in PREDICTION_COLUMNS or not _are_columns(arrays):
            raise RunFormatError(f"Predictions of run {self.run_id} have columns {sorted(arrays)} or unequal lengths.")
        return pd.DataFrame(dict(arrays))

    def _unreadable(self, file: Path, error: OSError) -> RunFormatError:
        return RunFormatError(
            f"Run {self.run_id}: {file.relative_to(self.path.parent)} cannot be read ({error.strerror})."
        )

    def _read(self, name: str) -> Arrays:
        want = self.file_sha256.get(name)
        if want is None:
            raise RunFormatError(f"Run {self.run_id} ({self.config.method}) holds no {name}.")
        file = self.masks_file if name == MASKS_FILE else self.path / name
        try:
            content = file.read_bytes()
        except OSError as error:
            raise self._unreadable(file, error) from None
        if hashlib.sha256(content).hexdigest() != want:
            raise RunFormatError(
                f"Run {self.run_id}: {name} is cut off or was altered (its sha256 is not the one in {RECORD_FILE}). "
                "Restore the folder or train the run again."
            )
        try:
            return _arrays_from_npz(content)
        except ARCHIVE_ERRORS as error:
            raise RunFormatError(f"Run {self.run_id}: {name} is not a plain archive of numbers ({error}).") from None

    def verify(self) -> None:
        """Read and verify every file of the record.

        Raises
        ------
        RunFormatError, MaskFormatError
            At the first defect.
        """
        readers = {
            HISTORY_FILE: lambda: self.history,
            MASKS_FILE: lambda: self.masks,
            SCORES_FILE: lambda: self.scores,
            PREDICTIONS_FILE: lambda: self.predictions,
        }
        for name in self.file_sha256:
            if name not in readers:
                raise RunFormatError(f"Run {self.run_id} lists {name!r}, which no version of this schema writes.")
            readers[name]()
        extra = {entry.name for entry in self.path.iterdir()} - {RECORD_FILE, *self.file_sha256}
        if extra:
            raise RunFormatError(f"Run {self.run_id} holds files that are not part of it: {', '.join(sorted(extra))}.")


# What zipfile, zlib and numpy raise on bytes that are not an archive of arrays; pickled objects are a ValueError.
ARCHIVE_ERRORS = (
    ValueError,
    OSError,
    EOFError,
    MemoryError,
    RuntimeError,
    SyntaxError,
    tokenize.TokenError,
    zlib.error,
    zipfile.BadZipFile,
)


def _arrays_from_npz(content: bytes) -> Arrays:
    """Inverse of `_npz`, for bytes of unknown origin."""
    arrays = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        n_bytes = sum(entry.file_size for entry in archive.infolist())
        if n_bytes > MAX_UNPACKED_BYTES:
            raise ValueError(f"unpacks to {n_bytes:,} bytes; at most {MAX_UNPACKED_BYTES:,} are read")
        for entry in archive.infolist():
            with archive.open(entry) as file:
                array = np.lib.format.read_array(file, allow_pickle=False)
            if array.dtype.kind not in "biuf":
                raise ValueError(f"{entry.filename} holds {array.dtype}")
            arrays[entry.filename.removesuffix(".npy")] = array
    return arrays


def _are_columns(arrays: Arrays) -> bool:
    """Whether all are one-dimensional and of one length."""
    return len({array.shape for array in arrays.values()}) == 1 and all(array.ndim == 1 for array in arrays.values())


def _masks_from_arrays(layout: EncoderLayout, arrays: Arrays, run_id: str) -> MaskSet:
    bits = {}
    for matrix in layout.matrices:
        key = f"{matrix.layer}.{matrix.matrix_type}"
        stream = arrays.get(key)
        if stream is None or stream.dtype != np.uint8 or stream.ndim != 1:
            raise MaskFormatError(f"Run {run_id}: no mask of {matrix} in {MASKS_FILE}.")
        try:
            bits[matrix] = decompress_bits(stream, layout.size(matrix.matrix_type))
        except MaskFormatError as error:
            raise MaskFormatError(f"Run {run_id}, {matrix}: {error}") from None
    if len(arrays) != len(bits):
        raise MaskFormatError(f"Run {run_id}: {MASKS_FILE} holds {len(arrays)} masks; its encoder has {len(bits)}.")
    return MaskSet(layout, bits)


def _npz(arrays: Arrays, *, deflate: bool = True) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if deflate else np.savez)(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def masks_to_bytes(masks: MaskSet) -> bytes:
    """Content of masks.npz."""
    return _npz(
        {f"{matrix.layer}.{matrix.matrix_type}": compress_bits(bits) for matrix, bits in masks.bits.items()},
        deflate=False,
    )


def save_run(
    runs: Path,
    *,
    config: RunConfig,
    layout: EncoderLayout,
    provenance: Mapping[str, Any],
    results: Mapping[str, Any],
    history: pd.DataFrame,
    masks: MaskSet | None,
    scores: ScoreHistory | None,
    predictions: pd.DataFrame,
) -> RunRecord:
    """Write a record whole or not at all, and read it back.

    Kept counts are taken from `masks` (all weights where there are none) and added to `results`.

    Raises
    ------
    RunExistsError
        If the run is already there.
    RunFormatError, MaskFormatError
        If results are missing or contradict the encoder or the task.
    RunWriteError
        If a fact is not JSON (NaN is not), the folder cannot be written or the disk is full. Nothing is left behind.
    """
    if masks is not None and masks.layout != layout:
        raise MaskFormatError(f"Masks of run {config.run_id} are for {masks.layout}; its encoder is {layout}.")
    target = runs / config.run_id
    if target.exists():
        raise RunExistsError(f"Run {config.run_id} is already in {runs}; records are never overwritten.")
    contents = {
        HISTORY_FILE: _npz({column: history[column].to_numpy() for column in HISTORY_COLUMNS}),
        PREDICTIONS_FILE: _npz({str(column): predictions[column].to_numpy() for column in predictions}),
    }
    if masks is not None:
        contents[MASKS_FILE] = masks_to_bytes(masks)
    if scores is not None:
        contents[SCORES_FILE] = _npz({field.name: getattr(scores, field.name) for field in fields(scores)})
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
    record = {
        "schema_version": SCHEMA_VERSION,
        "run_id": config.run_id,
        "config": config.to_dict(),
        "layout": layout.to_dict(),
        "provenance": dict(provenance),
        "results": {**results, **_kept_counts(layout, masks)},
        "files": digests,
    }
    try:
        contents[RECORD_FILE] = to_json(record)
    except (TypeError, ValueError) as error:
        raise RunWriteError(
            f"Run {config.run_id} cannot be written as JSON: {error}. Results and provenance take text, finite "
            "numbers, and None where a value is missing."
        ) from None
    # A record that could not be read back must not come to stand among the runs.
    _parse_record(target, from_json(contents[RECORD_FILE]))

    temporary = runs / f"{TEMPORARY_PREFIX}{config.run_id}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        temporary.mkdir(parents=True)
        for name, content in contents.items():
            write_durably(temporary / name, content)
        sync_folder(temporary)
        if target.exists():
            raise RunExistsError(f"Run {config.run_id} was written to {runs} by another process meanwhile.")
        if config.method_info.is_control and masks is not None:
            # Last, when all else is on the disk: other runs may name it at once, so it could not be taken back.
            shared = shared_masks_file(runs, digests[MASKS_FILE])
            shared.parent.mkdir(exist_ok=True)
            (temporary / MASKS_FILE).replace(shared)
            sync_folder(shared.parent)
        temporary.rename(target)
        sync_folder(runs)
    except OSError as error:
        if target.exists():
            raise RunExistsError(f"Run {config.run_id} was written to {runs} by another process meanwhile.") from None
        raise RunWriteError(
            f"Run {config.run_id} could not be written to {runs}: {error.strerror or error}. Nothing was left behind; "
            "free space or name another folder, then start the same command again."
        ) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return load_run(target)


def _kept_counts(layout: EncoderLayout, masks: MaskSet | None) -> dict[str, Any]:
    if masks is not None:
        return {"kept": masks.kept_per_matrix.tolist(), "kept_per_head": masks.kept_per_head_and_matrix.tolist()}
    per_head = layout.hidden_size * layout.head_size
    return {
        "kept": [[layout.size(kind) for kind in MATRIX_TYPES]] * layout.n_layers,
        "kept_per_head": [[[per_head] * layout.n_heads] * len(HEAD_TYPES)] * layout.n_layers,
    }


def load_run(path: Path) -> RunRecord:
    """Read run.json of one run and verify it; the arrays are verified when they are read.

    Raises
    ------
    RunFormatError
        If the folder is not a run, the record is cut off or altered, or its schema is not this one.
    """
    file = path / RECORD_FILE
    try:
        content = from_json(file.read_bytes())
    except FileNotFoundError:
        raise RunFormatError(f"{path} is not a run: it holds no {RECORD_FILE}.") from None
    except OSError as error:
        raise RunFormatError(f"{file} cannot be read ({error.strerror}).") from None
    except ValueError:
        raise RunFormatError(f"{file} is cut off or is not JSON. Restore the folder or train the run again.") from None
    return _parse_record(path, content)


def _parse_record(path: Path, content: Any) -> RunRecord:
    """Content of the run.json of the folder `path`, verified."""
    file = path / RECORD_FILE
    version = content.get("schema_version") if isinstance(content, dict) else None
    if version != SCHEMA_VERSION:
        newer = isinstance(version, int) and version > SCHEMA_VERSION
        raise RunFormatError(
            f"{file} has schema version {version!r}; this SMP Lab reads {SCHEMA_VERSION}. "
            + ("Update SMP Lab to read it." if newer else "Train the run again with this version.")
        )
    try:
        config = RunConfig.from_dict(content["config"])
        layout = EncoderLayout.from_dict(content["layout"])
        provenance, results, files, run_id = (content[key] for key in ("provenance", "results", "files", "run_id"))
    except (ConfigError, MaskFormatError) as error:
        raise RunFormatError(f"{file} cannot be used: {error}") from None
    except (KeyError, TypeError) as error:
        raise RunFormatError(f"{file} lacks a part: {error}.") from None
    for name, part in (("provenance", provenance), ("results", results), ("files", files)):
        if not isinstance(part, dict):
            raise RunFormatError(f"{file} has {name} of type {type(part).__name__}; expected an object.")
    if config.run_id != run_id:
        raise RunFormatError(
            f"{file} was altered: it says run {run_id}, but its settings are those of {config.run_id}. "
            "Restore the folder or train the run again."
        )
    if path.name != run_id:
        raise RunFormatError(f"Folder {path} holds run {run_id}; rename the folder back.")
    record = RunRecord(path, config, layout, provenance, results, files)
    _check_results(record, file)
    if content.get(DIGEST) != own_sha256(content):
        raise RunFormatError(
            f"{file} was altered: its content is not what its own sha256 says. Restore the folder or train the run "
            "again."
        )
    return record


def _check_results(record: RunRecord, file: Path) -> None:
    results, layout = record.results, record.layout
    try:
        metrics, best = results["metrics"], results["best"]
        measured = [metrics[name] for name in record.config.task_info.metrics]
        sizes = [results["n_examples"][split] for _, split in record.config.task_info.splits]
        parameters = [results["trainable_parameters"], results["new_parameters"]]
        kept, heads = np.asarray(results["kept"]), np.asarray(results["kept_per_head"])
        holds = (
            all(map(is_number, [*measured, best["value"], best["step"], *parameters]))
            and all(isinstance(size, int) and size > 0 for size in sizes)
            and best["metric"] in metrics
            and isinstance(results["evaluations"], list)
            and all(isinstance(evaluation, dict) for evaluation in results["evaluations"])
            and kept.dtype.kind == heads.dtype.kind == "i"
            and kept.shape == (layout.n_layers, len(MATRIX_TYPES))
            and heads.shape == (layout.n_layers, len(HEAD_TYPES), layout.n_heads)
            and bool(((kept >= 0) & (kept <= [layout.size(kind) for kind in MATRIX_TYPES])).all())
            and np.array_equal(heads.sum(axis=2), kept[:, : len(HEAD_TYPES)])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunFormatError(f"{file} has incomplete results: {error!r}.") from None
    if not holds:
        raise RunFormatError(f"{file} has kept counts or metrics that do not fit its encoder or task.")


@dataclass(frozen=True)
class RunIndex:
    """Runs of some folders, and what in them could not be read.

    Parameters
    ----------
    runs
        By run id, in order of the ids; a run in several folders is taken from the first.
    problems
        ``(folder, sentence)`` for each folder that should be a run and is not.
    """

    runs: Mapping[str, RunRecord]
    problems: tuple[tuple[Path, str], ...]

    @property
    def mask_records(self) -> Mapping[str, MaskRecord]:
        """The masks of the runs that keep one, by their id."""
        return {record.mask_id: record for run in self.runs.values() if (record := run.mask_record) is not None}


def list_runs(folders: Iterable[Path]) -> RunIndex:
    """Read run.json of every run in some folders; a missing folder counts as empty."""
    runs, problems = read_all(folders, run_folders, load_run)
    return RunIndex({run.run_id: run for run in sorted(runs[::-1], key=lambda run: run.run_id)}, problems)


def find_run(name: str, folders: Iterable[Path]) -> RunRecord | None:
    """The run whose folder, or whose id in one of some folders of runs, this is; None where there is none.

    Raises
    ------
    RunFormatError
        If it is there and cannot be read.
    """
    for folder in (Path(name).expanduser(), *(folder / name for folder in folders)):
        if (folder / RECORD_FILE).is_file():
            return load_run(folder.resolve())
    return None


def unused_shared_masks(folder: Path) -> list[Path]:
    """Files in a folder's shared_masks/ that none of its runs names.

    Raises
    ------
    RunFormatError
        If one of the runs cannot be read: any of the masks may be its own.
    """
    named = {load_run(path).masks_file for path in run_folders(folder)}
    return sorted(set((folder / SHARED_MASKS_FOLDER).glob("*")) - named)


def run_folders(folder: Path) -> list[Path]:
    """The folders in `folder` that should be runs, by name; none where there is no such folder.

    Raises
    ------
    RunFormatError
        If the folder is there and cannot be read.
    """
    try:
        return sorted(
            entry
            for entry in folder.iterdir()
            if entry.is_dir()
            and entry.name not in (TRANSFERS_FOLDER, SHARED_MASKS_FOLDER)
            and not entry.name.startswith(".")
        )
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunFormatError(f"Folder {folder} of runs cannot be read ({error.strerror}).") from None
