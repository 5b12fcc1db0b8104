import re

import pytest

from smp_lab.errors import ConfigError
from smp_lab.methods import METHODS, SET
from smp_lab.recipes import UNKNOWN_SHA256, draft, get_recipe, method_settings
from smp_lab.tasks import TASKS


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_desk_recipe(task):
    assert get_recipe("desk", task, 0.5).epochs > 0


@pytest.mark.parametrize(
    ("task", "epochs"),
    [("mnli", 12), ("qqp", 12), ("qnli", 12), ("sst2", 12), ("mrpc", 60), ("cola", 60), ("stsb", 60), ("rte", 100)],
)
def test_the_papers_recipe(task, epochs):
    low, high = get_recipe("paper", task, 0.1), get_recipe("paper", task, 0.8)
    for recipe in (low, high):
        assert (recipe.epochs, recipe.score_learning_rate, recipe.regularizer) == (epochs, 2e-2, 400)
        assert 32 <= recipe.batch_size <= 64
    assert (low.schedule_steps, low.schedule_fraction) == (3500, None)
    assert (high.schedule_steps, high.schedule_fraction) == (None, pytest.approx(7 / epochs))


def test_a_task_without_a_paper_recipe_is_named():
    with pytest.raises(ConfigError, match="The paper has no recipe for task 'wnli'"):
        get_recipe("paper", "wnli", 0.1)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_takes_from_a_recipe_what_it_trains(method):
    settings = method_settings(get_recipe("desk", "mrpc", 0.1), method)
    assert (settings["score_learning_rate"] is not None) == method.trains_scores
    assert (settings.get("weight_learning_rate") is not None) == method.trains_weights
    assert (settings["epochs"] == 0) == method.is_control
    assert (settings.get("threshold") is not None) == method.by_threshold


def test_movement_has_the_regulariser_of_smp_in_this_projects_recipe_alone():
    desk, paper = (method_settings(get_recipe(name, "mrpc", 0.1), METHODS["movement"]) for name in ("desk", "paper"))
    assert desk["regularizer"] == method_settings(get_recipe("desk", "mrpc", 0.1), METHODS["smp_s"])["regularizer"] > 0
    assert "regularizer_ramp" not in desk
    assert (paper["regularizer"], paper["regularizer_ramp"]) == (0.0, None)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_task_and_method_has_a_draft(task, method):
    config = draft(task.name, method.name, remaining=0.5 if method.remaining == SET else None)
    assert (config.task, config.method, config.base_model) == (task.name, method.name, "minilm-l6")
    assert config.base_model_sha256 == config.data_sha256 == UNKNOWN_SHA256


def test_a_draft_takes_what_is_named_in_place_of_the_recipes():
    plain, changed = draft("rte", "smp_s", remaining=0.1), draft("rte", "smp_s", remaining=0.1, schedule_steps=5)
    assert (plain.schedule_fraction, plain.schedule_steps) == (0.7, None)
    assert (changed.schedule_fraction, changed.schedule_steps) == (None, 5)
    assert draft("rte", "smp_s", remaining=0.1, epochs=None) == plain
    assert draft("stsb", "smp_s", remaining=0.1, regression_head="mse").label_words == ("yes",)
    taught = draft("rte", "smp_s", remaining=0.1, teacher="anyone", distillation_weight=0.9)
    assert (taught.kl_direction, taught.distillation_weight) == ("teacher_student", 0.9)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"remaining": None}, "needs a remaining fraction"),
        ({"epochs": -1}, "Setting epochs = -1 is not above 0."),
        ({"recipe": "fast"}, "Unknown recipe 'fast'"),
        ({"sparsity": 0.9}, "Unknown settings: sparsity. Known: batch_size, "),
        ({"data_sha256": "a"}, "Unknown settings: data_sha256. Known: batch_size, "),
    ],
)
def test_a_draft_is_checked(changes, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        draft("rte", "smp_s", **{"remaining": 0.1} | changes)


def test_one_command_asks_for_one_run_on_every_machine():
    assert {draft(task, "smp_s", remaining=0.5).precision for task in TASKS} == {"fp32"}
