"""`smp-lab summary`: the runs of a folder as a Markdown table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smp_lab.analysis.run_table import run_table
from smp_lab.analysis.sampling import reliability
from smp_lab.analysis.summary import as_markdown, summarize, summary_cells
from smp_lab.cli.options import AsJson, existing, print_json
from smp_lab.errors import RunFormatError
from smp_lab.storage.runs import list_runs

EXAMPLES = ("smp-lab summary cached_runs",)


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of runs.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Print the runs of DIR as a Markdown table: a row per method and level, a column per task.

    Values are the task's main metric at the last evaluation, times 100: the mean over seeds, with half the 95 %
    interval of the development set's own sampling error, and the range over seeds where there are several. Remaining is
    the percentage of the encoder's prunable weights that is kept. A run with other settings than the most usual ones of
    its task and method has a row of its own that names them.
    """
    index = list_runs([existing(folder)])
    for _, sentence in index.problems:
        typer.echo(f"smp-lab: {sentence}", err=True)
    if not index.runs:
        raise RunFormatError(f"Folder {folder} holds no runs.")
    runs = list(index.runs.values())
    intervals = [reliability(run.predictions, run.config.task_info, run.main_metric)[:2] for run in runs]
    low, high = zip(*intervals, strict=True)
    table = summarize(run_table(runs).assign(low=low, high=high))
    if as_json:
        print_json(table)
    else:
        typer.echo(as_markdown(summary_cells(table)))
