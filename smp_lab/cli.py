"""The command line, `smp-lab`: a function for each of its commands."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from smp_lab import __version__
from smp_lab.analysis.curves import settings_but_seed, variants
from smp_lab.analysis.sampling import reliability
from smp_lab.analysis.summary import summarize, summary_as_markdown
from smp_lab.config import USED_BY, RunConfig
from smp_lab.errors import ConfigError, MissingDependencyError, RunFormatError, SmpLabError
from smp_lab.grid import as_options, load_grid
from smp_lab.methods import METHODS, SET, get_method
from smp_lab.paths import (
    GLUE_VARIABLE,
    LOGS_FOLDER,
    RECORD_FILE,
    RUNS_VARIABLE,
    SHARED_MASKS_FOLDER,
    cached_runs_folder,
    grid_file,
    own_runs_folder,
    pages_folder,
    project_folder,
    transfers_folder,
)
from smp_lab.storage.release import write_release
from smp_lab.storage.runs import RunRecord, find_run, list_runs, load_run, run_folders, unused_shared_masks
from smp_lab.storage.transfers import load_transfer, transfer_files
from smp_lab.tasks import TASKS, get_task

commands = typer.Typer(
    help="Learn binary masks over frozen pre-trained encoders, keep them, look at them.",
    no_args_is_help=True,
    add_completion=False,
    # Plain text wraps the same in a terminal, a pipe and a log.
    rich_markup_mode=None,
    # An error that is not ours is a defect, and its whole traceback is what a report of it needs.
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: an error that a person can mend is one sentence on stderr and exit status 1."""
    try:
        commands()
    except SmpLabError as error:
        typer.echo(f"smp-lab: {error}", err=True)
        sys.exit(1)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"smp-lab {__version__}")
        raise typer.Exit


@commands.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def _examples(*lines: str) -> str:
    # The backspace keeps the lines from being filled into one paragraph.
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def _existing(folder: Path) -> Path:
    if not folder.exists():
        raise RunFormatError(f"Folder {folder} does not exist. Name a folder of runs, such as {cached_runs_folder()}.")
    return folder


@commands.command(
    "app",
    epilog=_examples("smp-lab app", "smp-lab app --port 8600", "smp-lab app --runs /data/my-runs"),
)
def open_app(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="N", help="TCP port to listen on.  [default: 8501, or the next free one]"
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help=f"Folder of your own runs.  [default: {RUNS_VARIABLE}, else runs/ in the clone]"
        ),
    ] = None,
) -> None:
    """Open the app in a browser.

    It shows your own runs and those in cached_runs/, and prints its address. Ctrl-C stops it. Only this machine reaches
    it, unless the variable STREAMLIT_SERVER_ADDRESS names another address to listen on, such as 0.0.0.0.
    """
    if not pages_folder().is_dir():
        raise MissingDependencyError(
            f"The app's pages are not in {pages_folder()}. SMP Lab runs from its clone: install it there with "
            "`pip install -e .`"
        )
    folder = own_runs_folder() if runs is None else _existing(runs)
    command = [sys.executable, "-m", "streamlit", "run", str(project_folder() / "smp_lab" / "app.py")]
    if port is not None:
        command += ["--server.port", str(port)]
    environment = {
        # By itself Streamlit listens to the whole network,
        "STREAMLIT_SERVER_ADDRESS": "localhost",
        # and on its first start asks for an e-mail address and waits.
        "STREAMLIT_SERVER_SHOW_EMAIL_PROMPT": "false",
        **os.environ,
        RUNS_VARIABLE: str(folder.absolute()),
    }
    # Streamlit takes the theme from the folder it is started in.
    os.chdir(project_folder())
    # In place of this process, so that signals reach the server.
    os.execve(sys.executable, command, environment)


# Options of `train` that replace a setting of the recipe, named as in `RunConfig`.
_RECIPE_SETTINGS = (
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


# Options that commands share.
_GlueFolder = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help=f"Folder of GLUE's tab-separated files: DIR/RTE/train.tsv and so on.  [default: {GLUE_VARIABLE}]",
    ),
]
_Source = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="folder, hub or toy.  [default: toy for toy tasks, folder where one is named, else hub]",
    ),
]


