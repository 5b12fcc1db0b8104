"""What a person sees while a run trains: a bar with the time left, and a line per evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from smp_lab.training.trainer import Log


class Progress(TrainerCallback):
    """A bar on stderr, where that is a terminal, and a line per evaluation.

    Parameters
    ----------
    log
        Of the run; its last evaluation is what a line tells.
    write
        Prints a line.
    """

    def __init__(self, log: Log, write: Callable[[str], Any]) -> None:
        self._log, self._write = log, write
        self._bar: tqdm | None = None
        # A control is evaluated with no training before it.
        self._first_step, self._start = 0, time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Open the bar at the step the run stands at."""
        self._first_step, self._start = state.global_step, time.monotonic()
        if state.global_step:
            self._write(f"going on from step {state.global_step} of {state.max_steps}")
        # None: no bar in a pipe or a log file.
        self._bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", disable=None, leave=False)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: dict, **_: Any
    ) -> None:
        """Show the loss and the remaining fraction beside the bar."""
        if self._bar is not None and "loss" in logs and "remaining" in logs:
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
            f"remaining {100 * remaining:.2f} %  {_clock(spent)} spent, about {_clock(left)} left"
        )
        with tqdm.external_write_mode():
            self._write(line)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
