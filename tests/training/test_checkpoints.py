"""A checkpoint that lost or changed a file is passed over, and never resumed to another mask."""

import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from training.conftest import same_masks, stop_at

from smp_lab.errors import TrainingError
from smp_lab.paths import SEAL_FILE, unfinished_folder
from smp_lab.storage.runs import list_runs
from smp_lab.training import run as training
from smp_lab.training import trainer as trainer_module
from smp_lab.training.checkpoints import conditions, newest_whole, require_same_conditions
from smp_lab.training.run import train

FILES = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", SEAL_FILE)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of runs that are trained once."""
    return tmp_path_factory.mktemp("made")


@pytest.fixture
def ready(prepared, strong_folder):
    """Prepares the run of these tests, 12 steps long."""
    return lambda: prepared(encoder=str(strong_folder), n_train=96, epochs=1)


@pytest.fixture
def undisturbed(ready, made):
    """The run as it should be."""
    if (made / "whole").exists():
        return list_runs([made / "whole"]).records[ready().config.run_id]
    return train(ready(), made / "whole", command="")


@pytest.fixture
def stopped(ready, made, runs, monkeypatch):
    """The same in `runs`, stopped at step 10 with checkpoints 9 and 10; ``stopped()`` prepares it again."""
    if not (made / "stopped").exists():
        with monkeypatch.context() as patch:
            patch.setattr(trainer_module, "SECONDS_BETWEEN_CHECKPOINTS", -1)
            stop_at(10, ready(), made / "stopped")
    shutil.copytree(made / "stopped", runs, dirs_exist_ok=True)
    return ready


def remove(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_every_file_of_a_checkpoint_removed_cut_and_flipped(stopped, runs, tmp_path):
    config = stopped().config
    folder = unfinished_folder(runs, config.run_id)
    assert sorted(path.name for path in folder.glob("checkpoint-*")) == ["checkpoint-10", "checkpoint-9"]
    assert {path.name for path in (folder / "checkpoint-10").iterdir()} >= set(FILES)
    assert newest_whole(folder, config)[0].name == "checkpoint-10"
    for number, file in enumerate(sorted((folder / "checkpoint-10").iterdir())):
        for damage in (remove, cut, flip):
            copy = tmp_path / f"{number}-{damage.__name__}"
            shutil.copytree(folder, copy)
            damage(copy / "checkpoint-10" / file.name)
            told = []
            assert newest_whole(copy, config, told.append)[0].name == "checkpoint-9", (file, damage)
            if file.name != SEAL_FILE:
                assert file.name in told[0]


@pytest.mark.parametrize(("name", "damage"), [("rng_state.pth", remove), ("optimizer.pt", flip)])
def test_a_damaged_checkpoint_is_told_and_the_run_resumes_from_the_one_before(stopped, undisturbed, runs, name, damage):
    damage(unfinished_folder(runs, undisturbed.run_id) / "checkpoint-10" / name)
    lines = []
    resumed = train(stopped(), runs, command="", write=lines.append)
    assert any("checkpoint-10 is not whole and is passed over" in line for line in lines)
    assert resumed.provenance["processes"][-1]["from_step"] == 9
    assert same_masks(undisturbed, resumed)


def test_what_lies_beside_the_checkpoints_is_vouched_for_too(stopped, undisturbed, runs):
    folder = unfinished_folder(runs, undisturbed.run_id)
    flip(folder / "snapshots" / "snapshot-00000000.npz")
    lines = []
    again = train(stopped(), runs, command="", write=lines.append)
    assert "no whole checkpoint is left: the run starts anew" in lines
    assert again.provenance["resumed"] == 0
    assert same_masks(undisturbed, again)
    assert (again.scores.kept == undisturbed.scores.kept).all()


def test_without_the_check_a_lost_file_would_make_another_mask(stopped, undisturbed, runs, monkeypatch):
    """The encoder of these tests is one whose masks show it."""
    checkpoint = unfinished_folder(runs, undisturbed.run_id) / "checkpoint-10"
    seal = json.loads((checkpoint / SEAL_FILE).read_text().split("\n")[0])
    remove(checkpoint / "optimizer.pt")
    monkeypatch.setattr(training, "newest_whole", lambda *_: (checkpoint, seal))
    assert not same_masks(undisturbed, train(stopped(), runs, command=""))


def test_a_checkpoint_that_cannot_be_read_is_not_said_to_be_unwritable(stopped, runs):
    config = stopped().config
    folder = unfinished_folder(runs, config.run_id)
    remove(folder / "checkpoint-10" / "optimizer.pt")
    (folder / "checkpoint-10" / "optimizer.pt").mkdir()
    with pytest.raises(TrainingError, match="checkpoint-10 cannot be read .* Make it readable, or remove"):
        train(stopped(), runs, command="")
    assert (folder / "checkpoint-10").exists()


def test_a_resume_with_other_threads_is_refused_unless_asked_for_and_recorded(stopped, runs):
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        with pytest.raises(TrainingError, match=f"threads {before} then and {before + 1} now.*OMP_NUM_THREADS"):
            train(stopped(), runs, command="")
        resumed = train(stopped(), runs, command="", resume_anyway=True)
    finally:
        torch.set_num_threads(before)
    assert [process["threads"] for process in resumed.provenance["processes"]] == [before, before + 1]
    assert {"device", "precision"} <= set(resumed.provenance["processes"][1])


@pytest.mark.parametrize("name", ["threads", "device", "precision", "processes"])
def test_each_condition_counts(prepared, name):
    now = conditions(prepared().config)
    require_same_conditions(Path("checkpoint-1"), now, now)
    with pytest.raises(TrainingError, match=f"{name} else then"):
        require_same_conditions(Path("checkpoint-1"), now | {name: "else"}, now)


def test_the_newest_two_stay_by_step_whatever_the_clock_says(prepared, runs, monkeypatch):
    """A clock that jumps back makes the newest checkpoint the oldest file."""
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_CHECKPOINTS", -1)
    seal = trainer_module.seal

    def seal_and_age(checkpoint, *rest):
        seal(checkpoint, *rest)
        days = int(checkpoint.name.removeprefix("checkpoint-")) * 86400
        os.utime(checkpoint, (2e9 - days, 2e9 - days))

    monkeypatch.setattr(trainer_module, "seal", seal_and_age)
    stop_at(6, prepared(), runs)
    folder = unfinished_folder(runs, prepared().config.run_id)
    assert {path.name for path in folder.glob("checkpoint-*")} == {"checkpoint-5", "checkpoint-6"}


def test_a_file_of_a_checkpoint_that_would_run_code_is_not_read(stopped, runs):
    """With a seal that vouches for it: torch files are read with weights_only and nothing else."""

    class Harm:
        def __reduce__(self):
            return (Path.touch, (runs / "harmed",))

    config = stopped().config
    checkpoint = unfinished_folder(runs, config.run_id) / "checkpoint-10"
    seal = json.loads((checkpoint / SEAL_FILE).read_text().split("\n")[0])
    content = pickle.dumps(Harm(), protocol=2)
    (checkpoint / "rng_state.pth").write_bytes(content)
    seal["files"]["rng_state.pth"] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    line = json.dumps(seal)
    (checkpoint / SEAL_FILE).write_text(f"{line}\n{hashlib.sha256(line.encode()).hexdigest()}")
    with pytest.raises(pickle.UnpicklingError, match="[Ww]eights.only"):
        train(stopped(), runs, command="")
    assert not (runs / "harmed").exists()
