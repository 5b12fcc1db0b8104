"""One run from settings to record: load, train, resume, write."""

from __future__ import annotations

import datetime
import gc
import io
import math
import os
import platform
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock, Timeout
from transformers import PreTrainedTokenizerBase, PrinterCallback, TrainerCallback, set_seed

from smp_lab import __version__
from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError, RunExistsError, TrainingError
from smp_lab.methods import NONE, Method, get_method
from smp_lab.paths import LOGS_FOLDER, TEMPORARY_PREFIX, project_folder, unfinished_folder
from smp_lab.recipes import DISTILLATION, get_recipe, method_settings
from smp_lab.storage.runs import HISTORY_COLUMNS, RunRecord, save_run
from smp_lab.storage.sealed import replace_durably
from smp_lab.tasks import get_task
from smp_lab.training.checkpoints import (
    conditions,
    keep_only,
    newest_whole,
    require_same_conditions,
    step_of,
    writing,
)
from smp_lab.training.data import Examples, TaskData, load_task_data
from smp_lab.training.encoders import PACKAGED_ENCODER, Encoder, EncoderFiles, find_encoder, load_encoder
from smp_lab.training.kept_weights import keep_weights
from smp_lab.training.model import PruningModel, build_model
from smp_lab.training.progress import Progress
from smp_lab.training.recorder import MomentRecorder
from smp_lab.training.teachers import Teacher, find_teacher, load_teacher, teacher_logits
from smp_lab.training.trainer import DevelopmentSplit, Log, PruningTrainer, TokenizedExamples, training_arguments

_PACKAGES = ("torch", "transformers", "accelerate", "numpy", "pandas")


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to be trained: its settings with the data and encoder they speak of."""

    config: RunConfig
    data: TaskData
    files: EncoderFiles
    teacher: Teacher | None = None


def prepare(
    task: str,
    method: str,
    *,
    remaining: float | None,
    seed: int = 0,
    encoder: str = PACKAGED_ENCODER,
    glue_folder: Path | None = None,
    source: str | None = None,
    recipe: str = "desk",
    teacher: str | None = None,
    teacher_runs: Sequence[Path] = (),
    **changes: Any,
) -> Prepared:
    """Settings of a run, from a recipe and what is said beside it.

    Parameters
    ----------
    task, method, remaining, seed
        As in `RunConfig`.
    encoder
        As in `find_encoder`.
    glue_folder, source
        As in `load_task_data`.
    recipe
        As in `get_recipe`.
    teacher, teacher_runs
        Name, and folders of runs, as in `find_teacher`; None trains without one.
    **changes
        Fields of `RunConfig` that replace the recipe's; None leaves them.

    Raises
    ------
    SmpLabError
        If a setting, the data or the encoder cannot be used.
    """
    task_info, method_info = get_task(task), get_method(method)
    chosen = {name: value for name, value in changes.items() if value is not None}
    usual = get_recipe(recipe, task, remaining)
    if "regularizer" in chosen:
        usual = replace(usual, regularizer=chosen["regularizer"], movement_regularizer=chosen["regularizer"])
    settings = method_settings(usual, method_info)
    if "schedule_steps" in chosen:
        settings["schedule_fraction"] = None
    if "schedule_fraction" in chosen:
        settings["schedule_steps"] = None
    head = chosen.get("head", settings["head"])
    by_words = head == "label_words"
    regression_head = chosen.get("regression_head", "poles") if task_info.is_regression and by_words else None
    words = task_info.label_words[-1:] if regression_head == "mse" else task_info.label_words
    settings |= {
        "label_words": words if by_words else None,
        "regression_head": regression_head,
        "head_learning_rate": None if by_words or method_info.is_control else settings["head_learning_rate"],
        "precision": fastest_precision(),
        **(DISTILLATION if teacher is not None else {}),
        **chosen,
    }
    # The cheap checks come first: a wrong setting must not wait for data and encoder.
    draft = RunConfig(
        task=task,
        method=method,
        remaining=1.0 if remaining is None and method_info.remaining == NONE else remaining,
        seed=seed,
        base_model=encoder,
        base_model_sha256="0" * 64,
        data_sha256="0" * 64,
        teacher=teacher,
        **settings,
    )
    files = find_encoder(encoder)
    found = find_teacher(teacher, task_info, runs=teacher_runs, encoder=files) if teacher is not None else None
    data = load_task_data(task, source=source, glue_folder=glue_folder, train_examples=draft.train_examples)
    config = replace(
        draft,
        base_model=files.name,
        base_model_sha256=files.sha256,
        data_sha256=data.sha256,
        teacher=found.name if found else None,
    )
    return Prepared(config, data, files, found)


def fastest_precision() -> str:
    """bf16 where the accelerator or the processor multiplies it natively, else fp32."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if torch.cpu.get_capabilities().get("avx512_bf16", False) else "fp32"


