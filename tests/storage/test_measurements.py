import numpy as np
import pandas as pd
import pytest
from conftest import PROVENANCE
from storage.conftest import edit_json

from smp_lab.errors import ConfigError, RunFormatError, RunWriteError
from smp_lab.storage.measurements import (
    MEASUREMENTS,
    SCORE,
    MeasurementSettings,
    save_measurement,
)
from smp_lab.storage.runs import list_runs

TABLE = pd.DataFrame(
    {
        "cut": [0, 10],
        "metric": "accuracy",
        "value": [0.6, 0.5],
        "low": [0.5, 0.4],
        "high": [0.7, 0.6],
        "n_examples": [40, 40],
        "majority": [0.5, np.nan],
    }
)


def settings(**changes):
    first = {
        "kind": SCORE,
        "mask_id": "rte-smp_s-r0.5-s0-01234567",
        "mask_sha256": "c" * 64,
        "base_model": "tiny-test-encoder",
        "base_model_sha256": "a" * 64,
        "task": "rte",
        "data_sha256": "d" * 64,
        "options": {"cuts": [0, 10]},
    }
    return MeasurementSettings(**(first | changes))


def save(runs, table=TABLE, **changes):
    return save_measurement(runs, settings=settings(**changes), provenance=PROVENANCE, table=table)


def test_what_is_written_is_read(runs):
    saved = save(runs)
    (read,) = MEASUREMENTS.list([runs]).records.values()
    assert read == saved
    assert read.path == MEASUREMENTS.path_of(runs, settings().measurement_id)
    assert read.measurement_id.startswith("rte-smp_s-r0.5-s0-01234567-score-")
    pd.testing.assert_frame_equal(read.table, TABLE, check_dtype=False)
    assert [column.dtype.kind for _, column in read.table.items()][:3] == ["i", "O", "f"]


def test_every_setting_is_part_of_the_identity(runs):
    changes = [
        {},
        {"mask_id": "mine"},
        {"mask_sha256": "e" * 64},
        {"base_model_sha256": "e" * 64},
        {"task": "mrpc"},
        {"data_sha256": None},
        {"options": {"cuts": [0]}},
    ]
    assert len({settings(**change).measurement_id for change in changes}) == len(changes)


def test_one_that_is_there_is_left_as_it_is_and_is_no_run(runs, write_run):
    run, first = write_run(), save(runs)
    assert save(runs, TABLE.assign(value=0.9)).results == first.results
    index = list_runs([runs])
    assert (list(index.records), index.problems) == ([run.run_id], ())
    assert MEASUREMENTS.list([runs / "nowhere"]).records == {}


@pytest.mark.parametrize("change", [{"kind": "speed"}, {"task": "foo"}])
def test_settings_that_cannot_be_are_refused(change):
    with pytest.raises(ConfigError):
        settings(**change)


@pytest.mark.parametrize(
    ("name", "values", "sentence"),
    [
        ("value", [0.5], "not the columns"),
        ("value", ["high", 0.5], "has value = 'high', not of type float"),
        ("n_examples", [40.5, 40], "has n_examples = '40.5', not of type int"),
        ("cut", [True, 0], "has cut = 'True'"),
        ("metric", [None, "accuracy"], "has metric = 'None', not of type str"),
        ("extra", [1, 2], "not the columns"),
    ],
)
def test_a_damaged_measurement_is_one_sentence(runs, name, values, sentence):
    whole, broken = save(runs, mask_id="whole"), save(runs)
    edit_json(broken.path, lambda content: content["results"]["table"].update({name: values}))
    listing = MEASUREMENTS.list([runs])
    assert list(listing.records) == [whole.measurement_id]
    ((file, told),) = listing.problems
    assert file == broken.path
    assert sentence in told
    assert told.endswith(".")


def test_an_altered_value_and_another_name_are_told(runs):
    saved = save(runs)
    content = saved.path.read_text()
    saved.path.write_text(content.replace("0.6", "0.8", 1))
    with pytest.raises(RunFormatError, match="was altered"):
        save(runs)
    saved.path.write_text(content)
    saved.path.rename(saved.path.with_name("other.json"))
    assert "give it its name back" in MEASUREMENTS.list([runs]).problems[0][1]


def test_a_mask_whose_name_is_a_path_is_refused(runs):
    with pytest.raises(RunFormatError, match="give it its name back"):
        save(runs, mask_id="../../rte")
    assert not list(runs.rglob("*.json"))


def test_a_place_that_cannot_take_one_is_told_of_before_the_work(runs, tmp_path):
    MEASUREMENTS.require_writable(runs / "not" / "there")
    assert not (runs / "not").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(RunWriteError, match="no measurement could be kept"):
        MEASUREMENTS.require_writable(tmp_path / "file" / "below")
