import re

import pytest

from smp_lab.errors import ConfigError
from smp_lab.methods import METHODS, SET
from smp_lab.paper import READINGS, stated
from smp_lab.recipes import UNKNOWN_SHA256, draft, get_recipe, method_settings, nearest_recipe
from smp_lab.settings import SETTINGS
from smp_lab.tasks import TASKS


# Of the authors' scripts: MNLI 43,632 of 73,632, QQP 38,232 of 68,232.
@pytest.mark.parametrize(
    ("task", "level", "epochs", "batch_size", "steps", "p"),
    [
        ("mnli", 0.03, 12, 64, 43_632, 1),
        ("mnli", 0.5, 12, 64, 43_632, 3),
        ("qqp", 0.5, 12, 64, 38_232, 1),
        ("rte", 0.7, 100, 32, 5250, 4),
        ("mrpc", 0.8, 60, 32, 3500, 4),
    ],
)
def test_the_authors_scripts(task, level, epochs, batch_size, steps, p):
    config = draft(task, "smp_s", remaining=level, recipe="paper")
    assert config == draft(task, "smp_s", remaining=level, recipe="paper-code")
    assert (config.epochs, config.batch_size, config.schedule_steps) == (epochs, batch_size, steps)
    assert (config.share_temperature, config.regularizer_ramp, config.schedule) == (p, "code", "cubic")
    assert (config.score_learning_rate, config.regularizer) == (2e-2, 400)
    assert nearest_recipe(config) == ("paper-code", [])


def test_the_scripts_depend_on_teacher_encoder_and_method():
    taught = draft("mnli", "smp_s", remaining=0.5, recipe="paper-code", teacher="anyone")
    assert (taught.share_temperature, taught.kl_direction) == (1, "teacher_student")
    assert draft("mnli", "smp_l", remaining=0.8, recipe="paper-code").share_temperature == 1
    assert draft("mnli", "smp_l", remaining=0.5, recipe="paper-code", encoder="roberta-base").schedule == "linear"
    folder = draft("mnli", "smp_l", remaining=0.5, recipe="paper-code", encoder="/home/roberta/bert-base-uncased")
    assert folder.schedule == "cubic"
    assert draft("stsb", "smp_s", remaining=0.8, recipe="paper-code").regression_head == "mse"


@pytest.mark.parametrize(
    ("method", "level", "teacher", "epochs", "steps"),
    [
        ("smp_s", 0.03, None, 20, 22_650),
        ("smp_s", 0.1, None, 10, 22_670),
        ("smp_s", 0.5, None, 10, 5000),
        ("smp_s", 0.5, "anyone", 10, 22_670),
        ("smp_l", 0.5, None, 10, 22_670),
        ("smp_l", 0.8, None, 10, 5000),
    ],
)
def test_the_authors_script_for_squad(method, level, teacher, epochs, steps):
    config = draft("squad", method, remaining=level, recipe="paper-code", teacher=teacher)
    assert (config.epochs, config.batch_size, config.schedule_steps) == (epochs, 32, steps)


@pytest.mark.parametrize("task", ["qnli", "sst2", "cola", "mrpc", "stsb", "rte"])
def test_scripts_that_stop_at_their_own_assertion_are_refused_with_what_works(task):
    with pytest.raises(ConfigError, match=f"no schedule for task {task!r} below 70 %.*Take recipe paper-text, or name"):
        draft(task, "smp_s", remaining=0.5, recipe="paper-code")
    for length in ({"schedule_steps": 100}, {"schedule_fraction": 0.5}):
        config = draft(task, "smp_s", remaining=0.5, recipe="paper-code", **length)
        assert length.items() <= config.to_dict().items()
        assert nearest_recipe(config) == ("paper-code", list(length))
    assert draft(task, "dense", recipe="paper-code").weight_learning_rate == 3e-5
    assert draft(task, "random", remaining=0.5, recipe="paper-code").epochs == 0


