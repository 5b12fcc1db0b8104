"""Whole runs of a tiny encoder: train, stop, go on, record."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import HANGS
from safetensors import SafetensorError
from safetensors.torch import load_file
from training.conftest import ask_at, same_masks, stop_at, tiny_data

from smp_lab.encoder_families import BERT
from smp_lab.errors import ConfigError, RunExistsError, RunWriteError, TrainingError
from smp_lab.layout import MATRIX_TYPES
from smp_lab.lease import LEASE_VARIABLE, LeaseLostError
from smp_lab.masks import kept_count
from smp_lab.paths import SEAL_FILE, UNFINISHED_FOLDER, unfinished_folder, weights_file
from smp_lab.storage.runs import list_runs
from smp_lab.training import kept_weights, provenance
from smp_lab.training import run as training
from smp_lab.training import trainer as trainer_module
from smp_lab.training.checkpoints import CHECKPOINT_SCHEMA, conditions, newest_whole
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.metrics import compute_metrics
from smp_lab.training.recorder import SCORE_EDGES
from smp_lab.training.run import train


def test_a_run_is_recorded_whole(prepared, runs):
    ready = prepared()
    record = train(ready, runs, command="smp-lab train")
    record.verify()
    assert list(list_runs([runs]).records) == [ready.config.run_id]
    assert [path.name for path in runs.iterdir()] == [record.run_id]
    layout = record.layout
    for column, kind in enumerate(MATRIX_TYPES):
        assert record.kept[:, column].sum() == kept_count(0.4, 2 * layout.size(kind))
    history, scores = record.history, record.scores
    assert history["step"].tolist() == list(range(1, 41))
    assert history["remaining"].iloc[-1] == 0.4
    # Flips account for every change of the kept count between logged steps.
    before = np.concatenate([[layout.n_weights], history["kept"][:-1]])
    np.testing.assert_array_equal(before + history["flips_in"] - history["flips_out"], history["kept"])
    assert scores.steps.tolist() == list(range(0, 41, 2))
    sizes = [layout.size(matrix.matrix_type) for matrix in layout.matrices]
    np.testing.assert_array_equal((scores.kept_histogram + scores.removed_histogram).sum(axis=2), [sizes] * 21)
    np.testing.assert_array_equal(scores.kept_histogram.sum(axis=2), scores.kept)
    np.testing.assert_array_equal(scores.kept[:-1] + (scores.flips_in - scores.flips_out)[1:], scores.kept[1:])
    np.testing.assert_array_equal(scores.kept_in_final[-1], scores.kept[-1])
    np.testing.assert_array_equal(scores.weight_score_histogram.sum(axis=(1, 2)), sizes)
    evaluations = record.results["evaluations"]
    assert [evaluation["step"] for evaluation in evaluations] == list(range(4, 41, 4))
    assert evaluations[-1]["accuracy"] == record.main_value
    assert record.results["best"]["value"] == max(evaluation["accuracy"] for evaluation in evaluations)
    arrived = [evaluation for evaluation in evaluations if evaluation["remaining"] == evaluations[-1]["remaining"]]
    assert record.results["best_at_final_density"]["step"] >= arrived[0]["step"] > evaluations[0]["step"]
    assert record.results["best_at_final_density"]["value"] == max(row["accuracy"] for row in arrived)
    assert record.results["trainable_parameters"] == layout.n_weights
    assert record.provenance["resumed"] == 0
    assert "processes" not in record.provenance


def test_history_follows_a_linear_schedule_and_the_ramp_of_the_paper(prepared, runs):
    settings = {"schedule": "linear", "schedule_steps": 20, "regularizer_ramp": "paper", "regularizer": 60}
    record = train(prepared(method="smp_g", remaining=0.25, **settings), runs, command="")
    way = np.minimum(np.arange(1, 41) / 20, 1)
    np.testing.assert_allclose(record.history["remaining"], 1 - 0.75 * way)
    np.testing.assert_allclose(record.history["regularizer_weight"], 60 * way)
    kept = [kept_count(remaining, record.layout.n_weights) for remaining in record.history["remaining"]]
    np.testing.assert_array_equal(record.history["kept"], kept)


def test_a_share_temperature_evens_out_the_layers_and_makes_another_run(prepared, runs):
    # Large steps, so that so short a run has layers to tell apart.
    plain, even = (train(prepared(share_temperature=p, score_learning_rate=1), runs, command="") for p in (1, 4))
    even.verify()
    assert even.config.share_temperature == 4 and even.run_id != plain.run_id
    assert even.kept.sum() == plain.kept.sum()
    assert np.ptp(even.kept, axis=0).sum() < np.ptp(plain.kept, axis=0).sum()


def test_predictions_are_in_the_order_of_the_file(prepared, runs):
    ready = prepared()
    record = train(ready, runs, command="")
    targets = ready.data.development["validation"].targets
    predictions = record.predictions
    np.testing.assert_array_equal(predictions["prediction"] == targets, predictions["correct"])
    metrics = compute_metrics(ready.data.task, "", targets, predictions["prediction"].to_numpy())
    assert metrics == record.results["metrics"]


@pytest.mark.parametrize(("task", "metric"), [("stsb", "pearson"), ("mnli", "accuracy_matched")])
def test_regression_and_two_development_splits(prepared, runs, task, metric):
    record = train(prepared(task, n_train=30, epochs=1), runs, command="")
    record.verify()
    assert metric in record.results["metrics"]
    assert len(record.predictions) == sum(record.results["n_examples"].values())
    if task == "stsb":
        targets = tiny_data(task).development["validation"].targets
        np.testing.assert_allclose(record.predictions["prediction"] - targets, record.predictions["error"], atol=1e-6)


@pytest.mark.parametrize("method", ["smp_s", "movement"])
def test_a_whole_run_on_the_layout_of_roberta(prepared, runs, tmp_path, roberta_folder, method):
    def ready():
        return prepared(method=method, encoder=str(roberta_folder), max_length=38)

    undisturbed = train(ready(), tmp_path / "whole", command="")
    stop_at(21, ready(), runs)
    record = train(ready(), runs, command="")
    record.verify()
    layout = record.layout
    assert layout == load_encoder(find_encoder(str(roberta_folder))).layout
    per_matrix = [kept_count(0.4, layout.size(matrix.matrix_type)) for matrix in layout.matrices]
    per_type = [kept_count(0.4, 2 * layout.size(kind)) for kind in MATRIX_TYPES]
    assert record.kept.sum() == sum(per_type if method == "smp_s" else per_matrix)
    assert record.provenance["resumed"] == 1
    assert same_masks(undisturbed, record)
    assert record.predictions.equals(undisturbed.predictions)
    assert record.results["evaluations"] == undisturbed.results["evaluations"]


def test_no_frozen_parameter_changes_by_a_bit(prepared, runs, bert_folder, built):
    train(prepared(), runs, command="")
    on_disk = load_file(bert_folder / "model.safetensors")
    parameters = dict(built[0].encoder.named_parameters())
    assert BERT.parameter_name(load_encoder(find_encoder(str(bert_folder))).layout.matrices[0]) in parameters
    for name, parameter in parameters.items():
        assert torch.equal(parameter, on_disk[name]), name


def test_same_settings_give_the_same_mask_and_another_seed_another(prepared, runs, tmp_path):
    first = train(prepared(), runs, command="")
    second = train(prepared(), tmp_path / "again", command="")
    assert same_masks(first, second)
    assert first.results["evaluations"] == second.results["evaluations"]
    assert not same_masks(first, train(prepared(seed=1), runs, command=""))


@pytest.mark.parametrize("step", [1, 7, 8, 21, 39])
def test_stopped_and_resumed_equals_undisturbed_to_the_bit(prepared, runs, tmp_path, monkeypatch, step):
    undisturbed = train(prepared(), tmp_path / "whole", command="")
    stop_at(step, prepared(), runs)
    assert not list_runs([runs]).records
    monkeypatch.undo()
    monkeypatch.setattr(training, "code_version", lambda: {"git_commit": "0" * 40, "git_dirty": False})
    resumed = train(prepared(), runs, command="")
    assert resumed.provenance["resumed"] == 1
    threads, commit = torch.get_num_threads(), undisturbed.provenance["git_commit"]
    first, second = resumed.provenance["processes"]
    assert (first["from_step"], first["threads"], first["git_commit"]) == (0, threads, commit)
    version = {"git_commit": "0" * 40, "git_dirty": False}
    assert second == {"from_step": step, **conditions(prepared().config), **version}
    assert same_masks(undisturbed, resumed)
    assert undisturbed.results["evaluations"] == resumed.results["evaluations"]
    for column in set(undisturbed.history) - {"seconds"}:
        np.testing.assert_array_equal(undisturbed.history[column], resumed.history[column], column)
    for name, array in vars(undisturbed.scores).items():
        np.testing.assert_array_equal(array, getattr(resumed.scores, name), name)


def test_a_checkpoint_without_its_seal_is_passed_over(prepared, runs, tmp_path):
    undisturbed = train(prepared(), tmp_path / "whole", command="")
    stop_at(20, prepared(), runs)
    ready = prepared()
    folder = unfinished_folder(runs, ready.config.run_id)
    half = torn_checkpoint(folder, 30)
    assert newest_whole(folder, ready.config)[0].name == "checkpoint-20"
    assert same_masks(undisturbed, train(ready, runs, command=""))
    assert not half.exists()


def torn_checkpoint(folder, step):
    half = folder / f"checkpoint-{step}"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"cut off")
    return half


def test_a_checkpoint_without_its_seal_does_not_take_the_place_of_a_whole_one(prepared, runs, tmp_path, monkeypatch):
    undisturbed = train(prepared(), tmp_path / "whole", command="")
    stop_at(8, prepared(), runs)
    ready = prepared()
    folder = unfinished_folder(runs, ready.config.run_id)
    torn_checkpoint(folder, 12)

    # The next checkpoint is torn as well: all its files are there, and the seal is not.
    def fail(*_):
        raise OSError(28, "No space left on device")

    ask_at(16, monkeypatch)
    monkeypatch.setattr(trainer_module, "seal", fail)
    with pytest.raises(RunWriteError, match="checkpoint-16 could not be written"):
        train(prepared(), runs, command="")
    monkeypatch.undo()
    ready = prepared()
    assert newest_whole(folder, ready.config)[0].name == "checkpoint-8"
    assert same_masks(undisturbed, train(ready, runs, command=""))


@pytest.mark.parametrize("epochs", [1, 1.5])
def test_a_run_whose_record_could_not_be_written_is_finished_by_the_same_command(
    prepared, runs, tmp_path, monkeypatch, epochs
):
    undisturbed = train(prepared(epochs=epochs), tmp_path / "whole", command="")
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_CHECKPOINTS", -1)

    def fail(*_, **__):
        raise RunWriteError("No space left on device")

    monkeypatch.setattr(training, "save_run", fail)
    with pytest.raises(RunWriteError):
        train(prepared(epochs=epochs), runs, command="")
    monkeypatch.undo()
    resumed = train(prepared(epochs=epochs), runs, command="")
    resumed.verify()
    assert resumed.provenance["resumed"] == 1
    assert resumed.results["evaluations"] == undisturbed.results["evaluations"]
    assert resumed.predictions.equals(undisturbed.predictions)
    assert same_masks(undisturbed, resumed)


def test_a_stop_asked_for_in_the_last_step_is_the_end_of_the_run(prepared, runs, monkeypatch):
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_CHECKPOINTS", -1)
    ask_at(8, monkeypatch)
    record = train(prepared(epochs=1), runs, command="")
    record.verify()
    assert record.results["evaluations"][-1]["step"] == 8


def test_checkpoints_of_other_settings_or_another_version_are_refused(prepared, runs):
    stop_at(5, prepared(), runs)
    ready = prepared()
    folder = unfinished_folder(runs, ready.config.run_id)
    with pytest.raises(TrainingError, match="belongs to a run with other settings"):
        newest_whole(folder, prepared(seed=3).config)
    seal = folder / "checkpoint-5" / SEAL_FILE
    older = CHECKPOINT_SCHEMA - 1
    seal.write_text(
        seal.read_text().replace(f'"checkpoint_schema": {CHECKPOINT_SCHEMA}', f'"checkpoint_schema": {older}')
    )
    with pytest.raises(TrainingError, match=f"has schema {older}; .* Resume with the version that wrote it"):
        newest_whole(folder, ready.config)


@pytest.mark.parametrize("content", [b"", b'{"checkpoint_schema": 2, "conf', b"1"])
def test_a_checkpoint_with_half_a_seal_is_passed_over(prepared, runs, tmp_path, monkeypatch, content):
    undisturbed = train(prepared(epochs=1), tmp_path / "whole", command="")
    ready = prepared(epochs=1)
    folder = unfinished_folder(runs, ready.config.run_id)
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "SECONDS_BETWEEN_CHECKPOINTS", -1)
        stop_at(5, ready, runs)
    (folder / "checkpoint-5" / SEAL_FILE).write_bytes(content)
    assert newest_whole(folder, ready.config)[0].name == "checkpoint-4"
    assert same_masks(train(prepared(epochs=1), runs, command=""), undisturbed)


def test_half_a_record_of_a_killed_process_is_cleared_away(prepared, runs):
    ready = prepared(epochs=1)
    left, other = (
        runs / UNFINISHED_FOLDER / run_id / "writing-0a0b" / f".writing-{run_id}-17-0a0b"
        for run_id in (ready.config.run_id, "rte-smp_s-r0.4-s9-00000000")
    )
    for folder in (left, other):
        folder.mkdir(parents=True)
        (folder / "masks.npz").write_bytes(b"cut off")
    train(ready, runs, command="").verify()
    assert not left.exists() and other.exists()


def test_a_checkpoint_holds_only_what_is_trained(prepared, runs):
    stop_at(5, prepared(), runs)
    folder = unfinished_folder(runs, prepared().config.run_id)
    names = load_file(folder / "checkpoint-5" / "model.safetensors").keys()
    assert names and all(name.startswith("pruned.scores") for name in names)


def test_a_run_that_is_there_or_being_trained_is_not_started(prepared, runs):
    ready = prepared(epochs=1)
    folder = unfinished_folder(runs, ready.config.run_id)
    script = (
        "import sys, time; from pathlib import Path; from smp_lab.lease import held\n"
        "with held(Path(sys.argv[1])): print('held', flush=True); time.sleep(1e6)"
    )
    holder = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunExistsError, match="is being trained by another process"):
            train(ready, runs, command="")
    finally:
        holder.kill()
        holder.communicate()
    train(ready, runs, command="")
    # As from a process that was killed when the record was written.
    (folder / "checkpoint-5").mkdir(parents=True)
    with pytest.raises(RunExistsError, match="is already in"):
        train(ready, runs, command="")
    assert not folder.exists()


def test_what_fails_because_another_process_has_the_run_says_so(prepared, runs, monkeypatch):
    monkeypatch.setenv(LEASE_VARIABLE, "0.01")

    def fails(ready, runs, folder, *_):
        (folder / "lease").rename(folder / "lease-before")
        time.sleep(0.1)
        raise FileNotFoundError(folder / "checkpoint-5")

    monkeypatch.setattr(training, "_train", fails)
    with pytest.raises(LeaseLostError, match="was taken over by another process"):
        train(prepared(), runs, command="")


def test_a_folder_that_cannot_be_written_is_told(prepared, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunWriteError, match="could not be written"):
        train(prepared(), tmp_path / "file", command="")


@pytest.mark.parametrize(
    ("writer", "error"),
    [
        ("_save_optimizer_and_scheduler", RuntimeError("[enforce fail at inline_container.cc] unexpected pos 64 vs 0")),
        ("_save_rng_state", OSError(28, "No space left on device")),
    ],
)
def test_a_full_disk_at_a_checkpoint_is_told_and_the_one_before_is_kept(prepared, runs, monkeypatch, writer, error):
    undisturbed = train(prepared(), runs / "whole", command="")
    stop_at(8, prepared(), runs)

    def fail(*_):
        raise error

    ask_at(16, monkeypatch)
    monkeypatch.setattr(trainer_module.PruningTrainer, writer, fail)
    with pytest.raises(RunWriteError, match="Checkpoint .*checkpoint-16 could not be written .*Free space"):
        train(prepared(), runs, command="")
    monkeypatch.undo()
    ready = prepared()
    assert newest_whole(unfinished_folder(runs, ready.config.run_id), ready.config)[0].name == "checkpoint-8"
    assert same_masks(train(ready, runs, command=""), undisturbed)


def test_a_loss_that_is_not_a_number_ends_the_run_and_says_where(prepared, runs, monkeypatch):
    from smp_lab.training.heads import Classes

    plain = Classes.loss
    calls = []

    def break_later(self, scores, targets):
        calls.append(1)
        return plain(self, scores, targets) * (torch.nan if len(calls) == 3 else 1)

    monkeypatch.setattr(Classes, "loss", break_later)
    with pytest.raises(TrainingError, match=r"nan at step 2: training has diverged. Try a smaller learning rate\.$"):
        train(prepared(), runs, command="")
    assert list(runs.glob(".unfinished/*")) == []


def test_fp32_is_advised_to_a_run_that_has_another_precision(prepared, runs, monkeypatch):
    from smp_lab.training.heads import Classes

    monkeypatch.setattr(Classes, "loss", lambda self, scores, targets: scores.sum() * torch.nan)
    with pytest.raises(TrainingError, match=r"Try a smaller learning rate or --precision fp32\.$"):
        train(prepared(precision="bf16"), runs, command="")


def test_a_loss_that_is_not_a_number_leaves_the_last_checkpoint(prepared, runs, monkeypatch):
    from smp_lab.training.heads import Classes

    undisturbed = train(prepared(), runs / "whole", command="")
    stop_at(8, prepared(), runs)
    monkeypatch.setattr(Classes, "loss", lambda self, scores, targets: scores.sum() * torch.nan)
    with pytest.raises(TrainingError, match="The loss is nan at step 8: training has diverged"):
        train(prepared(), runs, command="")
    monkeypatch.undo()
    ready = prepared()
    assert newest_whole(unfinished_folder(runs, ready.config.run_id), ready.config)[0].name == "checkpoint-8"
    assert same_masks(train(ready, runs, command=""), undisturbed)


def test_a_dense_run_leaves_its_weights_beside_its_record_and_no_other_does(prepared, runs, built, bert_folder):
    lines = []
    record = train(prepared(method="dense", remaining=None, epochs=1), runs, command="", write=lines.append)
    file = weights_file(runs, record.run_id)
    kept = load_file(file)
    trained = dict(built[0].named_parameters())
    assert kept.keys() == trained.keys() and {"head.weight", "head.bias"} < kept.keys()
    for name, parameter in trained.items():
        assert torch.equal(kept[name], parameter), name
    name = next(known for known in kept if known.endswith("encoder.layer.0.attention.self.query.weight"))
    assert not torch.equal(kept[name], load_file(bert_folder / "model.safetensors")[name.removeprefix("encoder.")])
    assert any(str(file) in line for line in lines)
    assert {entry.name for entry in file.parent.iterdir()} == {"model.safetensors"}
    record.verify()
    assert list(list_runs([runs]).records) == [record.run_id]
    movement = train(prepared(method="movement", epochs=1), runs, command="")
    assert not weights_file(runs, movement.run_id).exists()


def test_weights_that_cannot_be_written_are_told_and_leave_no_record(prepared, runs, monkeypatch):
    def fail(state, file):
        file.write_bytes(b"cut off")
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(kept_weights, "save_file", fail)
    ready = prepared(method="dense", remaining=None, epochs=1)
    with pytest.raises(RunWriteError, match="The weights of run .* could not be written .*No space left"):
        train(ready, runs, command="")
    assert not list_runs([runs]).records
    assert list(weights_file(runs, ready.config.run_id).parent.iterdir()) == []


def test_examples_longer_than_the_encoder_takes_are_refused(prepared, runs):
    with pytest.raises(ConfigError, match="'tiny-bert' takes at most 40 tokens an example; got --max-length 41"):
        train(prepared(max_length=41), runs, command="")


@pytest.mark.parametrize("method", ["random", "smp_l"])
def test_the_last_evaluation_is_part_of_the_time(prepared, runs, monkeypatch, method):
    evaluate = trainer_module.PruningTrainer.evaluate

    def slowly(self, *given, **named):
        time.sleep(0.3)
        return evaluate(self, *given, **named)

    monkeypatch.setattr(trainer_module, "N_EVALUATIONS", 1)
    monkeypatch.setattr(trainer_module.PruningTrainer, "evaluate", slowly)
    epochs = {} if method == "smp_l" else {"epochs": None}
    record = train(prepared(method=method, n_train=8, **epochs), runs, command="")
    assert record.provenance["wall_seconds"] >= 0.3


def test_time_goes_on_after_a_resume(prepared, runs):
    stop_at(20, prepared(), runs)
    ready = prepared()
    checkpoint = newest_whole(unfinished_folder(runs, ready.config.run_id), ready.config)
    record = train(ready, runs, command="")
    seconds = record.history["seconds"].to_numpy()
    assert (np.diff(seconds) > 0).all()
    assert seconds[19] <= checkpoint[1]["state"]["seconds"] < seconds[20]
    assert seconds[-1] <= record.provenance["wall_seconds"] + 0.05


def test_fractions_of_an_epoch_are_counted_as_they_are_written(prepared, runs):
    # 1.1 * 50 is 55.00000000000001 in floating point.
    record = train(prepared(n_train=50, batch_size=1, epochs=1.1), runs, command="")
    assert record.results["total_steps"] == 55


def test_an_unknown_logger_is_told(prepared, runs):
    with pytest.raises(ConfigError, match="Logger 'foo' cannot be used"):
        train(prepared(), runs, command="", report_to="foo")


def test_a_label_word_of_several_tokens_leaves_nothing_behind(prepared, runs):
    with pytest.raises(ConfigError, match="'unreal' is 2 tokens"):
        train(prepared(label_words=("yes", "unreal")), runs, command="")
    assert list(runs.glob(".unfinished/*")) == []


def test_processes_that_do_not_divide_the_batch_are_refused(prepared, runs, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="3 processes cannot share batches of 8"):
        train(prepared(), runs, command="")


# Only the first process finds that time for a checkpoint has come, at every step.
TWO_CLOCKS = """
import os, sys
from smp_lab import cli
from smp_lab.training import trainer

