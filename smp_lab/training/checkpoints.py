"""Which checkpoint of an unfinished run is whole. The library writes its files; the last of them is written here.

A checkpoint counts only with its seal: a file that is written after all others are on the disk and that names the run
and the schema. A process killed at any moment leaves a checkpoint with its seal, or one without, which is passed over.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smp_lab.config import RunConfig
from smp_lab.errors import TrainingError
from smp_lab.storage.sealed import replace_durably, sync_file

SEAL_FILE = "smp_lab.json"
CHECKPOINT_SCHEMA = 1


def seal(checkpoint: Path, config: RunConfig, state: Mapping[str, Any]) -> None:
    """Put all of a checkpoint on the disk, then mark it as whole.

    Parameters
    ----------
    checkpoint
        Folder with all other files written.
    config
        Run that it belongs to.
    state
        What the run remembers besides the library's files, as JSON.
    """
    for file in checkpoint.iterdir():
        sync_file(file)
    content = {"checkpoint_schema": CHECKPOINT_SCHEMA, "config_sha256": config.sha256, **state}
    replace_durably(checkpoint / SEAL_FILE, json.dumps(content).encode())


def remove_torn(folder: Path) -> None:
    """Remove checkpoints without a seal: the library counts them among those it keeps, and drops a whole one instead.

    Only the one process that holds the run's lock may do so.
    """
    for path in folder.glob("checkpoint-*"):
        if _read_seal(path) is None:
            shutil.rmtree(path)


def step_of(checkpoint: Path) -> int:
    """Optimiser step after which a checkpoint was written; its name is the library's."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def newest_whole(folder: Path, config: RunConfig) -> tuple[Path, dict[str, Any]] | None:
    """Newest sealed checkpoint of a run and its state, or None where there is none.

    Raises
    ------
    TrainingError
        If it was written by another schema or for other settings.
    """
    checkpoints = {
        step_of(path): (path, state) for path in folder.glob("checkpoint-*") if (state := _read_seal(path)) is not None
    }
    if not checkpoints:
        return None
    path, state = checkpoints[max(checkpoints)]
    if (schema := state.pop("checkpoint_schema", None)) != CHECKPOINT_SCHEMA:
        raise TrainingError(
            f"Checkpoint {path} has schema {schema!r}; this SMP Lab reads {CHECKPOINT_SCHEMA}. Go on with the version "
            f"that wrote it, or remove {folder} to start the run anew."
        )
    if state.pop("config_sha256", None) != config.sha256:
        raise TrainingError(
            f"Checkpoint {path} belongs to a run with other settings. Remove {folder} to start the run anew."
        )
    return path, state


def _read_seal(checkpoint: Path) -> dict[str, Any] | None:
    """Content of a checkpoint's seal; None where there is none, or not the whole of it."""
    try:
        content = json.loads((checkpoint / SEAL_FILE).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None