@pytest.mark.parametrize(
    ("task", "level", "epochs", "fraction", "steps"),
    [
        ("sst2", 0.1, 12, None, 3500),
        ("rte", 0.7, 60, 7 / 60, None),
        ("cola", 0.8, 60, None, 3500),
        ("cola", 0.9, 60, 7 / 60, None),
        ("squad", 0.8, 10, 7 / 10, None),
        ("squad", 0.5, 10, None, 3500),
    ],
)
def test_the_papers_text(task, level, epochs, fraction, steps):
    alone, config = (draft(task, "smp_s", remaining=level, recipe="paper-text", teacher=t) for t in (None, "anyone"))
    assert (alone.schedule_fraction, alone.schedule_steps) == (config.schedule_fraction, config.schedule_steps)
    assert (config.epochs, config.batch_size) == (epochs, 64)
    assert (config.schedule_fraction, config.schedule_steps) == (fraction and pytest.approx(fraction), steps)
    assert (config.regularizer_ramp, config.kl_direction, config.share_temperature) == ("paper", "student_teacher", 1)
    assert nearest_recipe(config) == ("paper-text", [])


def test_a_gate_has_no_schedule_for_a_ramp_to_follow():
    assert draft("rte", "l0", recipe="paper-text").regularizer_ramp == "code"


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_every_value_of_the_paper_is_a_setting_with_a_source(reading, method):
    for name, (value, source) in stated(reading, "mnli", method, 0.5, taught=True).items():
        SETTINGS[name].check_range(SETTINGS[name].coerced(value))
        assert source


def test_a_run_that_was_changed_has_the_settings_of_no_recipe_alone():
    assert nearest_recipe(draft("rte", "smp_s", remaining=0.1)) == ("desk", [])
    assert nearest_recipe(draft("rte", "smp_s", remaining=0.1, precision="bf16")) == ("desk", [])
    assert nearest_recipe(draft("rte", "smp_s", remaining=0.1, epochs=3)) == ("desk", ["epochs"])
    changed = draft("rte", "smp_s", remaining=0.8, recipe="paper-code", schedule="linear", batch_size=16)
    assert nearest_recipe(changed) == ("paper-code", ["batch_size", "schedule"])


@pytest.mark.parametrize(("examples", "epochs"), [(970, 8), (None, 0.0913), (87_599, 0.0913), (16, 40)])
def test_the_passes_over_questions_make_so_many_updates(examples, epochs):
    config = draft("squad", "smp_s", remaining=0.5, examples=examples)
    assert (config.epochs, config.batch_size, config.max_length) == (epochs, 16, 384)
    assert nearest_recipe(config, examples) == ("desk", [])


def test_a_task_without_a_paper_recipe_is_named():
    with pytest.raises(ConfigError, match="The paper has no recipe for task 'wnli'"):
        draft("wnli", "smp_s", remaining=0.1, recipe="paper-text")


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_a_method_takes_from_a_recipe_what_it_trains(method):
    settings = method_settings(get_recipe("desk", "mrpc", method, 0.1), method)
    assert (settings["score_learning_rate"] is not None) == method.trains_scores
    assert (settings.get("weight_learning_rate") is not None) == method.trains_weights
    assert (settings["epochs"] == 0) == method.is_control
    assert (settings.get("threshold") is not None) == method.by_threshold


def test_movement_has_the_regulariser_of_smp_in_this_projects_recipe_alone():
    desk, paper = (draft("mrpc", "movement", remaining=0.1, recipe=name) for name in ("desk", "paper-text"))
    assert desk.regularizer == draft("mrpc", "smp_s", remaining=0.1).regularizer > 0
    assert (paper.regularizer, paper.regularizer_ramp) == (0.0, None)


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
        ({"task": "squad", "train_examples": "100"}, "Setting train_examples = '100' is not a whole number."),
        ({"train_examples": "100", "examples": 50}, "Setting train_examples = '100' is not a whole number."),
        ({"recipe": "paper", "encoder": 5}, "Setting base_model = 5 is not a text."),
        ({"recipe": "paper", "remaining": "0.1"}, "Setting remaining = '0.1' is not a number."),
    ],
)
def test_a_draft_is_checked(changes, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        draft(**{"task": "rte", "method": "smp_s", "remaining": 0.1} | changes)


def test_one_command_asks_for_one_run_on_every_machine():
    assert {draft(task, "smp_s", remaining=0.5).precision for task in TASKS} == {"fp32"}


def test_the_desk_recipe_of_a_part_of_squad_makes_as_many_updates():
    """500 updates of 16: 1,000 windows or fewer are 63 batches, 7 whole passes."""
    assert draft("squad", "smp_s", remaining=0.5, train_examples=1000).epochs == 7
    assert draft("squad", "smp_s", remaining=0.5, train_examples=5000, examples=1000).epochs == 7
