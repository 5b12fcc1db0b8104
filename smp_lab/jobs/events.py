"""What an unfinished run has done so far, read from the files that it appends to and replaces while it trains."""

from __future__ import annotations

import io
import json
import os
import threading
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError, JobError, MaskFormatError
from smp_lab.layout import EncoderLayout
from smp_lab.masks import MaskSet
from smp_lab.paths import events_file, snapshots_folder

# Speed is that of so many seconds of training back.
_SPEED_SECONDS = 60.0
# A view of a run must not take more memory than a server has: some 200 rows an hour are 100 kB.
_MAX_LINE = 2**20


@dataclass
class LiveRun:
    """A run as its events tell it.

    Parameters
    ----------
    config, layout
        Its settings and the shapes of its encoder.
    total_steps, from_step
        Of the run, and where its last process began.
    step, time
        Newest step heard of, and when: seconds since 1970.
    history, evaluations
        A dict a row, as in a run record; kept_by_matrix stands in those of the history.
    checkpoint
        Step of the newest checkpoint; None before the first.
    pace
        Times of the last minute, and the step at each; never empty.
    """

    config: RunConfig
    layout: EncoderLayout
    total_steps: int
    from_step: int
    step: int
    time: float
    pace: list[tuple[float, int]]
    history: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    checkpoint: int | None = None

    @property
    def steps_per_second(self) -> float | None:
        """Speed over the last minute; None before there is one."""
        (start, first), (end, last) = self.pace[0], self.pace[-1]
        return (last - first) / (end - start) if last > first and end > start else None

    @property
    def seconds_left(self) -> float | None:
        """Until the last step, at the present speed."""
        speed = self.steps_per_second
        return (self.total_steps - self.step) / speed if speed else None


class Follower:
    """Reads the events of a run from the last byte it saw. Safe to be shared by threads.

    Parameters
    ----------
    runs, run_id
        Where the run lies.
    """

    def __init__(self, runs: Path, run_id: str) -> None:
        self._file = events_file(runs, run_id)
        self._lock = threading.Lock()
        self._identity: tuple[int, int, bytes] | None = None
        self._offset = 0
        self._run: LiveRun | None = None

    def new_events(self) -> list[dict[str, Any]]:
        """Events since the last call, oldest first; lines that are not whole yet are left for later.

        Raises
        ------
        JobError
            If the file is there and cannot be read.
        """
        try:
            with self._file.open("rb") as file:
                status = os.fstat(file.fileno())
                # A file system may give the number of a file that is gone to the next one at once; these bytes hold
                # the time of the first event.
                identity = status.st_dev, status.st_ino, file.read(64)
                if identity != self._identity or status.st_size < self._offset:
                    # The run was begun anew.
                    self._identity, self._offset, self._run = identity, 0, None
                file.seek(self._offset)
                content = file.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JobError(f"Events {self._file} cannot be read ({error.strerror}).") from None
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [event for line in whole.splitlines() if (event := _event(line)) is not None]

    def run(self) -> LiveRun | None:
        """The run as far as its events can be read; None before the first."""
        with self._lock, suppress(JobError):
            for event in self.new_events():
                self._run = _after(self._run, event)
        return self._run


def _event(line: bytes) -> dict[str, Any] | None:
    """An event, or None for a line that a kill cut off."""
    try:
        event = json.loads(line) if 0 < len(line) <= _MAX_LINE else None
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def _after(run: LiveRun | None, event: Mapping[str, Any]) -> LiveRun | None:
    """A run after one more event; what does not fit changes nothing."""
    content = {key: np.nan if value is None else value for key, value in event.items() if key not in ("event", "time")}
    kind = event["event"]
    try:
        now = float(event["time"])
        if kind == "begin":
            return _begun(run, content, now)
        if run is None:
            return None
        if kind == "log":
            run.history.append(content)
        elif kind == "evaluate":
            run.evaluations.append(content)
        elif kind == "save":
            run.checkpoint = int(content["step"])
        if "step" in content:
            run.step, run.time = int(content["step"]), now
            # A clock that was set back must not make a speed below 0.
            run.pace = [(at, step) for at, step in run.pace if now - _SPEED_SECONDS <= at <= now] + [(now, run.step)]
    except (KeyError, TypeError, ValueError, ConfigError, MaskFormatError):
        pass
    return run


def _begun(run: LiveRun | None, content: Mapping[str, Any], now: float) -> LiveRun:
    """A run whose process begins: what an earlier one did after the checkpoint is done again."""
    config, layout = RunConfig.from_dict(content["config"]), EncoderLayout(**content["layout"])
    step = int(content["from_step"])
    begun = LiveRun(config, layout, int(content["total_steps"]), step, step, now, [(now, step)])
    if run is not None:
        begun.history = [row for row in run.history if row["step"] <= step]
        begun.evaluations = [row for row in run.evaluations if row["step"] <= step]
        begun.checkpoint = step or None
    return begun


@dataclass(frozen=True)
class Snapshot:
    """Scores and masks of an unfinished run at one step; axis 0 is `EncoderLayout.matrices`.

    Parameters
    ----------
    step
        After so many updates.
    edges
        ``(n_bins + 1,)`` of the score bins, the first and last infinite.
    kept, removed
        ``(n_matrices, n_bins)`` scores of kept and of removed weights.
    score_cut
        ``(n_matrices,)`` lowest score that is kept.
    masks
        At this step.
    """

    step: int
    edges: npt.NDArray[np.float32]
    kept: npt.NDArray[np.int64]
    removed: npt.NDArray[np.int64]
    score_cut: npt.NDArray[np.float32]
    masks: MaskSet


def newest_snapshot_file(runs: Path, run_id: str) -> Path | None:
    """The newest snapshot of an unfinished run; its name tells its step. None before the first."""
    return max(snapshots_folder(runs, run_id).glob("snapshot-*.npz"), default=None)


def read_snapshot(file: Path, layout: EncoderLayout) -> Snapshot | None:
    """A snapshot; None where the run has ended, and its files are gone, meanwhile."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as arrays:
            bits = {matrix: arrays[f"bits.{matrix.layer}.{matrix.matrix_type}"] for matrix in layout.matrices}
            return Snapshot(
                int(file.stem.rpartition("-")[2]),
                arrays["edges"],
                arrays["kept"],
                arrays["removed"],
                arrays["score_cut"],
                MaskSet(layout, bits),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, MaskFormatError):
        return None


def clock(seconds: float) -> str:
    """``3:12`` or ``1:03:12``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
