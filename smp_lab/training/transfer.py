"""Finished masks on other tasks than their own, beside random and magnitude masks that keep as much.

Where weights are frozen, a mask, the encoder and a task's label words are a whole classifier: nothing is trained here.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError, TrainingError
from smp_lab.masks import MaskSet
from smp_lab.methods import METHODS
from smp_lab.storage.runs import RunRecord
from smp_lab.storage.transfers import TRANSFERS, TransferRecord, TransferSettings, save_transfer
from smp_lab.tasks import Task, get_task
from smp_lab.tasks.own import TaskFile
from smp_lab.training.data import TaskData, require_data_of
from smp_lab.training.encoders import Encoder, load_encoder
from smp_lab.training.examples import DevelopmentSplit
from smp_lab.training.kinds import development_splits
from smp_lab.training.metrics import compute_metrics
from smp_lab.training.model import build_model
from smp_lab.training.prepare import Prepared, prepare
from smp_lab.training.provenance import code_version, provenance
from smp_lab.training.recorder import SnapshotRecorder
from smp_lab.training.results import predictions_of
from smp_lab.training.trainer import Log, PruningTrainer, training_arguments

# Methods and seeds. One draw says little: some draws answer one class for all, others the other.
CONTROLS = (("random", 0), ("random", 1), ("random", 2), ("magnitude_frozen", 0))


@dataclass(frozen=True)
class _Mask:
    """A mask and where it comes from; the fields of `TransferSettings` without ``mask_`` before them."""

    run: str | None
    task: str | None
    method: str
    remaining: float
    seed: int
    masks: MaskSet


def transfer(
    runs: Sequence[RunRecord],
    tasks: Sequence[str],
    folder: Path,
    *,
    command: str,
    encoder: str | None = None,
    task_files: Sequence[TaskFile] = (),
    data_folders: Mapping[str, Path | None] | None = None,
    source: str | None = None,
    write: Callable[[str], Any] | None = None,
) -> list[TransferRecord]:
    """Score the mask of every run, and control masks that keep as much, on every task; keep what is new.

    A task is scored with the label words, lengths and precision of its own run among `runs`, and with the task's own
    words and the first run's lengths and precision where there is none. So the mask of a run on its own task gives the
    metrics of its record, on the same machine to the last digit.

    Parameters
    ----------
    runs
        Runs with masks over frozen weights of one encoder and with label words.
    tasks
        Names of the tasks to score them on.
    folder
        Folder of runs that gets the transfers.
    command
        Command line that makes them, for the records.
    encoder
        As in `find_encoder`; None takes the name that the runs have.
    task_files
        Of the tasks of one's own among them.
    data_folders, source
        As in `load_task_data`.
    write
        Prints a line per mask and task; None evaluates in silence.

    Returns
    -------
    list of TransferRecord
        By task, then mask: also those that were there already.

    Raises
    ------
    TrainingError
        If a run's mask says nothing without what was trained beside it.
    ConfigError
        If two runs of one task differ in their classifier, or a label word is no token of the encoder.
    DataError
        If the examples of a task are not those of its run.
    SmpLabError
        If something else cannot be read or written.
    """
    for run in runs:
        require_mask_alone(run.run_id, run.config)
    code = code_version()
    loaded: Encoder | None = None
    masks: list[_Mask] = []
    found = []
    places: dict[str, Any] = {"data_folders": data_folders, "source": source}
    own = {file.task.name: file for file in task_files}
    for task in tasks:
        prepared = _prepare(task, runs, encoder, **places, task_file=own.get(task))
        for run in runs:
            _check_fits(run, prepared)
        if loaded is None:
            loaded = load_encoder(prepared.files)
            masks = [*map(_of_run, runs), *_controls(runs, prepared, loaded)]
        splits: list[DevelopmentSplit] = []
        for mask in masks:
            settings = _settings(mask, prepared)
            file = TRANSFERS.path_of(folder, settings.transfer_id)
            if file.exists():
                found.append(TRANSFERS.load(file))
                if write:
                    write(f"{settings.transfer_id}  is there already")
                continue
            TRANSFERS.require_writable(folder)
            splits = splits or development_splits(prepared.data, loaded.tokenizer, prepared.config.max_length)
            found.append(_evaluate(mask, settings, prepared, loaded, splits, folder, command, code))
            if write:
                write(_line(found[-1], runs))
    return found


def is_transferred(runs: Sequence[RunRecord], task: str, made: Iterable[TransferRecord]) -> bool:
    """Whether the mask of every run, and every control, is scored on a task already, by one classifier."""
    wanted = {(run.run_id, run.config.method, _level(run), run.config.seed) for run in runs}
    wanted |= {(None, method, level, seed) for level in _levels(runs) for method, seed in CONTROLS}
    there: defaultdict[str, set[tuple[str | None, str, float, int]]] = defaultdict(set)
    for settings in (record.settings for record in made):
        if settings.task == task:
            mask = settings.mask_run, settings.mask_method, settings.mask_remaining, settings.mask_seed
            there[settings.classifier].add(mask)
    return any(wanted <= masks for masks in there.values())


def require_mask_alone(run_id: str, config: RunConfig) -> None:
    """Refuse a run whose mask is no classifier by itself.

    Raises
    ------
    TrainingError
        If the run trained weights or a head, which its record does not hold.
    """
    if config.method_info.trains_weights:
        raise TrainingError(
            f"Run {run_id} ({config.method}) trained the weights themselves, and its record does not hold them: "
            "it has no mask for another task. Name runs of methods with frozen weights: "
            f"{', '.join(name for name, method in METHODS.items() if not method.trains_weights)}."
        )
    if config.head != "label_words":
        raise TrainingError(
            f"Run {run_id} trained a new linear head, which its record does not hold: its mask says nothing "
            "without it. Name runs with label words."
        )


def _check_fits(run: RunRecord, prepared: Prepared) -> None:
    config, files, data = run.config, prepared.files, prepared.data
    if config.base_model_sha256 != files.sha256:
        raise TrainingError(
            f"Run {run.run_id} has a mask over {config.base_model} ({config.base_model_sha256[:8]}); the encoder here "
            f"is {files.name} ({files.sha256[:8]}). Name runs of one encoder, and that one with --encoder."
        )
    if config.task == data.task.name:
        require_data_of(run, data)


def _prepare(task: str, runs: Sequence[RunRecord], encoder: str | None, **places: Any) -> Prepared:
    """The classifier of a task, as settings of a control run, with its data and encoder."""
    own = [run for run in runs if run.config.task == task]
    like = (own or runs)[0].config
    for run in own:
        for name in ("label_words", "regression_head", "max_length", "precision", "train_examples"):
            if getattr(run.config, name) != getattr(like, name):
                raise ConfigError(
                    f"Runs {own[0].run_id} and {run.run_id} of task {task!r} differ in {name} and cannot be scored at "
                    "once. Name one of the two here, and the other in a second command."
                )
    return prepare(
        task,
        "magnitude_frozen",
        remaining=1.0,
        encoder=encoder or runs[0].config.base_model,
        **places,
        train_examples=like.train_examples if own else None,
        label_words=like.label_words if own else None,
        regression_head=like.regression_head if own else None,
        max_length=like.max_length,
        precision=like.precision,
    )


def _of_run(run: RunRecord) -> _Mask:
    config = run.config
    return _Mask(run.run_id, config.task, config.method, _level(run), config.seed, run.masks)


def _level(run: RunRecord) -> float:
    return run.remaining if run.config.remaining is None else run.config.remaining


def _levels(runs: Iterable[RunRecord]) -> list[float]:
    """At which there are controls: a mask that keeps nothing has none."""
    return [*filter(None, dict.fromkeys(map(_level, runs)))]


def _controls(runs: Sequence[RunRecord], prepared: Prepared, encoder: Encoder) -> Iterator[_Mask]:
    """Random and magnitude masks at every remaining fraction of the runs, as control runs have them."""
    for remaining in _levels(runs):
        for method, seed in CONTROLS:
            control = replace(prepared.config, method=method, remaining=remaining, seed=seed)
            pruned = build_model(control, encoder, total_steps=0).pruned
            pruned.update(0)
            yield _Mask(None, None, method, remaining, seed, pruned.mask_set())


def _settings(mask: _Mask, prepared: Prepared) -> TransferSettings:
    config = prepared.config
    return TransferSettings(
        mask_run=mask.run,
        mask_task=mask.task,
        mask_method=mask.method,
        mask_remaining=mask.remaining,
        mask_seed=mask.seed,
        mask_sha256=mask.masks.sha256,
        base_model=config.base_model,
        base_model_sha256=config.base_model_sha256,
        task=config.task,
        data_sha256=prepared.data.development_sha256,
        label_words=config.label_words or (),
        regression_head=config.regression_head,
        max_length=config.max_length,
        precision=config.precision,
    )


def _evaluate(
    mask: _Mask,
    settings: TransferSettings,
    prepared: Prepared,
    encoder: Encoder,
    splits: Sequence[DevelopmentSplit],
    folder: Path,
    command: str,
    code: Mapping[str, Any],
) -> TransferRecord:
    """Evaluate one mask on one task as the last evaluation of a run does, and write it down."""
    config = prepared.config
    model = build_model(config, encoder, masks=mask.masks)
    with tempfile.TemporaryDirectory() as scratch:
        trainer = PruningTrainer(
            model,
            training_arguments(config, Path(scratch), total_steps=0),
            config=config,
            # Nothing is trained on them; the library asks for some.
            train_examples=splits[0].examples,
            development=splits,
            collator=encoder.collator,
            log=Log(),
            snapshots=SnapshotRecorder(Path(scratch), 0, model.pruned),
        )
        metrics = trainer.evaluate()
    trainer.run_log.tick()
    return save_transfer(
        folder,
        settings=settings,
        provenance=provenance(prepared, trainer.run_log, command, code, encoder.notes),
        results={
            "metrics": metrics,
            "majority": _majority(prepared.data),
            "n_examples": {name: len(prepared.data.development[name]) for _, name in prepared.data.task.splits},
            "kept": mask.masks.kept_total,
            "n_weights": mask.masks.layout.n_weights,
        },
        predictions=predictions_of(trainer.config.task_info, trainer.development, trainer.predictions),
    )


def _majority(data: TaskData) -> dict[str, float]:
    """Metrics of the majority-class baseline."""
    metrics: dict[str, float] = {}
    for suffix, name in data.task.splits:
        targets = data.development[name].targets
        constant = data.task.kind.constant(targets)
        constants = np.fromiter(repeat(constant, len(targets)), targets.dtype, len(targets))
        metrics |= compute_metrics(data.task, suffix, targets, constants)
    return metrics


def _line(made: TransferRecord, runs: Sequence[RunRecord]) -> str:
    task: Task = get_task(made.settings.task)
    line = f"{made.transfer_id}  {task.main_metric} {made.results['metrics'][task.main_metric]:.4f}"
    for run in runs:
        if (run.run_id, run.config.task) == (made.settings.mask_run, made.settings.task):
            same = all(made.results["metrics"][name] == run.results["metrics"][name] for name in task.metrics)
            line += ", as its run has it" if same else f"; its run has {run.main_value:.4f}, made elsewhere"
    return line
