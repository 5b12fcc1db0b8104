"""All caches of the app. Keys are a run's folder and the time its run.json was written; every cache is bounded.

Records are read-only and shared by all sessions. Their arrays are read through a second, unshared record, so that a
record in the index stays as small as its run.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from smp_lab.analysis import overlap, sampling
from smp_lab.errors import RunFormatError
from smp_lab.masks import MaskSet
from smp_lab.storage import paths
from smp_lab.storage.published import published_ablations, published_points
from smp_lab.storage.runs import RunIndex, RunRecord, ScoreHistory, list_runs, load_run, run_folders

Stamp = tuple[str, int]


def run_index() -> RunIndex:
    """Own and cached runs, read again when a run was added, changed or removed."""
    folders = (paths.own_runs_folder(), paths.cached_runs_folder())
    return _run_index(folders, tuple(stamp for folder in folders for stamp in _stamps_in(folder)))


def _stamps_in(folder: Path) -> list[Stamp]:
    try:
        return [_stamp(run) for run in run_folders(folder)]
    except RunFormatError:
        # The index says why; once the folder can be read it has another stamp.
        return [(str(folder), 0)]


@st.cache_resource(max_entries=2, show_spinner=False)
def _run_index(folders: tuple[Path, ...], stamps: tuple[Stamp, ...]) -> RunIndex:
    return list_runs(folders)


def _stamp(run: Path) -> Stamp:
    try:
        written = (run / paths.RECORD_FILE).stat().st_mtime_ns
    except OSError:
        written = 0
    return str(run), written


def masks(run: RunRecord) -> MaskSet:
    """The final mask of a run; raises what `RunRecord.masks` raises."""
    return _masks(_stamp(run.path))


# Those of 32 MiniLM runs are 43 MB; of BERT-base one is 11 MB.
@st.cache_resource(max_entries=32, show_spinner="Reading the mask")
def _masks(stamp: Stamp) -> MaskSet:
    return load_run(Path(stamp[0])).masks


def history(run: RunRecord) -> pd.DataFrame:
    """The history of a run; raises what `RunRecord.history` raises."""
    return _history(_stamp(run.path))


@st.cache_data(max_entries=64, show_spinner=False)
def _history(stamp: Stamp) -> pd.DataFrame:
    return load_run(Path(stamp[0])).history


def scores(run: RunRecord) -> ScoreHistory:
    """Scores over the training of a run; raises what `RunRecord.scores` raises."""
    return _scores(_stamp(run.path))


# Of BERT-base 7 MB each, of MiniLM 4 MB.
@st.cache_resource(max_entries=8, show_spinner="Reading the scores")
def _scores(stamp: Stamp) -> ScoreHistory:
    return load_run(Path(stamp[0])).scores


def sampling_interval(run: RunRecord, metric: str) -> tuple[float, float, int]:
    """Lowest and highest value of a metric over development sets of this size, and the size.

    Raises what `RunRecord.predictions` raises.
    """
    return _sampling_interval(_stamp(run.path), metric)


@st.cache_data(max_entries=1024, show_spinner=False)
def _sampling_interval(stamp: Stamp, metric: str) -> tuple[float, float, int]:
    run = load_run(Path(stamp[0]))
    examples, name = sampling.of_metric(run.predictions, run.config.task_info, metric)
    return *sampling.sampling_interval(examples, name), len(examples)


def comparison(run_a: RunRecord, run_b: RunRecord, metric: str) -> sampling.Comparison:
    """Two runs on the same examples; raises what `RunRecord.predictions` and `sampling.compare` raise."""
    return _comparison(_stamp(run_a.path), _stamp(run_b.path), metric)


@st.cache_data(max_entries=64, show_spinner=False)
def _comparison(stamp_a: Stamp, stamp_b: Stamp, metric: str) -> sampling.Comparison:
    run_a, run_b = (load_run(Path(folder)) for folder, _ in (stamp_a, stamp_b))
    examples_a, name = sampling.of_metric(run_a.predictions, run_a.config.task_info, metric)
    examples_b, _ = sampling.of_metric(run_b.predictions, run_b.config.task_info, metric)
    return sampling.compare(examples_a, examples_b, name)


@st.cache_data(max_entries=1, show_spinner=False)
def published() -> pd.DataFrame:
    """The published numbers."""
    return published_points()


@st.cache_data(max_entries=1, show_spinner=False)
def ablations() -> pd.DataFrame:
    """The published ablations."""
    return published_ablations()


def magnitudes(run: RunRecord) -> overlap.Magnitudes | None:
    """How the weights that a run keeps lie among the sizes of all; None without scores.

    Reads the mask too: a run that gets through here can be compared. Raises what `RunRecord.masks` and
    `RunRecord.scores` raise.
    """
    return _magnitudes(_stamp(run.path))


# 30 kB each.
@st.cache_resource(max_entries=256, show_spinner="Reading the masks")
def _magnitudes(stamp: Stamp) -> overlap.Magnitudes | None:
    _masks(stamp)
    run = load_run(Path(stamp[0]))
    if not run.has_scores:
        return None
    scores = run.scores
    return overlap.magnitudes(
        scores.kept_histogram[-1],
        scores.removed_histogram[-1],
        scores.weight_score_histogram,
        scores.kept_by_magnitude,
    )


def pairwise_overlap(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Counts of every two runs, matrix by matrix; raises what `overlap.pairwise_overlap` raises."""
    return _pairwise_overlap(_stamps(runs))


@st.cache_data(max_entries=8, show_spinner="Comparing the masks")
def _pairwise_overlap(stamps: tuple[Stamp, ...]) -> pd.DataFrame:
    found = {Path(stamp[0]).name: _magnitudes(stamp) for stamp in stamps}
    known = {run_id: sizes for run_id, sizes in found.items() if sizes is not None}
    return overlap.pairwise_overlap(_masks_by_run(stamps), known)


def head_overlap(run_a: RunRecord, run_b: RunRecord) -> pd.DataFrame:
    """Counts of two runs, head by head."""
    return _head_overlap(_stamp(run_a.path), _stamp(run_b.path))


@st.cache_data(max_entries=64, show_spinner=False)
def _head_overlap(stamp_a: Stamp, stamp_b: Stamp) -> pd.DataFrame:
    return overlap.head_overlap(_masks(stamp_a), _masks(stamp_b))


def region_counts(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Weights that each combination of runs keeps; raises what `overlap.region_counts` raises."""
    return _region_counts(_stamps(runs))


@st.cache_data(max_entries=64, show_spinner=False)
def _region_counts(stamps: tuple[Stamp, ...]) -> pd.DataFrame:
    return overlap.region_counts(_masks_by_run(stamps))


def _stamps(runs: Sequence[RunRecord]) -> tuple[Stamp, ...]:
    return tuple(_stamp(run.path) for run in runs)


def _masks_by_run(stamps: tuple[Stamp, ...]) -> dict[str, MaskSet]:
    # A run's folder bears its id, or the record would not have been read.
    return {Path(stamp[0]).name: _masks(stamp) for stamp in stamps}
