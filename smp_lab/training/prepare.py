"""A run before it is trained: its settings, checked, with the data, encoder and teacher that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError, DataError
from smp_lab.paper import CODE
from smp_lab.recipes import PACKAGED_ENCODER, draft
from smp_lab.tasks.own import TaskFile
from smp_lab.training.data import TaskData, load_task_data
from smp_lab.training.encoders import EncoderFiles, checked_config, find_encoder
from smp_lab.training.teachers import Teacher, find_teacher


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to be trained: its settings with the data, encoder and teacher they speak of."""

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
    data_folders: Mapping[str, Path | None] | None = None,
    source: str | None = None,
    task_file: TaskFile | None = None,
    allow_broken: bool = False,
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
    data_folders, source, task_file, allow_broken
        As in `load_task_data`.
    recipe
        As in `get_recipe`.
    teacher, teacher_runs
        Name, and folders of runs, as in `find_teacher`; None trains without one.
    **changes
        As in `draft`.

    Raises
    ------
    SmpLabError
        If a setting, the data or the encoder cannot be used.
    """
    # The cheap checks come first: a wrong setting must not wait for data and encoder.
    named = {"remaining": remaining, "seed": seed, "encoder": encoder, "recipe": recipe, "teacher": teacher}
    settings: dict[str, Any] = named | changes
    asked = draft(task, method, **settings)
    files = find_encoder(encoder)
    if recipe in ("paper", CODE) and asked.schedule == "cubic" and changes.get("schedule") is None:
        _require_no_roberta(files)
    found = find_teacher(teacher, asked.task_info, runs=teacher_runs, encoder=files) if teacher is not None else None
    data = load_task_data(
        task,
        source=source,
        data_folders=data_folders,
        task_file=task_file,
        allow_broken=allow_broken,
        train_examples=asked.train_examples,
    )
    for split, examples in data.development.items():
        if data.task.target_range and len(examples) < 2:
            raise DataError(
                f"Split {split} of task {task!r} has {len(examples)} example; a correlation needs two or more."
            )
    asked = draft(task, method, **settings, examples=len(data.train))
    config = replace(
        asked,
        base_model=files.name,
        base_model_sha256=files.sha256,
        data_sha256=data.sha256,
        teacher=found.name if found else None,
    )
    return Prepared(config, data, files, found)


def _require_no_roberta(files: EncoderFiles) -> None:
    """Recipe paper-code knows RoBERTa by its name, as a run card does; of another name it would get BERT's schedule."""
    family, _ = checked_config(files)
    if "roberta" in family.model_type:
        raise ConfigError(
            f"Encoder {files.name!r} is of type {family.model_type}, for which recipe {CODE} has a linear schedule, "
            "and its name does not say so. Name the schedule: --schedule linear."
        )
