"""Dense teachers: where they lie, whether they fit a run, and what they say of its training examples."""

from __future__ import annotations

import inspect
import io
import os
import re
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)

from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError, EncoderError, TrainingError, first_line
from smp_lab.methods import NONE
from smp_lab.paths import runs_words, weights_file
from smp_lab.processes import is_first_process
from smp_lab.storage.runs import RUNS, RunRecord
from smp_lab.storage.sealed import replace_durably
from smp_lab.tasks import Task
from smp_lab.training.checkpoints import writing
from smp_lab.training.data import Examples
from smp_lab.training.encoders import (
    LOCAL,
    Encoder,
    EncoderFiles,
    file_sha256,
    find_encoder,
    load_encoder,
    max_tokens,
    reading,
)
from smp_lab.training.examples import TokenizedExamples
from smp_lab.training.heads import PADDING_SCORE
from smp_lab.training.kinds import trained_kind
from smp_lab.training.model import build_model

BATCH_SIZE = 64
SECONDS_BETWEEN_LINES = 30
# By so many training examples a teacher is judged whose classes have no names.
_JUDGED_BY = 1000
# Of a class that nobody named, in lower case.
_NO_NAME = re.compile(r"(label_)?[0-9]+")


@dataclass(frozen=True)
class Teacher:
    """A located teacher.

    Parameters
    ----------
    name
        As in a config: a run id or a checkpoint's name, "@", and the start of the sha256 of what its answers follow
        from.
    source
        Where it came from, in words.
    files
        Of the checkpoint, or of the encoder that the run started from.
    order
        Number in a checkpoint of each class of the task; None where it is the same.
    run
        The dense run; None for a checkpoint.
    weights
        Trained weights of the run; None for a checkpoint.
    """

    name: str
    source: str
    files: EncoderFiles
    order: tuple[int, ...] | None = None
    run: RunRecord | None = None
    weights: Path | None = None


def find_teacher(name: str, task: Task, *, runs: Sequence[Path], encoder: EncoderFiles) -> Teacher:
    """Locate a teacher and fingerprint it.

    Parameters
    ----------
    name
        Id or folder of a dense run whose weights are kept, or a folder or a name on the Hugging Face hub of a
        checkpoint with a sequence-classification head.
    task, encoder
        Of the run to be taught.
    runs
        Folders to look for runs and weights in.

    Raises
    ------
    SmpLabError
        If there is no such teacher, it has other classes, is a run of another task or not dense, or its weights are
        not kept.
    """
    if (run := RUNS.find(name, runs)) is not None:
        return _from_run(run, task, runs, encoder)
    try:
        return _from_checkpoint(find_encoder(name), task)
    except EncoderError as error:
        raise ConfigError(
            f"Teacher {name!r} is neither a run in {' or '.join(map(str, runs))} nor a checkpoint: {error}"
        ) from None


def _from_checkpoint(files: EncoderFiles, task: Task) -> Teacher:
    if not task.classes:
        raise ConfigError(
            f"Teacher {files.name!r} is a checkpoint; a teacher of task {task.name!r} is a dense run of this lab. "
            "Train one with --method dense."
        )
    with reading("its config.json", files.folder):
        raw, _ = PretrainedConfig.get_config_dict(files.folder, local_files_only=True)
        if "auto_map" in raw and raw.get("model_type") not in CONFIG_MAPPING:
            raise EncoderError(
                f"it brings code of its own for model type {raw.get('model_type')!r}, and the code of a checkpoint is "
                "never run here. Name one of an architecture that transformers has."
            )
        config = AutoConfig.from_pretrained(files.folder, **LOCAL)
    if config.num_labels != len(task.classes):
        raise ConfigError(
            f"Teacher {files.name!r} has {config.num_labels} classes; task {task.name!r} has {len(task.classes)}: "
            f"{', '.join(task.classes)}."
        )
    # Numbers where somebody gave them no other names.
    names = {number: str(name) for number, name in config.id2label.items()}
    order = class_order(names, task)
    how = "by name" if order else f"{', '.join(names.values())} taken for {', '.join(task.classes)}"
    return Teacher(_identity(files.name, files.sha256), f"checkpoint ({files.source}), its classes {how}", files, order)


def class_order(id2label: Mapping[int, str], task: Task) -> tuple[int, ...] | None:
    """Number in a checkpoint of each class of a task; None where its classes have no names and keep their order.

    Raises
    ------
    ConfigError
        If its classes have names that are not the task's.
    """
    numbers = {name.casefold(): number for number, name in id2label.items()}
    wanted = [name.casefold() for name in task.classes]
    if sorted(numbers) == sorted(wanted):
        return tuple(numbers[name] for name in wanted)
    if all(map(_NO_NAME.fullmatch, numbers)):
        return None
    raise ConfigError(
        f"The teacher's classes are {', '.join(id2label.values())}; those of task {task.name!r} are "
        f"{', '.join(task.classes)}. They should be the same in any order, or without names, such as LABEL_0."
    )


