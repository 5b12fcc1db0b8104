"""Mask training on the Hugging Face `Trainer`: what differs from ordinary fine-tuning, and nothing else."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_pt_utils import LengthGroupedSampler, get_length_grouped_indices

from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError, TrainingError
from smp_lab.lease import Lease, seconds_of
from smp_lab.tasks import Task
from smp_lab.training.checkpoints import publish, seal, writing
from smp_lab.training.examples import DevelopmentSplit, TokenizedExamples
from smp_lab.training.metrics import compute_metrics
from smp_lab.training.model import PruningModel
from smp_lab.training.processes import STEPS_BETWEEN_QUESTIONS, shared_by_all
from smp_lab.training.recorder import SnapshotRecorder

N_LOGGED = 200
N_EVALUATIONS = 10
# Where machines are taken away often, less may be lost.
SECONDS_BETWEEN_CHECKPOINTS = seconds_of("SMP_LAB_CHECKPOINT_SECONDS")


@dataclass
class Log:
    """What a run notes while it trains; it is part of every checkpoint. Its clock runs from when it is made.

    Parameters
    ----------
    history
        A dict per logged step with the columns of the run record's history.
    evaluations
        A dict per evaluation.
    seconds
        Wall time up to the last `tick`, over all its processes: with loading, a teacher's answers and evaluations,
        without what a process did after its last checkpoint.
    resumed
        How often it was resumed from a checkpoint.
    processes
        A dict for each process whose steps are in the run: from_step, the conditions of `checkpoints`, git_commit and
        git_dirty.
    unlogged_steps, unlogged_loss
        At the checkpoint: steps since the last row of the history, and the sum of their losses.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    resumed: int = 0
    processes: list[dict[str, Any]] = field(default_factory=list)
    unlogged_steps: int = 0
    unlogged_loss: float = 0.0

    def __post_init__(self) -> None:
        self._last_tick = time.monotonic()

    def tick(self) -> None:
        """Count the time since the last call."""
        now = time.monotonic()
        self.seconds += now - self._last_tick
        self._last_tick = now


