import json
import shutil
import sqlite3

import numpy as np
import pandas as pd
import pytest
from conftest import make_run
from storage.conftest import edit_record

from smp_lab.analysis.run_table import run_table
from smp_lab.errors import RunFormatError
from smp_lab.paths import RECORD_FILE
from smp_lab.storage import runs as storage
from smp_lab.storage.runs import list_runs, load_run


@pytest.fixture
def index(tmp_path):
    return tmp_path / "cache" / "runs.sqlite"


@pytest.fixture
def read(monkeypatch):
    """The paths of the records that are read."""
    paths, load = [], storage.RUNS.load

    def loaded(self, path):
        paths.append(path)
        return load(path)

    monkeypatch.setattr(type(storage.RUNS), "load", loaded)
    return paths


def test_what_has_not_changed_is_not_read_again(runs, index, read):
    one, other = make_run(runs), make_run(runs, seed=1)
    first = list_runs([runs], kept_in=index)
    read.clear()
    second = list_runs([runs], kept_in=index)
    assert not read
    assert list(second.records) == list(first.records)
    pd.testing.assert_frame_equal(run_table(second.records.values()), run_table(first.records.values()))
    assert not read
    shutil.rmtree(other.path)
    made = make_run(runs, seed=2)
    read.clear()
    assert set(list_runs([runs], kept_in=index).records) == {one.run_id, made.run_id}
    assert set(list_runs([runs], second).records) == {one.run_id, made.run_id}
    assert read == [made.path, made.path]


def test_a_record_of_the_index_is_the_record(runs, index, read):
    make_run(runs, task="cola", method="movement")
    list_runs([runs], kept_in=index)
    (known,) = list_runs([runs], kept_in=index).records.values()
    whole = load_run(known.path)
    assert (known.config, known.layout, known.files) == (whole.config, whole.layout, whole.files)
    assert (known.main_value, known.n_examples, known.remaining) == (whole.main_value, 40, whole.remaining)
    np.testing.assert_array_equal(known.kept, whole.kept)
    # What is not in the row is read from the record.
    assert known.results == whole.results and known.provenance == whole.provenance
    assert len(known.results["evaluations"]) == 2
    known.verify()


def test_the_record_counts_and_not_the_index(runs, index):
    run = make_run(runs)
    list_runs([runs], kept_in=index)
    edit_record(run, lambda record: record["results"]["metrics"].update(accuracy=0.9))
    assert list_runs([runs], kept_in=index).records[run.run_id].main_value == 0.9
    (run.path / RECORD_FILE).write_text("{")
    found = list_runs([runs], kept_in=index)
    assert not found.records and "is cut off or is not JSON" in found.problems[0][1]
    shutil.rmtree(run.path)
    assert list_runs([runs], kept_in=index).problems == ()


def test_what_is_read_later_is_verified_then(runs, index):
    run = make_run(runs)
    list_runs([runs], kept_in=index)
    (known,) = list_runs([runs], kept_in=index).records.values()
    edit_record(run, lambda record: record["provenance"].update(threads=3), sealed=False)
    assert known.main_value == 0.6
    with pytest.raises(RunFormatError, match="its content is not what its own sha256 says"):
        _ = known.results["evaluations"]


@pytest.mark.parametrize("facts", ["", "[]", "{}", '{"config": {}}', "text", json.dumps({"config": {"task": "x"}})])
def test_a_row_of_nonsense_is_passed_over_and_made_anew(runs, index, read, facts):
    run = make_run(runs)
    list_runs([runs], kept_in=index)
    with sqlite3.connect(index) as rows:
        assert rows.execute("UPDATE runs SET facts = ?", (facts,)).rowcount == 1
    rows.close()
    assert list_runs([runs], kept_in=index).records[run.run_id].main_value == 0.6
    read.clear()
    list_runs([runs], kept_in=index)
    assert not read


def test_an_index_that_cannot_be_used_is_passed_over(runs, index, tmp_path):
    run = make_run(runs)
    index.parent.mkdir()
    index.write_text("no database at all, " * 100)
    assert list(list_runs([runs], kept_in=index).records) == [run.run_id]
    assert list(list_runs([runs], kept_in=tmp_path).records) == [run.run_id]
    assert list(list_runs([runs], kept_in=run.path / RECORD_FILE / "index").records) == [run.run_id]
    run.verify()
