"""The description of the format says what the code does."""

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, make_run, random_masks

from smp_lab.layout import MatrixId
from smp_lab.storage.imported import IMPORTED_MASKS
from smp_lab.storage.measurements import KINDS, MEASUREMENTS
from smp_lab.storage.runs import RUNS
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


@pytest.mark.parametrize("base", [None, random_masks(TINY, 0.5, seed=1)])
def test_a_mask_is_read_as_the_description_reads_it(runs, monkeypatch, base):
    run = make_run(runs, base=base)
    monkeypatch.chdir(run.path)
    lines = TEXT.split("To read one without SMP Lab:")[1].splitlines()
    names = {}
    exec("\n".join(line[4:] for line in lines if line.startswith("    ")), names)
    np.testing.assert_array_equal(names["mask"], run.masks.dense(MatrixId(0, "query")))
