"""All that the app does to the queue. Each is refused where `smp_lab.ui.safety` says so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from smp_lab.errors import JobError
from smp_lab.jobs import speed
from smp_lab.jobs.queue import QUEUED, Queue, title_of
from smp_lab.jobs.speed import Speed
from smp_lab.jobs.supervisor import ensure_supervisor
from smp_lab.paths import own_runs_folder
from smp_lab.recipes import draft
from smp_lab.tasks import get_task
from smp_lab.ui import safety
from smp_lab.ui.own_data import OwnData

# What a message from elsewhere must not name: places on this machine.
_PLACES = ("--glue-dir", "--squad-dir", "--source", "--teacher", "--task-file", "--on")


def queue() -> Queue:
    """The queue of one's own runs, to be read; it is changed through this module alone."""
    return Queue(own_runs_folder())


def submit(
    words: Sequence[str], settings: dict[str, object], own: OwnData | None = None, *, on_cluster: bool = False
) -> int:
    """Queue a run and return its number.

    Parameters
    ----------
    words, settings
        Options of ``smp-lab train``, and the same as arguments of `draft`, which checks them.
    own
        The task of one's own that they name.
    on_cluster
        Whether it trains on the cluster that the app was started with. Where that is, is not a page's business.
    """
    _require_run_allowed(words, settings)
    if on_cluster and not safety.cluster():
        raise JobError("This app was started without a cluster: `smp-lab app --cluster` names one.")
    config = draft(**settings)  # type: ignore[arg-type]
    if own is not None:
        own.written()
    changed = queue()
    number = changed.submit([*words, *(safety.cluster() if on_cluster else [])], title_of(config))
    ensure_supervisor(changed)
    return number


def measure(
    words: Sequence[str], settings: dict[str, object], data: str | None = None, own: OwnData | None = None
) -> Speed:
    """Steps of a run, and its time on this machine; parameters as of `submit`, and the folder of data in the words."""
    _require_run_allowed(words, settings)
    asked = queue()
    if any(job.is_active for job in asked.jobs()):
        raise JobError("A run is at work. Measure when it has ended: the two would slow each other.")
    places: dict[str, object] = {"data_folders": {get_task(str(settings["task"])).files: data}} if data else {}
    if own is not None:
        places["task_file"] = str(own.written())
    return speed.measure({**settings, **places}, asked.threads)


def _require_run_allowed(words: Sequence[str], settings: dict[str, object]) -> None:
    safety.require_change_allowed()
    allowed = safety.encoders()
    if allowed is not None:
        if settings.get("encoder", allowed[0]) not in allowed:
            raise JobError(f"From other machines only these encoders can be named: {', '.join(allowed)}.")
        if named := [word for word in _PLACES if word in words]:
            raise JobError(f"From other machines {', '.join(named)} cannot be given.")


def change(act: Callable[..., None], *given: Any) -> None:
    """Do to the queue what one of its methods does, as `Queue.stop`."""
    safety.require_change_allowed()
    changed = queue()
    act(changed, *given)
    if any(job.state == QUEUED for job in changed.jobs()):
        ensure_supervisor(changed)
