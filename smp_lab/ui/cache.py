"""Caches of records, and of tables and figures made of them; every one is bounded.

What is read is kept by a run's folder and the time its run.json was written, a transfer's file and the time of that,
or the digest of a mask; what is drawn, by all that it is drawn from.

Records and tables are read-only and shared by all sessions: none is copied for a visitor. The arrays of a record are
read through a second, unshared record, so that a record in the index stays as small as its run.json.
"""

from __future__ import annotations

import functools
import hashlib
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from smp_lab import paths
from smp_lab.analysis import labels, overlap, sampling, transfer
from smp_lab.analysis.claims import claims_table
from smp_lab.analysis.run_table import rows_of
from smp_lab.analysis.run_table import run_table as run_table_of
from smp_lab.figures import style
from smp_lab.jobs.events import LiveRun, Snapshot
from smp_lab.masks import MaskSet
from smp_lab.storage.imported import IMPORTED_MASKS, ImportedMask, bases_of
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.measurements import MEASUREMENTS, MeasurementRecord
from smp_lab.storage.published import published_ablations, published_points
from smp_lab.storage.runs import RUNS, RunRecord, ScoreHistory, list_runs, load_run
from smp_lab.storage.store import Listing, Store
from smp_lab.storage.transfers import TRANSFERS, TransferRecord
from smp_lab.ui import opened

Stamp = tuple[str, int]
Computed = TypeVar("Computed")


_LOOKED: ContextVar[dict[str, str] | None] = ContextVar("looked", default=None)


@contextmanager
def looked_at_once() -> Iterator[None]:
    """Within it folders are looked at once, however often a page asks for their runs."""
    token = _LOOKED.set({})
    try:
        yield
    finally:
        _LOOKED.reset(token)


def transfer_index() -> Listing[TransferRecord]:
    """Transfers of own and cached runs, read again when one was added, changed or removed."""
    return _listing(TRANSFERS, _folders(), _stamps(TRANSFERS))


def measurements() -> Listing[MeasurementRecord]:
    """What was measured of masks of own and cached runs."""
    return _listing(MEASUREMENTS, _folders(), _stamps(MEASUREMENTS))


def imported_masks() -> Listing[ImportedMask]:
    """Imported masks of one's own and the cached runs, and those that this session opened."""
    mine = opened.folder()
    folders = (*_folders(), *([mine] if mine else []))
    # Looked at each time: a page that opens a mask shows it at once.
    return _listing(IMPORTED_MASKS, folders, _look(IMPORTED_MASKS, folders))


def _folders() -> tuple[Path, ...]:
    return paths.own_runs_folder(), paths.cached_runs_folder()


def _stamps(store: Store[Any]) -> str:
    """One digest of all that changes where a record of one's own or the cached runs was added, changed or removed."""
    looked = _LOOKED.get()
    if looked is None:
        return _look(store, _folders())
    if store.kind not in looked:
        looked[store.kind] = _look(store, _folders())
    return looked[store.kind]


def _look(store: Store[Any], folders: Sequence[Path]) -> str:
    return hashlib.sha256(repr([store.stamps(folder) for folder in folders]).encode()).hexdigest()


def _until_a_run_changes(make: Callable[[], Computed]) -> Callable[[], Computed]:
    """Make something of all runs, and anew when one was added, changed or removed."""

    @st.cache_resource(max_entries=2, show_spinner=False)
    # Streamlit knows what it keeps by the name of what makes it.
    @functools.wraps(make)
    def made(folders: tuple[Path, ...], stamps: str) -> Computed:
        return make()

    return lambda: made(_folders(), _stamps(RUNS))


@_until_a_run_changes
def run_index() -> Listing[RunRecord]:
    """Own and cached runs."""
    last = _last_index(_folders())
    # What has not changed is not read again.
    last["runs"] = index = list_runs(_folders(), last.get("runs"), paths.index_file())
    return index


@st.cache_resource(max_entries=2, show_spinner=False)
def _last_index(folders: tuple[Path, ...]) -> dict[str, Listing[RunRecord]]:
    return {}


@_until_a_run_changes
def run_table() -> pd.DataFrame:
    """A row per run of `run_index`: `run_table.COLUMNS`, and source, "measured, own" or "measured, cached".

    Shared by all sessions: read it, and do not change it.
    """
    runs = list(run_index().records.values())
    own, _ = _folders()
    source = [f"measured, {'own' if run.path.parent == own else 'cached'}" for run in runs]
    return run_table_of(runs).assign(source=source)


@_until_a_run_changes
def run_labels() -> dict[str, str]:
    """Run id -> label among all runs of `run_index`."""
    return labels.run_labels(run_table())


@_until_a_run_changes
def known_bases() -> list[str]:
    """Names of the encoders that a mask may be for."""
    return [base.name for base in bases_of(run_index().records.values())]


