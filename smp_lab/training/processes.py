"""Several processes that share one run (torchrun)."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import broadcast_object_list

# How often several processes ask the first one: often enough, and too seldom for a device to wait.
STEPS_BETWEEN_QUESTIONS = 16


def shared_by_all(values: list[Any]) -> list[Any]:
    """The first process's values, in each that shares the run; the group of processes is open."""
    return values if int(os.environ.get("WORLD_SIZE", "1")) == 1 else broadcast_object_list(values)


@contextmanager
def process_group_closed() -> Iterator[None]:
    """Close the group of processes that the library opens, once all of them are done.

    What still holds the group goes with it: threads that live on into the interpreter's end abort it now and then.
    """
    was_open = torch.distributed.is_available() and torch.distributed.is_initialized()
    yield
    if not was_open and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()
