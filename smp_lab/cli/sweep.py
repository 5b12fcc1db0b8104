"""`smp-lab sweep`: make all runs of a grid."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smp_lab.cli.options import AsJson, GlueFolder, SquadFolder, extras_for, print_json
from smp_lab.errors import ConfigError, SmpLabError
from smp_lab.grid import GridRun, load_grid
from smp_lab.paths import LOGS_FOLDER, cached_runs_folder, grid_file
from smp_lab.settings import SETTINGS

if TYPE_CHECKING:
    from smp_lab.training.sweep import Sweep

EXAMPLES = (
    "smp-lab sweep --list",
    "smp-lab sweep --glue-dir ~/glue --jobs 2 --background",
    "smp-lab sweep my-grid.toml --runs runs --group 1",
)
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
    show: Annotated[bool, typer.Option("--list", help="Print the state of each run and train nothing.")] = False,
    as_json: AsJson = False,
    background: Annotated[bool, typer.Option("--background", help="Continue without this terminal.")] = False,
) -> None:
    """Make all runs of a grid: skip what is there, resume what was cut off, train what is missing.

    A run that is there in another precision is done: it is named and not trained anew.

    It may be stopped or killed at any time and loses what was trained since the last checkpoints, about two minutes;
    the same command resumes. What each run prints lies in the hidden folder .logs of the folder of runs.
    """
    folder = cached_runs_folder() if runs is None else runs
    asked = load_grid(grid_file() if grid is None else grid)
    if unknown := sorted(set(group or ()) - set(range(1, len(asked.groups) + 1))):
        raise ConfigError(f"The grid has groups 1 to {len(asked.groups)}; got {', '.join(map(str, unknown))}.")
    wanted = [run for run in asked.runs if not group or run.group in group]
    if precision is not None:
        SETTINGS["precision"].check_range(precision)
        wanted = [replace(run, settings={**run.settings, "precision": precision}) for run in wanted]
    with extras_for("Training"):
        from smp_lab.training.sweep import Sweep
    sweep = Sweep(folder, glue_dir, squad_dir)
    if as_json:
        print_json([*_listed(sweep, wanted)])
    elif show:
        _print_states(_listed(sweep, wanted), wanted)
    elif background:
        log = folder / LOGS_FOLDER / "sweep.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "smp_lab.cli", *(word for word in sys.argv[1:] if word != "--background")]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        typer.echo(f"process {process.pid} continues by itself and writes to {log}; `kill {process.pid}` stops it")
    else:
        sweep.make(wanted, jobs=jobs, write=typer.echo)


def _listed(sweep: Sweep, wanted: Iterable[GridRun]) -> Iterator[dict[str, Any]]:
    """A row per run: group, task, method, remaining, seed and settings as asked for, state, and what is there.

    state is "done", "unfinished", "missing" or "impossible"; run_id and precision are those of the run as it is there
    or would be, None where it is impossible; problem says why it is.
    """
    for run in wanted:
        row = {**vars(run), "state": "impossible", "run_id": None, "precision": None}
        row |= {"in_other_precision": False, "problem": None}
        try:
            state = sweep.state(run)
        except SmpLabError as error:
            row["problem"] = str(error)
        else:
            row |= {"state": state.name, "run_id": state.config.run_id, "precision": state.config.precision}
            row["in_other_precision"] = state.in_other_precision
        yield row


def _print_states(rows: Iterable[dict[str, Any]], wanted: Iterable[GridRun]) -> None:
    counts: Counter[str] = Counter()
    for row, run in zip(rows, wanted, strict=True):
        state = row["state"]
        counts[state] += 1
        if row["problem"] is not None:
            typer.echo(f"smp-lab: {row['problem']}", err=True)
        there = f"  (there in {row['precision']})" if row["in_other_precision"] else ""
        typer.echo(f"{state:<11} {run.group}  {run}{there}")
    typer.echo(", ".join(f"{state}: {count}" for state, count in sorted(counts.items())))
