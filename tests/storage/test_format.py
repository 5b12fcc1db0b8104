"""The description of the format says what the code does."""

import re
from pathlib import Path

import numpy as np
from conftest import make_run

from smp_lab.layout import MatrixId
from smp_lab.storage.versions import RUN_VERSIONS, TRANSFER_VERSIONS, RunVersion1

TEXT = (Path(__file__).parents[2] / ".github" / "FORMAT.md").read_text()


def test_every_version_and_key_is_described():
    described = {(kind, int(number)) for kind, number in re.findall(r"^\| (run|transfer) \| (\d+) \|", TEXT, re.M)}
    assert described == {("run", version) for version in RUN_VERSIONS} | {("transfer", v) for v in TRANSFER_VERSIONS}
    assert set(re.findall(r"^\| `(\w+)` \|", TEXT, re.M)) == set(RunVersion1.model_fields)


def test_a_mask_is_read_as_the_description_reads_it(runs, monkeypatch):
    run = make_run(runs)
    monkeypatch.chdir(run.path)
    lines = TEXT.split("To read one without SMP Lab:")[1].splitlines()
    names = {}
    exec("\n".join(line[4:] for line in lines if line.startswith("    ")), names)
    np.testing.assert_array_equal(names["mask"], run.masks.dense(MatrixId(0, "query")))
