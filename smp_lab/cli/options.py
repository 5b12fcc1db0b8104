"""What commands share."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from smp_lab.errors import ConfigError, MissingDependencyError, RunFormatError
from smp_lab.paths import DATA_VARIABLES, RUNS_VARIABLE, cached_runs_folder, own_runs_folder
from smp_lab.storage.runs import RUNS, RunRecord
from smp_lab.tasks.own import TaskFile, read_task_file

# Of what counts something: records and the queue hold whole numbers of 64 bits.
MOST = 10**9


def runs_option(what: str) -> Any:
    """Option that names a folder of runs, one's own where it is not given; `what` says what the folder is for."""
    return typer.Option(metavar="DIR", help=f"{what}  [default: {RUNS_VARIABLE}, else runs/]")


GlueFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help=f"Folder of GLUE's tab-separated files: DIR/RTE/train.tsv and so on.  [default: {DATA_VARIABLES['glue']}]",
    ),
]
SquadFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help=f"Folder of SQuAD's train-v1.1.json and dev-v1.1.json.  [default: {DATA_VARIABLES['squad']}]",
    ),
]
Source = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="folder, hub or toy.  [default: toy for toy tasks, folder where one is named, else hub]",
    ),
]
TaskFilePath = Annotated[
    Path | None,
    typer.Option(
        "--task-file",
        metavar="FILE",
        help="A task of your own in place of --task: a TOML file that names texts, classes, label words and data. "
        "smp_lab/tasks/own.py has an example.",
    ),
]
MeasurementFolder = Annotated[Path | None, runs_option("Folder that gets the measurement.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, with fractions as fractions.")]


def print_json(content: Any) -> None:
    """One JSON document. Tables in it are lists of rows, with null for what is unknown."""
    typer.echo(json.dumps(content, indent=1, default=_rows, allow_nan=False))


def _rows(table: pd.DataFrame) -> list[dict[Hashable, Any]]:
    return table.astype(object).where(table.notna(), None).to_dict("records")


def asked_task(task: str | None, path: Path | None, source: str | None) -> tuple[str, TaskFile | None]:
    """Name of the task that was asked for, and its file where it is of one's own."""
    if (task is None) == (path is None):
        raise ConfigError("Name a task with --task, or the file of your own with --task-file: one of the two.")
    if path is not None and source is not None:
        raise ConfigError(f"The data of a task of your own are named in its file. Leave --source {source} out.")
    file = None if path is None else read_task_file(path)
    return (str(task), None) if file is None else (file.task.name, file)


@contextmanager
def extras_for(what: str) -> Iterator[None]:
    """Name the extras where an import fails for want of them."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{what} needs the package {error.name!r}, which is not installed. Install the extras in the clone with: "
            "pip install -e '.[train,encoder]'"
        ) from None


def existing(folder: Path) -> Path:
    """Folder itself, if it is there and can be looked at."""
    try:
        there, is_folder = folder.exists(), folder.is_dir()
    except OSError as error:
        raise RunFormatError(
            f"Folder {textwrap.shorten(str(folder), 200)} cannot be read ({error.strerror})."
        ) from None
    if not there:
        cached = cached_runs_folder()
        example = f", such as {cached}" if cached.exists() else ""
        raise RunFormatError(f"Folder {folder} does not exist. Name a folder of runs{example}.")
    if not is_folder:
        raise RunFormatError(f"{folder} is no folder. Name a folder of runs.")
    return folder


def named_run(name: str, *folders: Path) -> RunRecord:
    """A run by its folder, or by its id in some folders of runs, among one's own and the cached ones."""
    folders = tuple(dict.fromkeys([*folders, own_runs_folder(), cached_runs_folder()]))
    run = RUNS.find(name, folders)
    if run is None:
        raise RunFormatError(
            f"There is no run {name!r} in {' or '.join(map(str, folders))}. `smp-lab runs` lists them."
        )
    return run