class Interrupted(TrainingError):
    """Training was stopped on request; a checkpoint was left."""


def train(
    prepared: Prepared,
    runs: Path,
    *,
    command: str,
    write: Callable[[str], Any] | None = None,
    report_to: str = "none",
    resume_anyway: bool = False,
) -> RunRecord | None:
    """Train a run and write its record; resume from its newest whole checkpoint if there is one.

    Parameters
    ----------
    prepared
        From `prepare`.
    runs
        Folder that gets the record; checkpoints lie in a hidden folder beside it until then, and the trained weights
        of a dense run in another one for as long as nobody deletes them.
    command
        Command line that makes this run, for the record.
    write
        Prints a line of progress; None trains in silence.
    report_to
        Logger of the library that gets every row of the history: "tensorboard", "wandb" and so on.
    resume_anyway
        Resume although the checkpoint was written with another number of threads or on another kind of device; the
        record names both.

    Returns
    -------
    RunRecord
        The run; None in all but the first of several processes that share it (torchrun).

    Raises
    ------
    RunExistsError
        If the run is there already, or another process trains it.
    Interrupted
        After Ctrl-C: the checkpoint is written.
    SmpLabError
        If something else prevents it.
    """
    config = prepared.config
    if (runs / config.run_id).exists():
        raise RunExistsError(f"Run {config.run_id} is already in {runs}. Change a setting or the seed for another one.")
    folder = unfinished_folder(runs, config.run_id)
    if not _is_first_process():
        _train(prepared, runs, folder, newest_whole(folder, config), command, None, report_to)
        return None
    if write:
        write(f"run {config.run_id}")
    with _held(folder, config.run_id):
        found = newest_whole(folder, config, write)
        if found and not resume_anyway:
            require_same_conditions(found[0], found[1]["conditions"], conditions(config))
        with writing(f"Run {config.run_id}"):
            keep_only(folder, found[0] if found else None)
            for left in runs.glob(f"{TEMPORARY_PREFIX}{config.run_id}-*"):
                # By a process that was killed while it wrote the record.
                shutil.rmtree(left)
        try:
            return _train(prepared, runs, folder, found, command, write, report_to)
        finally:
            # Only a checkpoint is worth keeping, and only until the record is there.
            if (runs / config.run_id).exists() or not any(folder.glob("checkpoint-*")):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _held(folder: Path, run_id: str) -> Iterator[None]:
    """Make a run's folder and hold its lock."""
    lock = FileLock(folder / "lock", timeout=0)
    with writing(f"Run {run_id}"):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise RunExistsError(
                f"Run {run_id} is being trained by another process. Wait for it, or stop it first."
            ) from None
    try:
        yield
    finally:
        lock.release()


def _is_first_process() -> bool:
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def _process_group_closed() -> Iterator[None]:
    """Close the group of processes that the library opens, once all of them are done.

    What still holds the group goes with it: threads that live on into the interpreter's end abort it now and then.
    """
    was_open = torch.distributed.is_available() and torch.distributed.is_initialized()
    yield
    if not was_open and torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
        gc.collect()


