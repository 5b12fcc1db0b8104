"""`smp-lab evaluate`: what a mask scores on a task's development examples."""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from smp_lab.cli.options import (
    MOST,
    AsJson,
    GlueFolder,
    MeasurementFolder,
    Source,
    SquadFolder,
    TaskFilePath,
    asked_task,
    extras_for,
    print_json,
)
from smp_lab.errors import ConfigError, RunFormatError
from smp_lab.paths import cached_runs_folder, own_runs_folder
from smp_lab.storage.imported import IMPORTED_MASKS
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.measurements import MeasurementRecord
from smp_lab.storage.release import MNLI_WORDS, RELEASED_WIDTHS, TITLE
from smp_lab.storage.runs import RUNS
from smp_lab.tasks import get_task

EXAMPLES = (
    "smp-lab evaluate pruned-bert-0123abcd --glue-dir ~/glue",
    "smp-lab evaluate sst2-smp_s-r0.03-s0-0123abcd --cut 5 --cut 10 --glue-dir ~/glue",
    "smp-lab evaluate sst2-smp_s-r0.1-s0-0123abcd --heads --glue-dir ~/glue",
    "smp-lab evaluate pruned-bert-0123abcd --task sst2 --encoder pruned-bert --own-head --glue-dir ~/glue",
)


def command(
    name: Annotated[
        str, typer.Argument(metavar="MASK", help="Id or folder of an imported mask or a run.", show_default=False)
    ],
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help="Task to score on.  [default: the mask's own]")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Encoder whose weights are masked, as of train.  [default: the mask's own]"),
    ] = None,
    own_weights: Annotated[
        bool, typer.Option("--own-weights", help="Take the encoder's weights, whatever the mask's base is.")
    ] = False,
    own_head: Annotated[
        bool,
        typer.Option(
            "--own-head",
            help="Answer by the classification head of the checkpoint that --encoder names, with its weights, in place "
            "of label words.",
        ),
    ] = False,
    cut: Annotated[
        list[int] | None,
        typer.Option(
            metavar="K",
            min=0,
            max=MOST,
            help="Also with rows emptied that keep fewer than K weights (section 8 of the paper); can be repeated.",
        ),
    ] = None,
    heads: Annotated[
        bool,
        typer.Option("--heads", help="Empty each attention head in turn instead, which takes one evaluation a head."),
    ] = False,
    label_words: Annotated[
        str | None,
        typer.Option(
            metavar="WORD,WORD",
            help="A word for each class, as of train.  [default: the task's; for the authors' MNLI file, theirs]",
        ),
    ] = None,
    task_file: TaskFilePath = None,
    glue_dir: GlueFolder = None,
    squad_dir: SquadFolder = None,
    source: Source = None,
    runs: MeasurementFolder = None,
    as_json: AsJson = False,
) -> None:
    """Score a mask on the development examples of a task, and keep the measurement beside it.

    The encoder answers by the task's label words, or by the head of its own checkpoint; nothing is trained. Beside it
    stands what is left of the encoder in its compact form. The record of the mask does not change.
    """
    if heads and (own_head or cut):
        raise ConfigError(
            "--heads empties heads of the whole mask, under label words alone. Leave out --own-head and --cut."
        )
    folder = own_runs_folder() if runs is None else runs
    mask, is_release = _mask(name, (folder, own_runs_folder(), cached_runs_folder()))
    named = task or (mask.task if task_file is None else None)
    if named is None and task_file is None:
        raise ConfigError(f"Of {mask.label} no task is known. Name one with --task.")
    chosen, file = asked_task(named, task_file, source)
    get_task(chosen)
    with extras_for("Evaluating a mask"):
        from smp_lab.inference.evaluate import evaluate, evaluate_heads
        from smp_lab.training.environment import made_for_sweep
    asked: dict[str, Any] = {
        "encoder": encoder or mask.encoder,
        "command": shlex.join(["smp-lab", *sys.argv[1:]]),
        "own_weights": own_weights or own_head,
        "task_file": file,
        "data_folders": {"glue": glue_dir, "squad": squad_dir},
        "source": source,
    }
    if label_words is not None:
        asked["label_words"] = tuple(map(str.strip, label_words.split(",")))
    elif is_release and chosen == "mnli":
        asked["label_words"] = MNLI_WORDS
    with made_for_sweep(folder):
        if heads:
            _print_heads(evaluate_heads(mask, chosen, folder, **asked), as_json)
            return
        scored, sized = evaluate(mask, chosen, folder, cuts=(0, *(cut or ())), own_head=own_head, **asked)
    if as_json:
        print_json({record.measurement_id: record.table for record in (scored, sized) if record})
        return
    sizes = [] if sized is None else sized.table.to_dict("records")
    left = {size["cut"]: size["parameters"] / size["published"] for size in sizes}
    for row in scored.table.to_dict("records"):
        majority = row["majority"]
        # A correlation, or a span, has none.
        beside = "" if math.isnan(majority) else f"; majority-class baseline {majority:.4f}"
        typer.echo(
            f"cut {row['cut']}: {row['metric']} {row['value']:.4f} ({row['low']:.4f} to {row['high']:.4f} on "
            f"{row['n_examples']:,} examples{beside})"
            + (f", {left[row['cut']]:.1%} of the encoder's parameters" if row["cut"] in left else "")
        )
    kept = " and ".join(record.path.name for record in (scored, sized) if record)
    typer.echo(f"Kept as {kept} in {scored.path.parent}" + ("" if sized else "; it has no compact form here"))


def _print_heads(record: MeasurementRecord, as_json: bool) -> None:
    if as_json:
        print_json({record.measurement_id: record.table})
        return
    for row in record.table.to_dict("records"):
        typer.echo(
            f"without head {row['layer']}.{row['head']}: {row['metric']} {row['value']:.4f}, changed by "
            f"{row['change']:+.4f} ({row['low']:+.4f} to {row['high']:+.4f} on {row['n_examples']:,} examples)"
        )
    typer.echo(f"Kept as {record.path.name} in {record.path.parent}")


def _mask(name: str, folders: tuple[Path, ...]) -> tuple[MaskRecord, bool]:
    """A mask, and whether it came as the authors release theirs."""
    if (imported := IMPORTED_MASKS.find(name, folders)) is not None:
        theirs = imported.settings.format == TITLE and imported.layout.widths == RELEASED_WIDTHS
        return imported.mask_record, theirs
    run = RUNS.find(name, folders)
    if run is None:
        raise RunFormatError(f"There is no mask {name[:200]!r} in {' or '.join(map(str, dict.fromkeys(folders)))}.")
    if run.mask_record is None:
        raise RunFormatError(
            f"Run {run.run_id} ({run.config.method}) has no mask: it keeps every weight. Its metrics are on its card."
        )
    return run.mask_record, False
