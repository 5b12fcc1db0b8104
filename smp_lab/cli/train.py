"""`smp-lab train`: train a mask and keep it as a run."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from smp_lab.cli.options import GlueFolder, Source, SquadFolder, TaskFilePath, asked_task, extras_for, runs_option
from smp_lab.cli.place import Cpus, Device, Gpus, Memory, On, the_place
from smp_lab.cli.this_job import told_to_queue
from smp_lab.config import RunConfig
from smp_lab.encoder_families import FAMILIES
from smp_lab.grid import KNOWN, GridRun, as_options
from smp_lab.methods import METHODS, SET
from smp_lab.paths import cached_runs_folder, own_runs_folder
from smp_lab.recipes import PACKAGED_ENCODER, draft
from smp_lab.settings import CHANGEABLE, SETTINGS
from smp_lab.tasks import BUILT_IN

_TOLD_HOW_MUCH = [method.name for method in METHODS.values() if method.remaining == SET]
_OF_THE_RECIPE = "the recipe's"
_METAVAR = {int: "N", float: "X", str: "NAME", tuple: "WORD,WORD"}

EXAMPLES = (
    "smp-lab train --task-file reviews.toml --remaining 0.5",
    "smp-lab train --task rte --remaining 0.1 --glue-dir ~/glue",
    "smp-lab train --task toy-sentiment --remaining 0.5",
    "smp-lab train --task mrpc --method smp_l --remaining 0.03 --recipe paper-text --encoder bert-base-uncased",
)


def with_settings(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes ``**settings`` an option for each of them that can be named beside a recipe."""
    signature = inspect.signature(function, eval_str=True)
    own = [parameter for parameter in signature.parameters.values() if parameter.kind != inspect.Parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*own, *map(_option, CHANGEABLE)])  # type: ignore[attr-defined]
    return function


def _option(name: str) -> inspect.Parameter:
    setting = SETTINGS[name]
    option = typer.Option(
        metavar="|".join(setting.choices) or _METAVAR[setting.type],
        help=f"{setting.sentence}  [default: {setting.default or _OF_THE_RECIPE}]",
    )
    # Words come as one text with commas.
    kind = str if setting.type is tuple else setting.type
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, option]
    )


