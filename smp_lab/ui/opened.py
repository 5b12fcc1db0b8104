"""Masks that a visitor opens: read by a process of their own, seen in his session alone until he keeps them."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from smp_lab.errors import JobError
from smp_lab.jobs.imports import Imported, import_file
from smp_lab.paths import named_path, own_runs_folder
from smp_lab.storage.imported import IMPORTED_MASKS, ImportedMask
from smp_lab.ui import safety, session

_FOLDER = "opened_folder"


class _Folder:
    """A folder that goes with the session that holds this."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="smp-lab-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def folder() -> Path | None:
    """Folder of runs that holds the masks of this session; None where it opened none."""
    made: _Folder | None = st.session_state.get(_FOLDER)
    return None if made is None else made.path


def open_file(source: str | UploadedFile, options: Sequence[str]) -> Imported:
    """Import a mask for this session, once for as long as the same is asked of the same files.

    It is of a file that was sent, or of a file or folder on this machine, with options of ``smp-lab import``.

    Raises
    ------
    JobError
        If nothing can be changed through this app, or a path is named from another machine.
    MaskFormatError
        As `import_file`.
    """
    safety.require_change_allowed()
    if isinstance(source, str) and not safety.is_local():
        raise JobError("From other machines no path can be named. Send the file.")
    what = (source, _written(named_path(source))) if isinstance(source, str) else source.file_id
    return session.last("opened_last", (what, tuple(options)), lambda: _import(source, options))


def _written(path: Path) -> list[int]:
    """When a file, or a folder and what lies in it, was written; empty where that cannot be said."""
    try:
        return [file.stat().st_mtime_ns for file in (path, *sorted(path.glob("*")))]
    except (OSError, ValueError):
        return []


def _import(source: str | UploadedFile, options: Sequence[str]) -> Imported:
    if _FOLDER not in st.session_state:
        st.session_state[_FOLDER] = _Folder()
    runs = st.session_state[_FOLDER].path
    if isinstance(source, str):
        return import_file(named_path(source), runs, options)
    with tempfile.TemporaryDirectory(prefix="smp-lab-") as scratch:
        # What it is called says nothing of what it is, but is its label where nobody gives another. Elsewhere a name
        # may have more than the 255 bytes that one has here.
        name = Path(source.name).name[-100:].encode()[-200:].decode(errors="ignore")
        file = Path(scratch) / (name or "mask")
        file.write_bytes(source.getbuffer())
        return import_file(file, runs, options)


def is_kept(mask: ImportedMask) -> bool:
    """Whether a mask lies beside the runs."""
    mine = folder()
    return mine is None or not mask.path.is_relative_to(mine)


def keep(mask: ImportedMask) -> None:
    """Copy a mask of this session to one's own runs; raises `JobError` or `RunWriteError`."""
    safety.require_change_allowed()
    target = IMPORTED_MASKS.path_of(own_runs_folder(), mask.mask_id)
    with IMPORTED_MASKS.writing(target) as temporary:
        shutil.copytree(mask.path, temporary)
