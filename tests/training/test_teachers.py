"""Runs with a teacher: dense runs of this lab, checkpoints of others, and what does not fit."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from training.conftest import SIZES, same_masks, stop_at
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertTokenizerFast,
    DataCollatorWithPadding,
    FunnelConfig,
    FunnelForSequenceClassification,
)
from typer.testing import CliRunner

from smp_lab import cli
from smp_lab.errors import ConfigError, EncoderError, TrainingError
from smp_lab.paths import unfinished_folder, weights_file
from smp_lab.storage.runs import list_runs
from smp_lab.tasks import get_task
from smp_lab.training import encoders, teachers, trainer
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.examples import tokenize
from smp_lab.training.run import train
from smp_lab.training.teachers import class_order, find_teacher, load_teacher


@pytest.fixture
def dense(prepared, runs):
    """A dense run whose weights are kept."""
    return train(prepared(method="dense", remaining=None, epochs=1), runs, command="smp-lab train --method dense")


@pytest.fixture
def taught(prepared, runs):
    """A prepared run with a teacher of `runs`."""
    return lambda teacher, **changes: prepared(teacher=str(teacher), teacher_runs=[runs], **changes)


@pytest.fixture
def checkpoint(bert_folder, tmp_path):
    """``checkpoint(id2label)`` writes a classifier with the tiny encoder's tokenizer."""

    def write(names=("entailment", "not_entailment"), vocabulary=None, **changes):
        folder = tmp_path / "classifier"
        shutil.copytree(bert_folder, folder)
        (folder / "model.safetensors").unlink()
        if vocabulary:
            (folder / "vocab.txt").write_text("\n".join(vocabulary))
            BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
        words = len((folder / "vocab.txt").read_text().split("\n"))
        torch.manual_seed(1)
        config = BertConfig(vocab_size=words, id2label=dict(enumerate(names)), **(SIZES | changes))
        BertForSequenceClassification(config).save_pretrained(folder)
        return folder

    return write


def answers(name, prepared_run, runs=()):
    """Logits of a teacher on the development examples, in the order of their file, and these."""
    config, data, files = prepared_run.config, prepared_run.data, prepared_run.files
    encoder = load_encoder(files)
    teacher = find_teacher(str(name), data.task, runs=runs, encoder=files)
    examples = tokenize(data.development["validation"], encoder.tokenizer, config.max_length)
    model = load_teacher(teacher, config, encoder)
    return teachers.teacher_logits(model, examples, DataCollatorWithPadding(encoder.tokenizer)), examples


def test_a_run_with_a_teacher_from_the_command_line(runs, bert_folder, glue):
    def smp_lab_train(*arguments):
        arguments = ["train", "--task", "rte", "--encoder", str(bert_folder), "--glue-dir", str(glue), *arguments]
        arguments += ["--runs", str(runs), "--epochs", "2", "--batch-size", "4", "--precision", "fp32"]
        return CliRunner().invoke(cli.commands, [*arguments, "--max-length", "40"], catch_exceptions=False)

    assert smp_lab_train("--method", "dense").exit_code == 0
    (teacher,) = list_runs([runs]).records.values()
    result = smp_lab_train("--remaining", "0.5", "--teacher", teacher.run_id, "--kl-direction", "student_teacher")
    assert result.exit_code == 0
    (record,) = (run for run in list_runs([runs]).records.values() if run.config.method == "smp_s")
    record.verify()
    name, fingerprint = record.config.teacher.split("@")
    assert name == teacher.run_id and len(fingerprint) == 16
    assert record.config.kl_direction == "student_teacher"
    assert (record.config.distillation_temperature, record.config.distillation_weight) == (2, 0.5)
    for option in (f"--teacher {teacher.run_id} ", "--kl-direction student_teacher "):
        assert option in record.provenance["command"]
    assert record.provenance["teacher_source"] == "run of this lab"
    lines = result.stdout.splitlines()
    assert f"teacher {record.config.teacher}: run of this lab" in lines
    assert "teacher: its answers to 20 training examples, once" in lines


def test_a_dense_run_answers_as_it_did(dense, prepared, runs):
    logits, examples = answers(dense.run_id, prepared(), [runs])
    assert logits.dtype == np.float32 and logits.shape == (24, 2)
    np.testing.assert_array_equal(logits.argmax(axis=1), dense.predictions["prediction"])
    np.testing.assert_array_equal(logits.argmax(axis=1) == examples.targets, dense.predictions["correct"])
    by_folder, _ = answers(dense.path, prepared(), [runs])
    np.testing.assert_array_equal(logits, by_folder)


