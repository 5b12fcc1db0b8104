"""Finished masks on other tasks, with a tiny encoder."""

import numpy as np
import pytest
import torch
from torch.nn.functional import linear
from training.conftest import tiny_data

from smp_lab.errors import ConfigError, DataError, TrainingError
from smp_lab.masks import kept_count, top_k
from smp_lab.storage.transfers import TRANSFERS
from smp_lab.training import prepare as prepare_module
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.metrics import compute_metrics
from smp_lab.training.prepare import prepare
from smp_lab.training.run import train
from smp_lab.training.transfer import CONTROLS, transfer

N_CONTROLS = len(CONTROLS)


@pytest.fixture
def data(monkeypatch):
    """Tiny data of every task; a test may replace those of one."""
    found = {}
    monkeypatch.setattr(prepare_module, "load_task_data", lambda task, **_: found.setdefault(task, tiny_data(task)))
    return found


@pytest.fixture
def trained(bert_folder, runs, data):
    """``trained("rte")`` trains a small mask and returns its record."""

    def trained(task, method="smp_s", remaining=0.4, **changes):
        settings = {"encoder": str(bert_folder), "epochs": 1, "batch_size": 8, "max_length": 40, "precision": "fp32"}
        return train(prepare(task, method, remaining=remaining, **settings | changes), runs, command="")

    return trained


@pytest.fixture
def score(bert_folder, runs):
    def score(chosen, tasks, **options):
        return transfer(chosen, tasks, runs, command="smp-lab transfer", encoder=str(bert_folder), **options)

    return score


def one(transfers, **settings):
    (found,) = [t for t in transfers if all(getattr(t.settings, name) == value for name, value in settings.items())]
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_mask_on_its_own_task_gives_what_its_run_has(trained, score, precision):
    record = trained("cola", precision=precision)
    own = one(score([record], ["cola"]), mask_run=record.run_id)
    assert own.results["metrics"] == record.results["metrics"]
    np.testing.assert_array_equal(own.predictions, record.predictions)
    assert own.results["n_examples"] == record.results["n_examples"]
    assert own.results["kept"] == record.kept.sum()
    own.check_mask(record)


@pytest.mark.parametrize("poles", ["poles", "mse"])
def test_a_regression_is_scored_as_its_run_was(trained, score, poles):
    record = trained("stsb", regression_head=poles)
    own = one(score([record], ["stsb"]), mask_run=record.run_id)
    assert own.settings.label_words == record.config.label_words
    assert own.results["metrics"] == record.results["metrics"]
    assert own.results["majority"] == {"pearson": 0.0, "spearman": 0.0}


@torch.no_grad()
def by_hand(bert_folder, masks, task, words):
    """Predictions of a mask for a task, an example at a time, with the weights themselves set to zero."""
    encoder = load_encoder(find_encoder(str(bert_folder)))
    encoder.model.eval()
    for matrix, (_, weight) in encoder.matrix_parameters().items():
        weight.mul_(torch.from_numpy(masks.dense(matrix)))
    tokens = encoder.tokenizer
    embeddings = encoder.model.get_input_embeddings().weight[tokens.convert_tokens_to_ids(list(words))]
    columns = tiny_data(task).development["validation"].texts
    predictions = []
    for texts in zip(*columns, strict=True):
        first = encoder.model(**tokens(*texts, return_tensors="pt")).last_hidden_state[:, 0]
        predictions.append(int(linear(first, embeddings).argmax()))
    return np.array(predictions)


def test_a_mask_meets_the_words_of_the_other_task(trained, score, bert_folder):
    record = trained("cola")
    other = one(score([record], ["sst2"]), mask_run=record.run_id)
    expected = by_hand(bert_folder, record.masks, "sst2", ("terrible", "great"))
    np.testing.assert_array_equal(other.predictions["prediction"], expected)
    targets = tiny_data("sst2").development["validation"].targets
    assert other.results["metrics"] == compute_metrics(tiny_data("sst2").task, "", targets, expected)