@contextmanager
def _extras_for(what: str) -> Iterator[None]:
    """Name the extras where an import fails for want of them."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"{what} needs the package {error.name!r}, which is not installed. Install the extras in the clone with: "
            "pip install -e '.[train,encoder]'"
        ) from None


def _recipe_option(explanation: str, default: str = "the recipe's") -> Any:
    return typer.Option(help=f"{explanation}  [default: {default}]")


@commands.command(
    "train",
    epilog=_examples(
        "smp-lab train --task rte --remaining 0.1 --glue-dir ~/glue",
        "smp-lab train --task toy-sentiment --remaining 0.5",
        "smp-lab train --task mrpc --method smp_l --remaining 0.03 --recipe paper --encoder bert-base-uncased",
    ),
)
def train(
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
    glue_dir: _GlueFolder = None,
    source: _Source = None,
    runs: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help=f"Where the run goes.  [default: {RUNS_VARIABLE}, else runs/ in the clone]"),
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
        _recipe_option("Of the matrix products: bf16 or fp32.", "bf16 where the device has it, else fp32"),
    ] = None,
    report_to: Annotated[
        str, typer.Option(metavar="NAME", help="Logger of transformers to report to: tensorboard, wandb and so on.")
    ] = "none",
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
    with _extras_for("Training"):
        from smp_lab.training import run as training
    settings = {name: context.params[name] for name in _RECIPE_SETTINGS}
    settings["label_words"] = tuple(map(str.strip, label_words.split(","))) if label_words is not None else None
    folder = own_runs_folder() if runs is None else runs
    prepared = training.prepare(
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
    record = training.train(
        prepared, folder, command=_command(prepared.config, source), write=typer.echo, report_to=report_to
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
        **{name: getattr(config, name) for name in _RECIPE_SETTINGS if name not in USED_BY or USED_BY[name](method)},
    }
    return shlex.join(["smp-lab", "train", *as_options(options)])


@commands.command(
    "transfer",
    epilog=_examples(
        "smp-lab transfer cola-smp_s-r0.1-s0-01234567 rte-smp_s-r0.1-s0-89abcdef",
        "smp-lab transfer cached_runs/*-smp_s-r0.5-* --glue-dir ~/glue",
        "smp-lab transfer runs/mrpc-smp_s-r0.1-s0-01234567 --task qqp --task rte",
    ),
)
def transfer_masks(
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
    glue_dir: _GlueFolder = None,
    source: _Source = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help=f"Folder of runs whose transfers/ gets the results.  [default: {RUNS_VARIABLE}, else runs/ in the "
            "clone]",
        ),
    ] = None,
) -> None:
    """Score masks on other tasks than their own.

    The mask of every run is put into the classifier of every task: the frozen encoder with the label words of that
    task, nothing trained. Beside it stand the task's own run where it is named too, and random and magnitude masks that
    keep as much. A line and a small file per mask and task; what is there already is left as it is. The overlap
    page shows the matrix.
    """
    folder = own_runs_folder() if runs is None else runs
    for name in task or ():
        get_task(name)
    chosen = list({run.run_id: run for run in (_named_run(name, folder) for name in names)}.values())
    with _extras_for("Evaluating a mask"):
        from smp_lab.training.transfer import transfer
    transfer(
        chosen,
        list(dict.fromkeys(task or (run.config.task for run in chosen))),
        folder,
        command=" ".join(
            ["smp-lab transfer", *(run.run_id for run in chosen), *(f"--task {name}" for name in task or ())]
        ),
        encoder=encoder,
        glue_folder=glue_dir,
        source=source,
        write=typer.echo,
    )
    typer.echo(f"kept in {transfers_folder(folder)}")


def _named_run(name: str, *folders: Path) -> RunRecord:
    """A run by its folder, or by its id in some folders of runs, among one's own and the cached ones."""
    folders = tuple(dict.fromkeys([*folders, own_runs_folder(), cached_runs_folder()]))
    run = find_run(name, folders)
    if run is None:
        raise RunFormatError(
            f"There is no run {name!r} in {' or '.join(map(str, folders))}. `smp-lab runs` lists them."
        )
    return run


