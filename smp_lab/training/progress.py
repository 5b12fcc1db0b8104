"""What a run tells while it trains: a bar and lines on a terminal, and events in a file that others follow."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from smp_lab.jobs.events import clock
from smp_lab.training.pruned_weights import PrunedWeights
from smp_lab.training.trainer import Log


class Progress(TrainerCallback):
    """A bar on stderr, where that is a terminal, and a line per evaluation by `write`."""

    def __init__(self, log: Log, write: Callable[[str], Any]) -> None:
        self._log, self._write = log, write
        # A control is evaluated with no training before it.
        self._first_step, self._start = 0, time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar at the step the run stands at."""
        self._first_step, self._start = state.global_step, time.monotonic()
        if state.global_step:
            self._write(f"resumed at step {state.global_step} of {state.max_steps}")
        # None: no bar in a pipe or a log file.
        self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", disable=None, leave=False)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move the bar."""
        self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict, **_: Any
    ) -> None:
        """Show the loss and the remaining fraction beside the bar."""
        if "loss" in logs:
            self._bar.set_postfix(loss=f"{logs['loss']:.3f}", remaining=f"{100 * logs['remaining']:.1f}%")

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, metrics: dict, **_: Any
    ) -> None:
        """Write a line."""
        done = state.global_step - self._first_step
        spent = time.monotonic() - self._start
        left = spent / done * (state.max_steps - state.global_step) if done else 0.0
        values = "  ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        remaining = self._log.evaluations[-1]["remaining"]
        line = (
            f"step {state.global_step:>{len(str(state.max_steps))}}/{state.max_steps}  {values}  "
            f"remaining {100 * remaining:.2f} %  {clock(spent)} spent, about {clock(left)} left"
        )
        with tqdm.external_write_mode():
            self._write(line)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the bar."""
        self._bar.close()


def add_event(file: Path, event: str, **content: Any) -> None:
    """Append a line to a file of events, as `Events` describes them."""
    values = {"event": event, "time": round(time.time(), 3), **content}
    plain = {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in values.items()}
    # After a line that a kill cut off, this one must not be part of it.
    line = "\n" * (event == "begin") + json.dumps(plain, separators=(",", ":")) + "\n"
    with suppress(OSError), file.open("ab", buffering=0) as stream:
        stream.write(line.encode())


class Events(TrainerCallback):
    """Appends what a run does to a file: one JSON object a line, with the keys event and time.

    begin     run_id, config, layout, from_step, total_steps: a process starts or resumes the run
    step      step, seconds: the training stands here; at most one a second
    log       the row of history, and kept_by_matrix in the order of `EncoderLayout.matrices`
    evaluate  the row of evaluations
    save      step of a checkpoint
    end       state (done, stopped, failed) and reason

    NaN is null. Lines are a view of the run and no part of it: a line that cannot be written is left out, and one that
    was cut off by a kill is not read.
    """

    SECONDS_BETWEEN_STEPS = 1.0

    def __init__(self, file: Path, log: Log, begin: Mapping[str, Any], pruned: PrunedWeights) -> None:
        self._log, self._pruned = log, pruned
        self._last_step = time.monotonic()
        self._add = partial(add_event, file)
        self._add("begin", **begin)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Say where the training stands, now and then."""
        now = time.monotonic()
        if now - self._last_step >= self.SECONDS_BETWEEN_STEPS:
            self._last_step = now
            self._add("step", step=state.global_step, seconds=round(self._log.seconds, 3))

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict, **_: Any
    ) -> None:
        """Append the row of history that was just made."""
        if "loss" in logs:
            kept = [int(mask.sum()) for mask in self._pruned.masks]
            self._add("log", **self._log.history[-1], kept_by_matrix=kept)

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Append the row of evaluations that was just made."""
        self._add("evaluate", **self._log.evaluations[-1])

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Say that there is a checkpoint."""
        self._add("save", step=state.global_step)
