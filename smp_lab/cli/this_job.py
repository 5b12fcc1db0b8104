"""What `smp-lab train` tells the queue of its folder of runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from smp_lab.config import RunConfig
from smp_lab.errors import Interrupted, first_line, sentence_of
from smp_lab.grid import as_options
from smp_lab.jobs.queue import DONE, FAILED, STOPPED, Queue, ThisJob
from smp_lab.processes import is_first_process


@contextmanager
def told_to_queue(context: typer.Context, runs: Path) -> Iterator[Callable[[RunConfig], None]]:
    """Tell the queue that a run begins, by the function this gives, and how it ends.

    Parameters
    ----------
    context
        With the options as they were given.
    runs
        Folder that the run goes to.
    """
    if not is_first_process():
        # That one speaks for all.
        yield lambda config: None
        return
    job = ThisJob(Queue(runs))
    try:
        yield lambda config: job.begins(_words(context), config)
    except BaseException as error:
        stopped = isinstance(error, (Interrupted, KeyboardInterrupt))
        defect = "It was stopped." if stopped else f"{type(error).__name__}: {first_line(error)}"
        reason = sentence_of(error) or defect
        job.ends(STOPPED if stopped else FAILED, reason)
        raise
    job.ends(DONE)


def _words(context: typer.Context) -> list[str]:
    """Options as they were given, but for the folder of runs and for what is said for one time alone."""
    given = {name: value for name, value in context.params.items() if name not in ("runs", "resume_anyway")}
    sources = {name: context.get_parameter_source(name) for name in given}
    return as_options({name: given[name] for name, source in sources.items() if source and source.name != "DEFAULT"})