@with_settings
def command(
    context: typer.Context,
    task: Annotated[
        str | None, typer.Option(metavar="NAME", help=f"One of: {', '.join(BUILT_IN)}.", show_default=False)
    ] = None,
    task_file: TaskFilePath = None,
    method: Annotated[str, typer.Option(metavar="NAME", help=f"One of: {', '.join(METHODS)}.")] = "smp_s",
    remaining: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help=f"{SETTINGS['remaining'].help} For {', '.join(_TOLD_HOW_MUCH)}; the others measure it, or have no "
            "mask.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help=SETTINGS["seed"].help)] = 0,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help=f"{PACKAGED_ENCODER} (the packaged one), a folder, or a model of the Hugging Face hub. Families: "
            f"{', '.join(FAMILIES)}.",
        ),
    ] = PACKAGED_ENCODER,
    glue_dir: GlueFolder = None,
    squad_dir: SquadFolder = None,
    source: Source = None,
    runs: Annotated[Path | None, runs_option("Where the run goes.")] = None,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where settings that are not named come from: desk (this project's, for one machine without an "
            "accelerator), paper-code (the authors' scripts; also: paper) or paper-text (what the paper says).",
        ),
    ] = "desk",
    on: On = "local",
    cpus: Cpus = 1,
    gpus: Gpus = 0.0,
    memory: Memory = 2.0,
    device: Device = None,
    report_to: Annotated[
        str, typer.Option(metavar="NAME", help="Logger of transformers to report to: tensorboard, wandb and so on.")
    ] = "none",
    resume_anyway: Annotated[
        bool,
        typer.Option(
            "--resume-anyway",
            help="Resume although the checkpoint was written with other threads or on another kind of device. The mask "
            "may differ from that of an undisturbed run; the record names both.",
        ),
    ] = False,
    allow_unknown_tokens: Annotated[
        bool,
        typer.Option(
            "--allow-unknown-tokens",
            help="Train although the encoder's tokenizer does not know a fifth of the tokens or more.",
        ),
    ] = False,
    allow_broken_rows: Annotated[
        bool,
        typer.Option(
            "--allow-broken-rows",
            help="Leave broken rows of QQP's train.tsv out, however many there are. Their number is told and kept.",
        ),
    ] = False,
    **settings: Any,
) -> None:
    """Train a mask and keep it as a run.

    Prints a line per evaluation. Ctrl-C leaves a checkpoint, and the same command resumes from it; a run that is cut
    off otherwise resumes from its last checkpoint, about two minutes of training back at most. Several devices share a
    run as several processes (torchrun --nproc-per-node 2 -m smp_lab train ...), and stop and resume like one.

    The same command gives the same mask bit for bit on the same machine with as many CPU threads (OMP_NUM_THREADS).
    With another number sums are taken in another order and the masks drift apart: as many weights are kept, but after
    30 steps 3 in 100,000 differ in fp32, and 6 in 100 in bf16.

    A dense run leaves its trained weights in the hidden folder .weights/ID/ of the folder of runs, outside its record.
    They can be deleted at any time; then the run can no longer be a --teacher.
    """
    if (words := settings["label_words"]) is not None:
        settings["label_words"] = tuple(map(str.strip, words.split(",")))
    settings |= {"remaining": remaining, "seed": seed, "encoder": encoder, "recipe": recipe}
    # First what needs no torch: a wrong setting is told without waiting for it.
    name, file = asked_task(task, task_file, source)
    draft(name, method, **settings)
    with extras_for("Training"):
        from smp_lab.training.environment import require_expected
        from smp_lab.training.prepare import prepare
        from smp_lab.training.run import train as train_run
        from smp_lab.training.sweep import Sweep, find_made
    data_folders = {"glue": glue_dir, "squad": squad_dir}
    folder = own_runs_folder() if runs is None else runs
    folders = [folder, cached_runs_folder()]
    with told_to_queue(context, folder) as run_begins:
        prepared = prepare(
            name,
            method,
            task_file=file,
            allow_broken=allow_broken_rows,
            data_folders=data_folders,
            source=source,
            teacher_runs=folders,
            **settings,
        )
        for there in filter(None, (find_made(place, prepared.config) for place in folders)):
            if there.precision != prepared.config.precision:
                typer.echo(
                    f"{there.run_id} is there in {there.precision}; trained anew in {prepared.config.precision}, as "
                    "asked"
                )
        require_expected(prepared.config)
        # What is there already stays the job that it is.
        if not (folder / prepared.config.run_id).exists():
            run_begins(prepared.config)
        if on != "local":
            # A grid of one.
            named = {word: settings[word] for word in sorted(KNOWN) if settings.get(word) is not None}
            own = None if task_file is None else str(task_file.absolute())
            asked = GridRun(1, name, method, remaining, seed, named | {"source": source}, own)
            more = {"report_to": report_to, "resume_anyway": resume_anyway}
            more |= {"allow_unknown_tokens": allow_unknown_tokens, "allow_broken_rows": allow_broken_rows}
            runner, environment = the_place(on, folder, cpus=cpus, gpus=gpus, memory=memory, device=device)
            sweep = Sweep(folder, data_folders, more=as_options(more))
            sweep.make([asked], runner, write=typer.echo, environment=environment)
            return
        record = train_run(
            prepared,
            folder,
            command=_command(prepared.config, source, task_file),
            write=typer.echo,
            report_to=report_to,
            resume_anyway=resume_anyway,
            allow_unknown=allow_unknown_tokens,
        )
    if record is not None:
        metric = f"{record.main_metric} {record.main_value:.4f}"
        typer.echo(f"{metric} on {record.n_examples} examples, kept in {record.path}")


def _command(config: RunConfig, source: str | None, task_file: Path | None) -> str:
    """Command line of a run with every setting, so that it asks for the same one whatever becomes of the recipes.

    What differs between machines is not in it: folders, but for the names of models'.
    """
    method = config.method_info
    options = {
        **({"task": config.task} if task_file is None else {"task_file": task_file.name}),
        "method": config.method,
        "remaining": config.remaining if method.remaining == SET else None,
        "seed": config.seed,
        "encoder": config.base_model,
        "source": source,
        **{name: getattr(config, name) for name in CHANGEABLE if SETTINGS[name].used_by(method)},
    }
    if "," in "".join(config.label_words or ()):
        # Of a task file, which says them: commas part the words of the option.
        options["label_words"] = None
    if config.teacher is not None:
        options["teacher"] = config.teacher.rpartition("@")[0]
    return shlex.join(["smp-lab", "train", *as_options(options)])
