"""`smp-lab train`: train a mask and keep it as a run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from smp_lab.cli.options import GlueFolder, Source, extras_for
from smp_lab.config import RunConfig
from smp_lab.grid import as_options
from smp_lab.methods import METHODS, SET, get_method
from smp_lab.paths import RUNS_VARIABLE, cached_runs_folder, own_runs_folder
from smp_lab.settings import SETTINGS
from smp_lab.tasks import TASKS, get_task

# Options of `train` that replace a setting of the recipe, named as in `RunConfig`.
RECIPE_SETTINGS = (
    "epochs",
    "batch_size",
    "max_length",
    "train_examples",
    "score_learning_rate",
    "weight_learning_rate",
    "head_learning_rate",
    "dropout",
    "regularizer",
    "regularizer_ramp",
    "schedule",
    "schedule_fraction",
    "schedule_steps",
    "threshold",
    "head",
    "regression_head",
    "kl_direction",
    "distillation_temperature",
    "distillation_weight",
    "precision",
)

EXAMPLES = (
    "smp-lab train --task rte --remaining 0.1 --glue-dir ~/glue",
    "smp-lab train --task toy-sentiment --remaining 0.5",
    "smp-lab train --task mrpc --method smp_l --remaining 0.03 --recipe paper --encoder bert-base-uncased",
)


def _recipe_option(explanation: str, default: str = "the recipe's") -> Any:
    return typer.Option(help=f"{explanation}  [default: {default}]")


def command(
    context: typer.Context,
    task: Annotated[str, typer.Option(metavar="NAME", help=f"One of: {', '.join(TASKS)}.", show_default=False)],
    method: Annotated[str, typer.Option(metavar="NAME", help=f"One of: {', '.join(METHODS)}.")] = "smp_s",
    remaining: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            help="Share of the encoder's prunable weights that is KEPT, in (0, 1]. For "
            f"{', '.join(name for name, method in METHODS.items() if method.remaining == SET)}; the others measure it, "
            "or have no mask.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Of all that is drawn: data order, dropout, random masks, gates.")
    ] = 0,
    encoder: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="minilm-l6 (the packaged one), a folder, or a model of the Hugging Face hub; BERT or RoBERTa layout.",
        ),
    ] = "minilm-l6",
    glue_dir: GlueFolder = None,
    source: Source = None,
    runs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=f"Where the run goes.  [default: {RUNS_VARIABLE}, else runs/]"),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="Where settings that are not named come from: desk (this project's, for one machine without an "
            "accelerator) or paper (12 to 100 epochs).",
        ),
    ] = "desk",
    epochs: Annotated[
        float | None, _recipe_option("Passes over the training data.", "the recipe's, at most 4 for dense")
    ] = None,
    batch_size: Annotated[int | None, _recipe_option("Examples a step.")] = None,
    max_length: Annotated[int | None, _recipe_option("Tokens an example at most.")] = None,
    train_examples: Annotated[int | None, _recipe_option("Use the first N training examples.", "all")] = None,
    score_learning_rate: Annotated[
        float | None,
        _recipe_option("Of the scores; decays linearly to 0.", "the recipe's; 0.01 where weights are trained too"),
    ] = None,
    weight_learning_rate: Annotated[
        float | None, _recipe_option("Of the encoder's weights, for methods that train them.")
    ] = None,
    head_learning_rate: Annotated[
        float | None, _recipe_option("Of a linear head.", "the weights' where a method trains them, else 3e-5")
    ] = None,
    dropout: Annotated[float | None, _recipe_option("Of the encoder while training.", "the checkpoint's")] = None,
    regularizer: Annotated[
        float | None,
        _recipe_option(
            "lambda_max, the greatest weight of the score regulariser; 0 is off.", "the recipe's; 0 for movement"
        ),
    ] = None,
    regularizer_ramp: Annotated[
        str | None,
        _recipe_option("How its weight grows from 0: code (over all steps) or paper (with the sparsity).", "code"),
    ] = None,
    schedule: Annotated[
        str | None, _recipe_option("How the remaining fraction falls from 1: cubic or linear.", "cubic")
    ] = None,
    schedule_fraction: Annotated[
        float | None, _recipe_option("Share of all steps after which the final fraction, or tau, is reached.")
    ] = None,
    schedule_steps: Annotated[int | None, _recipe_option("The same as a number of steps, in its place.")] = None,
    threshold: Annotated[
        float | None,
        _recipe_option("Final tau of smp_t and soft_movement, which keep weights with sigmoid(S) > tau.", "0.1"),
    ] = None,
    head: Annotated[
        str | None,
        _recipe_option(
            "label_words (frozen) or linear (trained).", "linear where a method trains weights, else label_words"
        ),
    ] = None,
    label_words: Annotated[str | None, _recipe_option("One word per class, with commas between.", "the task's")] = None,
    regression_head: Annotated[
        str | None,
        _recipe_option(
            "For stsb with label words: poles (a score between two words) or mse (one word's score as it is).", "poles"
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Learn from a dense fine-tuned model as well: the id of a dense run here whose weights are kept, or "
            "a folder or a model of the Hugging Face hub with a sequence-classification head.  [default: none]",
        ),
    ] = None,
    kl_direction: Annotated[
        str | None,
        _recipe_option(
            "teacher_student, KL(teacher || student), as the authors' code, or student_teacher, as the paper.",
            "teacher_student",
        ),
    ] = None,
    distillation_temperature: Annotated[float | None, _recipe_option("T of both models' softmax.", "2")] = None,
    distillation_weight: Annotated[
        float | None, _recipe_option("w in (1 - w) * task loss + w * T^2 * KL.", "0.5")
    ] = None,
    precision: Annotated[
        str | None,
        _recipe_option("Of the matrix products: bf16 or fp32."),
    ] = None,
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
) -> None:
    """Train a mask and keep it as a run.

    Prints a line per evaluation. Ctrl-C leaves a checkpoint, and the same command goes on from it; a run that is cut
    off otherwise goes on from its last checkpoint, about two minutes back at most. Several devices share a run as
    several processes (torchrun --nproc-per-node 2 -m smp_lab.cli train ...); stopping and going on is for one process.

    The same command gives the same mask bit for bit on the same machine with as many CPU threads (OMP_NUM_THREADS).
    With another number sums are taken in another order and the masks drift apart: as many weights are kept, but after
    30 steps 3 in 100,000 differ in fp32, and 6 in 100 in bf16.

    A dense run leaves its trained weights in the hidden folder .weights/ID/ of the folder of runs, outside its record.
    They can be deleted at any time; then the run can no longer be a --teacher.
    """
    # First what needs no torch: a wrong name is told without waiting for it.
    get_task(task), get_method(method)
    with extras_for("Training"):
        from smp_lab.training.prepare import prepare
        from smp_lab.training.run import train as train_run
    settings = {name: context.params[name] for name in RECIPE_SETTINGS}
    settings["label_words"] = tuple(map(str.strip, label_words.split(","))) if label_words is not None else None
    folder = own_runs_folder() if runs is None else runs
    prepared = prepare(
        task,
        method,
        remaining=remaining,
        seed=seed,
        encoder=encoder,
        glue_folder=glue_dir,
        source=source,
        recipe=recipe,
        teacher=teacher,
        teacher_runs=[folder, cached_runs_folder()],
        **settings,
    )
    record = train_run(
        prepared,
        folder,
        command=_command(prepared.config, source),
        write=typer.echo,
        report_to=report_to,
        resume_anyway=resume_anyway,
    )
    if record is not None:
        metric = f"{record.main_metric} {record.main_value:.4f}"
        typer.echo(f"{metric} on {record.n_examples} examples, kept in {record.path}")


def _command(config: RunConfig, source: str | None) -> str:
    """Command line of a run with every setting, so that it asks for the same one whatever becomes of the recipes.

    What differs between machines is not in it: folders, but for the names of models'.
    """
    method = config.method_info
    options = {
        "task": config.task,
        "method": config.method,
        "remaining": config.remaining if method.remaining == SET else None,
        "seed": config.seed,
        "encoder": config.base_model,
        "source": source,
        "teacher": config.teacher and config.teacher.rpartition("@")[0],
        "label_words": config.label_words,
        **{name: getattr(config, name) for name in RECIPE_SETTINGS if SETTINGS[name].used_by(method)},
    }
    return shlex.join(["smp-lab", "train", *as_options(options)])
