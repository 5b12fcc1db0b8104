"""Paths as people write them."""

from pathlib import Path

import pytest

from smp_lab.errors import ConfigError
from smp_lab.paths import named_path, text_name
from smp_lab.storage.runs import RUNS


def test_a_home_that_nobody_has_is_a_file_that_is_not_there(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert named_path("~/glue") == tmp_path / "glue"
    assert named_path("~nobody-of-this-name/glue") == Path("~nobody-of-this-name/glue")
    assert RUNS.find("~nobody-of-this-name/run", [tmp_path]) is None


def test_a_name_that_no_record_could_hold_is_refused():
    assert text_name(Path("a/\u00e9.toml")) == "\u00e9.toml"
    with pytest.raises(ConfigError, match=r"^a/\\udcff has a name that is not UTF-8. Rename it.$"):
        text_name(Path("a/\udcff"))
