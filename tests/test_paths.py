"""Paths as people write them."""

from pathlib import Path

from smp_lab.paths import named_path
from smp_lab.storage.runs import RUNS


def test_a_home_that_nobody_has_is_a_file_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named_path("~/glue") == tmp_path / "glue"
    assert named_path("~nobody-of-this-name/glue") == Path("~nobody-of-this-name/glue")
    assert RUNS.find("~nobody-of-this-name/run", [tmp_path]) is None
