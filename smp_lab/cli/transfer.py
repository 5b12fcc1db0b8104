"""`smp-lab transfer`: score masks on other tasks than their own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from smp_lab.cli.options import GlueFolder, Source, SquadFolder, extras_for, named_run, runs_option
from smp_lab.paths import TRANSFERS_FOLDER, own_runs_folder
from smp_lab.tasks import get_task
from smp_lab.tasks.own import read_task_file

EXAMPLES = (
    "smp-lab transfer cola-smp_s-r0.1-s0-01234567 rte-smp_s-r0.1-s0-89abcdef",
    "smp-lab transfer cached_runs/*-smp_s-r0.5-* --glue-dir ~/glue",
    "smp-lab transfer runs/mrpc-smp_s-r0.1-s0-01234567 --task qqp --task rte",
)


def command(
    names: Annotated[
        list[str],
        typer.Argument(metavar="RUN", help="Ids or folders of runs of one encoder.", show_default=False),
    ],
    task: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Score on this one; can be repeated.  [default: the tasks of the runs]"),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Where the encoder of the runs is, as of train.  [default: by its name]"),
    ] = None,
    task_file: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Of a task of your own among those that are scored on; can be repeated."),
    ] = None,
    glue_dir: GlueFolder = None,
    squad_dir: SquadFolder = None,
    source: Source = None,
    runs: Annotated[Path | None, runs_option("Folder of runs whose transfers/ gets the results.")] = None,
) -> None:
    """Score masks on other tasks than their own.

    The mask of every run is put into the classifier of every task: the frozen encoder with the label words of that
    task, nothing trained. Beside it stand the task's own run where it is named too, and random and magnitude masks that
    keep as much. A line and a small file per mask and task; what is there already is left as it is. The overlap
    page shows the matrix.
    """
    folder = own_runs_folder() if runs is None else runs
    files = [read_task_file(path) for path in task_file or ()]
    for name in task or ():
        get_task(name)
    chosen = list({run.run_id: run for run in (named_run(name, folder) for name in names)}.values())
    with extras_for("Evaluating a mask"):
        from smp_lab.training.environment import made_for_sweep
        from smp_lab.training.transfer import transfer
    with made_for_sweep(folder):
        transfer(
            chosen,
            # A file that is named beside no --task brings the data of a run's task, or one more task.
            list(dict.fromkeys([*(task or (run.config.task for run in chosen)), *(file.task.name for file in files)])),
            folder,
            command=shlex.join(
                [
                    *("smp-lab", "transfer"),
                    *(run.run_id for run in chosen),
                    *(word for name in task or () for word in ("--task", name)),
                    *(word for file in files for word in ("--task-file", file.path.name)),
                ]
            ),
            encoder=encoder,
            task_files=files,
            data_folders={"glue": glue_dir, "squad": squad_dir},
            source=source,
            write=typer.echo,
        )
    typer.echo(f"kept in {folder / TRANSFERS_FOLDER}")
