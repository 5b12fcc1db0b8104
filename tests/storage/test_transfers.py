import errno
import os
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import make_transfer, random_masks
from storage.conftest import edit_json

from smp_lab.errors import MaskFormatError, RunWriteError
from smp_lab.storage import store
from smp_lab.storage.runs import list_runs
from smp_lab.storage.transfers import TRANSFERS, save_transfer


def save_like(transfer, runs, predictions, n_examples, **settings):
    """Write another task's transfer with the predictions of a test, all metrics 0.5."""
    changed = replace(transfer.settings, **settings)
    metrics = dict.fromkeys(changed.task_info.metrics, 0.5)
    results = {**transfer.results, "metrics": metrics, "majority": metrics, "n_examples": n_examples}
    return save_transfer(
        runs, settings=changed, provenance=transfer.provenance, results=results, predictions=predictions
    )


def test_what_is_written_is_read(runs, write_run):
    run = write_run(task="cola")
    saved = make_transfer(runs, run, "rte", accuracy=0.55)
    (read,) = TRANSFERS.list([runs]).records.values()
    assert read == saved
    assert read.path == TRANSFERS.path_of(runs, saved.transfer_id) == runs / "transfers" / f"{read.transfer_id}.json"
    assert read.transfer_id.startswith(f"{run.run_id}-on-rte-")
    assert read.results["metrics"] == {"accuracy": 0.55}
    assert read.predictions["correct"].mean() == 0.55
    assert read.predictions.dtypes.astype(str).to_dict() == {"split": "uint8", "prediction": "uint8", "correct": "bool"}
    read.check_mask(run)


def test_a_control_has_no_run(runs):
    transfer = make_transfer(runs, None, "rte", mask_seed=2)
    assert transfer.transfer_id.startswith("random-r0.5-s2-on-rte-")


def test_numbers_of_a_regression_come_back_exactly(runs):
    rng = np.random.default_rng(0)
    numbers = {name: rng.normal(size=40).astype(np.float32) for name in ("prediction", "error")}
    predictions = pd.DataFrame({"split": np.zeros(40, np.uint8), **numbers})
    saved = save_like(
        make_transfer(runs, None, "rte"), runs, predictions, {"validation": 40}, task="stsb", regression_head="poles"
    )
    pd.testing.assert_frame_equal(saved.predictions, predictions)


def test_two_splits_come_back_one_after_the_other(runs):
    first = make_transfer(runs, None, "rte")
    predictions = first.predictions.assign(split=np.repeat(np.array([0, 1], np.uint8), [30, 10]))
    sizes = {"validation_matched": 30, "validation_mismatched": 10}
    saved = save_like(first, runs, predictions, sizes, task="mnli", label_words=("yes", "maybe", "no"))
    pd.testing.assert_frame_equal(saved.predictions, predictions)


def test_every_setting_is_part_of_the_identity(runs):
    changes = [
        {},
        {"mask_seed": 1},
        {"mask_sha256": "e" * 64},
        {"mask_remaining": 0.1},
        {"mask_method": "magnitude_frozen"},
        {"max_length": 64},
        {"precision": "bf16"},
        {"label_words": ("great", "terrible")},
        {"data_sha256": "f" * 64},
        {"base_model_sha256": "f" * 64},
    ]
    assert len({make_transfer(runs, None, "rte", **change).transfer_id for change in changes}) == len(changes)


def test_the_folder_of_transfers_is_no_run(runs, write_run):
    run = write_run()
    make_transfer(runs, run, "rte")
    index = list_runs([runs])
    assert (list(index.records), index.problems) == ([run.run_id], ())
    assert TRANSFERS.list([runs / "nowhere"]).records == {}


def test_one_that_is_there_is_left_as_it_is(runs):
    first = make_transfer(runs, None, "rte", accuracy=0.5)
    assert make_transfer(runs, None, "rte", accuracy=0.9).results == first.results
    assert list(first.path.parent.iterdir()) == [first.path]


def test_another_mask_than_its_run_has_is_told(runs, write_run):
    run = write_run()
    transfer = make_transfer(runs, run, "rte", mask_sha256=random_masks(run.layout, 0.5, seed=9).sha256)
    with pytest.raises(MaskFormatError, match=f"made with another mask than run {run.run_id} holds. Delete it"):
        transfer.check_mask(run)


def set_to(*path):
    """A change of what lies at a path."""
    *path, last, value = path

    def change(content):
        for key in path:
            content = content[key]
        content[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "sealed", "sentence"),
    [
        (set_to("schema_version", 2), True, "has schema version 2; this SMP Lab reads transfers of version 1"),
        (set_to("results", "metrics", "accuracy", 0.9), False, "its content is not what its own sha256 says"),
        (set_to("settings", "max_length", 64), True, "but its settings are those of random-r0.5-s0-on-rte-"),
        (set_to("settings", "max_length", "64"), True, "has max_length = '64': input should be a valid integer"),
        (set_to("settings", "task", "foo"), True, "Unknown task 'foo'"),
        (set_to("settings", "mask_method", "foo"), True, "Unknown method 'foo'"),
        (set_to("settings", "speed", 1), True, "has speed = 1: unexpected keyword argument"),
        (set_to("settings", None), True, "has settings = None"),
        (lambda content: content.pop("provenance"), True, "lacks a part: 'provenance'"),
        (lambda content: content["results"].pop("majority"), True, "lacks a part: 'results.majority'"),
        (set_to("results", "predictions", "correct", "1 0"), True, "with a row for each of 40 examples"),
        (set_to("results", "predictions", "correct", "yes"), True, "cannot be read: ValueError: could not convert"),
        (set_to("results", "predictions", {"error": "0"}), True, "Predictions have no column 'error'"),
        (set_to("results", "predictions", "correct", "2" + " 0" * 39), True, "no whole number of its range"),
        (set_to("results", "predictions", "shame", "0"), True, "Predictions have no column 'shame'"),
        (set_to("results", "kept", 10**9), True, "metrics or counts that do not fit"),
        (set_to("results", "n_examples", {"train": 40}), True, "metrics or counts that do not fit"),
        (set_to("results", "metrics", "accuracy", True), True, "has results.metrics.accuracy = True"),
    ],
)
def test_a_damaged_transfer_is_one_sentence(runs, change, sealed, sentence):
    whole, broken = make_transfer(runs, None, "rte", mask_seed=1), make_transfer(runs, None, "rte")
    edit_json(broken.path, change, sealed)
    index = TRANSFERS.list([runs])
    assert list(index.records) == [whole.transfer_id]
    ((file, told),) = index.problems
    assert file == broken.path
    assert sentence in told
    assert told.endswith(".")


def test_a_full_disk_leaves_nothing_behind(runs, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunWriteError, match="could not be written to .*: No space left on device. Nothing was left"):
        make_transfer(runs, None, "rte")
    assert list((runs / "transfers").iterdir()) == []


def test_one_that_is_too_long_to_be_read_is_not_written(runs, monkeypatch):
    monkeypatch.setattr(store, "MAX_JSON_BYTES", 500)
    with pytest.raises(RunWriteError, match=r"Transfer random-\S+ takes [\d,]+ bytes; at most 500 are read"):
        make_transfer(runs, None, "rte")
    assert not list(runs.iterdir())
