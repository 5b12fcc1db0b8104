"""`smp-lab sweep`: make all runs of a grid."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smp_lab.cli.options import GlueFolder, SquadFolder, existing, extras_for, print_json
from smp_lab.cli.place import Cpus, Device, Gpus, Memory, On, the_place
from smp_lab.errors import ConfigError, NeededFirstError, SmpLabError
from smp_lab.grid import GridItem, GridRun, load_grid
from smp_lab.jobs.events import clock
from smp_lab.jobs.runners import DONE, SMP_LAB, start_process
from smp_lab.jobs.whereabouts import whereabouts
from smp_lab.lease import lease_seconds
from smp_lab.paths import HUB_FOLDER, LOGS_FOLDER, cached_runs_folder, grid_file
from smp_lab.settings import SETTINGS

if TYPE_CHECKING:
    from smp_lab.training.sweep import Sweep

EXAMPLES = (
    "smp-lab sweep --list --glue-dir ~/glue",
    "smp-lab sweep --glue-dir ~/glue --jobs 2 --background",
    "smp-lab sweep my-grid.toml --runs runs --group 1",
    "smp-lab sweep my-grid.toml --runs /shared/runs --on ray --cpus 4",
    "smp-lab sweep my-grid.toml --runs /shared/runs --watch",
)
_SECONDS_BETWEEN_LOOKS = 2.0
_WHERE = ("node", "step", "total_steps", "seconds_left", "last_line")
_PRECISIONS = "|".join(SETTINGS["precision"].choices)


def command(
    grid: Annotated[
        Path | None, typer.Argument(metavar="GRID", help="A file of runs.  [default: grid.toml in cached_runs/]")
    ] = None,
    runs: Annotated[Path | None, typer.Option(metavar="DIR", help="Where runs go.  [default: cached_runs/]")] = None,
    glue_dir: GlueFolder = None,
    squad_dir: SquadFolder = None,
    group: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Only this group of the grid; may be given again.  [default: all]"),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(metavar=_PRECISIONS, help="Train in this one in place of what the grid says."),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Runs at a time; on a CPU as many as it has cores is fastest.")
    ] = 1,
    on: On = "local",
    cpus: Cpus = 1,
    gpus: Gpus = 0.0,
    memory: Memory = 2.0,
    device: Device = None,
    prefetch: Annotated[
        bool,
        typer.Option("--prefetch", help="First bring each encoder and data set into the folder of runs, for all."),
    ] = False,
    show: Annotated[bool, typer.Option("--list", help="Print the state of each run and train nothing.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Print it again and again, until all is done or nothing has trained for a while."),
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Ask the sweep of this folder to leave checkpoints.")] = False,
    drain: Annotated[bool, typer.Option("--drain", help="Ask it to start nothing more.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the state of each run as JSON and train nothing.")
    ] = False,
    background: Annotated[bool, typer.Option("--background", help="Continue without this terminal.")] = False,
) -> None:
    """Make all runs of a grid: skip what is there, resume what was cut off, train what is missing.

    A run that is there in another precision is done: it is named and not trained anew.

    It may be stopped or killed at any time and loses what was trained since the last checkpoints, about two minutes;
    the same command resumes. What each run prints lies in the hidden folder .logs of the folder of runs.
    """
    folder = cached_runs_folder() if runs is None else runs
    if precision is not None:
        SETTINGS["precision"].check_range(precision)
    asked = load_grid(grid_file() if grid is None else grid, {} if precision is None else {"precision": precision})
    if unknown := sorted(set(group or ()) - set(range(1, len(asked.groups) + 1))):
        raise ConfigError(f"The grid has groups 1 to {len(asked.groups)}; got {', '.join(map(str, unknown))}.")
    wanted = [item for item in asked.items if not group or item.group in group]
    if prefetch:
        # Before a library reads it; what is named beside it would lie elsewhere.
        os.environ["HF_HOME"] = str((folder / HUB_FOLDER).absolute())
        for name in ("HF_HUB_CACHE", "HF_DATASETS_CACHE"):
            os.environ.pop(name, None)
    with extras_for("Training"):
        from smp_lab.training.sweep import DRAIN, STOP, Sweep, ask
    if stop or drain:
        ask(existing(folder), STOP if stop else DRAIN)
        return
    sweep = Sweep(folder, {"glue": glue_dir, "squad": squad_dir})
    if watch:
        _watch(sweep, wanted, as_json)
    elif as_json:
        print_json(_listed(sweep, wanted))
    elif show:
        _print_states(sweep, _listed(sweep, wanted))
    elif background:
        log = folder / LOGS_FOLDER / "sweep.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [*SMP_LAB, *(word for word in sys.argv[1:] if word != "--background")]
        process = start_process(command, Path.cwd(), {}, log)
        typer.echo(f"process {process.pid} continues by itself and writes to {log}; `kill {process.pid}` stops it")
    else:
        runner, environment = the_place(on, folder, jobs, cpus=cpus, gpus=gpus, memory=memory, device=device)
        if prefetch:
            _prefetch(sweep, wanted)
        sweep.make(wanted, runner, write=typer.echo, environment=environment)


def _prefetch(sweep: Sweep, wanted: Iterable[GridItem]) -> None:
    for run in wanted:
        with suppress(SmpLabError):
            # It is said when the run's turn comes.
            sweep.state(run)
    # From here on nobody asks the hub, neither here nor on another machine.
    os.environ["HF_HUB_OFFLINE"] = "1"


def _listed(sweep: Sweep, wanted: Iterable[GridItem]) -> list[dict[str, Any]]:
    """A row per run or measurement: group, kind, task, method, remaining, seed and settings as asked for, and state.

    kind is "run" or that of a measurement, whose other words are those of the run it is on. state is "done", "running",
    "unfinished", "missing", "waiting" (for a run that it needs) or "impossible"; run_id and precision are those of the
    run as it is there or would be, None where that is not known; problem says why it is impossible. node, step,
    total_steps, seconds_left and last_line are those of `Whereabouts`.
    """
    rows: list[dict[str, Any]] = []
    lacking: list[tuple[dict[str, Any], NeededFirstError]] = []
    for item in wanted:
        run, kind = (item, "run") if isinstance(item, GridRun) else (item.on, item.kind)
        row = {**vars(run), "kind": kind, "asked": str(item), "state": "impossible", "run_id": None, "precision": None}
        row |= {"in_other_precision": False, "problem": None, **dict.fromkeys(_WHERE)}
        try:
            state = sweep.state(item)
        except NeededFirstError as error:
            lacking.append((row, error))
        except SmpLabError as error:
            row["problem"] = str(error)
        else:
            row |= {"state": state.name, "run_id": state.item_id, "precision": state.config and state.config.precision}
            row["in_other_precision"] = state.in_other_precision
            if state.name != DONE:
                found = vars(whereabouts(sweep.runs, state.item_id))
                row |= found | ({"state": "running"} if found["node"] else {})
        rows.append(row)
    made = {row["run_id"] for row in rows}
    for row, lack in lacking:
        # Where nothing that is asked for would make it, it waits for ever.
        row |= {"state": "waiting"} if lack.run_id in made else {"problem": str(lack)}
    return rows


def _print_states(sweep: Sweep, rows: Sequence[Mapping[str, Any]]) -> None:
    problems = [row["problem"] for row in rows if row["problem"]]
    problems += [f"{error} Taken as the runs that are there have it." for error in sweep.fingerprints.unread]
    for problem in dict.fromkeys(problems):
        typer.echo(f"smp-lab: {problem}", err=True)
    for row in rows:
        there = f"  (there in {row['precision']})" if row["in_other_precision"] else ""
        typer.echo(f"{row['state']:<11} {row['group']}  {row['asked']}{there}{_where(row)}")
    counts = Counter(row["state"] for row in rows)
    typer.echo(", ".join(f"{state}: {count}" for state, count in sorted(counts.items())))


def _where(row: Mapping[str, Any]) -> str:
    """Machine, step, time left and last line of a run that has begun."""
    if row["step"] is None:
        return ""
    left = "" if row["seconds_left"] is None else f", about {clock(row['seconds_left'])} left"
    on = f" on {row['node']}" if row["node"] else ""
    return f"\n{'':14}step {row['step']} of {row['total_steps']}{on}{left}: {row['last_line'][:100]}"


def _watch(sweep: Sweep, wanted: Sequence[GridItem], as_json: bool) -> None:
    """Print the states, over the ones before where that is a terminal, until nothing is left to make.

    It also ends where nothing has trained for the length of a lease: between two runs nothing trains for some seconds.
    """
    trained = time.monotonic()
    while True:
        rows = _listed(sweep, wanted)
        if as_json:
            print_json(rows)
        else:
            typer.echo("\x1b[2J\x1b[H" * sys.stdout.isatty(), nl=False)
            _print_states(sweep, rows)
        states = {row["state"] for row in rows}
        if "running" in states:
            trained = time.monotonic()
        elif states <= {DONE, "impossible"} or time.monotonic() - trained > lease_seconds():
            break
        time.sleep(_SECONDS_BETWEEN_LOOKS)
