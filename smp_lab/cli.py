"""The command line: ``smp-lab app``, ``smp-lab runs``, ``smp-lab check``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from smp_lab import __version__
from smp_lab.errors import MissingDependencyError, RunFormatError, SmpLabError
from smp_lab.methods import METHODS, get_method
from smp_lab.storage.paths import (
    RECORD_FILE,
    RUNS_VARIABLE,
    cached_runs_folder,
    own_runs_folder,
    pages_folder,
    project_folder,
)
from smp_lab.storage.runs import RunRecord, list_runs, load_run, run_folders
from smp_lab.tasks import TASKS, get_task

commands = typer.Typer(
    help="Learn binary masks over frozen pre-trained encoders, keep them, look at them.",
    no_args_is_help=True,
    add_completion=False,
    # Plain text wraps the same in a terminal, a pipe and a log.
    rich_markup_mode=None,
    # An error that is not ours is a defect, and its whole traceback is what a report of it needs.
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: an error that a person can mend is one sentence on stderr and exit status 1."""
    try:
        commands()
    except SmpLabError as error:
        typer.echo(f"smp-lab: {error}", err=True)
        sys.exit(1)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"smp-lab {__version__}")
        raise typer.Exit


@commands.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _examples(*lines: str) -> str:
    # The backspace keeps the lines from being filled into one paragraph.
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def _existing(folder: Path) -> Path:
    if not folder.exists():
        raise RunFormatError(f"Folder {folder} does not exist. Name a folder of runs, such as {cached_runs_folder()}.")
    return folder


@commands.command(
    "app",
    epilog=_examples("smp-lab app", "smp-lab app --port 8600", "smp-lab app --runs /data/my-runs"),
)
def open_app(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="N", help="TCP port to listen on.  [default: 8501, or the next free one]"
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help=f"Folder of your own runs.  [default: {RUNS_VARIABLE}, else runs/ in the clone]"
        ),
    ] = None,
) -> None:
    """Open the app in a browser.

    It shows your own runs and those in cached_runs/. Its address is printed; where there is no screen, open that
    address elsewhere. Ctrl-C stops it.
    """
    if not pages_folder().is_dir():
        raise MissingDependencyError(
            f"The app's pages are not in {pages_folder()}. SMP Lab runs from its clone: install it there with "
            "`pip install -e .`"
        )
    folder = own_runs_folder() if runs is None else _existing(runs)
    command = [sys.executable, "-m", "streamlit", "run", str(project_folder() / "smp_lab" / "app.py")]
    # On its first start Streamlit asks for an e-mail address and waits.
    command += ["--server.showEmailPrompt", "false"]
    if port is not None:
        command += ["--server.port", str(port)]
    environment = os.environ | {RUNS_VARIABLE: str(folder.absolute())}
    # Streamlit takes the theme from the folder it is started in.
    os.chdir(project_folder())
    # In place of this process, so that signals reach the server.
    os.execve(sys.executable, command, environment)


@commands.command(
    "runs", epilog=_examples("smp-lab runs", "smp-lab runs --task rte --method smp_s", "smp-lab runs --folder runs")
)
def print_runs(
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Look here only.  [default: your own runs and cached_runs/]")
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help=f"One of: {', '.join(TASKS)}.")] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help=f"One of: {', '.join(METHODS)}.")] = None,
) -> None:
    """List finished runs, one a line.

    Remaining and measured are percentages of the encoder's prunable weights that are kept, as asked for and as counted.
    The metric is the task's main one at the last evaluation (a fraction or a coefficient, not a percentage), n the
    examples it was measured on. Folders that should be runs and cannot be read are named on stderr.
    """
    tasks = TASKS if task is None else {get_task(task).name}
    methods = METHODS if method is None else {get_method(method).name}
    folders = [own_runs_folder(), cached_runs_folder()] if folder is None else [_existing(folder)]
    index = list_runs(folders)
    chosen = [run for run in index.runs.values() if run.config.task in tasks and run.config.method in methods]
    if chosen:
        header = ("run", "task", "method", "remaining %", "measured %", "metric", "value", "n", "folder")
        for line in _aligned([header, *map(_row, chosen)], right={3, 4, 6, 7}):
            typer.echo(line)
    else:
        typer.echo(f"No such runs in {' or '.join(map(str, folders))}.", err=True)
    for _, sentence in index.problems:
        typer.echo(f"smp-lab: {sentence}", err=True)


def _row(run: RunRecord) -> tuple[str, ...]:
    config = run.config
    return (
        run.run_id,
        config.task,
        config.method,
        "-" if config.remaining is None else f"{100 * config.remaining:g}",
        f"{100 * run.remaining:.2f}",
        run.main_metric,
        f"{run.main_value:.4f}",
        str(run.n_examples),
        str(run.path.parent),
    )


def _aligned(rows: Sequence[Sequence[str]], right: set[int]) -> Iterable[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


@commands.command(
    "check", epilog=_examples("smp-lab check cached_runs", "smp-lab check runs/rte-smp_s-r0.1-s0-0123abcd")
)
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of runs, or one run.", show_default=False)],
) -> None:
    """Read and verify every file of every run in DIR.

    A line per run, then their number and size. The exit status is 1 where a run is broken, or where there is none.
    """
    folder = _existing(folder).resolve()
    paths = [folder] if (folder / RECORD_FILE).exists() else run_folders(folder)
    if not paths:
        raise RunFormatError(f"Folder {folder} holds no runs.")
    n_broken = 0
    for path in paths:
        try:
            load_run(path).verify()
        except SmpLabError as error:
            n_broken += 1
            typer.echo(f"BROKEN  {error}")
        else:
            typer.echo(f"ok      {path.name}  {_megabytes([path])}")
    typer.echo(f"runs: {len(paths)}, broken: {n_broken}, size: {_megabytes(paths)}")
    if n_broken:
        raise typer.Exit(1)


def _megabytes(folders: Iterable[Path]) -> str:
    n_bytes = sum(file.stat().st_size for folder in folders for file in folder.iterdir() if file.is_file())
    return f"{n_bytes / 1e6:.2f} MB"