def test_a_dense_run_with_label_words_answers_as_it_did(prepared, runs):
    dense = train(prepared(method="dense", remaining=None, epochs=1, head="label_words"), runs, command="")
    logits, _ = answers(dense.run_id, prepared(), [runs])
    np.testing.assert_array_equal(logits.argmax(axis=1), dense.predictions["prediction"])


def test_stopped_and_resumed_equals_undisturbed_to_the_bit(dense, taught, runs, tmp_path, monkeypatch):
    undisturbed = train(taught(dense.run_id), tmp_path / "whole", command="")
    stop_at(21, taught(dense.run_id), runs)
    assert (unfinished_folder(runs, undisturbed.run_id) / "teacher_logits.npy").is_file()
    # A run that goes on does not ask its teacher again.
    monkeypatch.setattr(teachers, "teacher_logits", None)
    resumed = train(taught(dense.run_id), runs, command="")
    assert resumed.run_id == undisturbed.run_id
    assert same_masks(undisturbed, resumed)
    assert undisturbed.results["evaluations"] == resumed.results["evaluations"]
    np.testing.assert_array_equal(undisturbed.history["loss"], resumed.history["loss"])


def test_what_the_teacher_said_is_kept_before_the_first_step(dense, taught, runs, tmp_path, monkeypatch):
    undisturbed = train(taught(dense.run_id), tmp_path / "whole", command="")

    def end(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer._PruningSteps, "on_step_begin", end)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train(taught(dense.run_id), runs, command="")
        # A run that goes on does not ask its teacher again.
        monkeypatch.setattr(teachers, "teacher_logits", None)
    monkeypatch.undo()
    monkeypatch.setattr(teachers, "teacher_logits", None)
    resumed = train(taught(dense.run_id), runs, command="")
    assert resumed.provenance["resumed"] == 1
    assert same_masks(undisturbed, resumed)
    assert undisturbed.results["evaluations"] == resumed.results["evaluations"]
    np.testing.assert_array_equal(undisturbed.history["loss"], resumed.history["loss"])


def test_what_the_teacher_says_changes_the_mask_and_its_weight_decides(dense, taught, prepared, runs, checkpoint):
    alone = train(prepared(), runs, command="")
    with_teacher = train(taught(dense.run_id), runs, command="")
    other_teacher = train(taught(checkpoint()), runs, command="")
    unheard = train(taught(dense.run_id, distillation_weight=1e-12), runs, command="")
    assert len({run.run_id for run in (alone, with_teacher, other_teacher, unheard)}) == 4
    assert not same_masks(alone, with_teacher)
    assert not same_masks(other_teacher, with_teacher)
    np.testing.assert_allclose(alone.history["loss"], unheard.history["loss"], rtol=1e-5)
    # Of the development set the plain task loss is reported, whatever is trained on.
    assert unheard.results["evaluations"][0]["loss"] == pytest.approx(alone.results["evaluations"][0]["loss"], rel=1e-4)


def test_the_teacher_is_known_by_its_content(taught, checkpoint):
    folder = checkpoint()
    one = taught(folder).config
    assert one.teacher.startswith("classifier@")
    moved = folder.rename(folder.with_name("elsewhere"))
    shutil.copytree(moved, folder)
    assert taught(folder).config.run_id == one.run_id
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"not_entailment"', '"NOT_ENTAILMENT"'))
    assert taught(folder).config.run_id != one.run_id


def test_classes_of_a_checkpoint_are_found_by_name(checkpoint, prepared, bert_folder):
    folder = checkpoint(("NOT_ENTAILMENT", "Entailment"))
    logits, examples = answers(folder, prepared())
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    tokens = {name: torch.tensor([column[0]]) for name, column in examples.columns.items()}
    with torch.no_grad():
        own = model(**tokens).logits[0].numpy()
    np.testing.assert_allclose(logits[0], own[::-1], atol=1e-6)
    teacher = find_teacher(str(folder), get_task("rte"), runs=(), encoder=find_encoder(str(bert_folder)))
    assert teacher.source == "checkpoint (folder), its classes by name"


def test_classes_without_names_are_taken_in_their_order(checkpoint, taught):
    source = taught(checkpoint(("LABEL_0", "LABEL_1"))).teacher.source
    assert source == "checkpoint (folder), its classes LABEL_0, LABEL_1 taken for entailment, not_entailment"
    assert class_order({0: "contradiction", 1: "ENTAILMENT", 2: "neutral"}, get_task("mnli")) == (1, 2, 0)
    assert class_order({0: "0", 1: "1"}, get_task("rte")) is None
    written = replace(get_task("rte"), classes=("Yes", "No"))
    assert class_order({0: "No", 1: "Yes"}, written) == (1, 0)


