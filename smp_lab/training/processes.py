"""Several processes that share one run (torchrun)."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def is_first_process() -> bool:
    """Whether this process is the one that writes."""
    return os.environ.get("RANK", "0") == "0"


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