@_process_group_closed()
def _train(
    prepared: Prepared,
    runs: Path,
    folder: Path,
    found: tuple[Path, dict[str, Any]] | None,
    command: str,
    write: Callable[[str], Any] | None,
    report_to: str,
) -> RunRecord | None:
    config, data = prepared.config, prepared.data
    # Now: by the end of a long run the clone may stand at another commit than the code that made it.
    code = code_version()
    checkpoint, log = None, Log()
    if found:
        checkpoint, log = found[0], Log(**found[1]["state"])
        log.resumed += 1
    from_step = step_of(checkpoint) if checkpoint else 0
    log.processes.append({"from_step": from_step, **conditions(config), **code})
    set_seed(config.seed)
    encoder = load_encoder(prepared.files, dropout=config.dropout)
    if config.max_length > encoder.max_length:
        raise ConfigError(
            f"Encoder {config.base_model!r} takes at most {encoder.max_length} tokens an example; got --max-length "
            f"{config.max_length}."
        )
    train_examples = tokenize(data.train, encoder.tokenizer, config.max_length)
    if prepared.teacher is not None:
        file = folder / "teacher_logits.npy"
        train_examples.columns["teacher_logits"] = _ask(prepared.teacher, config, encoder, train_examples, file, write)
    development = [
        development_split(suffix, data.development[name], encoder.tokenizer, config.max_length)
        for suffix, name in data.task.splits
    ]
    # Rounded first: 1.1 epochs of 50 steps are 55.00000000000001 in floating point.
    total_steps = math.ceil(round(config.epochs * math.ceil(len(train_examples) / config.batch_size), 9))
    model = build_model(config, encoder, total_steps)
    moments = MomentRecorder(folder / "moments", total_steps, model.pruned)
    stop = StopOnRequest()
    if report_to != "none":
        # By default the library logs into the folder of checkpoints, which goes when the run is finished.
        os.environ.setdefault("TENSORBOARD_LOGGING_DIR", str(runs / LOGS_FOLDER / config.run_id))
    arguments = training_arguments(config, folder, total_steps)
    try:
        trainer = PruningTrainer(
            model,
            replace(arguments, report_to=report_to),
            config=config,
            train_examples=train_examples,
            development=development,
            collator=encoder.collator,
            log=log,
            moments=moments,
            callbacks=[stop, *([Progress(log, write)] if write else [])],
        )
    except (ValueError, RuntimeError) as error:
        if report_to == "none":
            raise
        raise ConfigError(f"Logger {report_to!r} cannot be used: {error}") from None
    trainer.remove_callback(PrinterCallback)
    with stop.listening():
        if total_steps:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        else:
            trainer.evaluate()
    log.tick()
    if trainer.state.global_step < total_steps:
        raise Interrupted(
            f"Stopped at step {trainer.state.global_step} of {total_steps}; a checkpoint is kept. Start the same "
            "command again to go on."
        )
    if not _is_first_process():
        return None
    if config.method_info.remaining == NONE:
        # Before the record: whoever sees a dense run finds its weights.
        file = keep_weights(runs, config.run_id, model.trained_state())
        if write:
            write(f"weights in {file}, {file.stat().st_size / 1e6:.0f} MB; without them the run cannot be a teacher")
    return save_run(
        runs,
        config=config,
        layout=encoder.layout,
        provenance=provenance(prepared, log, command, code),
        results=_results(trainer, data),
        history=_history(log),
        masks=model.pruned.mask_set(),
        scores=moments.score_history(model.pruned),
        predictions=predictions_table(trainer),
    )


class StopOnRequest(TrainerCallback):
    """Turns the first Ctrl-C into a checkpoint and an orderly end; the second ends at once."""

    def __init__(self) -> None:
        self._asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Catch the signals of Ctrl-C and of a polite kill meanwhile (in the main thread; elsewhere none)."""
        try:
            before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _ask(self, number: int, frame: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Stop between two steps, so that the checkpoint is whole."""
        if self._asked and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True