@pytest.mark.parametrize("names", [("negative", "positive"), ("entailment", "entailment"), ("entailment", "LABEL_1")])
def test_classes_of_another_task_are_refused(checkpoint, taught, names):
    with pytest.raises(ConfigError, match=f"{', '.join(names)}; those of task 'rte' are entailment, not_entailment"):
        taught(checkpoint(names))


def test_a_teacher_of_another_label_count_is_refused(checkpoint, taught):
    with pytest.raises(ConfigError, match="'classifier' has 3 classes; task 'rte' has 2: entailment, not_entailment"):
        taught(checkpoint(("a", "b", "c")))


def test_a_teacher_of_another_tokenizer_is_refused(checkpoint, taught, runs):
    ready = taught(checkpoint(vocabulary=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "yes", "no"]))
    with pytest.raises(ConfigError, match=r"another tokenizer \(7 tokens\) than encoder 'tiny-bert' \(25\)"):
        train(ready, runs, command="")
    assert list(runs.glob(".unfinished/*")) == []


def test_a_teacher_that_takes_shorter_examples_is_refused(checkpoint, taught, runs):
    ready = taught(checkpoint(max_position_embeddings=30))
    with pytest.raises(ConfigError, match="takes at most 30 tokens an example; got --max-length 40"):
        train(ready, runs, command="")


def test_classes_that_are_named_by_numbers_have_no_names(checkpoint, taught):
    config = (folder := checkpoint()) / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"id2label": {"0": 0, "1": 1}}))
    assert taught(folder).teacher.source == "checkpoint (folder), its classes 0, 1 taken for entailment, not_entailment"


def test_a_teacher_without_numbered_positions_takes_any_length(checkpoint, prepared):
    folder = checkpoint()
    (folder / "model.safetensors").unlink()
    sizes = {"d_model": 16, "n_head": 2, "d_head": 8, "d_inner": 32, "block_sizes": [1, 1]}
    config = FunnelConfig(vocab_size=25, id2label={0: "entailment", 1: "not_entailment"}, **sizes)
    FunnelForSequenceClassification(config).save_pretrained(folder)
    assert answers(folder, prepared())[0].shape == (24, 2)


def test_a_teacher_whose_answers_are_no_numbers_is_told(checkpoint, taught, runs):
    file = (folder := checkpoint()) / "model.safetensors"
    weights = load_file(file)
    save_file(weights | {"classifier.bias": torch.full((2,), torch.nan)}, file, metadata={"format": "pt"})
    with pytest.raises(TrainingError, match="The teacher answers with NaN or infinite numbers. Name another"):
        train(taught(folder), runs, command="")


def test_a_teacher_that_the_library_stumbles_over_is_a_sentence(checkpoint, taught, runs):
    (folder := checkpoint()).joinpath("tokenizer.json").write_text("{}")
    with pytest.raises(EncoderError, match=r"Teacher classifier@\w+ cannot be read \(KeyError: 'added_tokens'\)"):
        train(taught(folder), runs, command="")
    (folder / "model.safetensors").unlink()
    torch.save({"weight": folder}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="holds more than weights in pytorch_model.bin"):
        train(taught(folder), runs, command="")
    (folder / "config.json").write_text('{"model_type": "bert", "hidden_size": "16"}')
    with pytest.raises(ConfigError, match=r"nor a checkpoint: its config.json cannot be read \(\w+: Validation error"):
        taught(folder)


def test_an_encoder_without_a_classifier_is_refused(taught, bert_folder, runs):
    with pytest.raises(ConfigError, match="is no fine-tuned classifier: it lacks .* classifier.bias"):
        train(taught(bert_folder), runs, command="")


@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_code_of_a_checkpoint_is_never_run_nor_asked_about(checkpoint, taught, prepared, monkeypatch, answer):
    folder, asked = checkpoint(), []
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or answer)
    code = {"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Model"}
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "own", "auto_map": code}))
    with pytest.raises(ConfigError, match="code of its own for model type 'own', and the code of a checkpoint is"):
        taught(folder)
    # Of an architecture that transformers has, its own code is passed over.
    (folder / "config.json").write_text(json.dumps(config | {"auto_map": code}))
    answers(folder, prepared())
    assert not asked and not (folder / "ran").exists()


