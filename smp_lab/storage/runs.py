"""The run record: one folder per finished run, written once, verified whenever it is read.

::

    {run_id}/
      run.json         schema_version, run_id, config, layout, provenance, results, sha256 of each file and of itself
      history.npz      one array per column, a value per logged step
      masks.npz        the final mask: one zlib stream of packed bits per matrix
      scores.npz       score histograms, kept counts and flips in some twenty snapshots of training
      predictions.npz  what the final model said on each development example

A run that learns no scores has no scores.npz, one without a mask (dense) no masks.npz. The mask of a control is
the same for every task, so it lies once in the folder shared_masks/ beside the runs, under its sha256. A mask of
magnitude pruning differs little from the magnitude mask of the pre-trained weights: that one lies there too, and
masks.npz holds the difference.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from smp_lab.config import RunConfig
from smp_lab.errors import MaskFormatError, RunFormatError
from smp_lab.layout import EncoderLayout
from smp_lab.lease import Lease
from smp_lab.masks import MaskSet, whole
from smp_lab.paths import (
    HISTORY_FILE,
    IMPORTED_FOLDER,
    MASKS_FILE,
    MEASUREMENTS_FOLDER,
    PREDICTIONS_FILE,
    RECORD_FILE,
    SCORES_FILE,
    SHARED_MASKS_FOLDER,
    TRANSFERS_FOLDER,
)
from smp_lab.storage.archives import Arrays, to_npz
from smp_lab.storage.array_files import (
    counts_fit,
    kept_counts,
    masks_to_bytes,
    read_arrays,
    read_masks,
    shared_masks_file,
    shared_masks_folder,
)
from smp_lab.storage.mask_records import MEASURED_RUN, MaskRecord
from smp_lab.storage.predictions import predictions_table
from smp_lab.storage.run_index import Part, RunRows
from smp_lab.storage.sealed import sync_folder, why, write_durably
from smp_lab.storage.store import Listing, Store, cut, fenced
from smp_lab.storage.versions import RunVersion1, RunVersion2, RunVersion3, Seal

# Of the arrays of one file, unpacked; a file's own limit follows from its record and is mostly far below.
MAX_UNPACKED_BYTES = 2**28
# A trained run logs some two hundred.
MAX_HISTORY_ROWS = 100_000
# Of the scores of one matrix over training: 150 kB with 21 snapshots and 400 bins.
MAX_SCORE_BYTES_PER_MATRIX = 2**20

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

_COUNTED = {"step", "kept", "flips_in", "flips_out"}

T = TypeVar("T")


@dataclass(frozen=True)
class ScoreHistory:
    """Scores and masks of every matrix in snapshots of training; axis 1 is `EncoderLayout.matrices`.

    Parameters
    ----------
    steps
        ``(n_snapshots,)``; the state after so many updates. The last is the final mask's.
    edges
        ``(n_bins + 1,)`` edges of the score bins, the same in every run; the first and last are infinite.
    kept_histogram, removed_histogram
        ``(n_snapshots, n_matrices, n_bins)`` scores of kept and of removed weights.
    score_cut
        ``(n_snapshots, n_matrices)`` lowest score that is kept; NaN where nothing is.
    kept
        ``(n_snapshots, n_matrices)`` kept weights.
    flips_in, flips_out
        ``(n_snapshots, n_matrices)`` weights that came into the mask, and that left it, since the snapshot before.
    kept_in_final
        ``(n_snapshots, n_matrices)`` weights kept at the snapshot and in the final mask.
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
        snapshots, bins, weight_bins = len(self.steps), len(self.edges) - 1, len(self.weight_edges) - 1
        matrices = len(self.kept_by_magnitude)
        for name, kinds, want in (
            ("steps", "iu", (snapshots,)),
            ("edges", "f", (bins + 1,)),
            ("weight_edges", "f", (weight_bins + 1,)),
            ("kept_by_magnitude", "iu", (matrices,)),
            ("kept_histogram", "iu", (snapshots, matrices, bins)),
            ("removed_histogram", "iu", (snapshots, matrices, bins)),
            ("score_cut", "f", (snapshots, matrices)),
            ("kept", "iu", (snapshots, matrices)),
            ("flips_in", "iu", (snapshots, matrices)),
            ("flips_out", "iu", (snapshots, matrices)),
            ("kept_in_final", "iu", (snapshots, matrices)),
            ("weight_score_histogram", "iu", (matrices, weight_bins, bins)),
        ):
            got = getattr(self, name)
            if got.shape != want or got.dtype.kind not in kinds:
                raise RunFormatError(
                    f"Score history has {name} of shape {got.shape} and type {got.dtype}; expected {want} of "
                    f"{'counts' if kinds == 'iu' else 'floating point numbers'}."
                )
            if kinds == "iu" and got.size and got.min() < 0:
                raise RunFormatError(f"Score history has a count below 0 in {name}.")
        for name in ("edges", "weight_edges"):
            edges = getattr(self, name)
            # Not "is not smaller": with NaN nothing is.
            if not (len(edges) > 1 and np.all(edges[:-1] < edges[1:]) and np.isinf(edges[[0, -1]]).all()):
                raise RunFormatError(f"Score history has {name} that do not rise from one infinity to the other.")
        if not np.all(self.steps[:-1] < self.steps[1:]):
            raise RunFormatError("Score history has steps that do not rise.")

    def check_counts(self, layout: EncoderLayout, kept: npt.NDArray[np.int64]) -> None:
        """Refuse scores that are not those of an encoder and of its final mask.

        Parameters
        ----------
        layout
            Of the encoder.
        kept
            ``(n_layers, 6)`` kept weights of the final mask.

        Raises
        ------
        RunFormatError
            If the counts do not add up to its matrices' sizes, or do not end at the mask's.
        """
        sizes = np.array([layout.size(matrix.matrix_type) for matrix in layout.matrices])
        if not np.array_equal(self.kept[-1:], kept.reshape(1, -1)):
            raise RunFormatError("Score history does not end at the kept counts of the record.")
        laws = {
            "kept_histogram": np.array_equal(self.kept_histogram.sum(axis=2), self.kept),
            "removed_histogram": np.array_equal(self.removed_histogram.sum(axis=2), sizes - self.kept),
            "weight_score_histogram": np.array_equal(self.weight_score_histogram.sum(axis=(1, 2)), sizes),
            "kept_in_final": bool((self.kept_in_final <= np.minimum(self.kept, self.kept[-1])).all()),
            "kept_by_magnitude": bool((self.kept_by_magnitude <= self.kept[-1]).all()),
        }
        if broken := [name for name, holds in laws.items() if not holds]:
            raise RunFormatError(f"Score history has counts that do not add up: {', '.join(broken)}.")


