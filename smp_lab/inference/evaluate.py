"""What a mask scores on the development examples of a task and how small it makes its encoder, kept beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from smp_lab.errors import ConfigError, EncoderError
from smp_lab.inference.compact import cut_rows, has_compact_form
from smp_lab.inference.export import compact_encoder
from smp_lab.inference.knock_out import head_changes
from smp_lab.inference.pruned import Model, Pruned
from smp_lab.inference.scoring import predict, score_table
from smp_lab.masks import MaskSet
from smp_lab.storage.formats import named_base
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.measurements import (
    HEADS,
    KINDS,
    MEASUREMENTS,
    SCORE,
    SIZE,
    MeasurementRecord,
    MeasurementSettings,
    save_measurement,
)
from smp_lab.training.encoders import Encoder, EncoderFiles, load_encoder
from smp_lab.training.prepare import Prepared, prepare
from smp_lab.training.provenance import code_version, made_here
from smp_lab.training.teachers import find_teacher, load_teacher
from smp_lab.training.transfer import require_mask_alone


def evaluate(
    mask: MaskRecord,
    task: str,
    runs: Path,
    *,
    encoder: str,
    command: str,
    own_weights: bool = False,
    own_head: bool = False,
    cuts: Sequence[int] = (0,),
    **data: Any,
) -> tuple[MeasurementRecord, MeasurementRecord | None]:
    """Score a mask in the classifier of a task: the encoder, the mask, label words or its head; nothing trained.

    The records are of the kinds "score" and "size"; those that are there already are read. There is no size where the
    encoder has no compact form.

    Parameters
    ----------
    mask
        Whose bits are read.
    task
        Its label words and lengths are those of the mask's own run where that learned it, else of the desk recipe.
    runs
        Folder that gets the measurement.
    encoder
        As in `find_encoder`: whose weights are masked.
    command
        For the provenance.
    own_weights
        Whether they may be others than the mask's base: those of the checkpoint that it was found in.
    own_head
        Answer by the sequence-classification head of that checkpoint in place of label words.
    cuts
        With rows of fewer kept weights than each of these emptied; see `cut_rows`.
    **data
        data_folders, source and task_file, as in `load_task_data`.

    Raises
    ------
    EncoderError
        If the encoder is not the one that the mask is for.
    TrainingError
        If it is that of a run whose mask says nothing by itself, and the weights are not its own.
    ConfigError
        If nothing says which class is meant: no label words, and no head.
    SmpLabError
        If data, encoder or mask cannot be read, or the measurement cannot be written.
    """
    began, code = time.monotonic(), code_version()
    prepared, pruned = _classifier(mask, task, encoder, own_weights, data, own_head=own_head)
    cuts = sorted(set(cuts))
    source, with_head = _own_head(prepared, pruned.encoder) if own_head else (None, lambda masks: None)
    head = {"head": source, "label_words": []} if own_head else {}
    settings = _settings(SCORE, mask, prepared, {"cuts": cuts, **head})
    of_size = replace(settings, kind=SIZE, data_sha256=None, options={"cuts": cuts})
    scored, sized = (MEASUREMENTS.find(each.measurement_id, [runs]) for each in (settings, of_size))
    can_be_compact = has_compact_form(pruned.encoder.model)
    if scored and (sized or not can_be_compact):
        return scored, sized
    MEASUREMENTS.require_writable(runs)
    scores, sizes = [], []
    published, last = pruned.encoder.model.num_parameters(), None
    for cut in cuts:
        cut_off = pruned.with_masks(cut_rows(pruned.masks, cut))
        # A cut that empties no further row changes nothing.
        if cut_off.masks.sha256 != last:
            last = cut_off.masks.sha256
            said = score_table(predict(cut_off, prepared.data, with_head(cut_off.masks)), prepared.data)
            left = [compact_encoder(cut_off).num_parameters()] if can_be_compact else []
        scores.append(said.assign(cut=cut))
        sizes += [{"cut": cut, "parameters": parameters, "published": published} for parameters in left]
    provenance = _provenance(prepared, made_here(time.monotonic() - began, command, code))
    columns = list(KINDS[SCORE])
    return (
        save_measurement(runs, settings=settings, provenance=provenance, table=pd.concat(scores)[columns]),
        save_measurement(runs, settings=of_size, provenance=provenance, table=pd.DataFrame(sizes)) if sizes else None,
    )


def evaluate_heads(
    mask: MaskRecord,
    task: str,
    runs: Path,
    *,
    encoder: str,
    command: str,
    own_weights: bool = False,
    **data: Any,
) -> MeasurementRecord:
    """What each attention head does for the main metric, as a record of kind "heads"; parameters as of `evaluate`."""
    began, code = time.monotonic(), code_version()
    prepared, pruned = _classifier(mask, task, encoder, own_weights, data)
    settings = _settings(HEADS, mask, prepared, {})
    if there := MEASUREMENTS.find(settings.measurement_id, [runs]):
        return there
    MEASUREMENTS.require_writable(runs)
    table = head_changes(pruned, prepared.data)
    provenance = _provenance(prepared, made_here(time.monotonic() - began, command, code))
    return save_measurement(runs, settings=settings, provenance=provenance, table=table)


def _classifier(
    mask: MaskRecord, task: str, encoder: str, own_weights: bool, data: Mapping[str, Any], *, own_head: bool = False
) -> tuple[Prepared, Pruned]:
    if mask.config is not None and not own_weights:
        require_mask_alone(mask.mask_id, mask.config)
    own = mask.config
    if own is not None and own.task == task and own.head == "label_words":
        # Its own words, and no others that its task may have by now.
        answers = {name: getattr(own, name) for name in ("label_words", "regression_head", "max_length")}
        data = answers | dict(data)
    # Nothing of the classifier follows from how much a mask keeps, which may be nothing.
    prepared = prepare(task, "smp_s", remaining=1.0, encoder=encoder, **data)
    if prepared.config.head == "linear" and not own_head:
        raise ConfigError(
            f"Task {prepared.data.task.title} has no label words, and a mask by itself has no other head. Name a word "
            "for each class with --label-words, or take --own-head of a checkpoint that has a head."
        )
    _check_base(mask, prepared.files, own_weights)
    loaded = load_encoder(prepared.files)
    if loaded.layout.widths != mask.layout.widths or loaded.layout.n_heads != mask.layout.n_heads:
        raise EncoderError(f"{mask.label} is a mask for other shapes than {prepared.files.name} has.")
    # What a short encoder takes; a longer text is cut off there.
    config = replace(prepared.config, max_length=min(prepared.config.max_length, loaded.max_length))
    return replace(prepared, config=config), Pruned(config, loaded, replace(mask.masks, layout=loaded.layout))


def _settings(kind: str, mask: MaskRecord, prepared: Prepared, options: Mapping[str, Any]) -> MeasurementSettings:
    config = prepared.config
    return MeasurementSettings(
        kind=kind,
        mask_id=mask.mask_id,
        mask_sha256=mask.masks.sha256,
        base_model=config.base_model,
        base_model_sha256=config.base_model_sha256,
        task=config.task,
        data_sha256=prepared.data.development_sha256,
        options={"max_length": config.max_length, "label_words": list(config.label_words or ()), **options},
    )


def _provenance(prepared: Prepared, made: Mapping[str, Any]) -> dict[str, Any]:
    return {**made, "data_source": prepared.data.source, "base_model_source": prepared.files.source}


def _own_head(prepared: Prepared, encoder: Encoder) -> tuple[str, Callable[[MaskSet], Model]]:
    """How the classes of a checkpoint with its own head are read, and what masks make of it.

    The model goes from token numbers by name to scores of the classes in the task's order, ``(n, n_classes)``.
    """
    if not prepared.data.task.classes:
        raise ConfigError(
            "--own-head answers by classes, and this task has none. Leave it out: label words answer then."
        )
    teacher = find_teacher(str(prepared.files.folder), prepared.data.task, runs=(), encoder=prepared.files)
    model = load_teacher(teacher, prepared.config, encoder)
    device = next(model.parameters()).device
    named, prefix = dict(model.model.named_parameters()), f"{model.model.base_model_prefix}."
    weights = {matrix: named[encoder.family.parameter_name(matrix, prefix)] for matrix in encoder.layout.matrices}
    whole = {matrix: weight.detach().clone() for matrix, weight in weights.items()}

    def masked(masks: MaskSet) -> Model:
        for matrix, weight in weights.items():
            weight.data = whole[matrix] * torch.from_numpy(masks.dense(matrix)).to(device)
        return lambda **batch: model(**{name: part.to(device) for name, part in batch.items()}).cpu()

    return teacher.source, masked


def _check_base(mask: MaskRecord, files: EncoderFiles, own_weights: bool) -> None:
    by_name = mask.encoder_sha256 == named_base(mask.encoder, mask.layout).sha256
    if own_weights or by_name or files.sha256 == mask.encoder_sha256:
        return
    raise EncoderError(
        f"{mask.label} is a mask for {mask.encoder} ({mask.encoder_sha256[:8]}); the encoder here is {files.name} "
        f"({files.sha256[:8]}). Name its own with --encoder, or take --own-weights for the checkpoint it was found in."
    )
