"""All caches of the app. Keys are a run's folder and the time its run.json was written; every cache is bounded.

Records are read-only and shared by all sessions. Their arrays are read through a second, unshared record, so that a
record in the index stays as small as its run.json.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from smp_lab.masks import MaskSet
from smp_lab.storage import paths
from smp_lab.storage.runs import RunIndex, RunRecord, list_runs, load_run

Stamp = tuple[str, int]


def run_index() -> RunIndex:
    """Own and cached runs, read again when a run was added, changed or removed."""
    folders = (paths.own_runs_folder(), paths.cached_runs_folder())
    stamps = [_stamp(run) for folder in folders if folder.is_dir() for run in sorted(folder.iterdir()) if run.is_dir()]
    return _run_index(folders, tuple(stamps))


@st.cache_resource(max_entries=2, show_spinner=False)
def _run_index(folders: tuple[Path, ...], stamps: tuple[Stamp, ...]) -> RunIndex:
    return list_runs(folders)


def _stamp(run: Path) -> Stamp:
    record = run / paths.RECORD_FILE
    return str(run), record.stat().st_mtime_ns if record.exists() else 0


def masks(run: RunRecord) -> MaskSet:
    """The final mask of a run; raises what `RunRecord.masks` raises."""
    return _masks(_stamp(run.path))


# Twelve BERT-base masks are 128 MB, twelve of MiniLM 16 MB.
@st.cache_resource(max_entries=12, show_spinner="Reading the mask")
def _masks(stamp: Stamp) -> MaskSet:
    return load_run(Path(stamp[0])).masks


def history(run: RunRecord) -> pd.DataFrame:
    """The history of a run; raises what `RunRecord.history` raises."""
    return _history(_stamp(run.path))


@st.cache_data(max_entries=64, show_spinner=False)
def _history(stamp: Stamp) -> pd.DataFrame:
    return load_run(Path(stamp[0])).history