class LengthGroupedByEpoch(LengthGroupedSampler):
    """Batches of similar length in an order that follows from the seed and the epoch alone.

    The library's sampler draws from the global generator, so a resumed epoch would see another order.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int, epoch: Callable[[], int]) -> None:
        super().__init__(batch_size, lengths=lengths)
        self._seed, self._epoch = seed, epoch

    def __iter__(self):
        entropy = np.random.SeedSequence([self._seed, self._epoch()]).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(entropy >> np.uint64(1)))
        return iter(get_length_grouped_indices(self.lengths, self.batch_size, generator=generator))


class PruningTrainer(Trainer):
    """`Trainer` for a `PruningModel`.

    It differs from its base in the optimiser (no weight decay, one learning rate per kind of parameter), the order of
    batches, evaluation under the masks of the present step, checkpoints that hold only what is trained, and no norm of
    the gradients: nothing clips by it, and it would read all of them once more. `lease` is the run's in the process
    that writes; None in the others, and where there are no checkpoints.
    """

    def __init__(
        self,
        model: PruningModel,
        args: TrainingArguments,
        *,
        config: RunConfig,
        train_examples: TokenizedExamples,
        development: Sequence[DevelopmentSplit],
        collator: Callable,
        log: Log,
        snapshots: SnapshotRecorder,
        lease: Lease | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.config = config
        self.development = development
        self.run_log = log
        self.snapshots = snapshots
        self.lease = lease
        self.predictions: list[np.ndarray] = []
        self.steps_per_epoch = math.ceil(len(train_examples) / config.batch_size)
        super().__init__(
            model,
            args,
            data_collator=collator,
            train_dataset=train_examples,
            callbacks=[_PruningSteps(self), *callbacks],
        )

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Fused AdamW without weight decay on what is trained."""
        if self.optimizer is None:
            parts = (
                (self.model.pruned.scores, self.config.score_learning_rate),
                (self.model.encoder.parameters(), self.config.weight_learning_rate),
                (self.model.head.parameters(), self.config.head_learning_rate),
            )
            groups = [
                {"params": trained, "lr": rate}
                for parameters, rate in parts
                if (trained := [parameter for parameter in parameters if parameter.requires_grad])
            ]
            self.optimizer = torch.optim.AdamW(groups, weight_decay=0.0, fused=True)
        return self.optimizer

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthGroupedByEpoch:
        return LengthGroupedByEpoch(
            self.train_dataset.lengths,
            self.args.train_batch_size,
            self.config.seed,
            lambda: self.state.global_step // self.steps_per_epoch,
        )

    def _get_eval_sampler(self, eval_dataset: Dataset) -> SequentialSampler:
        # The base groups this one by length as well, and hands predictions back in that order.
        return SequentialSampler(eval_dataset)

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> None:
        return None

    def compute_loss(self, model: nn.Module, inputs: dict, return_outputs: bool = False, **kwargs: Any) -> Any:
        """Task loss of a batch; a loss that is not a number ends the run."""
        loss, outputs = super().compute_loss(model, inputs, return_outputs=True, **kwargs)
        if loss.device.type == "cpu" and model.training:
            self._require_finite_loss(loss.item())
        return (loss, outputs) if return_outputs else loss

    def _require_finite_loss(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise self._diverged(f"The loss is {loss}")

    def _require_finite_parameters(self) -> None:
        """End the run if an update has spoiled what is trained: its loss may have been finite all the same."""
        if not all(tensor.isfinite().all() for tensor in self.model.trained_state().values()):
            raise self._diverged("A trained parameter is NaN or infinite")

    def _diverged(self, what: str) -> TrainingError:
        return TrainingError(
            f"{what} at step {self.state.global_step}: training has diverged. Try a smaller learning rate"
            f"{' or --precision fp32' if self.config.precision == 'bf16' else ''}."
        )

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Metrics of every development split under the masks of the present step; predictions stay in `predictions`."""
        model, step = self.model, self.state.global_step
        self._require_finite_parameters()
        model.pruned.update(step)
        task: Task = self.config.task_info
        metrics: dict[str, float] = {}
        losses = []
        self.predictions = []
        for split in self.development:
            output = self.evaluation_loop(self.get_eval_dataloader(split.examples), description="Evaluation")
            predictions = split.predictions(output.predictions, model.target)
            metrics |= compute_metrics(task, split.suffix, split.targets, predictions)
            losses.append(output.metrics["eval_loss"])
            self.predictions.append(predictions)
        self.run_log.evaluations.append(
            {
                "step": step,
                "epoch": step / self.steps_per_epoch,
                "remaining": model.pruned.kept() / model.pruned.layout.n_weights,
                "loss": float(np.mean(losses)),
                **metrics,
            }
        )
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Note a row of history; loggers that the user has set up get it too."""
        step, pruned = self.state.global_step, self.model.pruned
        if "loss" in logs:
            # An accelerator's losses are not waited for before they are logged.
            self._require_finite_loss(logs["loss"])
            pruned.update(step, count_flips=True)
            flips_in, flips_out = pruned.flips()
            row = {
                "step": step,
                "epoch": step / self.steps_per_epoch,
                "loss": logs["loss"],
                "regularizer": pruned.regularizer(),
                "regularizer_weight": pruned.schedule.regularizer_weight(step),
                "remaining": math.nan if self.config.remaining is None else pruned.schedule.remaining(step),
                "kept": pruned.kept(),
                "flips_in": flips_in,
                "flips_out": flips_out,
                "learning_rate": logs["learning_rate"],
                "seconds": self.run_log.seconds,
            }
            self.run_log.history.append(row)
            logs = {**logs, **{key: value for key, value in row.items() if key not in ("step", "epoch")}}
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        super()._save(output_dir, self.model.trained_state())

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        from safetensors.torch import load_file

        state = load_file(Path(resume_from_checkpoint) / "model.safetensors")
        self.model.load_state_dict(state, strict=False)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        # A run that went on from such a checkpoint would end at once, and so for ever.
        self._require_finite_parameters()
        checkpoint = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        with writing(f"Checkpoint {checkpoint}"):
            super()._save_checkpoint(model, trial)
            # The others write a file too, which the seal vouches for.
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                self.run_log.tick()
                self.run_log.unlogged_steps = self.state.global_step - self._globalstep_last_logged
                self.run_log.unlogged_loss = self._tr_loss.item()
                seal(checkpoint, self.config, asdict(self.run_log))
                publish(checkpoint, self.lease)


class _PruningSteps(TrainerCallback):
    """Makes the masks of each step, records snapshots, and says when to log, evaluate and save."""

    def __init__(self, trainer: PruningTrainer) -> None:
        self.trainer = trainer
        self._logged = self._evaluated = frozenset[int]()
        self._last_save = time.monotonic()

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._logged = frozenset(_evenly(state.max_steps, N_LOGGED))
        self._evaluated = frozenset(_evenly(state.max_steps, N_EVALUATIONS))
        self._last_save = time.monotonic()
        # The library forgets them: the next row would be the mean of the steps since the checkpoint alone.
        self.trainer._globalstep_last_logged -= self.trainer.run_log.unlogged_steps
        self.trainer._tr_loss += self.trainer.run_log.unlogged_loss
        if self.trainer.config.teacher is not None and not self.trainer.run_log.resumed:
            # What a teacher said took its time, and only a checkpoint keeps it.
            self.trainer._save_checkpoint(self.trainer.model, trial=None)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        pruned = self.trainer.model.pruned
        pruned.update(state.global_step)
        if state.is_world_process_zero:
            self.trainer.snapshots.record(pruned)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.trainer.run_log.tick()
        if self.trainer.lease is not None:
            # Before anything of this step is written.
            self.trainer.lease.require()
        control.should_log = state.global_step in self._logged
        control.should_evaluate = state.global_step in self._evaluated
        due = time.monotonic() - self._last_save > SECONDS_BETWEEN_CHECKPOINTS
        if args.world_size > 1:
            # Saving has all processes wait for one another: it is for all of them or for none.
            due = state.global_step % STEPS_BETWEEN_QUESTIONS == 0 and shared_by_all([due])[0]
        # After the last step there is nothing left to resume: a run that started there would not be evaluated.
        if due and state.global_step < state.max_steps:
            control.should_save = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._last_save = time.monotonic()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            # The masks of the end are those that another step would begin with.
            self.on_step_begin(args, state, control)


def _evenly(total_steps: int, count: int) -> set[int]:
    """`count` steps spread over the run, the last among them; every step where there are fewer."""
    return {math.ceil(total_steps * i / count) for i in range(1, count + 1)} - {0}


def training_arguments(config: RunConfig, folder: Path, total_steps: int) -> TrainingArguments:
    """Arguments of the library for one run, with checkpoints in `folder`.

    Raises `ConfigError` if the processes that share the run do not divide its batch.
    """
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if config.batch_size % processes:
        raise ConfigError(f"{processes} processes cannot share batches of {config.batch_size}. Change --batch-size.")
    args = TrainingArguments(
        output_dir=str(folder),
        max_steps=total_steps,
        per_device_train_batch_size=config.batch_size // processes,
        per_device_eval_batch_size=64,
        learning_rate=config.score_learning_rate or config.weight_learning_rate or 0.0,
        lr_scheduler_type="linear",
        warmup_steps=0,
        max_grad_norm=0.0,
        bf16=config.precision == "bf16",
        seed=config.seed,
        data_seed=config.seed,
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=torch.cuda.is_available(),
        # Else the copy of each batch to a device would wait for the step before.
        accelerator_config={"non_blocking": torch.cuda.is_available()},
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        use_cpu=not torch.cuda.is_available(),
    )
    if args.n_gpu > 1:
        # The library would copy the model to every device in each step, without its masks. Several devices take
        # several processes: torchrun --nproc-per-node.
        args._n_gpu = 1
    return args
