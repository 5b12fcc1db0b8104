"""How long forms of one pruned model take for a batch, side by side.

In each round every form takes the same batch once, and who begins changes, so that a slow second of the machine falls
on all of them. Beside each time stands how many times as fast the form is as masked weights in the same round.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from smp_lab.inference.compact import cut_rows, has_compact_form
from smp_lab.inference.export import MODEL_FILE, Classifier, compact_encoder, export, masked_encoder, onnx_session
from smp_lab.inference.pruned import Model, Pruned
from smp_lab.processes import usable_cores
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.measurements import (
    KINDS,
    MEASUREMENTS,
    TIME,
    MeasurementRecord,
    MeasurementSettings,
    save_measurement,
)
from smp_lab.training.kinds import trained_kind
from smp_lab.training.provenance import code_version, made_here, processor

LENGTHS, BATCHES = (16, 32, 128), (1, 32)
MASKED, COMPACT, ONNX, CSR = "masked", "compact", "onnx", "csr"
# Sparse matrices are timed for one size alone: at half of the weights they take thirty times as long.
CSR_AT = (32, 32)
_FEWEST, _MOST = 5, 50


class TimedForm(NamedTuple):
    """Name of a form, and the rows with fewer kept weights that it lost."""

    form: str
    cut: int = 0


class SparseLinear(nn.Module):
    """A linear layer whose weight is held as torch's compressed sparse rows."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # That torch calls them a beta.
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            self.weight = linear.weight.detach().to_sparse_csr()
        self.bias = linear.bias

    def forward(self, inputs: Tensor) -> Tensor:
        """``(..., n_in)`` to ``(..., n_out)``."""
        product = (self.weight @ inputs.flatten(0, -2).T).T
        return (product if self.bias is None else product + self.bias).unflatten(0, inputs.shape[:-1])


def sparse_encoder(pruned: Pruned) -> nn.Module:
    """A copy of the masked encoder whose prunable matrices are sparse."""
    encoder = masked_encoder(pruned)
    for name, _ in pruned.encoder.matrix_parameters().values():
        module = name.removesuffix(".weight")
        encoder.set_submodule(module, SparseLinear(encoder.get_submodule(module)))
    return encoder


def time_mask(
    mask: MaskRecord,
    pruned: Pruned,
    runs: Path,
    *,
    command: str,
    cuts: Sequence[int] = (0,),
    threads: Sequence[int] = (),
    seconds: float = 5.0,
) -> MeasurementRecord:
    """Time the forms of a mask on this machine: a record of kind "time", which is read where it is there already.

    Parameters
    ----------
    mask, pruned
        The mask's record and its classifier.
    runs
        Folder that gets the measurement.
    command
        For the provenance.
    cuts
        Compact forms, where the encoder has any, without rows of fewer kept weights; 0 is the exact one, whose ONNX
        form is timed too where it has one and its packages are installed.
    threads, seconds
        As in `time_forms`.

    Raises
    ------
    SmpLabError
        If the measurement cannot be written.
    """
    cuts = sorted({0, *cuts})
    forms = [TimedForm(MASKED), TimedForm(CSR)]
    if has_compact_form(pruned.encoder.model):
        forms[1:1] = [TimedForm(COMPACT, cut) for cut in cuts]
        by_token = trained_kind(pruned.config.task_info).by_token
        forms += [TimedForm(ONNX)] if find_spec("onnxruntime") and find_spec("onnxscript") and not by_token else []
    settings = time_settings(mask, pruned, forms, threads)
    if there := MEASUREMENTS.find(settings.measurement_id, [runs]):
        return there
    MEASUREMENTS.require_writable(runs)
    began, code = time.monotonic(), code_version()
    models = {form: torch_form(pruned, form) for form in forms if form.form != ONNX}
    with TemporaryDirectory() as folder:
        if TimedForm(ONNX) in forms:
            file = export(pruned, Path(folder) / ONNX, ONNX) / MODEL_FILE[ONNX]
            models[TimedForm(ONNX)] = lambda threads: onnx_session(file, threads)
        table = time_forms(models, pruned, threads=threads, seconds=seconds)
    provenance = with_onnx_version(made_here(time.monotonic() - began, command, code))
    return save_measurement(runs, settings=settings, provenance=provenance, table=table)


def torch_form(pruned: Pruned, form: TimedForm) -> Callable[[int], Model]:
    """What opens a form of torch alone, as `time_forms` takes it."""
    if form.form == COMPACT:
        encoder = compact_encoder(pruned.with_masks(cut_rows(pruned.masks, form.cut)))
    else:
        encoder = masked_encoder(pruned) if form.form == MASKED else sparse_encoder(pruned)
    model = Classifier(encoder, pruned.model.head).eval()
    return lambda threads: model


