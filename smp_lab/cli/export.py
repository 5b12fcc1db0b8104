"""`smp-lab export`: a mask, or the model that it makes, in a form that opens elsewhere."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smp_lab.cli.options import MOST, GlueFolder, SquadFolder, extras_for, named_run, runs_option
from smp_lab.errors import ConfigError, SmpLabError
from smp_lab.paths import DATA_VARIABLES, own_runs_folder
from smp_lab.storage.release import write_release
from smp_lab.storage.runs import RunRecord

if TYPE_CHECKING:
    from smp_lab.training.data import TaskData

EXAMPLES = (
    "smp-lab export rte-smp_s-r0.1-s0-0123abcd masks.npy",
    "smp-lab export sst2-smp_s-r0.03-s0-0123abcd small --form compact --cut 10",
)
RELEASE = "release"


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id or folder of a run.", show_default=False)],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="File or folder that is not there yet.", show_default=False)
    ],
    form: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="release: one .npy of packed bits, as the authors release theirs. masked: the encoder with removed "
            "weights at zero, for transformers. compact: without empty rows, columns and heads, for torch. onnx: the "
            "compact form for ONNX Runtime, onnx-masked: the masked one. bits: the mask alone, with shapes and the "
            "encoder's fingerprint. prune: the names of torch.nn.utils.prune. dictionary: a boolean array for each "
            "parameter's name. smp-lab import reads all of them but compact and those for ONNX.",
        ),
    ] = RELEASE,
    encoder: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Folder or hub name of the run's encoder, for the other forms.  [default: the run's]"
        ),
    ] = None,
    cut: Annotated[
        int,
        typer.Option(
            metavar="K",
            min=0,
            max=MOST,
            help="First empty the rows that keep fewer than K weights, as section 8 of the paper does. This changes "
            "the answers; without it every form answers as the mask does.",
        ),
    ] = 0,
    report: Annotated[
        bool, typer.Option(help="Open what was written, measure it, and keep the numbers in its report.json.")
    ] = True,
    glue_dir: GlueFolder = None,
    squad_dir: SquadFolder = None,
    runs: Annotated[Path | None, runs_option("Folder that gets the report's measurements.")] = None,
) -> None:
    """Write the mask of a run, or the model that it makes of its encoder.

    The release format is one array of bytes: the packed bits of every matrix, one after the other in the order of their
    names (layers 0, 1, 10, 11, 2 and so on), without settings or shapes. The other forms are folders with a README.md
    that has the lines to use them; they need the training packages, and onnx its extra. A report says its
    bytes and, of a whole model that it opens again, the largest difference of its scores to the mask's, times beside
    masked weights, and the metric where the task's examples are at hand.
    """
    record = named_run(run)
    if form == RELEASE:
        if cut:
            raise ConfigError("Form release is the mask as it was learned: it takes no --cut. Choose another form.")
        write_release(record.masks, target)
        typer.echo(f"{record.masks.kept_total:,} of {record.layout.n_weights:,} weights kept, in {target}")
        return
    with extras_for("An export of a model"):
        from smp_lab.inference.compact import cut_rows
        from smp_lab.inference.export import FORMS, export
        from smp_lab.inference.export_report import export_with_report
        from smp_lab.inference.pruned import Pruned
        from smp_lab.training.encoders import find_encoder, load_encoder
    if form not in FORMS:
        raise ConfigError(f"Unknown form {form!r}. Choose one of: {', '.join((RELEASE, *FORMS))}.")
    pruned = Pruned.load(record, encoder=load_encoder(find_encoder(encoder or record.config.base_model)))
    if cut:
        pruned = pruned.with_masks(cut_rows(pruned.masks, cut))
    said: list[str] = []
    if report:
        said = export_with_report(
            record.mask_record,
            pruned,
            target,
            form,
            own_runs_folder() if runs is None else runs,
            command=shlex.join(["smp-lab", *sys.argv[1:]]),
            cut=cut,
            data=_data_at_hand(record, {"glue": glue_dir, "squad": squad_dir}),
        )
    else:
        export(pruned, target, form, cut=cut)
    typer.echo(f"{FORMS[form].title} In {target}, with a README.md that has the lines to use it.")
    for sentence in said:
        typer.echo(sentence)


def _data_at_hand(run: RunRecord, data_folders: Mapping[str, Path | None]) -> TaskData | None:
    """Examples of the run's task, where they are generated or their folder is named."""
    from smp_lab.training.data import load_task_data

    task = run.config.task_info
    if task.definition is not None:
        return None
    if not (task.synthetic or data_folders.get(task.files) or os.environ.get(DATA_VARIABLES[task.files])):
        return None
    try:
        return load_task_data(task.name, data_folders=data_folders)
    except SmpLabError as error:
        typer.echo(f"smp-lab: Nothing is scored. {error}", err=True)
        return None