def tokenize(examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenizedExamples:
    """Examples as token numbers, cut to `max_length` tokens."""
    encoded = tokenizer(*examples.texts, truncation=True, max_length=max_length)
    return TokenizedExamples({name: encoded[name] for name in encoded}, examples.targets)


def _ask(
    teacher: Teacher,
    config: RunConfig,
    encoder: Encoder,
    examples: TokenizedExamples,
    file: Path,
    write: Callable[[str], Any] | None,
) -> np.ndarray:
    """A teacher's logits of the training examples; a run that goes on has them in a file."""
    if file.exists():
        return np.load(file, allow_pickle=False)
    if write:
        write(f"teacher {teacher.name}: {teacher.source}")
    logits = teacher_logits(load_teacher(teacher, config, encoder), examples, encoder.collator, write)
    if _is_first_process():
        content = io.BytesIO()
        np.save(content, logits, allow_pickle=False)
        with writing(f"What the teacher says, {file},"):
            replace_durably(file, content.getvalue())
    return logits


def development_split(
    suffix: str, examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> DevelopmentSplit:
    """A development split as `PruningTrainer` evaluates it; `suffix` is that of its metrics."""
    tokenized = tokenize(examples, tokenizer, max_length)
    order = np.argsort(tokenized.lengths, kind="stable")
    columns = {name: [column[i] for i in order] for name, column in tokenized.columns.items()}
    return DevelopmentSplit(suffix, TokenizedExamples(columns, tokenized.targets[order]), order)


def _results(trainer: PruningTrainer, data: TaskData) -> dict[str, Any]:
    evaluations = trainer.run_log.evaluations
    metric = data.task.main_metric
    best = max(evaluations, key=lambda evaluation: evaluation[metric])
    return {
        "metrics": {name: evaluations[-1][name] for name in data.task.metrics},
        "n_examples": {name: len(data.development[name]) for _, name in data.task.splits},
        "n_train_examples": len(data.train),
        "total_steps": trainer.state.max_steps,
        "evaluations": evaluations,
        "best": {"metric": metric, "value": best[metric], "step": best["step"]},
        **parameter_counts(trainer.model, trainer.config.method_info, trainer.model.pruned.kept()),
    }


def parameter_counts(model: PruningModel, method: Method, kept: int) -> dict[str, float]:
    """trainable_parameters and new_parameters of a run whose mask keeps `kept` weights; as in `RunRecord.results`."""
    scores, encoder, head = (
        sum(parameter.numel() for parameter in part.parameters() if parameter.requires_grad)
        for part in (model.pruned, model.encoder, model.head)
    )
    n_weights = model.pruned.layout.n_weights
    removed = n_weights - kept if method.trains_weights else 0
    mask = 0 if method.remaining == NONE else n_weights / 32
    return {"trainable_parameters": scores + encoder + head, "new_parameters": encoder - removed + head + mask}


def _history(log: Log) -> pd.DataFrame:
    counts = ("step", "kept", "flips_in", "flips_out")
    # A control logs no step, and its columns need their types all the same.
    types = {column: np.int64 if column in counts else np.float64 for column in HISTORY_COLUMNS}
    return pd.DataFrame(log.history, columns=list(HISTORY_COLUMNS)).astype(types)


def predictions_table(trainer: PruningTrainer) -> pd.DataFrame:
    """What the last evaluation said on each development example; columns as in `RunRecord.predictions`."""
    parts = []
    for number, (split, predictions) in enumerate(zip(trainer.development, trainer.predictions, strict=True)):
        targets = split.in_file_order(split.examples.targets)
        columns: dict[str, np.ndarray] = {"split": np.full(len(targets), number, np.uint8)}
        if trainer.config.task_info.is_regression:
            columns |= {"prediction": predictions.astype(np.float32)}
            columns |= {"error": (predictions - targets).astype(np.float32)}
        else:
            columns |= {"prediction": predictions.astype(np.uint8), "correct": predictions == targets}
        parts.append(pd.DataFrame(columns))
    return pd.concat(parts, ignore_index=True)


def provenance(prepared: Prepared, log: Log, command: str, code: Mapping[str, Any]) -> dict[str, Any]:
    """How, where and when something was made of `prepared`; `code` is the `code_version` of its start."""
    return {
        "created_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "smp_lab_version": __version__,
        **code,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "packages": {package: version(package) for package in _PACKAGES},
        "wall_seconds": round(log.seconds, 1),
        "resumed": log.resumed,
        # Another commit or number of threads can make another mask.
        **({"processes": log.processes} if log.resumed else {}),
        "data_source": prepared.data.source,
        "base_model_source": prepared.files.source,
        **({"teacher_source": prepared.teacher.source} if prepared.teacher else {}),
        "command": command,
    }


def code_version() -> dict[str, Any]:
    """git_commit of the clone, and git_dirty: whether the package differs from it; None where git cannot tell."""

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(project_folder()), *arguments], capture_output=True, text=True, check=True, timeout=10
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=normal", "--", "smp_lab") if commit else None
    return {"git_commit": commit, "git_dirty": None if changed is None else bool(changed)}


def _processor() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    capabilities = torch.cpu.get_capabilities()
    name = capabilities.get("cpu_name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"