@commands.command(
    "corpus",
    epilog=_examples(
        "smp-lab corpus --list",
        "smp-lab corpus --glue-dir ~/glue --jobs 2 --background",
        "smp-lab corpus my-grid.toml --runs runs --group 1",
    ),
)
def make_corpus(
    grid: Annotated[
        Path | None, typer.Argument(metavar="GRID", help="A file of runs.  [default: corpus.toml in cached_runs/]")
    ] = None,
    runs: Annotated[Path | None, typer.Option(metavar="DIR", help="Where runs go.  [default: cached_runs/]")] = None,
    glue_dir: _GlueFolder = None,
    group: Annotated[
        list[int] | None,
        typer.Option(metavar="N", help="Only this group of the grid; may be given again.  [default: all]"),
    ] = None,
    jobs: Annotated[
        int, typer.Option(min=1, metavar="N", help="Runs at a time; on a processor as many as cores is fastest.")
    ] = 1,
    show: Annotated[bool, typer.Option("--list", help="Print the state of each run and train nothing.")] = False,
    background: Annotated[bool, typer.Option("--background", help="Go on without this terminal.")] = False,
) -> None:
    """Make all runs of a grid: skip what is there, go on with what was cut off, train what is missing.

    It may be stopped or killed at any moment and loses what was trained since the last checkpoints, about two minutes;
    the same command goes on. What each run prints lies in the hidden folder .logs of the folder of runs.
    """
    folder = cached_runs_folder() if runs is None else runs
    asked = load_grid(grid_file() if grid is None else grid)
    if unknown := sorted(set(group or ()) - set(range(1, len(asked.groups) + 1))):
        raise ConfigError(f"The grid has groups 1 to {len(asked.groups)}; got {', '.join(map(str, unknown))}.")
    wanted = [run for run in asked.runs if not group or run.group in group]
    with _extras_for("Training"):
        from smp_lab.training.corpus import Corpus
    corpus = Corpus(folder, glue_dir)
    if show:
        counts: dict[str, int] = {}
        for run in wanted:
            try:
                state = corpus.state(run)
            except SmpLabError as error:
                state = "impossible"
                typer.echo(f"smp-lab: {error}", err=True)
            counts[state] = counts.get(state, 0) + 1
            typer.echo(f"{state:<11} {run.group}  {run}")
        typer.echo(", ".join(f"{state}: {count}" for state, count in sorted(counts.items())))
    elif background:
        log = folder / LOGS_FOLDER / "corpus.txt"
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "smp_lab.cli", *(word for word in sys.argv[1:] if word != "--background")]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        typer.echo(f"process {process.pid} goes on by itself and writes to {log}; `kill {process.pid}` stops it")
    else:
        corpus.make(wanted, jobs=jobs, write=typer.echo)


@commands.command(
    "runs", epilog=_examples("smp-lab runs", "smp-lab runs --task rte --method smp_s", "smp-lab runs --folder runs")
)
def print_runs(
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Look here only.  [default: your own runs and cached_runs/]")
    ] = None,
    task: Annotated[str | None, typer.Option(metavar="NAME", help=f"One of: {', '.join(TASKS)}.")] = None,
    method: Annotated[str | None, typer.Option(metavar="NAME", help=f"One of: {', '.join(METHODS)}.")] = None,
) -> None:
    """List finished runs, one a line.

    Remaining and measured are percentages of the encoder's prunable weights that are kept, as asked for and as counted.
    The metric is the task's main one at the last evaluation (a fraction or a coefficient, not a percentage), n the
    examples it was measured on. Folders that should be runs and cannot be read are named on stderr.
    """
    tasks = TASKS if task is None else {get_task(task).name}
    methods = METHODS if method is None else {get_method(method).name}
    folders = [own_runs_folder(), cached_runs_folder()] if folder is None else [_existing(folder)]
    index = list_runs(folders)
    chosen = [run for run in index.runs.values() if run.config.task in tasks and run.config.method in methods]
    if chosen:
        header = ("run", "task", "method", "remaining %", "measured %", "metric", "value", "n", "folder")
        for line in _aligned([header, *map(_row, chosen)], right={3, 4, 6, 7}):
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