# Of transfers, measurements and imported masks; of these each session may have some of its own.
@st.cache_resource(max_entries=36, show_spinner=False, hash_funcs={Store: lambda store: store.kind})
def _listing(store: Store[Any], folders: tuple[Path, ...], stamps: str) -> Listing[Any]:
    return store.list(folders)


def file_stamp(file: Path) -> Stamp:
    """A file, and when it was written: 0 where that cannot be said."""
    try:
        written = file.stat().st_mtime_ns
    except (OSError, ValueError):
        written = 0
    return str(file), written


# By id, for as long as the table lives: what a cache holds is asked for in every rerun, and nobody changes it.
_TABLE_KEYS: dict[int, bytes] = {}


def _table_key(table: pd.DataFrame) -> bytes:
    if (known := _TABLE_KEYS.get(id(table))) is not None:
        return known
    # All of it: of a table of 50,000 rows Streamlit's own key looks at some alone. pandas' hash takes thrice as long
    # for the usual hundred rows.
    digest = hashlib.sha256()
    for name, column in (("", table.index), *table.items()):
        values = column.to_numpy()
        digest.update(f"{name!r} {values.dtype.str} {len(values)} ".encode())
        digest.update(repr(values.tolist()).encode() if values.dtype == object else values.tobytes())
    weakref.finalize(table, _TABLE_KEYS.pop, id(table), None).atexit = False
    _TABLE_KEYS[id(table)] = key = digest.digest()
    return key


_KEYS: dict[str | type[Any], Callable[[Any], Any]] = {
    RunRecord: lambda run: file_stamp(run.path / paths.RECORD_FILE),
    TransferRecord: lambda transfer: file_stamp(transfer.path),
    MaskRecord: lambda mask: (mask.mask_id, mask.digest),
    MeasurementRecord: lambda measured: file_stamp(measured.path),
    pd.DataFrame: _table_key,
    # Its rows are only ever added to.
    LiveRun: lambda run: (run.config.run_id, run.from_step, len(run.history), len(run.evaluations)),
    Snapshot: lambda snapshot: (snapshot.step, snapshot.kept.tobytes()),
    # Its source does not change while the app runs.
    FunctionType: lambda function: (function.__module__, function.__qualname__),
}


# Those of 32 MiniLM runs are 43 MB; of BERT-base one is 11 MB.
@st.cache_resource(max_entries=32, show_spinner="Reading the mask", show_time=True, hash_funcs=_KEYS)
def masks(mask: MaskRecord) -> MaskSet:
    """The bits of a mask; raises what `MaskRecord.read` raises."""
    return mask.read()


@st.cache_data(max_entries=1024, show_spinner=False, hash_funcs=_KEYS)
def mask_sha256(mask: MaskRecord) -> str:
    """Digest of the bits of a mask; raises what `masks` raises."""
    return masks(mask).sha256


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=_KEYS)
def history(run: RunRecord) -> pd.DataFrame:
    """The history of a run; raises what `RunRecord.history` raises."""
    return load_run(run.path).history


# Of BERT-base 7 MB each, of MiniLM 4 MB.
@st.cache_resource(max_entries=8, show_spinner="Reading the scores", show_time=True, hash_funcs=_KEYS)
def scores(run: RunRecord) -> ScoreHistory:
    """Scores over the training of a run; raises what `RunRecord.scores` raises."""
    return load_run(run.path).scores


@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=_KEYS)
def predictions(run: RunRecord) -> pd.DataFrame:
    """What a run said of each development example; raises what `RunRecord.predictions` raises."""
    return load_run(run.path).predictions


def reliability(run: RunRecord, metric: str) -> sampling.Reliability:
    """What a metric of a run is to be compared with; raises what `RunRecord.predictions` raises."""
    return _reliability(file_stamp(run.path / paths.RECORD_FILE), metric)


# Asked for a hundred runs at a time, where Streamlit's caches take a tenth of a millisecond each.
@functools.lru_cache(maxsize=4096)
def _reliability(stamp: Stamp, metric: str) -> sampling.Reliability:
    run = load_run(Path(stamp[0]).parent)
    return sampling.reliability(run.predictions, run.config.task_info, metric)


@st.cache_resource(max_entries=32, show_spinner="Resampling the development sets", show_time=True, hash_funcs=_KEYS)
def transfer_table(transfers: Sequence[TransferRecord], run_labels: Mapping[str, str]) -> pd.DataFrame:
    """`transfer.transfer_table` of the main metrics of transfers; raises what their predictions raise."""
    found = [
        sampling.reliability(TRANSFERS.load(each.path).predictions, info, info.main_metric)
        for each in transfers
        for info in [each.settings.task_info]
    ]
    return transfer.transfer_table(transfer.measured_transfers(transfers, found, run_labels))