def test_controls_are_those_of_control_runs(trained, score):
    record = trained("rte", remaining=0.3)
    made = score([record], ["rte"])
    assert len(made) == 1 + N_CONTROLS
    for method, seed in (("random", 1), ("magnitude_frozen", 0)):
        control = trained("rte", method, 0.3, seed=seed, epochs=None)
        scored = one(made, mask_method=method, mask_seed=seed)
        scored.check_mask(control)
        assert scored.settings.mask_run is scored.settings.mask_task is None
        assert scored.results["metrics"] == control.results["metrics"]


def test_the_magnitude_control_is_the_top_of_every_matrix(trained, score, bert_folder):
    record = trained("rte", remaining=0.3)
    made = one(score([record], ["rte"]), mask_method="magnitude_frozen")
    encoder = load_encoder(find_encoder(str(bert_folder)))
    masks = {}
    for matrix, (_, weight) in encoder.matrix_parameters().items():
        size = np.abs(weight.detach().numpy())
        masks[matrix] = top_k(size, kept_count(0.3, size.size))
    assert made.settings.mask_sha256 == type(record.masks).from_dense(encoder.layout, masks).sha256


def test_the_matrix_is_filled_once_for_each_density(trained, score, runs):
    records = [trained("rte", remaining=0.3), trained("cola", remaining=0.3), trained("cola", remaining=0.5)]
    made = score(records, ["rte", "cola"])
    assert len({t.transfer_id for t in made}) == 2 * (3 + 2 * N_CONTROLS)
    # The same random mask stands in the row of every task.
    assert len({t.settings.mask_sha256 for t in made if t.settings.mask_method == "random"}) == 2 * 3
    lines = []
    again = score(records[:1], ["rte", "cola", "mrpc"], write=lines.append)
    assert sum("is there already" in line for line in lines) == 2 * (1 + N_CONTROLS)
    assert {t.settings.task for t in again} == {"rte", "cola", "mrpc"}
    assert TRANSFERS.list([runs]).records.keys() == {t.transfer_id for t in [*made, *again]}


def test_majority_is_the_better_constant(trained, score):
    made = score([trained("mrpc")], ["mrpc"])
    targets = tiny_data("mrpc").development["validation"].targets
    assert made[0].results["majority"] == {"accuracy": max(np.bincount(targets)) / len(targets), "f1": 0.0}


@pytest.mark.parametrize("method", ["dense", "magnitude", "movement", "soft_movement", "l0"])
def test_methods_that_train_weights_have_no_mask_to_transfer(write_run, score, method):
    settings = {"remaining": {"dense": 1, "magnitude": 0.5, "movement": 0.5}.get(method), "weight_learning_rate": 3e-5}
    settings |= {"threshold": 0.1} if method == "soft_movement" else {}
    record = write_run(method=method, **settings)
    with pytest.raises(TrainingError, match=rf"Run {record.run_id} \({method}\) trained the weights .* smp_l, smp_s"):
        score([record], ["rte"])


def test_a_linear_head_is_refused(write_run, score):
    record = write_run(head="linear", label_words=None)
    with pytest.raises(TrainingError, match=f"Run {record.run_id} trained a new linear head"):
        score([record], ["rte"])


def test_a_mask_over_another_encoder_is_refused(write_run, score, data):
    record = write_run()
    with pytest.raises(TrainingError, match=r"mask over tiny-test-encoder \(aaaaaaaa\); the encoder here is tiny-bert"):
        score([record], ["rte"])


def test_two_classifiers_of_one_task_are_refused(trained, score):
    records = [trained("rte"), trained("rte", label_words=("great", "terrible"))]
    with pytest.raises(ConfigError, match="of task 'rte' differ in label_words and cannot be scored at once"):
        score(records, ["rte"])
    assert len(score(records, ["cola"])) == 2 + N_CONTROLS


def test_other_examples_than_those_of_the_run_are_refused(trained, score, data):
    record = trained("rte")
    data["rte"] = tiny_data("rte", seed=1)
    with pytest.raises(DataError, match=f"The examples of task 'rte' here .* are not those of run {record.run_id}"):
        score([record], ["rte"])
