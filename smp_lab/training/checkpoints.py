"""Which checkpoint of an unfinished run is whole. The library writes its files; the last of them is written here.

A checkpoint counts only with its seal: a file that is written after all others are on the disk. It names the run, the
schema, the conditions of the process, and the size and sha256 of every file that a resume reads: those of the
checkpoint, and those beside it in the run's folder (snapshots, a teacher's logits). What does not match is not whole.
The seal's second line is the sha256 of its first.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from smp_lab.config import RunConfig
from smp_lab.errors import RunWriteError, TrainingError, first_line
from smp_lab.lease import Lease
from smp_lab.paths import SEAL_FILE
from smp_lab.storage.sealed import replace_durably, sync_file, sync_folder

CHECKPOINT_SCHEMA = 2
N_KEPT = 2


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Tell what could not be written.

    Raises
    ------
    RunWriteError
        In place of what the libraries raise: a full disk is an error of another kind in each of those that write here.
    """
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        raise RunWriteError(
            f"{what} could not be written ({first_line(error)}). Free space or name another folder; the same command "
            "resumes from the last whole checkpoint."
        ) from None


def conditions(config: RunConfig | None = None) -> dict[str, Any]:
    """What decides about the last bits of a mask, beside the settings; of a run its precision too."""
    on_gpu = torch.cuda.is_available()
    return {
        "threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "device": torch.cuda.get_device_name() if on_gpu else f"CPU {torch.backends.cpu.get_cpu_capability()}",
        **({} if config is None else {"precision": config.precision}),
    }


