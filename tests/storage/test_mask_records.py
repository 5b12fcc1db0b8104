import numpy as np
import pytest
from conftest import make_run

from smp_lab.errors import RunFormatError
from smp_lab.paths import MASKS_FILE
from smp_lab.storage.mask_records import MEASURED_RUN
from smp_lab.storage.runs import list_runs, masks_of


def test_the_mask_record_of_a_run_says_what_the_run_says(runs):
    run = make_run(runs, task="cola", seed=3)
    record = run.mask_record
    assert (record.mask_id, record.source, record.task) == (run.run_id, MEASURED_RUN, "cola")
    assert record.label == "CoLA · SMP-S (share) · 50 % · seed 3"
    assert (record.encoder, record.encoder_sha256) == (run.config.base_model, run.config.base_model_sha256)
    assert (record.layout, record.config, record.remaining) == (run.layout, run.config, run.remaining)
    np.testing.assert_array_equal(record.kept, record.masks.kept_per_matrix)
    np.testing.assert_array_equal(record.kept_per_head, record.masks.kept_per_head_and_matrix)
    assert record.masks.sha256 == run.masks.sha256


def test_runs_without_a_mask_have_no_mask_record(runs):
    make_run(runs, method="dense", remaining=1, head="linear", label_words=None)
    masked, control = make_run(runs), make_run(runs, method="random")
    masks = {mask.mask_id: mask for mask in masks_of(list_runs([runs]).records.values())}
    assert list(masks) == sorted([masked.run_id, control.run_id])
    # A control is made for a comparison on a task; its mask is of none.
    assert masks[control.run_id].task is None


def test_the_bits_of_a_mask_are_read_when_they_are_asked_for(runs):
    run = make_run(runs)
    (run.path / MASKS_FILE).unlink()
    record = list_runs([runs]).records[run.run_id].mask_record
    assert record.kept.sum() == run.kept.sum()
    with pytest.raises(RunFormatError, match="masks.npz cannot be read"):
        _ = record.masks