@st.cache_data(max_entries=64, show_spinner="Comparing the predictions", show_time=True, hash_funcs=_KEYS)
def comparison(run_a: RunRecord, run_b: RunRecord, metric: str) -> sampling.Comparison:
    """Two runs on the same examples; raises what `RunRecord.predictions` and `sampling.compare` raise."""
    found = load_run(run_a.path).predictions, load_run(run_b.path).predictions
    return sampling.compare_on(*found, run_a.config.task_info, metric)


@st.cache_resource(max_entries=8, show_spinner="Comparing the predictions", show_time=True, hash_funcs=_KEYS)
def claims(runs: Sequence[RunRecord]) -> pd.DataFrame:
    """`claims.claims_table` of these runs; raises what `RunRecord.predictions` raises."""
    by_id = {run.run_id: run for run in runs}

    # A run is in several pairs.
    @functools.cache
    def of_run(run_id: str) -> pd.DataFrame:
        return load_run(by_id[run_id].path).predictions

    def compare(a: str, b: str) -> sampling.Comparison:
        return sampling.compare_on(of_run(a), of_run(b), by_id[a].config.task_info, by_id[a].main_metric)

    return claims_table(rows_of(run_table(), list(by_id)), compare, published(), ablations())


published, ablations = functools.cache(published_points), functools.cache(published_ablations)


@st.cache_resource(max_entries=1024, show_spinner=False, hash_funcs=_KEYS)
def computed(compute: Callable[..., Computed], *args: Any) -> Computed:
    """What a function of `smp_lab.analysis` makes of tables and small arguments: read it, and do not change it."""
    return compute(*args)


# Of 0.1 to 1 MB each.
@st.cache_resource(max_entries=64, show_spinner=False, hash_funcs=_KEYS)
def figure(
    plot: Callable[..., go.Figure | dict[str, Any]],
    theme: str,
    scale: float,
    args: tuple[Any, ...],
    settings: dict[str, Any],
    *,
    settled: bool = False,
) -> go.Figure:
    """What a function of `smp_lab.figures` draws from its arguments, in a theme and as many times larger.

    Settled it is drawn faster, may be plain tables, and takes no other theme: see `style.settled`.
    """
    figure: Any = plot(*args, **settings)
    figure["layout"].update(template=style.template(theme), uirevision=plot.__name__)
    if isinstance(figure, go.Figure):
        style.write_in_cells(figure)
    if settled:
        sent = style.settled(figure, scale)
        figure = go.Figure(layout={part: sent["layout"].get(part) for part in ("height", "meta")})
    else:
        figure = figure if scale == 1 else style.enlarge(figure, scale)
        sent = figure.to_dict()
    # Nobody changes it from now on: what is sent is made once, where Streamlit would copy it in every rerun.
    vars(figure)["to_dict"] = lambda: sent
    return figure


# 30 kB each.
@st.cache_resource(max_entries=256, show_spinner="Reading the scores", show_time=True, hash_funcs=_KEYS)
def magnitudes(run: RunRecord) -> overlap.Magnitudes | None:
    """How the weights that a run keeps lie among the sizes of all, or None without scores; raises what those raise."""
    if not run.has_scores:
        return None
    scores = load_run(run.path).scores
    return overlap.magnitudes(
        scores.kept_histogram[-1],
        scores.removed_histogram[-1],
        scores.weight_score_histogram,
        scores.kept_by_magnitude,
    )


@st.cache_resource(max_entries=8, show_spinner="Comparing the masks", show_time=True, hash_funcs=_KEYS)
def pairwise_overlap(of_masks: Sequence[MaskRecord], of_runs: Sequence[RunRecord]) -> pd.DataFrame:
    """Counts of every two masks, matrix by matrix, with what the scores of the runs say about the sizes of weights.

    Raises what `overlap.pairwise_overlap` raises.
    """
    sizes = {run.run_id: known for run in of_runs if (known := magnitudes(run)) is not None}
    return overlap.pairwise_overlap({mask.mask_id: masks(mask) for mask in of_masks}, sizes)


@st.cache_resource(max_entries=64, show_spinner="Comparing the heads", show_time=True, hash_funcs=_KEYS)
def head_overlap(mask_a: MaskRecord, mask_b: MaskRecord) -> pd.DataFrame:
    """Counts of two masks, head by head."""
    return overlap.head_overlap(masks(mask_a), masks(mask_b))


@st.cache_resource(max_entries=64, show_spinner="Counting the intersections", show_time=True, hash_funcs=_KEYS)
def region_counts(of_masks: Sequence[MaskRecord]) -> pd.DataFrame:
    """Weights that each combination of masks keeps; raises what `overlap.region_counts` raises."""
    return overlap.region_counts({mask.mask_id: masks(mask) for mask in of_masks})