trainer.SECONDS_BETWEEN_CHECKPOINTS = 0 if os.environ["RANK"] == "0" else 1e9
trainer.STEPS_BETWEEN_QUESTIONS = 3
save = trainer.PruningTrainer._save_checkpoint

def save_and_tell(self, *given):
    save(self, *given)
    os.write(1, f"rank {os.environ['RANK']} saved {self.state.global_step}\\n".encode())

trainer.PruningTrainer._save_checkpoint = save_and_tell
cli.main()
"""


@pytest.mark.slow
def test_two_processes_share_a_run(bert_folder, runs, glue, tmp_path):
    program = tmp_path / "two_clocks.py"
    program.write_text(TWO_CLOCKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(program), "train", "--task", "rte", "--remaining", "0.4", "--precision", "fp32"]
    command += ["--encoder", str(bert_folder), "--glue-dir", str(glue), "--runs", str(runs)]
    command += ["--batch-size", "4", "--epochs", "1.6", "--max-length", "40"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS, env=environment)
    assert done.returncode == 0, done.stderr
    (record,) = list_runs([runs]).records.values()
    record.verify()
    assert record.history["step"].tolist() == list(range(1, 9))
    assert record.kept.sum() == sum(kept_count(0.4, 2 * record.layout.size(kind)) for kind in MATRIX_TYPES)
    assert done.stdout.count(f"run {record.run_id}") == 1
    saved = sorted(line for line in done.stdout.splitlines() if "saved" in line)
    assert saved == [f"rank {rank} saved {step}" for rank in (0, 1) for step in (3, 6)]


def test_score_bins_cover_everything_once():
    assert SCORE_EDGES[0] == -np.inf and SCORE_EDGES[-1] == np.inf
    assert (np.diff(SCORE_EDGES[1:-1]) > 0).all()
    assert 0 in SCORE_EDGES
    assert (-SCORE_EDGES[::-1] == SCORE_EDGES).all()


def test_score_bins_are_fine_where_scores_begin_and_hold_where_they_end():
    def widths(low, high):
        return np.diff(SCORE_EDGES[(low <= SCORE_EDGES) & (high >= SCORE_EDGES)])

    assert (widths(-1, 1) == 1 / 32).all()
    assert (widths(-16, -1) == 1 / 8).all() and (widths(1, 16) == 1 / 8).all()
    assert SCORE_EDGES[-2] >= 1000


@pytest.mark.parametrize(
    ("changes", "ramp"), [({}, "code"), ({"regularizer": 10.0}, "code"), ({"regularizer": 0.0}, None)]
)
def test_movement_without_a_regulariser_has_no_ramp(prepared, changes, ramp):
    assert prepared(method="movement", **changes).config.regularizer_ramp == ramp


def test_a_new_file_of_the_package_makes_a_clone_dirty(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        subprocess.run(["git", "-C", tmp_path, *identity, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(provenance, "project_folder", lambda: tmp_path)
    (tmp_path / "smp_lab").mkdir()
    (tmp_path / "smp_lab" / "code.py").write_text("")
    git("init")
    git("add", ".")
    git("commit", "-m", "all")
    (tmp_path / "notes").write_text("")
    assert provenance.code_version()["git_dirty"] is False
    (tmp_path / "smp_lab" / "more.py").write_text("")
    assert provenance.code_version()["git_dirty"] is True
