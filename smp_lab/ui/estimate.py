"""What a run will take, as far as finished runs tell: steps, minutes, disk."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smp_lab.jobs.queue import MAX_LOG_BYTES, MAX_QUEUED, MAX_RUN_BYTES, Queue, size_of
from smp_lab.paths import UNFINISHED_FOLDER, own_runs_folder
from smp_lab.recipes import draft
from smp_lab.storage.runs import RunIndex, RunRecord

# Scores, or weights, with two moments of Adam, 4 bytes each, in the two checkpoints kept and the one being written.
_CHECKPOINT_BYTES = 3 * 3 * 4


def sentence(asked: Mapping[str, Any], index: RunIndex) -> str:
    """Steps, minutes and disk of a run, from finished runs of the same encoder, and what is free."""
    config = draft(**asked)
    like = [run for run in index.runs.values() if run.config.base_model == config.base_model]
    same_task = [run for run in like if run.config.task == config.task]
    examples = config.train_examples or next(
        (_examples(run) for run in same_task if not run.config.train_examples), None
    )
    parts = []
    if examples and config.epochs:
        steps = math.ceil(config.epochs * math.ceil(examples / config.batch_size))
        parts.append(f"{steps:,} steps")
        alike = [run for run in same_task if run.config.method == config.method] or same_task or like
        rates = [rate for run in alike if (rate := _seconds_per_example(run))]
        if rates:
            minutes = sorted(rates)[len(rates) // 2] * steps * config.batch_size / 60
            runs = f"{len(rates)} finished run{'s' * (len(rates) > 1)}"
            parts.append(f"about {max(minutes, 1):.0f} min at the pace of {runs}, wherever trained")
        else:
            parts.append("no finished run tells how long they take")
    if like and config.epochs:
        parts.append(f"up to {_CHECKPOINT_BYTES * like[0].layout.n_weights / 1e6:,.0f} MB of disk while it trains")
    said = f"{'; '.join(parts)}." if parts else "No finished run tells how long this takes."
    return f"{said[0].upper()}{said[1:]} {free_space(own_runs_folder())}"


def free_space(runs: Path) -> str:
    """What is free where runs are kept."""
    there = next(folder for folder in (runs, *runs.parents) if folder.exists())
    return f"{shutil.disk_usage(there).free / 1e9:,.1f} GB are free."


def _examples(run: RunRecord) -> int | None:
    return run.results.get("n_train_examples")


def _seconds_per_example(run: RunRecord) -> float | None:
    steps, seconds = run.results.get("total_steps"), run.provenance.get("wall_seconds")
    return seconds / steps / run.config.batch_size if steps and seconds else None


def limits(queue: Queue) -> str:
    """What the queue allows, what unfinished runs take, and what is free."""
    return (
        f"{queue.slots} at once, at most {MAX_QUEUED} waiting, logs of up to {MAX_LOG_BYTES / 2**20:.0f} MiB and "
        f"unfinished runs of up to {MAX_RUN_BYTES / 2**30:.0f} GiB each. Unfinished runs take "
        f"{size_of(queue.runs / UNFINISHED_FOLDER) / 1e6:,.0f} MB; {free_space(queue.runs)}"
    )