@dataclass(frozen=True)
class RunRecord:
    """One finished run. Small facts are read with it; the arrays are read and verified when first asked for.

    Parameters
    ----------
    path
        Its folder.
    config, layout
        What defined the run, and the shapes of its encoder.
    provenance
        How, where and when it was made: versions, commit, hardware, wall time, sources, command.
    results
        ``metrics``: final value per metric, a fraction; ``n_examples`` per development split; ``n_train_examples``:
        those it learned from; ``total_steps``: updates; ``evaluations``: a dict
        per evaluation with step, epoch, remaining, loss and every metric; ``best``: metric, value and step of the best
        evaluation; ``best_at_final_density``: the same of those from the end of the schedule on, where the record has
        it; ``kept``: ``(n_layers, 6)`` kept weights per matrix; ``kept_per_head``: ``(n_layers, 4, n_heads)``
        for query, key, value and attention_output; ``trainable_parameters``: all that the optimiser moves, scores
        and a new head included; ``new_parameters``: what the task adds to a pre-trained encoder that is there
        already: whatever was trained but the scores, without the weights that the mask removes, and the mask, 32 of
        its bits a parameter. These are the columns of the paper's Table 1, which leaves out what beside the prunable
        weights is trained with a mask: biases, LayerNorm and head, a thousandth of BERT-base.
    files
        Size and digest of each of its array files.
    """

    path: Path
    config: RunConfig
    layout: EncoderLayout
    provenance: Mapping[str, Any]
    results: Mapping[str, Any]
    files: Mapping[str, Seal]

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

    def best_at_final_density(self, metric: str) -> float:
        """Best value of a metric among the evaluations of as many kept weights as the last: published scores are of it.

        It is chosen on the development set that it is measured on; the last evaluation is not.
        """
        evaluations = self.results["evaluations"]
        final = evaluations[-1]["remaining"]
        return float(max(row[metric] for row in evaluations if row["remaining"] == final))

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
        return MASKS_FILE in self.files

    @property
    def masks_file(self) -> Path:
        """Where its mask lies: in its own folder, or, for a control, once for all runs that share it."""
        own = self.path / MASKS_FILE
        if own.exists() or not self.config.method_info.is_control:
            return own
        return shared_masks_file(self.path.resolve().parent, self.files[MASKS_FILE].sha256)

    @property
    def mask_bytes(self) -> int:
        """Size of the file of its mask, without the base that it may be a difference from.

        Raises
        ------
        RunFormatError
            If it is missing.
        """
        try:
            return self.masks_file.stat().st_size
        except OSError as error:
            where = f"{self.masks_file.parent.name}/{self.masks_file.name}"
            raise RunFormatError(f"Run {self.run_id}: {where} cannot be read ({why(error)}).") from None

    @property
    def has_scores(self) -> bool:
        """Whether a score history is stored."""
        return SCORES_FILE in self.files

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
        seal, what = self._seal_of(MASKS_FILE), f"Run {self.run_id}"
        return read_masks(self.masks_file, seal, self.layout, self.results, what=what, again=RUNS.again)

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
            digest=self.files[MASKS_FILE].sha256 + (self.files[MASKS_FILE].base or ""),
            read=self._read_masks,
            config=config,
        )

    @cached_property
    def history(self) -> pd.DataFrame:
        """A row per logged step, columns `HISTORY_COLUMNS`; NaN where a quantity does not exist."""
        return self._read(HISTORY_FILE, MAX_HISTORY_ROWS * len(HISTORY_COLUMNS) * 8, self._history_of)

    def _history_of(self, arrays: Arrays) -> pd.DataFrame:
        shapes = {array.shape for array in arrays.values()}
        if set(arrays) != set(HISTORY_COLUMNS) or len(shapes) != 1 or len(*shapes) != 1:
            raise RunFormatError(
                f"History of run {self.run_id} has columns {', '.join(sorted(arrays))[:200]} or unequal lengths."
            )
        for name, array in arrays.items():
            if array.dtype.kind not in ("iu" if name in _COUNTED else "f"):
                raise RunFormatError(f"History of run {self.run_id} has a column {name} of {array.dtype}.")
        if not np.all(arrays["step"][:-1] < arrays["step"][1:]) or any(
            array.size and array.min() < 0 for name, array in arrays.items() if name in _COUNTED
        ):
            raise RunFormatError(f"History of run {self.run_id} has steps that do not rise, or a count below 0.")
        return pd.DataFrame({column: arrays[column] for column in HISTORY_COLUMNS})

    @cached_property
    def scores(self) -> ScoreHistory:
        """Scores over training."""
        most = min(len(self.layout.matrices) * MAX_SCORE_BYTES_PER_MATRIX, MAX_UNPACKED_BYTES)
        return self._read(SCORES_FILE, most, self._scores_of)

    def _scores_of(self, arrays: Arrays) -> ScoreHistory:
        try:
            scores = ScoreHistory(**arrays)
            scores.check_counts(self.layout, self.kept)
        except RunFormatError as error:
            raise RunFormatError(f"Run {self.run_id}: {error}") from None
        except TypeError as error:
            raise RunFormatError(f"Score history of run {self.run_id} has other fields: {error}.") from None
        return scores

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """A row per development example in file order.

        Columns: ``split`` (number in the task's splits), and those of the task's kind: ``prediction`` (class number, or
        the score of a regression) with ``correct`` (classification) or ``error`` (prediction minus target); or
        ``start`` and ``end`` (characters of the context), ``exact_match`` and ``f1`` of a span.
        """
        n_examples, n_columns = self.results["n_examples"], 1 + len(self.config.task_info.kind.columns)
        return self._read(
            PREDICTIONS_FILE,
            # Each of at most eight bytes.
            8 * n_columns * sum(n_examples.values()),
            lambda arrays: predictions_table(
                arrays, self.config.task_info, n_examples, f"Run {self.run_id}: {PREDICTIONS_FILE}"
            ),
        )

    def _read(self, name: str, most: int, build: Callable[[Arrays], T]) -> T:
        """What `build` makes of the arrays of a file, which take at most so many bytes."""
        seal, what = self._seal_of(name), f"Run {self.run_id}"
        return read_arrays(self.path / name, seal, most, build, what=what, name=name, again=RUNS.again)

    def _seal_of(self, name: str) -> Seal:
        if name not in self.files:
            raise RunFormatError(f"Run {self.run_id} ({self.config.method}) holds no {name}.")
        return self.files[name]

    def verify(self) -> None:
        """Read and verify every file of the record.

        Raises
        ------
        RunFormatError, MaskFormatError
            At the first defect.
        """
        for name in self.files:
            # What a file holds is the property of its name.
            getattr(self, Path(name).stem)
        with fenced(f"Run {self.run_id}"):
            extra = sorted({entry.name for entry in self.path.iterdir()} - {RECORD_FILE, *self.files})
        if extra:
            raise RunFormatError(f"Run {self.run_id} holds files that are not part of it: {cut(', '.join(extra))}.")


