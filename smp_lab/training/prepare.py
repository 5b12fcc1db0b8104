"""A run before it is trained: its settings, checked, with the data, encoder and teacher that they name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from smp_lab.config import RunConfig
from smp_lab.methods import NONE, get_method
from smp_lab.recipes import DISTILLATION, get_recipe, method_settings
from smp_lab.tasks import get_task
from smp_lab.training.data import TaskData, load_task_data
from smp_lab.training.encoders import PACKAGED_ENCODER, EncoderFiles, find_encoder
from smp_lab.training.teachers import Teacher, find_teacher


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