def _identity(name: str, sha256: str) -> str:
    return f"{name}@{sha256[:16]}"


def _from_run(run: RunRecord, task: Task, runs: Sequence[Path], encoder: EncoderFiles) -> Teacher:
    config = run.config
    if config.task != task.name:
        raise ConfigError(f"Teacher {run.run_id} is a run of task {config.task!r}; expected one of {task.name!r}.")
    if config.method_info.remaining != NONE:
        raise ConfigError(f"Teacher {run.run_id} is a run of method {config.method!r}; a teacher is a 'dense' run.")
    kept = [file for folder in (run.path.parent, *runs) if (file := weights_file(folder, run.run_id)).is_file()]
    if not kept:
        raise ConfigError(
            f"The weights of teacher {run.run_id} are not kept in {weights_file(run.path.parent, run.run_id)}. "
            f"{_made_again(run, runs[0])}"
        )
    files = encoder if encoder.sha256 == config.base_model_sha256 else _encoder_of(run)
    return Teacher(_identity(run.run_id, file_sha256(kept[0])), "run of this lab", files, run=run, weights=kept[0])


def _encoder_of(run: RunRecord) -> EncoderFiles:
    """The encoder that a run started from, found by its name."""
    config = run.config
    try:
        files = find_encoder(config.base_model)
    except EncoderError as error:
        raise ConfigError(f"The encoder that teacher {run.run_id} was trained from is not found: {error}") from None
    if files.sha256 != config.base_model_sha256:
        raise ConfigError(
            f"Teacher {run.run_id} was trained from another {config.base_model!r}: its fingerprint was "
            f"{config.base_model_sha256}, that of the one found here is {files.sha256}."
        )
    return files


def _made_again(run: RunRecord, folder: Path) -> str:
    """Sentence on how to get a dense run's weights into a folder of runs. No run is trained where its record lies."""
    removed = f"remove {run.path} and " if run.path.parent == folder.resolve() else ""
    command = run.provenance.get("command", "the command that made the run, with")
    return f"To make them again, {removed}start: {' '.join([command, shlex.join(runs_words(folder))]).strip()}"


def load_teacher(teacher: Teacher, config: RunConfig, encoder: Encoder) -> TeacherModel:
    """Open a teacher and check that it fits the run to be taught.

    Raises
    ------
    SmpLabError
        If the teacher cannot be read, or its tokenizer, its classes or the length of its input are others.
    """
    # A new linear head draws from the global generator, and a run must not depend on what its teacher drew.
    with torch.random.fork_rng(devices=[]):
        model = _open_run(teacher) if teacher.run else _open_checkpoint(teacher)
    if model.tokenizer.get_vocab() != encoder.tokenizer.get_vocab():
        raise ConfigError(
            f"Teacher {teacher.name} has another tokenizer ({len(model.tokenizer)} tokens) than encoder "
            f"{config.base_model!r} ({len(encoder.tokenizer)}). Choose a teacher with the encoder's vocabulary."
        )
    if config.max_length > (longest := max_tokens(model.config)):
        raise ConfigError(
            f"Teacher {teacher.name} takes at most {longest} tokens an example; got --max-length {config.max_length}."
        )
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if torch.cuda.is_available() else "cpu"
    return model.eval().to(device)


class TeacherModel(nn.Module):
    """From a batch of tokens to logits ``(batch, n_classes)``, float32, classes in the task's order.

    `model` takes some of a batch's tensors by name, and gives "logits"; `order` is as in `Teacher`.
    """

    def __init__(
        self,
        model: nn.Module,
        config: PretrainedConfig,
        tokenizer: PreTrainedTokenizerBase,
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.config = config
        self.tokenizer = tokenizer
        self._inputs = inspect.signature(model.forward).parameters.keys()
        self._order = order

    def forward(self, **inputs: torch.Tensor) -> torch.Tensor:
        """Logits of a batch; inputs that the model does not know are left out."""
        known = {name: tensor for name, tensor in inputs.items() if name in self._inputs}
        logits = self.model(**known)["logits"].float()
        return logits if self._order is None else logits[:, self._order]


def _open_run(teacher: Teacher) -> TeacherModel:
    encoder = load_encoder(teacher.files)
    model = build_model(teacher.run.config, encoder, total_steps=1)
    try:
        state = load_file(teacher.weights)
        if state.keys() != model.trained_state().keys():
            raise ValueError("it holds other weights")
        model.load_state_dict(state, strict=False)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"Weights {teacher.weights} of teacher {teacher.run.run_id} cannot be read ({first_line(error)}). "
            f"{_made_again(teacher.run, teacher.weights.parents[2])}"
        ) from None
    return TeacherModel(model, encoder.model.config, encoder.tokenizer)


