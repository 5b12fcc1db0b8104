"""`smp-lab report`: runs as one HTML file that opens anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smp_lab.analysis.run_table import run_table
from smp_lab.cli.options import named_run
from smp_lab.errors import RunFormatError
from smp_lab.report import opened, report
from smp_lab.storage.runs import list_runs
from smp_lab.storage.sealed import write_new

EXAMPLES = (
    "smp-lab report rte-smp_s-r0.1-s0-0123abcd rte.html",
    "smp-lab report cached_runs/*-smp_s-r0.1-* tenth.html",
)


def command(
    runs: Annotated[list[str], typer.Argument(metavar="RUN", help="Ids or folders of runs.", show_default=False)],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="File that is not there yet.", show_default=False)],
) -> None:
    """Write a report on runs: one HTML file with findings, figures, tables and a card of each run.

    A run that cannot be read is named in it, and left out.

    It holds all it needs, so whoever gets it opens it in a browser, without this project and without a network. What is
    unusual about a run is said by comparison with all runs of its folder.
    """
    records, problems = opened(runs, named_run)
    if not records:
        raise RunFormatError(problems[0])
    around = list_runs(sorted({record.path.parent for record in records}))
    page = report(records, run_table(around.records.values()), problems)
    write_new(target, page.encode())
    for sentence in problems:
        typer.echo(f"Left out: {sentence}", err=True)
    typer.echo(f"{len(records)} run{'s' * (len(records) > 1)} in {target}, {len(page) / 1e6:.1f} MB.")
