"""`smp-lab summary`: the runs of a folder as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from smp_lab.analysis.claims import claims_table, in_words
from smp_lab.analysis.costs import cut_cells, cut_table, time_table
from smp_lab.analysis.labels import method_name, run_labels
from smp_lab.analysis.overview import LEARNED, over_tasks
from smp_lab.analysis.run_table import run_table
from smp_lab.analysis.sampling import Comparison, compare_on, reliability
from smp_lab.analysis.summary import as_latex, as_markdown, caption, fingerprints, means_cells, summarize, summary_cells
from smp_lab.cli.options import AsJson, existing, print_json
from smp_lab.errors import ConfigError, RunFormatError, SmpLabError
from smp_lab.storage.measurements import MEASUREMENTS
from smp_lab.storage.published import published_ablations, published_points
from smp_lab.storage.runs import RunRecord, list_runs

EXAMPLES = (
    "smp-lab summary cached_runs",
    "smp-lab summary cached_runs --means",
    "smp-lab summary cached_runs --claims",
    "smp-lab summary cached_runs --cuts",
    "smp-lab summary runs --latex",
)
_CUTS = (
    "What is left of the encoder, embeddings included, without rows of fewer than K weights, points that the main "
    "metric changes by, and times as fast as masked weights (1 thread, 32 texts of 32 tokens)."
)
_CLAIMS = (
    "What the paper claims, as published and as measured: differences in points of the main metric, means over tasks, "
    "with a verdict."
)
_MEANS = (
    "Main metric in percent at the last evaluation: mean over the tasks of the means over seeds, with the range over "
    "seeds."
)


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of runs.", show_default=False)],
    means: Annotated[
        bool,
        typer.Option(
            "--means",
            help="Means over the tasks of SMP-S's masks, of the methods and levels that were run on all of them.",
        ),
    ] = False,
    claims: Annotated[
        bool,
        typer.Option("--claims", help="What the paper claims, as published and as measured, with a verdict."),
    ] = False,
    cuts: Annotated[
        bool,
        typer.Option(
            "--cuts",
            help=f"What was measured of compact forms instead: {_CUTS[0].lower()}{_CUTS[1:]}",
        ),
    ] = False,
    latex: Annotated[bool, typer.Option("--latex", help="LaTeX in place of Markdown, with a caption.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the runs of DIR as a Markdown table: a row per method and level, a column per task.

    Values are the task's main metric at the last evaluation, in percent: the mean over seeds, with half the 95 %
    interval of the development set's own sampling error, and the range over seeds where there are several. Remaining is
    the percentage of the encoder's prunable weights that is kept. A run with other settings than the most usual ones of
    its task and method has a row of its own that names them.
    """
    if claims + cuts + means > 1:
        raise ConfigError("Name one of --means, --claims and --cuts: each is a table of its own.")
    if latex and as_json:
        raise ConfigError("Name one of --latex and --json: each is a form of its own.")
    index = list_runs([existing(folder)])
    for _, sentence in index.problems:
        typer.echo(f"smp-lab: {sentence}", err=True)
    runs = list(index.records.values())
    if not means and not cuts:
        runs = [run for run in runs if _has_predictions(run)]
    if not runs:
        raise RunFormatError(f"Folder {folder} holds no runs that can be read.")
    rows = run_table(runs)
    if claims:

        def compare(a: str, b: str) -> Comparison:
            one, other = index.records[a], index.records[b]
            return compare_on(one.predictions, other.predictions, one.config.task_info, one.main_metric)

        table = claims_table(rows, compare, published_points(), published_ablations())
        cells, words = in_words(table), f"{_CLAIMS} {fingerprints(rows)}"
    elif cuts:
        (table, cells), words = _cuts(folder, run_labels(rows)), _CUTS
    elif means:
        table = over_tasks(rows)
        if table.empty:
            raise RunFormatError(f"Folder {folder} holds no masks of {method_name(LEARNED)}, beside which means stand.")
        cells, words = means_cells(table), f"{_MEANS} {fingerprints(rows)}"
    else:
        intervals = [reliability(run.predictions, run.config.task_info, run.main_metric)[:2] for run in runs]
        rows["low"], rows["high"] = zip(*intervals, strict=True)
        table = summarize(rows)
        cells, words = summary_cells(table), caption(rows)
    if as_json:
        print_json(table)
    elif latex:
        typer.echo(as_latex(cells, words))
    else:
        typer.echo(as_markdown(cells))


def _has_predictions(run: RunRecord) -> bool:
    try:
        return len(run.predictions) > 0
    except SmpLabError as error:
        typer.echo(f"smp-lab: {error} The run is left out.", err=True)
        return False


def _cuts(folder: Path, labels: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Measured cuts as a table, and as people read it."""
    measured = list(MEASUREMENTS.list([folder]).records.values())
    cuts, times = cut_table(measured, labels), time_table(measured, labels)
    if cuts.empty:
        raise RunFormatError(
            f"No compact form of the runs in {folder} was measured. `smp-lab evaluate RUN --cut 10 --runs {folder}` "
            "measures one."
        )
    size = (times["threads"] == 1) & (times["batch"] == 32) & (times["length"] == 32)
    return cuts, cut_cells(cuts, times[size])