# A mask without a run has no history, scores or metric; what it keeps is shown like that of a run.
Masked = RunRecord | MaskRecord


def masks_of(runs: Iterable[Masked]) -> list[MaskRecord]:
    """The masks of those that hold one."""
    masks = (run if isinstance(run, MaskRecord) else run.mask_record for run in runs)
    return [mask for mask in masks if mask is not None]


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
    base: MaskSet | None = None,
    lease: Lease | None = None,
) -> RunRecord:
    """Write a record whole or not at all, and read it back.

    Kept counts are taken from `masks` (all weights where there are none) and added to `results`. With a base, a mask
    that other runs share, the difference from it is written in the place of the mask. With a lease the record is
    written only as long as that is held.

    Raises
    ------
    RunExistsError
        If the run is already there.
    LeaseLostError
        If the run was taken over by another process.
    RunFormatError, MaskFormatError
        If results are missing or contradict the encoder or the task.
    RunWriteError
        If a fact is not JSON (NaN is not), the folder cannot be written or the disk is full. Nothing is left behind.
    """
    if masks is not None and masks.layout != layout:
        raise MaskFormatError(f"Masks of run {config.run_id} are for {masks.layout}; its encoder is {layout}.")
    target = runs / config.run_id
    contents = {
        HISTORY_FILE: to_npz({column: history[column].to_numpy() for column in HISTORY_COLUMNS}),
        PREDICTIONS_FILE: to_npz({str(column): predictions[column].to_numpy() for column in predictions}),
    }
    if masks is not None:
        contents[MASKS_FILE] = masks_to_bytes(masks, base)
    shared = masks_to_bytes(base) if base else contents.get(MASKS_FILE, b"") if config.method_info.is_control else b""
    place = shared_masks_file(runs, hashlib.sha256(shared).hexdigest())
    if scores is not None:
        arrays = {field.name: getattr(scores, field.name) for field in fields(scores)}
        # 0.62 of what deflation takes for histograms, the largest file of a run after its mask.
        contents[SCORES_FILE] = to_npz(arrays, zipfile.ZIP_LZMA)
    record = {
        "run_id": config.run_id,
        "config": config.to_dict(),
        "layout": layout.to_dict(),
        "provenance": dict(provenance),
        "results": {**results, **kept_counts(whole(layout) if masks is None else masks)},
    }
    with RUNS.writing(target, lease) as temporary:
        RUNS.fill(temporary, target, record, contents, {MASKS_FILE: place.stem} if base else {})
        alone = temporary / (place.name if base else MASKS_FILE)
        if base:
            write_durably(alone, shared)
        if shared:
            # Last, when all else is on the disk: other runs may name it at once, so it could not be taken back.
            place.parent.mkdir(exist_ok=True)
            lease.publish(alone, place) if lease else alone.replace(place)
            sync_folder(place.parent)
    return load_run(target)


