"""The command line over a table of bad inputs: a sentence and a status, never a traceback."""

import os
import sys

import pytest

from smp_lab import cli

LONG = "n" * 300
TRAIN = ("train", "--task", "rte", "--remaining", "0.5")


@pytest.fixture
def outcome(monkeypatch, capsys, tmp_path):
    """``outcome(*arguments)``: exit status and stderr of the whole command; any other exception is a traceback."""
    monkeypatch.setenv("SMP_LAB_RUNS", str(tmp_path))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["smp-lab", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err

    return run


# Without torch: each is refused before it would be needed.
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*TRAIN, "--seed", "4294967296"), "seed"),
        ((*TRAIN, "--seed", "-1"), "seed"),
        ((*TRAIN, "--epochs", "nan"), "epochs"),
        ((*TRAIN, "--epochs", "1e999"), "epochs"),
        ((*TRAIN, "--remaining", "10"), "Remaining fraction 10 is outside"),
        (("train", "--task", LONG), "Unknown task"),
        (("check", LONG), "File name too long"),
        (("check", "/dev/null"), "is no folder"),
        (("check", "/dev/zero/x"), "does not exist"),
        (("runs", "--folder", LONG), "File name too long"),
        (("summary", LONG), "File name too long"),
        (("export", LONG, "masks.npy"), "File name too long"),
        (("export", "nothing", "masks.npy"), "There is no run 'nothing'"),
        (("export", "\udcff", "masks.npy"), "There is no run"),
        (("sweep", LONG, "--list"), "File name too long"),
        (("sweep", "/dev/null", "--list"), "/dev/null"),
        (("app", "--runs", LONG), "File name too long"),
        (("transfer", LONG), "File name too long"),
        (("train", "--task-file", "\udcff.toml", "--remaining", "0.5"), r"\udcff.toml has a name that is not UTF-8"),
    ],
)
def test_a_bad_input_is_a_sentence(outcome, arguments, words):
    status, said = outcome(*arguments)
    assert status in (1, 2)
    assert words in said and "Traceback" not in said


@pytest.mark.parametrize("command", ["check", "runs", "summary", "export"])
def test_a_folder_that_may_not_be_read_is_a_sentence(tmp_path, outcome, monkeypatch, command):
    # A clone may lie where only its owner can look, and below the tests are somebody else.
    monkeypatch.setattr("smp_lab.paths.project_folder", lambda: tmp_path / "project")
    (folder := tmp_path / "runs").mkdir()
    folder.chmod(0)
    arguments = {"runs": ["--folder", folder], "export": [folder / "run", tmp_path / "masks.npy"]}
    # Root may read everything, so where the tests are root's this one is somebody else's.
    if (user := os.geteuid()) == 0:
        os.seteuid(65534)
    try:
        status, said = outcome(command, *arguments.get(command, [folder]))
    finally:
        os.seteuid(user)
    assert status == 1
    assert "Permission denied" in said


def test_no_memory_is_a_sentence(outcome, monkeypatch):
    import torch

    def check(folder):
        torch.empty(2**60)

    monkeypatch.setattr("smp_lab.cli.check.existing", check)
    status, said = outcome("check", "x")
    assert status == 1
    assert "not enough memory" in said


def test_a_folder_below_a_file_is_a_sentence_whoever_makes_it(outcome, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way")

    def check(folder):
        (tmp_path / "file" / "logs").mkdir(parents=True)

    monkeypatch.setattr("smp_lab.cli.check.existing", check)
    status, said = outcome("check", "x")
    assert (status, said) == (
        1,
        f"smp-lab: {tmp_path}/file/logs cannot be read or written (Not a directory). Make it readable and writable, "
        "free space, or name another place.\n",
    )


def test_an_error_of_nobody_stays_loud(outcome, monkeypatch):
    def check(folder):
        raise RuntimeError("a defect")

    monkeypatch.setattr("smp_lab.cli.check.existing", check)
    with pytest.raises(RuntimeError, match="a defect"):
        outcome("check", "x")
