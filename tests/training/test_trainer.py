"""What the trainer does beyond the library's: rates, batches, divergence, the history of a run that goes on."""

import numpy as np
import pytest
import torch
from training.conftest import same_masks, stop_at

from smp_lab.errors import TrainingError
from smp_lab.paths import unfinished_folder
from smp_lab.training import trainer as trainer_module
from smp_lab.training.checkpoints import newest_whole
from smp_lab.training.run import train
from smp_lab.training.trainer import LengthGroupedByEpoch

RATES = {"score_learning_rate": 0.03, "weight_learning_rate": 0.002, "head_learning_rate": 0.0001}


def test_scores_weights_and_head_have_rates_of_their_own_that_fall_linearly_to_0(prepared, runs, monkeypatch):
    seen = []
    plain = trainer_module.PruningTrainer.training_step

    def look(self, *given):
        groups = self.optimizer.param_groups
        assert {group["weight_decay"] for group in groups} == {0}
        rates = {id(parameter): group["lr"] for group in groups for parameter in group["params"]}
        parts = (self.model.pruned.scores, self.model.encoder.encoder.parameters(), self.model.head.parameters())
        seen.append([{rates.pop(id(parameter)) for parameter in part} for part in parts])
        assert not rates
        return plain(self, *given)

    monkeypatch.setattr(trainer_module.PruningTrainer, "training_step", look)
    record = train(prepared(method="movement", epochs=1, **RATES), runs, command="")
    for step, parts in enumerate(seen):
        assert all(len(rates) == 1 for rates in parts)
        np.testing.assert_allclose([*map(min, parts)], np.array([*RATES.values()]) * (1 - step / 8))
    np.testing.assert_allclose(record.history["learning_rate"], 0.03 * (1 - np.arange(8) / 8))


def test_a_linear_head_over_frozen_weights_is_trained_at_its_own_rate(prepared, runs, monkeypatch, built):
    def moved(rate):
        start = {}
        begin = trainer_module.PruningTrainer.training_step

        def note(self, *given):
            start.setdefault("weight", self.model.head.weight.detach().clone())
            return begin(self, *given)

        with monkeypatch.context() as patch:
            patch.setattr(trainer_module.PruningTrainer, "training_step", note)
            record = train(prepared(head="linear", epochs=1, head_learning_rate=rate), runs, command="")
        assert record.results["trainable_parameters"] == record.layout.n_weights + 2 * 16 + 2
        return (built[-1].head.weight - start["weight"]).abs().max().item()

    # Adam moves a parameter by its rate a step at most, and by nearly as much while its gradient keeps its sign.
    assert 1e-4 < moved(1e-4) <= 8e-4
    assert 1e-2 < moved(1e-2) <= 8e-2


def test_batches_follow_from_seed_and_epoch_and_hold_every_example_once():
    lengths = np.random.default_rng(0).integers(1, 100, 500).tolist()

    def order(seed, epoch):
        return list(LengthGroupedByEpoch(lengths, 10, seed, lambda: epoch))

    orders = [order(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    assert all(sorted(one) == list(range(500)) for one in orders)
    assert len(set(map(tuple, orders))) == 4
    torch.manual_seed(5)
    assert order(1, 0) == orders[2]
    spread = np.ptp(np.array(lengths)[orders[0]].reshape(50, 10), axis=1).mean()
    assert spread < np.ptp(np.array(lengths).reshape(50, 10), axis=1).mean() / 5


@pytest.mark.parametrize("method", ["smp_s", "smp_t", "movement"])
def test_an_update_that_spoils_what_is_trained_ends_the_run_and_is_in_no_checkpoint(
    prepared, runs, tmp_path, monkeypatch, method
):
    """The loss of the step was finite."""

    def ready():
        return prepared(method=method, remaining=None if method == "smp_t" else 0.4)

    # A row of the history and an evaluation after every tenth step, a checkpoint after each.
    monkeypatch.setattr(trainer_module, "N_LOGGED", 4)
    monkeypatch.setattr(trainer_module, "N_EVALUATIONS", 4)
    monkeypatch.setattr(trainer_module, "SECONDS_BETWEEN_CHECKPOINTS", -1)
    undisturbed = train(ready(), tmp_path / "whole", command="")
    plain = trainer_module.PruningTrainer.training_step

    def spoil(self, *given):
        loss = plain(self, *given)
        if self.state.global_step == 5:
            trained = next(parameter for parameter in self.model.parameters() if parameter.grad is not None)
            trained.grad.view(-1)[3] = torch.nan
        return loss

    with monkeypatch.context() as patch:
        patch.setattr(trainer_module.PruningTrainer, "training_step", spoil)
        with pytest.raises(TrainingError, match="NaN or infinite at step 6: training has diverged. Try a smaller"):
            train(ready(), runs, command="")
        config = ready().config
        assert newest_whole(unfinished_folder(runs, config.run_id), config)[0].name == "checkpoint-5"
        patch.setattr(trainer_module, "SECONDS_BETWEEN_CHECKPOINTS", 1e9)
        sentence = (
            "no mask for step 6: Scores hold NaN" if method == "smp_s" else "at step (6|10): training has diverged"
        )
        with pytest.raises(TrainingError, match=sentence):
            train(ready(), runs, command="")
    assert same_masks(train(ready(), runs, command=""), undisturbed)


@pytest.mark.parametrize("step", [10, 23])
def test_a_row_of_history_is_the_mean_of_its_steps_wherever_the_run_was_stopped(
    prepared, runs, tmp_path, monkeypatch, step
):
    every_step = train(prepared(), tmp_path / "every_step", command="").history["loss"]
    monkeypatch.setattr(trainer_module, "N_LOGGED", 4)
    undisturbed = train(prepared(), tmp_path / "whole", command="").history
    stop_at(step, prepared(), runs)
    resumed = train(prepared(), runs, command="").history
    assert undisturbed["step"].tolist() == [10, 20, 30, 40]
    np.testing.assert_allclose(undisturbed["loss"], every_step.to_numpy().reshape(4, 10).mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(resumed.drop(columns="seconds"), undisturbed.drop(columns="seconds"))