def _build(path: Path, content: Mapping[str, Any], model: RunVersion1) -> RunRecord:
    record = RunRecord(
        path,
        RunConfig.from_dict(content["config"]),
        EncoderLayout.from_dict(content["layout"]),
        content["provenance"],
        content["results"],
        {str(name): seal for name, seal in model.files.items()},
    )
    if problem := _misfit(record, model):
        raise RunFormatError(f"{path / RECORD_FILE} {problem}, which do not fit its encoder or task. {RUNS.again}")
    return record


def _misfit(record: RunRecord, model: RunVersion1) -> str | None:
    """What of a record does not fit its own settings; None where all does."""
    task, results = record.config.task_info, model.results
    if not {HISTORY_FILE, PREDICTIONS_FILE} <= set(record.files):
        return f"names files {', '.join(record.files) or '(none)'}"
    if set(results.n_examples) != {split for _, split in task.splits}:
        return f"has n_examples of {cut(', '.join(results.n_examples))}"
    if not set(task.metrics) <= set(results.metrics):
        return f"has metrics {cut(', '.join(results.metrics))}"
    if results.best.metric not in results.metrics:
        return f"has a best value of {cut(results.best.metric)}"
    for evaluation in record.results["evaluations"]:
        if not all(_is_metric(evaluation.get(name)) for name in task.metrics):
            return f"has evaluations without {' and '.join(task.metrics)}"
    return None if counts_fit(record.layout, results.kept, results.kept_per_head) else "has kept counts"


