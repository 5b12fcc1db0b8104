"""A run that is stopped on request: a checkpoint, and an orderly end."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers import TrainerCallback

from smp_lab.training.processes import STEPS_BETWEEN_QUESTIONS, shared_by_all


@contextmanager
def listening(hear: Callable[[int, Any], Any]) -> Iterator[None]:
    """Pass the first signal of Ctrl-C or of a polite kill on (in the main thread; elsewhere none comes).

    The second raises `KeyboardInterrupt`.
    """
    heard = []

    def hear_once(number: int, frame: Any) -> None:
        if heard:
            raise KeyboardInterrupt
        heard.append(number)
        hear(number, frame)

    try:
        before = {number: signal.signal(number, hear_once) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        before = {}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class StopOnRequest(TrainerCallback):
    """Turns a Ctrl-C into a checkpoint and an orderly end."""

    def __init__(self) -> None:
        self._asked = False

    def hear(self, number: int, frame: Any) -> None:
        """What a signal calls."""
        self._asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop between two steps, so that the checkpoint is whole."""
        asked = self._asked
        if args.world_size > 1:
            # All hear of it, each at another step: they stop at one, when the first says so.
            asked = state.global_step % STEPS_BETWEEN_QUESTIONS == 0 and shared_by_all([asked])[0]
        if asked and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True