def require_same_conditions(checkpoint: Path, then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse, with a `TrainingError`, a resume under other conditions: it could end at another mask."""
    if differing := [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]:
        changes = ", ".join(f"{name} {then.get(name)} then and {now.get(name)} now" for name in differing)
        raise TrainingError(
            f"Checkpoint {checkpoint} was written under other conditions: {changes}. Resumed under these, the run may "
            "end at another mask. Resume under the same (the variable OMP_NUM_THREADS sets the threads), or ask for it "
            "with --resume-anyway."
        )


def seal(checkpoint: Path, config: RunConfig, state: Mapping[str, Any]) -> None:
    """Put all of a checkpoint on the disk, and mark it as whole.

    All its other files are written, in the folder of the run's in which its holder writes; `state` is what the run
    remembers beside them, as JSON.
    """
    files = {}
    folder = checkpoint.parent.parent
    for file in sorted([*checkpoint.iterdir(), *_beside(folder)]):
        sync_file(file)
        inside = file.parent == checkpoint
        # As seen from where it will lie.
        files[file.name if inside else f"../{file.relative_to(folder)}"] = _measure(file)
    line = json.dumps(
        {
            "checkpoint_schema": CHECKPOINT_SCHEMA,
            "config_sha256": config.sha256,
            "conditions": conditions(config),
            "files": files,
            "state": dict(state),
        }
    )
    replace_durably(checkpoint / SEAL_FILE, f"{line}\n{hashlib.sha256(line.encode()).hexdigest()}".encode())


def publish(checkpoint: Path, lease: Lease) -> None:
    """Bring a sealed checkpoint to its place in the run's folder, and remove all but the newest two.

    Raises `LeaseLostError` if the run was taken over by another process.
    """
    lease.publish(checkpoint, lease.folder / checkpoint.name)
    sync_folder(lease.folder)
    # Not left to the library: it goes by the times of files, and a clock may jump.
    for old in _by_step(lease.folder)[N_KEPT:]:
        shutil.rmtree(old)


def step_of(checkpoint: Path) -> int:
    """Optimiser step after which a checkpoint was written; its name is the library's."""
    return int(checkpoint.name.removeprefix("checkpoint-"))


def newest_whole(
    folder: Path, config: RunConfig, write: Callable[[str], Any] | None = None
) -> tuple[Path, dict[str, Any]] | None:
    """Newest whole checkpoint of a run and the content of its seal, or None where there is none.

    `write` is told of each newer one that is not whole. One that was written by another schema or for other settings,
    or cannot be read, is a `TrainingError`.
    """
    passed_over = []
    for checkpoint in _by_step(folder):
        try:
            content = _read_seal(checkpoint, config)
            defect = "it has no whole seal" if content is None else _defect(checkpoint, content["files"])
        except OSError as error:
            raise TrainingError(
                f"Checkpoint {checkpoint} cannot be read ({error.strerror or error}). Make it readable, or remove "
                f"{folder} to start the run anew."
            ) from None
        if content is not None and defect is None:
            break
        passed_over.append(f"{checkpoint.name} is not whole and is passed over: {defect}")
    else:
        content = None
        passed_over += ["no whole checkpoint is left: the run starts anew"] * bool(passed_over)
    for sentence in passed_over if write else ():
        write(sentence)
    return None if content is None else (checkpoint, content)


def keep_only(folder: Path, whole: Path | None, lease: Lease) -> None:
    """Remove what is newer than the whole checkpoint; without any, snapshots and a teacher's logits too.

    Nothing vouches for them then. What holders before this one left half written goes as well.
    """
    lease.require()
    for left in {*folder.glob("writing-*"), *folder.glob("lease-*")} - {lease.staging}:
        shutil.rmtree(left, ignore_errors=True)
    for checkpoint in _by_step(folder):
        if whole is None or step_of(checkpoint) > step_of(whole):
            shutil.rmtree(checkpoint)
    if whole is None:
        for file in _beside(folder):
            file.unlink()


def clear(folder: Path, lease: Lease) -> None:
    """Remove all of an unfinished run but its lease; `LeaseLostError` if another process took it over."""
    lease.require()
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != "lease":
            shutil.rmtree(entry, ignore_errors=True)
        elif not entry.is_dir():
            entry.unlink(missing_ok=True)


def _by_step(folder: Path) -> list[Path]:
    """Checkpoints, newest first."""
    return sorted(folder.glob("checkpoint-*"), key=step_of, reverse=True)


def _beside(folder: Path) -> list[Path]:
    """Files that a resume reads and that lie beside the checkpoints."""
    return [*folder.glob("snapshots/*.npz"), *folder.glob("teacher_logits.npy")]


def _measure(file: Path) -> dict[str, Any]:
    with file.open("rb") as content:
        return {"bytes": file.stat().st_size, "sha256": hashlib.file_digest(content, "sha256").hexdigest()}


def _read_seal(checkpoint: Path, config: RunConfig) -> dict[str, Any] | None:
    """Content of a checkpoint's seal; None where there is none, or not the whole of it."""
    try:
        line, _, digest = (checkpoint / SEAL_FILE).read_text().partition("\n")
        content = json.loads(line)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(content, dict):
        return None
    anew = f"remove {checkpoint.parent} to start the run anew."
    if (schema := content.get("checkpoint_schema")) != CHECKPOINT_SCHEMA:
        raise TrainingError(
            f"Checkpoint {checkpoint} has schema {schema!r}; this SMP Lab reads {CHECKPOINT_SCHEMA}. Resume with the "
            f"version that wrote it, or {anew}"
        )
    if digest != hashlib.sha256(line.encode()).hexdigest():
        return None
    if content["config_sha256"] != config.sha256:
        raise TrainingError(
            f"Checkpoint {checkpoint} belongs to a run with other settings. Use those settings, or {anew}"
        )
    return content


def _defect(checkpoint: Path, files: Mapping[str, Mapping[str, Any]]) -> str | None:
    """What is wrong with the first file that is not as the seal says; None where all are."""
    for name, want in files.items():
        try:
            got = _measure(checkpoint / name)
        except FileNotFoundError:
            return f"{name} is missing"
        if got["bytes"] != want["bytes"]:
            return f"{name} has {got['bytes']:,} bytes, not {want['bytes']:,}"
        if got != want:
            return f"{name} was altered (its sha256 is not the one in {SEAL_FILE})"
    return None
