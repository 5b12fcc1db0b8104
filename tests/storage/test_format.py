"""The description of the format says what the code does."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, make_run, random_masks

from smp_lab.layout import MatrixId
from smp_lab.paths import cached_runs_folder
from smp_lab.storage.imported import IMPORTED_MASKS
from smp_lab.storage.measurements import KINDS, MEASUREMENTS
from smp_lab.storage.runs import RUNS, list_runs
from smp_lab.storage.transfers import TRANSFERS
from smp_lab.storage.versions import RunVersion1

TEXT = (Path(__file__).parents[2] / ".github" / "FORMAT.md").read_text()


def test_every_version_and_key_is_described():
    described = {(kind, int(number)) for kind, number in re.findall(r"^\| ([a-z ]+) \| (\d+) \|", TEXT, re.M)}
    stores = (RUNS, TRANSFERS, MEASUREMENTS, IMPORTED_MASKS)
    assert described == {(store.kind, version) for store in stores for version in store.versions}
    keys, kinds = (
        set(re.findall(r"^\| `(\w+)` \|", TEXT.split(title)[1].split("\n## ")[0], re.M))
        for title in ("## run.json", "## Measurements")
    )
    assert keys == set(RunVersion1.model_fields)
    assert kinds == set(KINDS)


def read_as_described():
    """The mask of a run in whose folder this is called."""
    lines, names = TEXT.split("To read one without SMP Lab:")[1].splitlines(), {}
    exec("\n".join(line[4:] for line in lines if line.startswith("    ")), names)
    return names["mask"]


@pytest.mark.parametrize("base", [None, random_masks(TINY, 0.5, seed=1)])
def test_a_mask_is_read_as_the_description_reads_it(runs, monkeypatch, base):
    run = make_run(runs, base=base)
    monkeypatch.chdir(run.path)
    np.testing.assert_array_equal(read_as_described(), run.masks.dense(MatrixId(0, "query")))


def test_masks_of_all_kinds_of_records_are_read_as_described(monkeypatch):
    """One of each version, with and without a file of its own and a base."""
    kinds = {}
    for run in list_runs([cached_runs_folder()]).records.values():
        record = json.loads((run.path / "run.json").read_text())
        if sealed := record["files"].get("masks.npz"):
            how = (record["schema_version"], (run.path / "masks.npz").exists(), "base" in sealed)
            kinds.setdefault(how, run)
    assert {version for version, _, _ in kinds} == set(RUNS.versions) and len(kinds) > len(RUNS.versions)
    for run in kinds.values():
        monkeypatch.chdir(run.path)
        np.testing.assert_array_equal(read_as_described(), run.masks.dense(MatrixId(0, "query")))
