"""`smp-lab jobs`: the queue of a folder of runs, from a terminal."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from smp_lab.cli.options import MOST, existing, print_json, runs_option
from smp_lab.errors import ConfigError
from smp_lab.jobs.events import Follower
from smp_lab.jobs.queue import QUEUED, Queue
from smp_lab.jobs.supervisor import ensure_supervisor
from smp_lab.paths import own_runs_folder

EXAMPLES = (
    "smp-lab jobs",
    "smp-lab jobs follow 3",
    "smp-lab jobs stop 3",
    "smp-lab jobs resume 3 --json",
    "smp-lab jobs slots 2",
)
_OF_ONE = ("follow", "stop", "resume", "delete", "earlier", "later")
_ACTIONS = ("list", *_OF_ONE, "pause", "unpause", "slots")
_SECONDS_BETWEEN_LOOKS = 0.5


def command(
    action: Annotated[
        str,
        typer.Argument(
            metavar="ACTION",
            help="list; follow, stop (leaves a checkpoint; cancels a run that waits), resume, delete (its checkpoints "
            "too), earlier or later (in the queue) a job; pause or unpause the queue; slots N lets N runs train at "
            "once.",
        ),
    ] = "list",
    number: Annotated[
        int | None, typer.Argument(metavar="N", max=MOST, help="Number of the job, or of slots.", show_default=False)
    ] = None,
    runs: Annotated[Path | None, runs_option("Folder of runs.")] = None,
    resume_anyway: Annotated[
        bool, typer.Option("--resume-anyway", help="For resume: as of train, under other conditions too.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: a list of jobs; for follow, events.")] = False,
) -> None:
    """Show and steer the runs that train in a folder, whoever started them: the app, or a terminal.

    A job that is stopped, failed or lost (its process is gone) is resumed from its newest whole checkpoint. A process
    of its own starts the next run when one has ended; it goes when nothing waits.
    """
    if action not in _ACTIONS:
        raise ConfigError(f"Unknown action {action!r}. Choose one of: {', '.join(_ACTIONS)}.")
    if number is None and action in (*_OF_ONE, "slots"):
        raise ConfigError(f"smp-lab jobs {action} needs a number. `smp-lab jobs` lists the jobs.")
    queue = Queue(own_runs_folder() if runs is None else existing(runs))
    if number is not None:
        if action == "follow":
            return _follow(queue, number, as_json)
        if action == "stop":
            queue.stop(number)
        elif action == "resume":
            queue.resume(number, *["--resume-anyway"] * resume_anyway)
        elif action == "delete":
            queue.delete(number)
        elif action in ("earlier", "later"):
            queue.move(number, -1 if action == "earlier" else 1)
        elif action == "slots":
            queue.set_slots(number)
    if action in ("pause", "unpause"):
        queue.pause(action == "pause")
    if action in ("resume", "unpause", "slots"):
        ensure_supervisor(queue)
    jobs = queue.jobs()
    if as_json:
        print_json([vars(job) | {"node": queue.node_of(job)} for job in jobs])
        return None
    for job in jobs:
        on = f"  on {node}" if (node := queue.node_of(job)) else ""
        typer.echo(f"{job.id:>4}  {job.state:<9} {job.run_id or job.title}{on}{f'  {job.reason}' * bool(job.reason)}")
    waiting = sum(job.state == QUEUED for job in jobs)
    typer.echo(f"{waiting} waiting, {queue.slots} at once{', the queue is paused' * queue.paused}")
    return None


def _follow(queue: Queue, number: int, as_json: bool) -> None:
    """Print what a job's run does until it has no process and does not wait."""
    follower: Follower | None = None
    while True:
        job = queue.job(number)
        if follower is None and job.run_id is not None:
            follower = Follower(queue.runs, job.run_id)
        for event in follower.new_events() if follower is not None else ():
            if as_json:
                typer.echo(json.dumps(event))
            elif event["event"] in ("log", "evaluate", "save"):
                values = (f"{name} {value:.6g}" for name, value in event.items() if isinstance(value, (int, float)))
                typer.echo(f"{event['event']:<9}{'  '.join(value for value in values if not value.startswith('time'))}")
        if not job.is_active and job.state != QUEUED:
            break
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    end = {"event": "job", "state": job.state, "reason": job.reason}
    typer.echo(json.dumps(end) if as_json else f"{job.state}  {job.reason}".rstrip())
