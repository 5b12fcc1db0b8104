"""Recipes: the settings of training that a run does not name itself, per task, in one table.

"desk" is this project's own, made for MiniLM on one machine without an accelerator; "paper-code" and "paper-text" are
the two readings of Jiang et al. (2023) in `smp_lab.paper`, and "paper" means the first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from smp_lab import paper
from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError
from smp_lab.methods import NONE, SET, Method, get_method
from smp_lab.settings import CHANGEABLE, SETTINGS
from smp_lab.tasks import get_task
from smp_lab.tasks.kinds import NUMBER

# Settings of training for one task, by their names in `smp_lab.settings`: for any method, with a teacher and without.
Recipe = Mapping[str, Any]


def _recipe(epochs: float, **changes: Any) -> Recipe:
    return {
        "epochs": epochs,
        "batch_size": 32,
        "max_length": 128,
        "regression_head": "poles",
        "score_learning_rate": 2e-2,
        "weight_learning_rate": 1e-4,
        "schedule": "cubic",
        "schedule_fraction": 0.7,
        "schedule_steps": None,
        "share_temperature": 1.0,
        "regularizer": 400.0,
        "regularizer_ramp": "code",
        "threshold": 0.1,
        "kl_direction": "teacher_student",
        "distillation_temperature": 2.0,
        "distillation_weight": 0.5,
        # A setting like any other and not what a machine does fastest: one command asks for one run everywhere.
        "precision": "fp32",
        **changes,
    }


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
    "sst2": _recipe(1),
    "cola": _recipe(8),
    "mrpc": _recipe(20, batch_size=16),
    "qqp": _recipe(1),
    "stsb": _recipe(12),
    "mnli": _recipe(1),
    "qnli": _recipe(1),
    "rte": _recipe(12, batch_size=16),
    "wnli": _recipe(20),
    "toy-sentiment": _recipe(5),
    "toy-acceptability": _recipe(20),
    "toy-entailment": _recipe(20),
    "toy-span": _recipe(10),
}

# Of data whose number is not known beforehand: as many passes as make so many updates. A task of one's own has some
# hundred rows or some hundred thousand. Windows of SQuAD are as long as the paper's, and 504 updates of smp_s took 151
# minutes beside another run.
_OWN, _OWN_UPDATES = _recipe(40, batch_size=16), 2000
_SPANS, _SPAN_UPDATES = _recipe(40, batch_size=16, max_length=384), 500

RECIPES = ("desk", *paper.READINGS)
# Encoder of the desk recipe, in the package of the "encoder" extra.
PACKAGED_ENCODER = "minilm-l6"
# Fingerprint of what has not been looked at.
UNKNOWN_SHA256 = 64 * "0"

# Of a new linear head on a frozen encoder (Jiang et al. 2023).
_HEAD_LEARNING_RATE = 3e-5
# Of scores beside moving weights (Sanh et al. 2020).
_SCORE_LEARNING_RATE_BESIDE_WEIGHTS = 1e-2
_DENSE_EPOCHS = 4


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
        usual = {**usual, "regularizer": chosen["regularizer"]}
    settings = {**dict.fromkeys(CHANGEABLE), **method_settings(usual, method_info), "teacher": teacher}
    if teacher is None:
        settings |= dict.fromkeys(("kl_direction", "distillation_temperature", "distillation_weight"))
    if "schedule_steps" in chosen:
        settings["schedule_fraction"] = None
    if "schedule_fraction" in chosen:
        settings["schedule_steps"] = None
    if not task_info.label_words and "label_words" not in chosen:
        settings["head"] = "linear"
    by_words = chosen.get("head", settings["head"]) == "label_words"
    regression_head = (
        chosen.get("regression_head", usual["regression_head"]) if task_info.kind is NUMBER and by_words else None
    )
    words = task_info.label_words[-1:] if regression_head == "mse" else task_info.label_words
    settings |= {
        "label_words": words if by_words else None,
        "regression_head": regression_head,
        "head_learning_rate": None if by_words else settings["head_learning_rate"],
        **chosen,
    }
    if method_info.has_schedule and settings["schedule_fraction"] is None and settings["schedule_steps"] is None:
        raise paper.no_schedule(task, usual["epochs"], usual["batch_size"])
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
    """A recipe as fields of `RunConfig`, with what a method adds to it, and without what it does not look at.

    The rate of a new head is there for whoever chooses a linear one. Dense fine-tuning takes 4 epochs at most.
    """
    settings = {**recipe, "head": "label_words", "head_learning_rate": _HEAD_LEARNING_RATE}
    if method.trains_weights:
        settings |= {"head": "linear", "head_learning_rate": recipe["weight_learning_rate"]}
        settings["score_learning_rate"] = _SCORE_LEARNING_RATE_BESIDE_WEIGHTS
        if method.remaining == SET and not recipe["regularizer"]:
            settings["regularizer_ramp"] = None
    if not method.has_schedule:
        # No ramp can follow the sparsity.
        settings["regularizer_ramp"] = "code"
    if method.remaining == NONE:
        settings["epochs"] = min(recipe["epochs"], _DENSE_EPOCHS)
    known = ((SETTINGS[name], value) for name, value in settings.items())
    return {setting.name: value if setting.used_by(method) else setting.unused for setting, value in known}


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
    # A control trains nothing, whatever the epochs of the recipe.
    values = {"epochs": 0.0, "schedule_fraction": None, **{setting: value for setting, (value, _) in stated.items()}}
    return _recipe(**values)


def _as_long(recipe: Recipe, updates: int, examples: int | None) -> Recipe:
    """The recipe with whole passes that make so many updates, or the part of one; its own where nobody knows."""
    steps = math.ceil((examples or 0) / recipe["batch_size"])
    epochs = (updates // steps or round(updates / steps, 4)) if steps else recipe["epochs"]
    return {**recipe, "epochs": min(epochs, recipe["epochs"])}


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
    length = {name: getattr(config, name) for name in ("schedule_fraction", "schedule_steps")}
    found: dict[str, list[str]] = {}
    for name in RECIPES:
        # Below 70 % paper-code has a schedule for most tasks only where the run names its own.
        for own in ({}, length):
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
                    **own,
                )
            except ConfigError:
                continue
            differing = [setting for setting in CHANGEABLE if getattr(config, setting) != getattr(usual, setting)]
            named = [setting for setting, value in own.items() if value is not None]
            found[name] = [setting for setting in (*differing, *named) if setting != "precision"]
            break
    return min(found.items(), key=lambda each: len(each[1]), default=None)