def _is_metric(value: Any) -> bool:
    return type(value) in (int, float) and -1 <= value <= 1


RUNS: Store[RunRecord] = Store(
    kind="run",
    id_name="run_id",
    versions={1: RunVersion1, 2: RunVersion2, 3: RunVersion3},
    folder="",
    json_name=RECORD_FILE,
    others=(TRANSFERS_FOLDER, MEASUREMENTS_FOLDER, SHARED_MASKS_FOLDER, IMPORTED_FOLDER),
    build=_build,
    again="Restore the folder or train the run again.",
)


load_run = RUNS.load


def list_runs(
    folders: Iterable[Path], before: Listing[RunRecord] | None = None, kept_in: Path | None = None
) -> Listing[RunRecord]:
    """Read run.json of every run in some folders; a missing folder counts as empty.

    Parameters
    ----------
    folders
        A run in several is taken from the first.
    before
        A listing of the same folders: what has not changed since is taken from it.
    kept_in
        File that keeps what a listing needs from one process to the next; see `smp_lab.storage.run_index`.
    """
    folders = list(folders)
    rows = RunRows(kept_in, folders, _from_row) if kept_in else None
    found = RUNS.list(folders, before.seen.get if before else rows.get if rows else None)
    if rows:
        rows.keep(found.seen)
    return found


def _from_row(
    path: Path, config: RunConfig, layout: EncoderLayout, results: Mapping[str, Any], seals: Mapping[str, Seal]
) -> RunRecord:
    return RunRecord(
        path,
        config,
        layout,
        Part({}, lambda: load_run(path).provenance),
        Part(results, lambda: load_run(path).results),
        seals,
    )


def unused_shared_masks(folder: Path) -> list[Path]:
    """Files in a folder's shared_masks/ that none of its runs names.

    Raises
    ------
    RunFormatError
        If one of the runs cannot be read, since any of the masks may be its own, or the folder is a link out.
    """
    seals = [run.files[MASKS_FILE] for run in map(load_run, RUNS.paths(folder)) if run.has_masks]
    named = {f"{sha256}.npz" for seal in seals for sha256 in (seal.sha256, seal.base)}
    return sorted(file for file in shared_masks_folder(folder).glob("*") if file.name not in named)
