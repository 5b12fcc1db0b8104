"""Recipes: the settings of training that a run does not name itself, per task, in one table.

"desk" is this project's own, made for MiniLM on one machine without an accelerator; "paper-code" and "paper-text" are
the two readings of Jiang et al. (2023) in `smp_lab.paper`, and "paper" means the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from smp_lab import paper
from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError
from smp_lab.methods import NONE, SET, SHARE, Method, get_method
from smp_lab.settings import CHANGEABLE, SETTINGS
from smp_lab.tasks import get_task
from smp_lab.tasks.kinds import NUMBER


@dataclass(frozen=True)
class Recipe:
    """Settings of training for one task.

    Parameters
    ----------
    epochs, batch_size, max_length
        Passes over the training data, examples a step, tokens an example at most.
    score_learning_rate, weight_learning_rate
        Start of the linear decay to 0, where a method trains scores, and where it trains the encoder's own weights with
        a new head.
    regularizer
        lambda_max.
    regularizer_ramp, share_temperature, schedule, kl_direction, regression_head
        As in `smp_lab.settings`, for runs that look at them.
    schedule_fraction, schedule_steps
        N as a fraction of all steps, or as a step number; both None where there is none for the run.
    precision
        Of the matrix products. It is a setting like any other and not what a machine does fastest: one command asks for
        one run everywhere.
    """

    epochs: float
    batch_size: int = 32
    max_length: int = 128
    score_learning_rate: float | None = 2e-2
    weight_learning_rate: float | None = 1e-4
    regularizer: float = 400.0
    regularizer_ramp: str = "code"
    share_temperature: float = 1.0
    schedule: str = "cubic"
    kl_direction: str = "teacher_student"
    regression_head: str = "poles"
    schedule_fraction: float | None = 0.7
    schedule_steps: int | None = None
    precision: str = "fp32"


# Every machine trains in fp32; a CPU that has to emulate bf16 takes ten times as long with it (measured: AVX2 alone, a
# step of SMP-S on MiniLM). Where bf16 is native, name it.
#
# About 2000 updates each, where the data allow. MRPC takes twice as many in half batches, or its masks at 10 % end at
# the majority class: the schedule takes the weights before the scores have learned anything. Measured with MiniLM, one
# thread while another run has the machine's other core; metric x 100 of seed 0 at the last step:
#
#          smp_s at 50 %                          dense, 4 epochs at most
#   sst2   2105 steps   6 min   accuracy 89.0    2105 steps   6 min   89.0
#   cola   2144 steps   7 min   MCC      31.3    1072 steps   3 min   29.2
#   mrpc   4600 steps  22 min   accuracy 80.4     920 steps   5 min   79.7
#   stsb   2160 steps  13 min   Pearson  85.2     720 steps   5 min   84.8
#   rte    1872 steps  11 min   accuracy 51.6     624 steps   4 min   58.1   (majority class: 52.7)
#
# Movement pruning has the regulariser of SMP here. Without it, with seed 0 at 10 %, it ends at the majority class on
# SST-2 (accuracy 50.9) and CoLA (MCC 0.0), with lambda 400 at 84.9 and 14.7.
_DESK: Mapping[str, Recipe] = {
    "sst2": Recipe(epochs=1),
    "cola": Recipe(epochs=8),
    "mrpc": Recipe(epochs=20, batch_size=16),
    "qqp": Recipe(epochs=1),
    "stsb": Recipe(epochs=12),
    "mnli": Recipe(epochs=1),
    "qnli": Recipe(epochs=1),
    "rte": Recipe(epochs=12, batch_size=16),
    "wnli": Recipe(epochs=20),
    "toy-sentiment": Recipe(epochs=5),
    "toy-acceptability": Recipe(epochs=20),
    "toy-entailment": Recipe(epochs=20),
    "toy-span": Recipe(epochs=10),
}

# Of data whose number is not known beforehand: as many passes as make so many updates. A task of one's own has some
# hundred rows or some hundred thousand. Windows of SQuAD are as long as the paper's, and 504 updates of smp_s took 151
# minutes beside another run.
_OWN, _OWN_UPDATES = Recipe(epochs=40, batch_size=16), 2000
_SPANS, _SPAN_UPDATES = Recipe(epochs=40, batch_size=16, max_length=384), 500

RECIPES = ("desk", *paper.READINGS)
# Encoder of the desk recipe, in the package of the "encoder" extra.
PACKAGED_ENCODER = "minilm-l6"
# Fingerprint of what has not been looked at.
UNKNOWN_SHA256 = 64 * "0"

# Of a new linear head on a frozen encoder (Jiang et al. 2023).
_HEAD_LEARNING_RATE = 3e-5
# Of scores beside moving weights (Sanh et al. 2020).
_SCORE_LEARNING_RATE_BESIDE_WEIGHTS = 1e-2
_FINAL_THRESHOLD = 0.1
_DENSE_EPOCHS = 4
_DISTILLATION: Mapping[str, Any] = {"distillation_temperature": 2.0, "distillation_weight": 0.5}


def draft(
    task: str,
    method: str,
    *,
    remaining: float | None = None,
    seed: int = 0,
    encoder: str = PACKAGED_ENCODER,
    recipe: str = "desk",
    teacher: str | None = None,
    examples: int | None = None,
    **changes: Any,
) -> RunConfig:
    """Checked settings of a run whose encoder, data and teacher have not been looked at: no torch, no file is read.

    Parameters
    ----------
    task, method, remaining, seed
        As in `RunConfig`; remaining may be left out where there is no mask.
    encoder
        Becomes base_model as it is.
    recipe
        As in `get_recipe`.
    teacher
        A name without fingerprint; None trains without one.
    examples
        As in `get_recipe`.
    **changes
        Other settings that replace the recipe's; None leaves them.

    Returns
    -------
    RunConfig
        With `UNKNOWN_SHA256` for both fingerprints, so its run id is that of no run.

    Raises
    ------
    ConfigError
        If a setting is unknown, out of range, or contradicts another one.
    """
    task_info, method_info = get_task(task), get_method(method)
    if unknown := sorted(set(changes) - set(CHANGEABLE)):
        raise ConfigError(f"Unknown settings: {', '.join(unknown)}. Known: {', '.join(sorted(CHANGEABLE))}.")
    # Of their types first: what follows compares and counts.
    chosen = {name: SETTINGS[name].coerced(value) for name, value in changes.items() if value is not None}
    encoder, remaining = SETTINGS["base_model"].coerced(encoder), SETTINGS["remaining"].coerced(remaining)
    # Of more examples than are named none is trained on.
    examples = min((n for n in (chosen.get("train_examples"), examples) if n), default=None)
    usual = get_recipe(
        recipe, task, method_info, remaining, encoder=encoder, taught=teacher is not None, examples=examples
    )
    if "regularizer" in chosen:
        usual = replace(usual, regularizer=chosen["regularizer"])
    settings = {**dict.fromkeys(CHANGEABLE), "teacher": teacher, **method_settings(usual, method_info)}
    if "schedule_steps" in chosen:
        settings["schedule_fraction"] = None
    if "schedule_fraction" in chosen:
        settings["schedule_steps"] = None
    if not task_info.label_words and "label_words" not in chosen:
        settings["head"] = "linear"
    by_words = chosen.get("head", settings["head"]) == "label_words"
    regression_head = (
        chosen.get("regression_head", usual.regression_head) if task_info.kind is NUMBER and by_words else None
    )
    words = task_info.label_words[-1:] if regression_head == "mse" else task_info.label_words
    settings |= {
        "label_words": words if by_words else None,
        "regression_head": regression_head,
        "head_learning_rate": None if by_words or method_info.is_control else settings["head_learning_rate"],
        **({"kl_direction": usual.kl_direction, **_DISTILLATION} if teacher is not None else {}),
        **chosen,
    }
    if method_info.has_schedule and settings["schedule_fraction"] is None and settings["schedule_steps"] is None:
        raise paper.no_schedule(task, usual.epochs, usual.batch_size)
    return RunConfig(
        task=task,
        task_definition=task_info.definition,
        method=method,
        remaining=1.0 if remaining is None and method_info.remaining == NONE else remaining,
        seed=seed,
        base_model=encoder,
        base_model_sha256=UNKNOWN_SHA256,
        data_sha256=UNKNOWN_SHA256,
        **settings,
    )


def method_settings(recipe: Recipe, method: Method) -> dict[str, Any]:
    """A recipe as fields of `RunConfig`, with what a method adds to it or has no use for.

    The rate of a new head is there for whoever chooses a linear one. Fine-tuning all weights needs no schedule and 4
    epochs at most; a control is not trained at all.
    """
    # Two of the fields are for runs that ask for a teacher or are of a regression task.
    settings: dict[str, Any] = {
        name: value for name, value in vars(recipe).items() if name not in ("kl_direction", "regression_head")
    }
    settings["head"] = "linear" if method.trains_weights else "label_words"
    settings["head_learning_rate"] = recipe.weight_learning_rate if method.trains_weights else _HEAD_LEARNING_RATE
    if not method.trains_weights:
        settings["weight_learning_rate"] = None
    if not method.trains_scores:
        settings |= {"score_learning_rate": None, "regularizer": 0.0, "regularizer_ramp": None}
    elif method.trains_weights:
        settings["score_learning_rate"] = _SCORE_LEARNING_RATE_BESIDE_WEIGHTS
        if method.remaining == SET and not recipe.regularizer:
            settings["regularizer_ramp"] = None
    if method.masking != SHARE:
        settings["share_temperature"] = 1.0
    if method.by_threshold:
        settings["threshold"] = _FINAL_THRESHOLD
    if not method.has_schedule:
        settings |= {"schedule": None, "schedule_fraction": None, "schedule_steps": None}
        # Without a schedule no ramp can follow the sparsity.
        settings["regularizer_ramp"] = settings["regularizer_ramp"] and "code"
    if method.remaining == NONE:
        settings["epochs"] = min(recipe.epochs, _DENSE_EPOCHS)
    if method.is_control:
        settings["epochs"] = 0.0
    return settings


def get_recipe(
    name: str,
    task: str,
    method: Method,
    remaining: float | None,
    *,
    encoder: str = PACKAGED_ENCODER,
    taught: bool = False,
    examples: int | None = None,
) -> Recipe:
    """Recipe of a run.

    Parameters
    ----------
    name
        One of `RECIPES`, or "paper" for the first reading of it.
    task, method, remaining, encoder, taught
        As in `smp_lab.paper.stated`.
    examples
        Training examples; the passes over those of SQuAD and of a task of one's own follow from their number. None
        where it is not known.

    Raises
    ------
    ConfigError
        If there is none of this name, or the paper has none for this task.
    """
    if name == "desk":
        if task == "squad":
            return _as_long(_SPANS, _SPAN_UPDATES, examples or get_task(task).n_train)
        return _DESK.get(task) or _as_long(_OWN, _OWN_UPDATES, examples)
    name = paper.CODE if name == "paper" else name
    if name not in RECIPES:
        raise ConfigError(f"Unknown recipe {name!r}. Choose one of: {', '.join(RECIPES)}.")
    paper.require_published(task)
    stated = paper.stated(name, task, method, remaining, encoder=encoder, taught=taught)
    values = {setting: value for setting, (value, _) in stated.items()}
    if method.trains_weights and method.remaining == SET:
        # Of movement pruning Sanh et al. (2020) have none.
        values["regularizer"] = 0.0
    # A control trains nothing, whatever the epochs of the recipe.
    return Recipe(**{"epochs": 0.0, "schedule_fraction": None, "schedule_steps": None} | values)


def _as_long(recipe: Recipe, updates: int, examples: int | None) -> Recipe:
    """The recipe with whole passes that make so many updates, or the part of one; its own where nobody knows."""
    steps = math.ceil((examples or 0) / recipe.batch_size)
    epochs = (updates // steps or round(updates / steps, 4)) if steps else recipe.epochs
    return replace(recipe, epochs=min(epochs, recipe.epochs))


def nearest_recipe(config: RunConfig, examples: int | None = None) -> tuple[str, list[str]] | None:
    """The recipe of whose settings a run has most, and the names of those that it has otherwise.

    Precision, encoder and data belong to no recipe. None where no recipe is for its task.

    Parameters
    ----------
    config
        Of the run.
    examples
        As in `get_recipe`.
    """
    found = {}
    for name in RECIPES:
        try:
            usual = draft(
                config.task,
                config.method,
                remaining=config.remaining,
                seed=config.seed,
                encoder=config.base_model,
                recipe=name,
                teacher=config.teacher,
                examples=examples,
            )
        except ConfigError:
            continue
        differing = (setting for setting in CHANGEABLE if getattr(config, setting) != getattr(usual, setting))
        found[name] = [setting for setting in differing if setting != "precision"]
    return min(found.items(), key=lambda each: len(each[1]), default=None)
