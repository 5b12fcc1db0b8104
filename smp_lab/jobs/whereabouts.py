"""Where an unfinished run is and how far, from files alone: any machine that sees the folder of runs can say it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from smp_lab.jobs.events import Follower
from smp_lab.jobs.queue import last_lines, title_of
from smp_lab.lease import living_holder
from smp_lab.paths import LOGS_FOLDER, UNFINISHED_FOLDER, unfinished_folder


@dataclass(frozen=True)
class Whereabouts:
    """Where a run is.

    Parameters
    ----------
    run_id, title
        Of the run; the title is the id until its process has begun to train.
    node
        Name of the machine whose process holds it; None where no living one does.
    step, total_steps, seconds_left
        Newest step that is known, of how many, and the time that is left at the present speed; None where unknown.
    last_line
        Of what it printed; empty where nothing is known.
    """

    run_id: str
    title: str
    node: str | None
    step: int | None
    total_steps: int | None
    seconds_left: float | None
    last_line: str


def whereabouts(runs: Path, run_id: str, follow: Callable[[Path, str], Follower] = Follower) -> Whereabouts:
    """Where a run is, whether or not there is any trace of it; whoever asks again keeps what `follow` gives."""
    holder, live = living_holder(unfinished_folder(runs, run_id)), follow(runs, run_id).run()
    node = None if holder is None else holder.node
    return Whereabouts(
        run_id,
        run_id if live is None else title_of(live.config),
        node,
        None if live is None else live.step,
        None if live is None else live.total_steps,
        None if live is None or node is None else live.seconds_left,
        last_line(runs / LOGS_FOLDER / f"{run_id}.txt"),
    )


def unfinished_runs(
    runs: Path, *, leave_out: Collection[str | None] = (), follow: Callable[[Path, str], Follower] = Follower
) -> list[Whereabouts]:
    """Unfinished runs of a folder by id, but for some; `follow` as in `whereabouts`."""
    names = sorted(folder.name for folder in (runs / UNFINISHED_FOLDER).glob("*/"))
    return [whereabouts(runs, name, follow) for name in names if name not in leave_out]


def last_line(log: Path) -> str:
    """What was printed last; empty where nothing was, or the log cannot be read."""
    return "".join(last_lines(log, 1))