@commands.command("summary", epilog=_examples("smp-lab summary cached_runs"))
def print_summary(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of runs.", show_default=False)],
) -> None:
    """Print the runs of DIR as a Markdown table: a row per method and level, a column per task.

    Values are the task's main metric at the last evaluation, times 100: the mean over seeds, with half the 95 %
    interval of the development set's own sampling error, and the range over seeds where there are several. Remaining is
    the percentage of the encoder's prunable weights that is kept. A run with other settings than the most usual ones of
    its task and method has a row of its own that names them.
    """
    index = list_runs([_existing(folder)])
    for _, sentence in index.problems:
        typer.echo(f"smp-lab: {sentence}", err=True)
    if not index.runs:
        raise RunFormatError(f"Folder {folder} holds no runs.")
    runs = list(index.runs.values())
    table = summarize(
        {
            "task": run.config.task,
            "method": run.config.method,
            "variant": variant,
            "settings": settings_but_seed(run.config),
            "seed": run.config.seed,
            "level": run.config.remaining,
            "remaining": run.remaining,
            "metric": run.main_metric,
            "value": run.main_value,
            "sampling_interval": reliability(run.predictions, run.config.task_info, run.main_metric)[:2],
            "n_examples": run.n_examples,
            "base_model": run.config.base_model,
        }
        for run, variant in zip(runs, variants([run.config for run in runs]), strict=True)
    )
    typer.echo(summary_as_markdown(table))


@commands.command(
    "check", epilog=_examples("smp-lab check cached_runs", "smp-lab check runs/rte-smp_s-r0.1-s0-0123abcd")
)
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of runs, or one run.", show_default=False)],
) -> None:
    """Read and verify every file of every run in DIR, and what its masks score on other tasks.

    A line per run and per transfer, then their number and size, and the shared masks that no run names. The
    exit status is 1 where one is broken, or where there is no run.
    """
    folder = _existing(folder).resolve()
    paths = [folder] if (folder / RECORD_FILE).exists() else run_folders(folder)
    if not paths:
        raise RunFormatError(f"Folder {folder} holds no runs.")
    transfers = [] if folder in paths else transfer_files(folder)
    broken_transfers = _check_each(transfers, _check_transfer)
    if transfers:
        typer.echo(f"transfers: {len(transfers)}, broken: {broken_transfers}, size: {_megabytes(transfers)}")
    broken_runs = _check_each(paths, lambda path: load_run(path).verify())
    shared = [folder / SHARED_MASKS_FOLDER] if (folder / SHARED_MASKS_FOLDER).is_dir() else []
    typer.echo(f"runs: {len(paths)}, broken: {broken_runs}, size: {_megabytes([*paths, *shared])}")
    if broken_runs + broken_transfers:
        raise typer.Exit(1)
    for file in unused_shared_masks(folder):
        typer.echo(f"unused: {file.relative_to(folder)}, which no run here names, may be deleted")


def _check_each(paths: Iterable[Path], verify: Callable[[Path], None]) -> int:
    """A line for each; returns how many are broken."""
    n_broken = 0
    for path in paths:
        try:
            verify(path)
        except SmpLabError as error:
            n_broken += 1
            typer.echo(f"BROKEN  {error}")
        else:
            typer.echo(f"ok      {path.name}  {_megabytes([path])}")
    return n_broken


def _check_transfer(file: Path) -> None:
    transfer = load_transfer(file)
    run_id = transfer.settings.mask_run
    # The run may lie in another folder, or nowhere any more.
    if run_id is not None and (run := file.parents[1] / run_id).is_dir():
        transfer.check_mask(load_run(run))


def _megabytes(paths: Iterable[Path]) -> str:
    files = (file for path in paths for file in (path.iterdir() if path.is_dir() else [path]))
    return f"{sum(file.stat().st_size for file in files if file.is_file()) / 1e6:.2f} MB"


@commands.command(
    "export",
    epilog=_examples("smp-lab export rte-smp_s-r0.1-s0-0123abcd masks.npy", "smp-lab export runs/ID masks.npy"),
)
def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id or folder of a run.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE.npy", help="Must not be there yet.", show_default=False)],
) -> None:
    """Write the mask of a run in the format of the released masks of Jiang et al. (2023).

    One array of bytes: the packed bits of every matrix, one after the other in the order of their names (layers 0, 1,
    10, 11, 2 and so on). Neither the run's settings nor the matrices' shapes are in it.
    """
    record = _named_run(run)
    write_release(record.masks, file)
    typer.echo(f"{record.masks.kept_total:,} of {record.layout.n_weights:,} weights kept, in {file}")


if __name__ == "__main__":
    main()
