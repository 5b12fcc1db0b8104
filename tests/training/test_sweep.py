"""``smp-lab sweep``: makes what is missing, passes over what is there, resumes what was stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result
from conftest import HANGS
from typer.testing import CliRunner

from smp_lab import cli
from smp_lab.cli import sweep as cli_sweep
from smp_lab.config import RunConfig
from smp_lab.errors import DataError, TrainingError
from smp_lab.grid import GridRun, load_grid
from smp_lab.jobs.runners import DONE, FAILED, LocalRunner
from smp_lab.lease import LEASE_VARIABLE
from smp_lab.paths import LOGS_FOLDER, UNFINISHED_FOLDER, cached_runs_folder, unfinished_folder
from smp_lab.storage.measurements import MEASUREMENTS
from smp_lab.storage.runs import list_runs
from smp_lab.storage.transfers import TRANSFERS
from smp_lab.training import sweep as sweep_module
from smp_lab.training.encoders import EncoderFiles
from smp_lab.training.sweep import MISSING, Fingerprints, Sweep

SETTINGS = 'encoder = "{encoder}", batch_size = 4, precision = "fp32", max_length = 40'
GRID = f"""
[[group]]
name = "dense"
tasks = ["rte"]
methods = ["dense"]
seeds = [0]
settings = [{{{{ {SETTINGS}, epochs = 1 }}}}]

[[group]]
name = "masks"
tasks = ["rte"]
methods = ["smp_s"]
remaining = [0.5, 0.1]
seeds = [0]
settings = [{{{{ {SETTINGS}, epochs = {{epochs}} }}}}]

