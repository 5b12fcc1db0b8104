"""All caches of the app; every one is bounded.

What is read is kept by a run's folder and the time its run.json was written, or a transfer's file and the time of
that; what is drawn, by all that it is drawn from.

Records are read-only and shared by all sessions. Their arrays are read through a second, unshared record, so that a
record in the index stays as small as its run.json.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from smp_lab import paths
from smp_lab.analysis import overlap, sampling
from smp_lab.errors import RunFormatError
from smp_lab.figures import style
from smp_lab.masks import MaskSet
from smp_lab.storage.published import published_ablations, published_points
from smp_lab.storage.runs import RunIndex, RunRecord, ScoreHistory, list_runs, load_run, run_folders
from smp_lab.storage.transfers import TransferIndex, TransferRecord, list_transfers, load_transfer, transfer_files

Stamp = tuple[str, int]


def run_index() -> RunIndex:
    """Own and cached runs, read again when a run was added, changed or removed."""
    return _run_index(_folders(), _stamps_in(run_folders, _stamp))


def transfer_index() -> TransferIndex:
    """Transfers of own and cached runs, read again when one was added, changed or removed."""
    return _transfer_index(_folders(), _stamps_in(transfer_files, _file_stamp))


def _folders() -> tuple[Path, ...]:
    return paths.own_runs_folder(), paths.cached_runs_folder()


def _stamps_in(find: Callable[[Path], list[Path]], stamp: Callable[[Path], Stamp]) -> tuple[Stamp, ...]:
    stamps = []
    for folder in _folders():
        try:
            stamps += [stamp(path) for path in find(folder)]
        except RunFormatError:
            # The index says why; once the folder can be read it has another stamp.
            stamps.append((str(folder), 0))
    return tuple(stamps)


@st.cache_resource(max_entries=2, show_spinner=False)
def _run_index(folders: tuple[Path, ...], stamps: tuple[Stamp, ...]) -> RunIndex:
    return list_runs(folders)


@st.cache_resource(max_entries=2, show_spinner=False)
def _transfer_index(folders: tuple[Path, ...], stamps: tuple[Stamp, ...]) -> TransferIndex:
    return list_transfers(folders)


def _stamp(run: Path) -> Stamp:
    return str(run), _file_stamp(run / paths.RECORD_FILE)[1]


def _file_stamp(file: Path) -> Stamp:
    try:
        written = file.stat().st_mtime_ns
    except OSError:
        written = 0
    return str(file), written


def masks(run: RunRecord) -> MaskSet:
    """The final mask of a run; raises what `RunRecord.masks` raises."""
    return _masks(_stamp(run.path))


# Those of 32 MiniLM runs are 43 MB; of BERT-base one is 11 MB.
@st.cache_resource(max_entries=32, show_spinner="Reading the mask", show_time=True)
def _masks(stamp: Stamp) -> MaskSet:
    return load_run(Path(stamp[0])).masks


def mask_sha256(run: RunRecord) -> str:
    """Digest of the final mask; raises what `RunRecord.masks` raises."""
    return _mask_sha256(_stamp(run.path))


@st.cache_data(max_entries=1024, show_spinner=False)
def _mask_sha256(stamp: Stamp) -> str:
    return _masks(stamp).sha256


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
@st.cache_resource(max_entries=8, show_spinner="Reading the scores", show_time=True)
def _scores(stamp: Stamp) -> ScoreHistory:
    return load_run(Path(stamp[0])).scores


def reliability(run: RunRecord, metric: str) -> sampling.Reliability:
    """What a metric of a run is to be held against; raises what `RunRecord.predictions` raises."""
    return _reliability(_stamp(run.path), metric)


@st.cache_data(max_entries=1024, show_spinner=False)
def _reliability(stamp: Stamp, metric: str) -> sampling.Reliability:
    run = load_run(Path(stamp[0]))
    return sampling.reliability(run.predictions, run.config.task_info, metric)


def transfer_reliability(transfer: TransferRecord, metric: str) -> sampling.Reliability:
    """The same of a transfer."""
    return _transfer_reliability(_file_stamp(transfer.path), metric)


@st.cache_data(max_entries=1024, show_spinner=False)
def _transfer_reliability(stamp: Stamp, metric: str) -> sampling.Reliability:
    transfer = load_transfer(Path(stamp[0]))
    return sampling.reliability(transfer.predictions, transfer.settings.task_info, metric)


def comparison(run_a: RunRecord, run_b: RunRecord, metric: str) -> sampling.Comparison:
    """Two runs on the same examples; raises what `RunRecord.predictions` and `sampling.compare` raise."""
    return _comparison(_stamp(run_a.path), _stamp(run_b.path), metric)


@st.cache_data(max_entries=64, show_spinner="Comparing the predictions", show_time=True)
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


def figure(
    plot: Callable[..., go.Figure], theme: str, scale: float, args: tuple[Any, ...], settings: dict[str, Any]
) -> go.Figure:
    """What a function of `smp_lab.figures` draws from its arguments, in a theme and as many times larger."""
    return _figure(plot.__module__, plot.__name__, theme, scale, plot, args, settings)


def _table_key(table: pd.DataFrame) -> tuple[tuple[str, ...], bytes]:
    # All of it: of a table of 50,000 rows Streamlit's own key looks at some alone.
    return tuple(map(str, table.columns)), pd.util.hash_pandas_object(table).to_numpy().tobytes()


# Of 0.1 to 1 MB each.
@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs={pd.DataFrame: _table_key})
def _figure(
    module: str,
    name: str,
    theme: str,
    scale: float,
    _plot: Callable[..., go.Figure],
    args: tuple[Any, ...],
    settings: dict[str, Any],
) -> go.Figure:
    figure = _plot(*args, **settings)
    figure.update_layout(template=style.template(theme), uirevision=name)
    return figure if scale == 1 else style.enlarge(figure, scale)


def magnitudes(run: RunRecord) -> overlap.Magnitudes | None:
    """How the weights that a run keeps lie among the sizes of all; None without scores.

    Reads the mask too: a run that gets through here can be compared. Raises what `RunRecord.masks` and
    `RunRecord.scores` raise.
    """
    return _magnitudes(_stamp(run.path))


# 30 kB each.
@st.cache_resource(max_entries=256, show_spinner="Reading the masks", show_time=True)
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


@st.cache_data(max_entries=8, show_spinner="Comparing the masks", show_time=True)
def _pairwise_overlap(stamps: tuple[Stamp, ...]) -> pd.DataFrame:
    found = {Path(stamp[0]).name: _magnitudes(stamp) for stamp in stamps}
    known = {run_id: sizes for run_id, sizes in found.items() if sizes is not None}
    return overlap.pairwise_overlap(_masks_by_run(stamps), known)


def head_overlap(run_a: RunRecord, run_b: RunRecord) -> pd.DataFrame:
    """Counts of two runs, head by head."""
    return _head_overlap(_stamp(run_a.path), _stamp(run_b.path))


@st.cache_data(max_entries=64, show_spinner="Comparing the heads", show_time=True)
def _head_overlap(stamp_a: Stamp, stamp_b: Stamp) -> pd.DataFrame:
    return overlap.head_overlap(_masks(stamp_a), _masks(stamp_b))


def region_counts(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Weights that each combination of runs keeps; raises what `overlap.region_counts` raises."""
    return _region_counts(_stamps(runs))


@st.cache_data(max_entries=64, show_spinner="Counting the intersections", show_time=True)
def _region_counts(stamps: tuple[Stamp, ...]) -> pd.DataFrame:
    return overlap.region_counts(_masks_by_run(stamps))


def _stamps(runs: Sequence[RunRecord]) -> tuple[Stamp, ...]:
    return tuple(_stamp(run.path) for run in runs)


def _masks_by_run(stamps: tuple[Stamp, ...]) -> dict[str, MaskSet]:
    # A run's folder bears its id, or the record would not have been read.
    return {Path(stamp[0]).name: _masks(stamp) for stamp in stamps}
