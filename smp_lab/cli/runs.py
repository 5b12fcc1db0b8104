"""`smp-lab runs`: list finished runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from smp_lab.analysis.run_table import run_table
from smp_lab.cli.options import AsJson, existing, print_json
from smp_lab.methods import METHODS, get_method
from smp_lab.paths import cached_runs_folder, own_runs_folder
from smp_lab.storage.runs import RunRecord, list_runs
from smp_lab.tasks import TASKS, get_task

EXAMPLES = ("smp-lab runs", "smp-lab runs --task rte --method smp_s", "smp-lab runs --folder runs")


def command(
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Look here only.  [default: your own runs and cached_runs/]")
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"One of: {', '.join(TASKS)}, or one of your own.")
    ] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help=f"One of: {', '.join(METHODS)}.")] = None,
    as_json: AsJson = False,
) -> None:
    """List finished runs, one a line.

    Asked and kept are percentages of the encoder's prunable weights: what a run was to keep, and what its mask keeps.
    The metric is the task's main one at the last evaluation (a fraction or a coefficient, not a percentage), n the
    examples it was measured on. Folders that should be runs and cannot be read are named on stderr.
    """
    folders = [own_runs_folder(), cached_runs_folder()] if folder is None else [existing(folder)]
    # A task of one's own is known from its runs.
    index = list_runs(folders)
    tasks = TASKS if task is None else {get_task(task).name}
    methods = METHODS if method is None else {get_method(method).name}
    if as_json:
        runs = index.records.values()
        table = run_table(runs).assign(folder=[str(run.path.parent) for run in runs]).drop(columns="settings")
        chosen_rows = table["task"].isin(tasks) & table["method"].isin(methods)
        problems = [{"folder": str(path), "problem": sentence} for path, sentence in index.problems]
        print_json({"runs": table[chosen_rows], "problems": problems})
        return
    chosen = [run for run in index.records.values() if run.config.task in tasks and run.config.method in methods]
    if chosen:
        header = ("run", "task", "encoder", "method", "asked %", "kept %", "metric", "value", "n", "folder")
        for line in _aligned([header, *map(_row, chosen)], right={4, 5, 7, 8}):
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
        config.base_model,
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
