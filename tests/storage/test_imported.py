"""Records of imported masks: written once, read back, refused when altered."""

from __future__ import annotations

import json

import pytest
from conftest import TINY, make_run, random_masks
from storage.conftest import edit_json

from smp_lab.errors import ConfigError, MaskFormatError, RunFormatError, RunWriteError
from smp_lab.paths import MASK_RECORD_FILE, MASKS_FILE
from smp_lab.storage.formats import Opened, named_base
from smp_lab.storage.imported import IMPORTED_MASKS, bases_of, save_imported
from smp_lab.storage.runs import list_runs

OPENED = Opened(
    masks=random_masks(TINY, 0.3),
    format="dictionary of masks",
    base=named_base("tiny", TINY),
    assumed=("So.", "And so."),
)


def save(runs, **facts):
    return save_imported(runs, OPENED, **{"source": "m.npz", "label": "A mask, of mine!", "task": "sst2", **facts})


def test_a_mask_is_written_once_and_read_back(runs):
    record = save(runs, metric="accuracy", value=0.82, n_examples=872)
    assert record.mask_id.startswith("a-mask-of-mine-")
    assert list(IMPORTED_MASKS.list([runs]).records) == [record.mask_id]
    mask = record.mask_record
    assert (mask.label, mask.task, mask.encoder) == ("A mask, of mine!", "sst2", "tiny")
    assert mask.masks.sha256 == OPENED.masks.sha256
    assert (mask.kept == OPENED.masks.kept_per_matrix).all()
    before = (record.path / MASK_RECORD_FILE).read_bytes()
    assert save(runs, metric="accuracy", value=0.82, n_examples=872).path == record.path
    assert (record.path / MASK_RECORD_FILE).read_bytes() == before
    assert save(runs, label="Another").path != record.path


def test_it_is_no_run_and_does_not_disturb_runs(runs):
    make_run(runs)
    save(runs)
    index = list_runs([runs])
    assert len(index.records) == 1 and not index.problems


def test_bases_are_those_of_runs_and_published_ones(runs):
    run = make_run(runs)
    save(runs)
    assert [base.name for base in bases_of([run])] == [run.config.base_model, "bert-base-uncased", "roberta-base"]


@pytest.mark.parametrize("facts", [{"task": "nothing"}, {"metric": "accuracy"}, {"metric": "accuracy", "value": 82.0}])
def test_facts_that_cannot_be_are_refused(runs, facts):
    with pytest.raises(ConfigError):
        save(runs, **facts)
    assert not runs.exists() or not list(runs.rglob("*.json"))


def test_a_metric_of_another_task_is_refused(runs):
    with pytest.raises(ConfigError, match="'rte' has no metric 'pearson'. It has: accuracy"):
        save(runs, task="rte", metric="pearson", value=0.5)
    assert not IMPORTED_MASKS.paths(runs)


def test_text_that_is_no_unicode_is_not_written(runs):
    with pytest.raises(RunWriteError, match=r"Imported mask a-b-\w{8} cannot be written as JSON: .*surrogates"):
        save(runs, label="a\udcffb")
    assert not list(runs.rglob("*.json"))


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.update(schema_version=2),
        lambda content: content["settings"].update(label="Another"),
        lambda content: content["settings"].update(value="much"),
        lambda content: content["results"]["kept"].pop(),
        lambda content: content["results"]["kept"][0].pop(),
        lambda content: content["layout"].update(n_layers=10**6),
        lambda content: content.update(files={}),
    ],
)
def test_an_altered_record_is_a_problem_of_its_own(runs, change):
    record, other = save(runs), save(runs, label="Other")
    edit_json(record.path / MASK_RECORD_FILE, change)
    listing = IMPORTED_MASKS.list([runs])
    assert list(listing.records) == [other.mask_id]
    assert [path for path, _ in listing.problems] == [record.path]


def test_counts_that_are_not_those_of_the_mask_are_refused_with_it(runs):
    record = save(runs)
    edit_json(record.path / MASK_RECORD_FILE, lambda content: content["results"]["kept_per_head"][0][0].reverse())
    with pytest.raises(MaskFormatError, match="keeps other weights"):
        IMPORTED_MASKS.load(record.path).read()


@pytest.mark.parametrize("damage", [lambda content: content[:-9], lambda content: content[:40] + b"x" + content[41:]])
def test_an_altered_mask_is_refused(runs, damage):
    record = save(runs)
    file = record.path / MASKS_FILE
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(RunFormatError, match=r"masks.npz is cut off or was altered .*import the mask again"):
        record.read()


def test_the_newest_version_is_the_one_that_is_written(runs):
    assert json.loads((save(runs).path / MASK_RECORD_FILE).read_bytes())["schema_version"] == IMPORTED_MASKS.newest