def with_onnx_version(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """Of what was made here, with ONNX Runtime among its packages where that is installed."""
    runtime = {"onnxruntime": version("onnxruntime")} if find_spec("onnxruntime") else {}
    return {**provenance, "packages": {**provenance["packages"], **runtime}}


def time_settings(
    mask: MaskRecord, pruned: Pruned, forms: Sequence[TimedForm], threads: Sequence[int] = ()
) -> MeasurementSettings:
    """Settings of a record of kind "time": the machine and torch are part of them."""
    return MeasurementSettings(
        kind=TIME,
        mask_id=mask.mask_id,
        mask_sha256=mask.masks.sha256,
        base_model=pruned.encoder.files.name,
        base_model_sha256=pruned.encoder.files.sha256,
        task=pruned.config.task,
        options={
            "forms": [f"{form.form} {form.cut}" for form in forms],
            "lengths": list(_lengths(pruned)),
            "batches": list(BATCHES),
            "threads": _thread_counts(threads),
            "processor": processor(),
            "torch": torch.__version__,
        },
    )


@torch.inference_mode()
def time_forms(
    models: Mapping[TimedForm, Callable[[int], Model]],
    pruned: Pruned,
    *,
    threads: Sequence[int] = (),
    seconds: float = 5.0,
) -> pd.DataFrame:
    """Time forms of a model with some numbers of threads, for every length and batch.

    Parameters
    ----------
    models
        What opens each form for a number of threads; one is of `MASKED`.
    pruned
        Whose tokenizer and most tokens hold.
    threads
        How many; none are one, and as many as there are cores.
    seconds
        Rounds begin until this has passed, for each size and number of threads: at least 5 rounds, at most 50.

    Returns
    -------
    DataFrame
        Columns of kind "time": a row for each form, number of threads, length in tokens and batch in texts.
    """
    rows = []
    for n_threads in _thread_counts(threads):
        with _threads(n_threads):
            opened = {form: open_form(n_threads) for form, open_form in models.items()}
            for length in _lengths(pruned):
                for batch in BATCHES:
                    taking = {
                        form: model for form, model in opened.items() if form.form != CSR or (length, batch) == CSR_AT
                    }
                    inputs = example_batch(pruned, batch, length)
                    times = _rounds(taking, inputs, seconds)
                    rows.extend(
                        _row(form, times[form], times[TimedForm(MASKED)], n_threads, length, batch) for form in taking
                    )
    return pd.DataFrame(rows, columns=list(KINDS[TIME]))


def _rounds(
    models: Mapping[TimedForm, Model], inputs: Mapping[str, Tensor], seconds: float
) -> dict[TimedForm, list[float]]:
    forms = list(models)
    times: dict[TimedForm, list[float]] = {form: [] for form in forms}
    for model in models.values():  # to warm up
        model(**inputs)
    began = time.perf_counter()
    for number in range(_MOST):
        if number >= _FEWEST and time.perf_counter() - began > seconds:
            break
        for form in forms[number % len(forms) :] + forms[: number % len(forms)]:
            start = time.perf_counter()
            models[form](**inputs)
            times[form].append(time.perf_counter() - start)
    return times


def _row(
    form: TimedForm, own: list[float], masked: list[float], threads: int, length: int, batch: int
) -> tuple[object, ...]:
    low, middle, high = np.quantile(1e3 * np.array(own), [0.25, 0.5, 0.75]).tolist()
    slow, faster, fast = np.quantile(np.array(masked) / np.array(own), [0.25, 0.5, 0.75]).tolist()
    return (*form, threads, length, batch, middle, low, high, faster, slow, fast, len(own))


def example_batch(pruned: Pruned, batch: int, length: int) -> dict[str, Tensor]:
    """``(batch, length)`` token numbers, drawn with a fixed seed, with what else the encoder reads."""
    tokenizer = pruned.encoder.tokenizer
    drawn = torch.Generator().manual_seed(0)
    numbers = torch.randint(len(tokenizer), (batch, length), generator=drawn)
    others = {"attention_mask": torch.ones_like(numbers), "token_type_ids": torch.zeros_like(numbers)}
    return {"input_ids": numbers, **{name: others[name] for name in tokenizer.model_input_names if name in others}}


def _lengths(pruned: Pruned) -> list[int]:
    return [length for length in LENGTHS if length <= pruned.config.max_length] or [pruned.config.max_length]


def _thread_counts(asked: Sequence[int]) -> list[int]:
    return sorted(set(asked or (1, usable_cores())))


@contextmanager
def _threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