[[group]]
name = "one that fails"
tasks = ["rte"]
methods = ["random"]
remaining = [0.5]
seeds = [0]
settings = [{{{{ encoder = "{{encoder}}", precision = "fp32", max_length = 400 }}}}]
"""


@pytest.fixture
def arguments(bert_folder: Path, glue: Path, runs: Path, tmp_path: Path):
    """Arguments of ``smp-lab sweep`` on a grid of so many epochs."""

    def arguments(*options: str, epochs: int = 2) -> list[str]:
        grid = tmp_path / "grid.toml"
        grid.write_text(GRID.format(encoder=bert_folder, epochs=epochs))
        return ["sweep", str(grid), *options, "--runs", str(runs), "--glue-dir", str(glue)]

    return arguments


def invoke(arguments: list[str]) -> Result:
    """The command in this process; the runs that it starts are processes all the same."""
    return CliRunner().invoke(cli.commands, arguments)


def wait_until(condition: Callable[[], object]) -> None:
    """Until it holds."""
    end = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_makes_what_is_missing_and_says_what_failed(arguments, runs: Path) -> None:
    assert invoke(arguments("--list")).stdout.splitlines()[-1] == "missing: 4"

    result = invoke(arguments("--jobs", "2"))
    assert isinstance(result.exception, TrainingError)
    assert str(result.exception).startswith("3 of 4 runs are done, 1 failed.")
    assert result.stdout.count("start ") == 4 and result.stdout.count("done ") == 3
    assert "failed  --task rte --method random" in result.stdout and "takes at most 40 tokens" in result.stdout
    made = list_runs([runs])
    assert not made.problems
    assert sorted(run.config.method for run in made.records.values()) == ["dense", "smp_s", "smp_s"]

    times = {run.path: run.path.stat().st_mtime_ns for run in made.records.values()}
    assert invoke(arguments("--group", "1", "--group", "2")).stdout.strip() == "3 of 3 runs are done."
    assert times == {path: path.stat().st_mtime_ns for path in times}


def test_a_run_waits_for_its_teacher_in_work(arguments, runs: Path, tmp_path: Path) -> None:
    asked = arguments("--jobs", "2")
    settings = (tmp_path / "grid.toml").read_text()
    dense, masks = settings.split("[[group]]")[1:3]
    masks = masks.replace("0.5, 0.1", "0.5").replace("{ encoder", '{ teacher = "dense", encoder')
    (tmp_path / "grid.toml").write_text(f"[[group]]{dense.replace(', epochs = 1', '')}[[group]]{masks}")
    states = [row["state"] for row in json.loads(invoke([*asked, "--json"]).stdout)]
    assert states == ["missing", "waiting"]
    # Nothing would make it.
    (alone,) = json.loads(invoke([*asked, "--json", "--group", "2"]).stdout)
    assert alone["state"] == "impossible" and "A group of the method dense with the same" in alone["problem"]
    assert invoke(asked).stdout.splitlines()[-1] == "2 of 2 runs are done."
    made = {run.config.method: run for run in list_runs([runs]).records.values()}
    assert made["smp_s"].config.teacher.startswith(f"{made['dense'].run_id}@")


class Here:
    """A runner whose processes are calls in this one."""

    attempts, is_far, slots = 1, False, 1

    def __init__(self) -> None:
        self.results: list[Result] = []

    def start(self, words, cwd, environment, log) -> str:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            self.results.append(invoke(list(words)))
        return str(len(self.results) - 1)

    def is_alive(self, handle: str) -> bool:
        return False

    def outcome(self, handle: str) -> tuple[str, str]:
        error = self.results[int(handle)].exception
        return (DONE, "") if error is None else (FAILED, str(error))


def test_masks_are_measured_once_they_are_made(arguments, runs: Path, glue: Path, tmp_path: Path) -> None:
    arguments(epochs=1)
    masks, fails = (tmp_path / "grid.toml").read_text().replace("0.5, 0.1", "0.5").split("[[group]]")[2:]
    measured = f'[[group]]\nmeasure = ["score", "heads", "transfer"]\ncuts = [2]{masks}'
    (tmp_path / "grid.toml").write_text(f'{measured}[[group]]\nmeasure = ["score"]{fails}')
    sweep, wanted = Sweep(runs, {"glue": glue}), load_grid(tmp_path / "grid.toml").items
    for first in (True, False):
        lines, runner = [], Here()
        with pytest.raises(TrainingError, match="4 of 6 runs and measurements are done, 2 failed"):
            # Measurements before what they need.
            sweep.make(wanted[::-1], runner, write=lines.append)
        assert lines[-1].startswith("failed  score of --task rte --method random") and "is not there yet" in lines[-1]
        assert len(runner.results) == (5 if first else 1)
    (made,) = list_runs([runs]).records
    kinds = [record.settings.kind for record in MEASUREMENTS.list([runs]).records.values()]
    assert sorted(kinds) == ["heads", "score", "size"]
    # Its own mask and four controls.
    assert [record.settings.mask_run for record in TRANSFERS.list([runs]).records.values()].count(made) == 1
    assert len(TRANSFERS.list([runs]).records) == 5
    assert not list((runs / UNFINISHED_FOLDER).glob("*"))


def test_a_second_ctrl_c_waits_for_nothing(arguments, runs: Path, glue: Path, tmp_path: Path) -> None:
    """Such as a machine that does not answer."""

    class Silent(Here):
        def start(self, *_: object) -> str:
            return "a handle"

        def is_alive(self, handle: str) -> bool:
            signal.raise_signal(signal.SIGINT)
            return True

        def stop(self, handle: str) -> None:
            pass

    arguments()
    with pytest.raises(KeyboardInterrupt):
        Sweep(runs, {"glue": glue}).make(load_grid(tmp_path / "grid.toml").runs, Silent(), write=str)


def test_what_keeps_several_runs_from_being_made_is_said_once(tmp_path: Path) -> None:
    grid = tmp_path / "grid.toml"
    grid.write_text(GRID.format(encoder=tmp_path / "gone", epochs=2))
    listed = invoke(["sweep", str(grid), "--list", "--runs", str(tmp_path / "runs")])
    assert listed.stdout.splitlines()[-1] == "impossible: 4"
    assert listed.stderr.count("smp-lab: ") == listed.stderr.count(str(tmp_path / "gone")) == 1


def test_a_stop_leaves_a_checkpoint_that_the_same_command_resumes(arguments, runs: Path) -> None:
    asked = arguments("--group", "2", epochs=40)
    process = subprocess.Popen([sys.executable, "-m", "smp_lab", *asked], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: any("step" in log.read_text() for log in (runs / LOGS_FOLDER).glob("rte-*.txt")))
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=HANGS)
    assert process.returncode == 1
    assert "0 of 2 runs are done, 0 failed, stopped on request." in error
    assert len(list((runs / UNFINISHED_FOLDER).glob("*/checkpoint-*"))) == 1
    assert not list_runs([runs]).records
    unfinished, where, missing, _ = invoke([*asked, "--list"]).stdout.splitlines()
    assert (unfinished.split()[0], where.split()[0], missing.split()[0]) == ("unfinished", "step", "missing")

    command = [sys.executable, "-m", "smp_lab", *asked, "--background"]
    told = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, check=True)
    assert "continues by itself" in told.stdout
    log = runs / LOGS_FOLDER / "sweep.txt"
    wait_until(lambda: "2 of 2 runs are done." in log.read_text())
    assert sorted(run.provenance["resumed"] for run in list_runs([runs]).records.values()) == [0, 1]


def test_a_task_of_ones_own_is_named_by_its_file(arguments, runs: Path, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    rows = "".join(f"{('the', 'a')[i % 2]} great,{i % 2}\n" for i in range(24))
    (tmp_path / "own" / "films.csv").write_text(f"said,verdict\n{rows}")
    file = tmp_path / "own" / "films.toml"
    file.write_text('text = "said"\nlabel = "verdict"\ntrain = "films.csv"\nclasses = ["0", "1"]\n')
    asked = arguments("--group", "2", epochs=1)
    grid = (tmp_path / "grid.toml").read_text().replace('"rte"', '"own/films.toml"').replace("0.5, 0.1", "0.5")
    # Of a small data set there are more passes, if nobody says how many.
    (tmp_path / "grid.toml").write_text(grid.replace(", epochs = 1", ""))
    assert invoke(asked).stdout.splitlines()[-1] == "1 of 1 runs are done."
    (run,) = list_runs([runs]).records.values()
    (left := unfinished_folder(runs, run.run_id)).mkdir(parents=True)
    assert invoke(asked).stdout.strip() == "1 of 1 runs are done."
    assert not left.exists()
    assert run.config.task.startswith("films-") and run.config.epochs == 40
    assert json.loads(invoke([*asked, "--json"]).stdout)[0]["task_file"] == str(file)


def test_the_list_as_json(arguments) -> None:
    rows = json.loads(invoke(arguments("--json")).stdout)
    assert [(row["group"], row["method"], row["state"]) for row in rows[:2]] == [
        (1, "dense", "missing"),
        (2, "smp_s", "missing"),
    ]
    assert rows[1]["run_id"].startswith("rte-smp_s-r0.5-s0-") and rows[1]["settings"]["max_length"] == 40


def not_at_hand(*_: object, **__: object) -> None:
    """In place of what reads data or finds an encoder."""
    raise DataError("It is not at hand.")


def test_it_is_watched_from_one_run_to_the_next(arguments, monkeypatch) -> None:
    """Until all is done; where it is not, until nothing has trained for as long as a lease lasts."""
    monkeypatch.setattr(cli_sweep, "_SECONDS_BETWEEN_LOOKS", 0.0)

    def left(*looks: str) -> list[str]:
        states = iter(looks)
        monkeypatch.setattr(cli_sweep, "_listed", lambda sweep, wanted: [{"state": next(states)}])
        assert invoke(arguments("--watch", "--json")).exit_code == 0
        return [*states]

    assert left("running", "missing", "running", "done", "not looked at") == ["not looked at"]
    monkeypatch.setenv(LEASE_VARIABLE, "1e-9")
    assert left("running", "unfinished", "not looked at") == ["not looked at"]


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_the_projects_grids_are_the_same_ones_on_machines_of_both_kinds(precision: str, monkeypatch) -> None:
    """Runs are made in bf16; on a machine without it one asks for fp32. Neither encoders nor data need be there."""
    monkeypatch.setattr(sweep_module, "find_encoder", not_at_hand)
    sweep = Sweep(cached_runs_folder(), fingerprints=Fingerprints(runs=cached_runs_folder(), load=not_at_hand))
    counts, done = {}, []
    for file in cached_runs_folder().glob("*.toml"):
        # A teacher's weights are no part of its record; a run that it has taught is there all the same.
        asked = [replace(run, settings={**run.settings, "precision": precision}) for run in load_grid(file).runs]
        states = list(map(sweep.state, asked))
        made = [state for state in states if state.name == DONE]
        assert all(state.in_other_precision == (precision == "fp32") for state in made)
        counts[file.stem] = len(made), len(states) - len(made)
        done += [state.config.run_id for state in made]
    assert sorted(done) == sorted(list_runs([cached_runs_folder()]).records)
    assert counts == {"grid": (190, 0), "mpnet": (18, 0)}


def test_a_run_in_another_precision_is_named_and_not_trained_anew(runs: Path, write_run) -> None:
    made = write_run(precision="bf16")
    lines: list[str] = []
    asked = GridRun(1, "rte", "smp_s", 0.5, 0, {"epochs": 2, "batch_size": 32})
    sweep = Sweep(made.path.parent, fingerprints=OfRecord(made.config))
    sweep.make([asked], LocalRunner(), write=lines.append)
    assert lines == [f"there   {asked}, in bf16; it is not trained anew", "1 of 1 runs are done."]
    assert sweep.state(replace(asked, settings={"epochs": 3})).name == MISSING


class OfRecord(Fingerprints):
    """Encoder and data of one run."""

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self.config = config

    def encoder(self, name: str) -> EncoderFiles:
        return EncoderFiles(self.config.base_model, Path(), self.config.base_model_sha256, "")

    def data(self, *named: object) -> tuple[str, int]:
        return self.config.data_sha256, 0


def test_encoders_and_data_are_read_once_even_where_they_cannot_be() -> None:
    asked = []

    def load(task: str, **_: object) -> SimpleNamespace:
        asked.append(task)
        if task == "cola":
            raise DataError("The hub does not answer.")
        return SimpleNamespace(sha256=task, train="abc")

    fingerprints = Fingerprints(load=load)
    for _ in range(3):
        assert fingerprints.data("rte", None, None) == ("rte", 3)
        with pytest.raises(DataError, match="does not answer"):
            fingerprints.data("cola", None, None)
    assert asked == ["rte", "cola"]


def test_what_is_made_is_known_without_its_data_and_encoder(runs: Path, write_run, monkeypatch) -> None:
    monkeypatch.setattr(sweep_module, "find_encoder", not_at_hand)
    settings = {"encoder": "folder/tiny-test-encoder", "epochs": 2, "batch_size": 32}
    asked = GridRun(1, "rte", "smp_s", 0.5, 0, settings)
    sweep = Sweep(runs, fingerprints=Fingerprints(runs=runs, load=not_at_hand))
    with pytest.raises(DataError, match="not at hand"):
        sweep.state(asked)
    made = write_run()
    assert sweep.state(asked).item_id == made.run_id and sweep.state(asked).name == DONE
    assert list(map(str, sweep.fingerprints.unread)) == 2 * ["It is not at hand."]
    assert sweep.state(replace(asked, seed=1)).name == MISSING
    # No record tells of these data, and of the others two records tell otherwise.
    with pytest.raises(DataError, match="not at hand"):
        sweep.state(replace(asked, settings={**settings, "train_examples": 7}))
    write_run(data_sha256="e" * 64)
    with pytest.raises(DataError, match="not at hand"):
        Sweep(runs, fingerprints=Fingerprints(runs=runs, load=not_at_hand)).state(asked)


def test_a_group_that_is_not_in_the_grid_is_refused(arguments) -> None:
    assert str(invoke(arguments("--group", "7")).exception) == "The grid has groups 1 to 3; got 7."


def test_its_name_of_before_is_kept(arguments) -> None:
    asked = arguments("--json")
    assert invoke(["corpus", *asked[1:]]).stdout == invoke(asked).stdout