def _open_checkpoint(teacher: Teacher) -> TeacherModel:
    folder = teacher.files.folder
    with reading(f"Teacher {teacher.name}", folder):
        model, info = AutoModelForSequenceClassification.from_pretrained(
            folder, **LOCAL, weights_only=True, output_loading_info=True, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(folder, **LOCAL)
    if missing := sorted(info["missing_keys"]):
        raise ConfigError(
            f"Checkpoint {teacher.name} is no fine-tuned classifier: it lacks {len(missing)} of the weights, "
            f"first {missing[0]}."
        )
    return TeacherModel(model, model.config, tokenizer, teacher.order)


@torch.no_grad()
def teacher_logits(
    teacher: TeacherModel,
    examples: TokenizedExamples,
    collator: Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]],
    write: Callable[[str], Any] | None = None,
) -> NDArray[np.float32]:
    """What a teacher says of each example: computed once, because it does not change in training.

    ``(n, n_classes)``; of a span task ``(n_windows, n_tokens, 2)``, as many tokens as the longest window has, with
    `PADDING_SCORE` behind the others. Raises `TrainingError` if it answers with what is no number.
    """
    n, last_line = len(examples), time.monotonic()
    device = next(teacher.parameters()).device
    if write:
        write(f"teacher: its answers to {n:,} training examples, once")
    order = examples.by_length()
    # The longest is in the last, which is as wide as all.
    parts: list[NDArray[np.float32]] = []
    for start in range(0, n, BATCH_SIZE):
        batch = collator([examples[i] for i in order[start : start + BATCH_SIZE]])
        answers = teacher(**{name: tensor.to(device) for name, tensor in batch.items() if name != "labels"})
        if not answers.isfinite().all():
            raise TrainingError("The teacher answers with NaN or infinite numbers. Name another, or fetch it anew.")
        parts.append(answers.cpu().numpy())
        if write and time.monotonic() - last_line > SECONDS_BETWEEN_LINES:
            last_line = time.monotonic()
            write(f"teacher: {min(start + BATCH_SIZE, n):,} of {n:,}")
    logits = np.full((n, *parts[-1].shape[1:]), PADDING_SCORE, np.float32)
    for start, part in zip(range(0, n, BATCH_SIZE), parts, strict=True):
        logits[order[start : start + BATCH_SIZE], : part.shape[1]] = part
    return logits


def _check_order(
    teacher: Teacher,
    task: Task,
    model: TeacherModel,
    examples: TokenizedExamples,
    collator: Callable[[list[dict[str, Any]]], dict[str, torch.Tensor]],
    write: Callable[[str], Any] | None,
) -> None:
    """Refuse a teacher whose classes have no names where it knows less than the most frequent class by itself."""
    # Drawn from all of them: files may be sorted by class, or have one after the other.
    drawn = np.random.default_rng(0).permutation(len(examples))[:_JUDGED_BY]
    first = examples.taken(np.sort(drawn))
    said, targets = teacher_logits(model, first, collator).argmax(-1), first.targets
    accuracy, majority = float((said == targets).mean()), float(np.bincount(targets).max() / len(targets))
    if accuracy < majority:
        raise ConfigError(
            f"Teacher {teacher.name} has an accuracy of {accuracy:.3f} on {len(first):,} training examples with its "
            f"classes taken for {', '.join(task.classes)[:200]}; the majority-class baseline is {majority:.3f}. If its "
            "classes have another order, name them in id2label of its config.json; else it teaches nothing."
        )
    if write:
        write(
            f"teacher: accuracy {accuracy:.3f} on {len(first):,} training examples in this order of its classes "
            f"(majority-class baseline {majority:.3f})"
        )


def kept_logits(
    teacher: Teacher,
    config: RunConfig,
    encoder: Encoder,
    examples: Examples,
    file: Path,
    write: Callable[[str], Any] | None,
) -> np.ndarray:
    """A teacher's logits of the training examples, as its own tokenizer marks them; a run that resumes has them."""
    if file.exists():
        # The seal of the checkpoint vouches for it.
        return np.load(file, allow_pickle=False)
    if write:
        write(f"teacher {teacher.name}: {teacher.source}")
    model = load_teacher(teacher, config, encoder)
    tokenized = trained_kind(config.task_info).tokenize(examples, model.tokenizer, config.max_length)
    collator = DataCollatorWithPadding(model.tokenizer)
    if teacher.run is None and teacher.order is None:
        _check_order(teacher, config.task_info, model, tokenized, collator, write)
    logits = teacher_logits(model, tokenized, collator, write)
    if is_first_process():
        content = io.BytesIO()
        np.save(content, logits, allow_pickle=False)
        with writing(f"What the teacher says, {file},"):
            replace_durably(file, content.getvalue())
    return logits
