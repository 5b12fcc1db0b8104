"""What the trainer does beyond the library's: rates, batches, divergence, the history of a run that goes on."""

import numpy as np
import pytest
import torch
from training.conftest import ask_at, same_masks

from smp_lab.errors import TrainingError
from smp_lab.storage.paths import unfinished_folder
from smp_lab.training import trainer as trainer_module
from smp_lab.training.checkpoints import newest_whole
from smp_lab.training.run import Interrupted, train


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
    with monkeypatch.context() as patch:
        ask_at(step, patch)
        with pytest.raises(Interrupted):
            train(prepared(), runs, command="")
    resumed = train(prepared(), runs, command="").history
    assert undisturbed["step"].tolist() == [10, 20, 30, 40]
    np.testing.assert_allclose(undisturbed["loss"], every_step.to_numpy().reshape(4, 10).mean(axis=1), rtol=1e-6)
    np.testing.assert_array_equal(resumed.drop(columns="seconds"), undisturbed.drop(columns="seconds"))
