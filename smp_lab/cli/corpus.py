"""`smp-lab corpus`: make all runs of a grid."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from smp_lab.cli.options import GlueFolder, extras_for
from smp_lab.errors import ConfigError, SmpLabError
from smp_lab.grid import load_grid
from smp_lab.paths import LOGS_FOLDER, cached_runs_folder, grid_file

EXAMPLES = (
    "smp-lab corpus --list",
    "smp-lab corpus --glue-dir ~/glue --jobs 2 --background",
    "smp-lab corpus my-grid.toml --runs runs --group 1",
)


def command(
    grid: Annotated[
        Path | None, typer.Argument(metavar="GRID", help="A file of runs.  [default: corpus.toml in cached_runs/]")
    ] = None,
    runs: Annotated[Path | None, typer.Option(metavar="DIR", help="Where runs go.  [default: cached_runs/]")] = None,
    glue_dir: GlueFolder = None,
    group: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Only this group of the grid; may be given again.  [default: all]"),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Runs at a time; on a processor as many as cores is fastest.")
    ] = 1,
    show: Annotated[bool, typer.Option("--list", help="Print the state of each run and train nothing.")] = False,
    background: Annotated[bool, typer.Option("--background", help="Go on without this terminal.")] = False,
) -> None:
    """Make all runs of a grid: skip what is there, go on with what was cut off, train what is missing.

    It may be stopped or killed at any moment and loses what was trained since the last checkpoints, about two minutes;
    the same command goes on. What each run prints lies in the hidden folder .logs of the folder of runs.
    """
    folder = cached_runs_folder() if runs is None else runs
    asked = load_grid(grid_file() if grid is None else grid)
    if unknown := sorted(set(group or ()) - set(range(1, len(asked.groups) + 1))):
        raise ConfigError(f"The grid has groups 1 to {len(asked.groups)}; got {', '.join(map(str, unknown))}.")
    wanted = [run for run in asked.runs if not group or run.group in group]
    with extras_for("Training"):
        from smp_lab.training.corpus import Corpus
    corpus = Corpus(folder, glue_dir)
    if show:
        counts: dict[str, int] = {}
        for run in wanted:
            try:
                state = corpus.state(run)
            except SmpLabError as error:
                state = "impossible"
                typer.echo(f"smp-lab: {error}", err=True)
            counts[state] = counts.get(state, 0) + 1
            typer.echo(f"{state:<11} {run.group}  {run}")
        typer.echo(", ".join(f"{state}: {count}" for state, count in sorted(counts.items())))
    elif background:
        log = folder / LOGS_FOLDER / "corpus.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "smp_lab.cli", *(word for word in sys.argv[1:] if word != "--background")]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        typer.echo(f"process {process.pid} goes on by itself and writes to {log}; `kill {process.pid}` stops it")
    else:
        corpus.make(wanted, jobs=jobs, write=typer.echo)
