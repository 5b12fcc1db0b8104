"""An export with its report: what the folder, opened again, weighs, answers, scores and takes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from smp_lab.errors import RunWriteError
from smp_lab.inference.export import FORMS, MODEL_FILE, compact_encoder, exported
from smp_lab.inference.pruned import Model, Pruned
from smp_lab.inference.scoring import predict, score_table
from smp_lab.inference.timing import (
    CSR,
    MASKED,
    TimedForm,
    example_batch,
    time_forms,
    time_settings,
    torch_form,
    with_onnx_version,
)
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.measurements import FORM, KINDS, save_measurement
from smp_lab.training.data import TaskData
from smp_lab.training.provenance import code_version, made_here

_BYTES_PER_PARAMETER = 4
# Where no data is available, scores are compared on as many drawn examples, of so many tokens.
_N_COMPARED, _LENGTH = 64, 32


class _Compared:
    """A model that keeps the largest difference of its scores to those of the mask, and on how many examples."""

    def __init__(self, model: Model, pruned: Pruned) -> None:
        self.model, self.pruned = model, pruned
        self.largest, self.n_examples = 0.0, 0

    def __call__(self, **batch: Tensor) -> Tensor:
        scores = self.model(**batch)
        self.largest = max(self.largest, float((scores - self.pruned.forward(**batch)).abs().max()))
        self.n_examples += len(scores)
        return scores


def export_with_report(
    mask: MaskRecord,
    pruned: Pruned,
    folder: Path,
    form: str,
    runs: Path,
    *,
    command: str,
    cut: int = 0,
    data: TaskData | None = None,
) -> list[str]:
    """Export, measure what was written, and keep the numbers in its report.json and as measurements.

    Parameters
    ----------
    mask, pruned
        The mask's record, and the classifier that is exported: with rows emptied where `cut` says so.
    folder, form
        As in `exported`.
    runs
        Folder that gets the measurements of a form that is a whole model.
    command
        For the provenance.
    cut
        As in `cut_rows`.
    data
        Of the task; None scores nothing.

    Returns
    -------
    list of str
        What the report says, in sentences, with why the measurements could not be kept.

    Raises
    ------
    SmpLabError
        As `exported`.
    """
    began, code = time.monotonic(), code_version()
    named, is_model = TimedForm(form, cut), FORMS[form].open is not None
    with exported(pruned, folder, form, cut=cut) as (written, said):
        facts: dict[str, Any] = {**named._asdict(), "folder_bytes": _folder_bytes(written)}
        said.append(f"{facts['folder_bytes']:,} bytes of files.")
        if is_model:
            with torch.inference_mode():
                facts |= _of_model(pruned, written, named, data)
            times = _times(pruned, written, named)
            facts["times"] = times.to_dict("records")
            said += _sentences(facts)
        provenance = with_onnx_version(made_here(time.monotonic() - began, command, code))
        if data is not None:
            provenance["data_source"] = data.source
        known = {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in facts.items()}
        content = json.dumps({**known, "provenance": provenance}, indent=1, allow_nan=False)
        (written / "report.json").write_text(content)
    if not is_model:
        return said
    of_time = time_settings(mask, pruned, [TimedForm(MASKED), named, TimedForm(CSR)])
    of_form = replace(
        of_time,
        kind=FORM,
        data_sha256=data.development_sha256 if data else None,
        options={**named._asdict(), "torch": torch.__version__},
    )
    try:
        table = pd.DataFrame([facts])[list(KINDS[FORM])]
        save_measurement(runs, settings=of_form, provenance=provenance, table=table)
        save_measurement(runs, settings=of_time, provenance=provenance, table=times)
    except RunWriteError as error:
        said.append(f"The report lies in the folder alone: {error}")
    return said


def _folder_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _of_model(pruned: Pruned, folder: Path, form: TimedForm, data: TaskData | None) -> dict[str, Any]:
    encoder = compact_encoder(pruned) if form.form in MODEL_FILE else pruned.encoder.model
    compared = _Compared(FORMS[form.form].open(pruned, folder, torch.get_num_threads()), pruned)
    score = {"metric": pruned.config.task_info.main_metric, **dict.fromkeys(("value", "low", "high"), np.nan)}
    score["n_examples"] = 0
    if data is None:
        compared(**example_batch(pruned, _N_COMPARED, min(_LENGTH, pruned.config.max_length)))
    else:
        scores = score_table(predict(pruned, data, compared), data).set_index("metric")
        score |= scores.loc[score["metric"], list(score)[1:]].to_dict()
        score["n_examples"] = int(score["n_examples"])
    return {
        "parameters": encoder.num_parameters(),
        "published": pruned.encoder.model.num_parameters(),
        "encoder_bytes": _BYTES_PER_PARAMETER * encoder.num_parameters(),
        "difference": compared.largest,
        "n_compared": compared.n_examples,
        **score,
    }


def _times(pruned: Pruned, folder: Path, form: TimedForm) -> pd.DataFrame:
    masked, sparse = ((known, torch_form(pruned, known)) for known in (TimedForm(MASKED), TimedForm(CSR)))
    own = (form, lambda threads: FORMS[form.form].open(pruned, folder, threads))
    return time_forms(dict([masked, own, sparse]), pruned, seconds=0.0)


def _sentences(facts: Mapping[str, Any]) -> list[str]:
    one_thread, sparse = (
        [row for row in facts["times"] if row["threads"] == 1 and row["form"] == form] for form in (facts["form"], CSR)
    )
    of = f"those of the mask without rows of fewer than {facts['cut']} weights" if facts["cut"] else "the mask's"
    slow, fast = (pick(one_thread, key=lambda row: row["faster"]) for pick in (min, max))
    said = [
        f"Encoder: {facts['parameters']:,} of {facts['published']:,} parameters, {facts['encoder_bytes']:,} bytes.",
        f"Its scores differ by at most {facts['difference']:.1e} from {of}, on {facts['n_compared']:,} examples.",
        f"With one thread it is {slow['faster']:.2f} (batch {slow['batch']}, {slow['length']} tokens) to "
        f"{fast['faster']:.2f} (batch {fast['batch']}, {fast['length']} tokens) times as fast as masked weights.",
        *(
            f"Held as sparse rows (torch CSR) the weights are {row['faster']:.2g} times as fast as masked ones, for "
            f"{row['batch']} texts of {row['length']} tokens."
            for row in sparse
        ),
    ]
    if facts["n_examples"]:
        said.append(
            f"{facts['metric']} on {facts['n_examples']:,} development examples: {facts['value']:.4f} "
            f"({facts['low']:.4f} to {facts['high']:.4f})."
        )
    return said