def test_a_run_of_another_task_is_refused(dense, taught):
    with pytest.raises(ConfigError, match=f"Teacher {dense.run_id} is a run of task 'rte'; expected one of 'mrpc'"):
        taught(dense.run_id, task="mrpc")


def test_a_run_that_is_not_dense_is_refused(taught, write_run):
    run = write_run(method="movement", seed=3)
    with pytest.raises(ConfigError, match="is a run of method 'movement'; a teacher is a 'dense' run"):
        taught(run.run_id)


def test_a_dense_run_without_its_weights_says_how_to_make_them_again(
    dense, prepared, taught, runs, tmp_path, monkeypatch
):
    file = weights_file(runs, dense.run_id)
    file.unlink()
    sentence = f"weights of teacher {dense.run_id} are not kept in {file}. To make them again, "
    with pytest.raises(ConfigError) as caught:
        taught(dense.run_id)
    assert f"{sentence}remove {dense.path} and start: smp-lab train --method dense" in str(caught.value)
    assert str(caught.value).endswith(f" --runs {runs}")
    monkeypatch.chdir(runs.parent)
    with pytest.raises(ConfigError, match=f"remove {dense.path} and start"):
        prepared(teacher=dense.run_id, teacher_runs=[Path(runs.name)])
    # Of a cached run they are looked for among the own runs, and there they go.
    cached = tmp_path / "cached"
    cached.mkdir()
    dense.path.rename(cached / dense.run_id)
    with pytest.raises(ConfigError) as caught:
        prepared(teacher=dense.run_id, teacher_runs=[runs, cached])
    assert "To make them again, start: smp-lab train --method dense" in str(caught.value)
    assert str(caught.value).endswith(f" --runs {runs}")


def test_weights_may_lie_in_another_folder_of_runs(dense, prepared, runs, tmp_path):
    """A cached run's weights are those that its command left among the own runs."""
    cached = tmp_path / "cached"
    cached.mkdir()
    dense.path.rename(cached / dense.run_id)
    assert prepared(teacher=dense.run_id, teacher_runs=[runs, cached]).teacher.weights == weights_file(
        runs, dense.run_id
    )


def test_weights_that_were_cut_off_are_told(dense, taught, runs):
    file = weights_file(runs, dense.run_id)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(TrainingError, match=f"Weights {file} of teacher {dense.run_id} cannot be read"):
        train(taught(dense.run_id), runs, command="")


def test_weights_of_another_model_are_told(dense, taught, runs):
    file = weights_file(runs, dense.run_id)
    shutil.copy(find_encoder(str(taught(dense.run_id).files.folder)).folder / "model.safetensors", file)
    with pytest.raises(TrainingError, match="it holds other weights"):
        train(taught(dense.run_id), runs, command="")


def test_a_teacher_of_another_encoder_needs_that_encoder(
    dense, prepared, runs, bert_folder, bert_with_head_folder, tmp_path, monkeypatch
):
    def fetch(name):
        raise EncoderError(f"Encoder {name!r} could not be fetched.")

    monkeypatch.setattr(encoders, "_fetch_from_hub", fetch)
    monkeypatch.chdir(tmp_path)
    settings = {"teacher": dense.run_id, "teacher_runs": [runs], "encoder": str(bert_with_head_folder)}
    with pytest.raises(ConfigError, match=f"teacher {dense.run_id} was trained from is not found: Encoder 'tiny-bert'"):
        prepared(**settings)
    shutil.copytree(bert_with_head_folder, "tiny-bert")
    with pytest.raises(ConfigError, match=f"Teacher {dense.run_id} was trained from another 'tiny-bert'"):
        prepared(**settings)
    shutil.rmtree("tiny-bert")
    shutil.copytree(bert_folder, "tiny-bert")
    record = train(prepared(epochs=1, **settings), runs, command="")
    assert record.config.base_model == "tiny-bert-mlm" and record.config.teacher.startswith(dense.run_id)


def test_no_such_teacher(taught, runs):
    with pytest.raises(ConfigError, match=f"Teacher './none' is neither a run in {runs} nor a checkpoint: "):
        taught("./none")


def test_a_regression_has_no_teacher(taught, dense):
    with pytest.raises(ConfigError, match="Task 'stsb' is a regression: a teacher of it gives a number"):
        taught(dense.run_id, task="stsb")


def test_a_control_has_no_teacher(taught, dense):
    with pytest.raises(ConfigError, match="Method 'random' has no use for teacher"):
        taught(dense.run_id, method="random", epochs=None)
