"""`smp-lab import`: a mask or a pruned checkpoint of another tool, to be shown beside the runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from smp_lab.cli.options import MOST, AsJson, extras_for, print_json, runs_option
from smp_lab.errors import ConfigError, MaskFormatError
from smp_lab.paths import cached_runs_folder, own_runs_folder, text_name
from smp_lab.storage.formats import Asked, Base, Stored, open_mask
from smp_lab.storage.imported import bases_of, save_imported
from smp_lab.storage.runs import list_runs

EXAMPLES = (
    "smp-lab import pruned-bert --task sst2 --metric accuracy=0.82 --examples 872",
    "smp-lab import movement.bin --base bert-base-uncased --scores topK=0.1",
)


def command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A file, or the folder of a model.", show_default=False)],
    base: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The encoder that the mask is for: one that a run here has, bert-base-uncased or roberta-base, a "
            "folder, or a model of the hub.  [default: the one known here with its shapes]",
        ),
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help="Task that it was learned on.")] = None,
    label: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What legends call it.  [default: the name of the file]")
    ] = None,
    scores: Annotated[
        str | None,
        typer.Option(
            metavar="RULE=NUMBER",
            help="How mask_scores become a mask: topK=0.1, threshold=0 or sigmoied_threshold=0.1, as movement pruning "
            "has them.",
        ),
    ] = None,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE", help="What it scores, as you say: accuracy=0.82.")
    ] = None,
    examples: Annotated[
        int | None, typer.Option(metavar="N", min=1, max=MOST, help="On how many examples.", show_default=False)
    ] = None,
    runs: Annotated[Path | None, runs_option("Folder of runs that gets it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read a mask that another tool made, and keep it beside the runs.

    What PATH is, is found in it: weights with exact zeros (safetensors, shards, pytorch_model.bin), the names of
    torch.nn.utils.prune, mask_scores, dictionaries of masks (npz, safetensors, .pt), the authors' packed .npy, and the
    bits that smp-lab export writes. Files of torch need the training packages. What was assumed is said and kept.
    """
    if not os.path.lexists(path):
        raise MaskFormatError(f"There is no file or folder {str(path)[:200]}.")
    folder = own_runs_folder() if runs is None else runs
    bases = bases_of(list_runs((folder, own_runs_folder(), cached_runs_folder())).records.values())
    opened = open_mask(
        path,
        _torch_file,
        bases=bases,
        base=None if base is None else _base(base, bases),
        asked=Asked(scores=scores, task=task),
    )
    record = save_imported(
        folder,
        opened,
        source=(name := text_name(path.resolve())),
        label=label or name,
        task=task,
        n_examples=examples,
        **_metric(metric),
    )
    mask = record.mask_record
    if as_json:
        facts = {"mask_id": record.mask_id, "path": str(record.path), "format": opened.format, "encoder": mask.encoder}
        print_json({**facts, "remaining": mask.remaining, "assumed": opened.assumed})
        return
    for sentence in opened.assumed:
        typer.echo(sentence)
    typer.echo(
        f"Read as {opened.format}: {int(mask.kept.sum()):,} of {mask.layout.n_weights:,} weights kept "
        f"({mask.remaining:.2%}). It is {record.mask_id}, in {record.path.parent}."
    )


def _torch_file(file: Path) -> dict[str, Stored]:
    with extras_for(f"{file.name} is a file of torch, and to read it"):
        from smp_lab.inference.torch_files import torch_file
    return dict(torch_file(file))


def _base(name: str, bases: list[Base]) -> Base:
    for base in bases:
        if base.name == name:
            return base
    with extras_for("An encoder that no run here has"):
        from smp_lab.training.encoders import find_encoder, load_encoder
    encoder = load_encoder(find_encoder(name))
    return Base(encoder.files.name, encoder.files.sha256, encoder.layout)


def _metric(text: str | None) -> dict[str, Any]:
    if text is None:
        return {"metric": None, "value": None}
    name, _, value = text.partition("=")
    try:
        return {"metric": name, "value": float(value)}
    except ValueError:
        raise ConfigError(f"--metric {text[:80]!r} is no name with a value; expected such as accuracy=0.82.") from None
