import hashlib
import json
import math
from dataclasses import FrozenInstanceError, fields

import pytest
from conftest import tiny_config

from smp_lab.config import RunConfig, canonical_json
from smp_lab.errors import ConfigError
from smp_lab.methods import METHODS
from smp_lab.tasks import BUILT_IN, TASKS
from smp_lab.tasks.kinds import CLASSES

DISTILLATION = {
    "teacher": "rte-dense-r1-s0-00000000",
    "kl_direction": "teacher_student",
    "distillation_temperature": 2,
    "distillation_weight": 0.5,
}
LINEAR = {"head": "linear", "label_words": None}
DENSE = {"method": "dense", "remaining": 1}
L0 = {"method": "l0", "remaining": None}
STSB = {"task": "stsb", "label_words": ("no", "yes"), "regression_head": "poles"}


# Ids name folders for ever: a change here makes every record on disk unreadable and needs a new schema version.
@pytest.mark.parametrize(
    ("changes", "run_id"),
    [
        ({}, "rte-smp_s-r0.5-s0-ad366267"),
        ({"seed": 1}, "rte-smp_s-r0.5-s1-804cca0e"),
        ({"task": "mrpc", "method": "smp_l", "remaining": 0.03}, "mrpc-smp_l-r0.03-s0-d6e6d019"),
        (STSB | {"remaining": 1, "train_examples": 1000, "dropout": 0.0}, "stsb-smp_s-r1-s0-bdabd08a"),
        ({"head": "linear", "label_words": None, "head_learning_rate": 3e-5}, "rte-smp_s-r0.5-s0-dec82ad6"),
        (DISTILLATION, "rte-smp_s-r0.5-s0-b3008f0e"),
    ],
)
def test_run_ids_never_change(changes, run_id):
    assert tiny_config(**changes).run_id == run_id


def test_settings_that_were_added_later_are_left_out_of_the_identity_at_their_neutral_values():
    config = tiny_config()
    added = ("share_temperature", "task_definition")
    before = {name: value for name, value in config.to_dict().items() if name not in added}
    assert RunConfig.from_dict(before) == config
    assert config.sha256 == hashlib.sha256(canonical_json(before).encode()).hexdigest()
    assert tiny_config(share_temperature=1).run_id == config.run_id != tiny_config(share_temperature=4).run_id


def test_canonical_json_has_one_spelling():
    assert canonical_json({"b": (1, 2.5, None), "a": "é"}) == '{"a":"\\u00e9","b":[1,2.5,null]}'
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": math.nan})


def test_every_setting_is_part_of_the_identity():
    # All that a run has goes into its hash but for neutral values; see above.
    assert set(json.loads(canonical_json(tiny_config().to_dict()))) == {field.name for field in fields(RunConfig)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"epochs": 2}, {"epochs": 2.0}),
        ({"seed": 3}, {"seed": 3.0}),
        ({"label_words": ("yes", "no")}, {"label_words": ["yes", "no"]}),
        ({"regularizer": 0.0}, {"regularizer": -0.0}),
        ({"remaining": 1}, {"remaining": 1.0}),
    ],
)
def test_equal_settings_have_equal_ids(one, other):
    assert tiny_config(**one) == tiny_config(**other)
    assert tiny_config(**one).run_id == tiny_config(**other).run_id


@pytest.mark.parametrize("changes", [{}, STSB, DISTILLATION, {"remaining": 0.1 + 0.2}])
def test_configs_round_trip_through_json(changes):
    config = tiny_config(**changes)
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert RunConfig.from_dict(json.loads(json.dumps(config.to_dict()))).run_id == config.run_id


def test_configs_are_frozen():
    with pytest.raises(FrozenInstanceError):
        tiny_config().seed = 1


@pytest.mark.parametrize("name", [name for name, task in TASKS.items() if task.classes])
def test_every_task_takes_its_own_label_words(name):
    assert tiny_config(task=name, label_words=TASKS[name].label_words).run_id.startswith(f"{name}-smp_s-r0.5-s0-")


def test_regression_takes_two_poles_or_one_word():
    tiny_config(**STSB)
    tiny_config(**STSB | {"regression_head": "mse", "label_words": ("yes",)})
    tiny_config(**STSB | {"regression_head": None, "label_words": None, "head": "linear"})


REFUSED = [
    ({"task": "ret"}, "Unknown task 'ret'. Choose one of: sst2, cola, mrpc, "),
    ({"method": "smp"}, "Unknown method 'smp'. Choose one of: smp_l, smp_s"),
    ({"remaining": None}, "Method 'smp_s' needs a remaining fraction in (0, 1], such as 0.1."),
    ({"remaining": 0}, "Remaining fraction 0 is outside (0, 1]. It is the share of weights KEPT: 0.1 keeps 10 %."),
    ({"remaining": -0.1}, "Remaining fraction -0.1 is outside (0, 1]."),
    ({"remaining": 1.001}, "Remaining fraction 1.001 is outside (0, 1]."),
    ({"remaining": 50}, "Remaining fraction 50 is outside (0, 1]."),
    ({"base_model": None}, "Setting base_model is missing."),
    ({"base_model_sha256": "A" * 64}, "Setting base_model_sha256 = "),
    ({"data_sha256": "a" * 63}, " is not 64 lower-case hex digits."),
    ({"data_sha256": "a" * 64 + "\n"}, " is not 64 lower-case hex digits."),
    ({"head": "mlp"}, "Unknown head 'mlp'. Choose one of: label_words, linear."),
    ({"seed": -1}, "Setting seed = -1 is below 0."),
    ({"schedule_fraction": 1.1}, "Setting schedule_fraction = 1.1 is outside [0, 1]."),
    ({"dropout": 1}, "Setting dropout = 1 is outside [0, 1)."),
    ({"epochs": -1}, "Setting epochs = -1 is not above 0."),
    ({"label_words": ("yes",)}, "Task 'rte' needs 2 label words; got 1: ['yes']."),
    ({"label_words": None}, "Task 'rte' needs 2 label words; got 0: []."),
    ({"task": "mnli"}, "Task 'mnli' needs 3 label words; got 2: "),
    (STSB | {"regression_head": "mse"}, "Task 'stsb' needs 1 label words; got 2: "),
    ({"label_words": ("yes", "yes")}, "Label words must differ; got ['yes', 'yes']."),
    ({"head": "linear"}, "A linear head has no label words."),
    ({"regression_head": "poles"}, "Setting regression_head = 'poles' does not fit task 'rte' with head 'label_words'"),
    (STSB | {"regression_head": None}, "Setting regression_head = None does not fit task 'stsb'"),
    ({"schedule_fraction": None}, "Set exactly one of schedule_fraction and schedule_steps."),
    ({"schedule_steps": 10}, "Set exactly one of schedule_fraction and schedule_steps."),
    ({"score_learning_rate": None}, "Method 'smp_s' needs a score_learning_rate."),
    ({"schedule": None}, "Method 'smp_s' needs a schedule."),
    ({"regularizer_ramp": None}, "A regularizer of 400 needs a regularizer_ramp."),
    (
        {"method": "smp_l", "share_temperature": 4},
        "Method 'smp_l' has no use for share_temperature. These have: smp_s.",
    ),
    ({"threshold": 0.1}, "Method 'smp_s' has no use for threshold. These have: smp_t, soft_movement."),
    ({"weight_learning_rate": 3e-5}, "Method 'smp_s' has no use for weight_learning_rate. These have: dense, "),
    ({"head_learning_rate": 3e-5}, "Head 'label_words' is frozen and has no use for head_learning_rate."),
    (LINEAR | {"head_learning_rate": None}, "A linear head is trained and needs a head_learning_rate."),
    ({"method": "smp_t", "remaining": None, "threshold": None}, "Method 'smp_t' needs a threshold."),
    (DENSE | {"weight_learning_rate": None}, "Method 'dense' needs a weight_learning_rate."),
    (DENSE | {"regularizer": 400}, "Method 'dense' has no use for regularizer."),
    (DENSE | {"score_learning_rate": 0.02}, "Method 'dense' has no use for score_learning_rate."),
    (L0 | {"schedule": "linear"}, "Method 'l0' has no use for schedule. These have: smp_l, "),
    (L0 | {"regularizer_ramp": "paper"}, "Method 'l0' has no schedule for a regularizer_ramp 'paper' to follow."),
    ({"method": "random", "dropout": 0.3}, "Method 'random' has no use for dropout."),
    ({"method": "random", "epochs": 2}, "Method 'random' has no use for epochs."),
    ({"method": "random"} | LINEAR, "Method 'random' has no use for head_learning_rate."),
    ({"method": "magnitude_frozen", "seed": 1}, "Method 'magnitude_frozen' has no use for seed. These have: smp_l, "),
    *((DISTILLATION | {name: None}, "A teacher needs kl_direction, ") for name in DISTILLATION if name != "teacher"),
    (DISTILLATION | {"teacher": None}, "are of a teacher, and none is named. Name one, or leave them out."),
    ({"distillation_weight": 0.5}, "are of a teacher, and none is named. Name one, or leave them out."),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_a_setting_that_does_not_fit_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ConfigError) as caught:
        tiny_config(**changes)
    assert sentence in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    "changes",
    [
        {"task": 1},
        {"method": ["smp_s"]},
        {"remaining": "0.5"},
        {"remaining": True},
        {"remaining": math.nan},
        {"regularizer": math.inf},
        {"regularizer": 10**400},
        {"seed": math.inf},
        {"seed": math.nan},
        {"seed": 0.5},
        {"seed": False},
        {"batch_size": [32]},
        {"label_words": "yes"},
        {"label_words": ["yes", 1]},
        {"label_words": {"yes": "no"}},
        {"teacher": 0},
    ],
)
def test_a_setting_of_another_type_or_of_no_size_is_refused(changes):
    (name,) = changes
    with pytest.raises(ConfigError, match=rf"Setting {name} = .* is (not a|no number between)"):
        tiny_config(**changes)


def test_a_measured_method_takes_no_remaining_fraction():
    assert tiny_config(**L0).run_id.startswith("rte-l0-rfree-s0-")
    with pytest.raises(ConfigError, match=r"Method 'l0' takes no remaining fraction \(got 0.5\)"):
        tiny_config(method="l0")


def test_a_method_without_a_mask_keeps_all():
    assert tiny_config(**DENSE).run_id.startswith("rte-dense-r1-s0-")
    for remaining in (0.5, None):
        with pytest.raises(ConfigError, match="Method 'dense' has no mask, so its remaining fraction is 1"):
            tiny_config(method="dense", remaining=remaining)


def test_unknown_settings_are_named_beside_the_known_ones():
    with pytest.raises(
        ConfigError, match=r"Unknown settings: sparsity\. Known: base_model, .*, weight_learning_rate\."
    ):
        RunConfig.from_dict(tiny_config().to_dict() | {"sparsity": 0.9})


def test_missing_settings_are_named():
    values = tiny_config().to_dict()
    del values["task"], values["precision"]
    with pytest.raises(ConfigError, match=r"Settings are missing: precision, task\."):
        RunConfig.from_dict(values)


def test_tables_are_consistent():
    for name, task in ((name, TASKS[name]) for name in BUILT_IN):
        assert task.name == name
        assert task.main_metric == task.metrics[0]
        assert len(task.label_words) == (len(task.classes) or 2)
        assert (task.kind is CLASSES) == bool(task.classes)
        assert task.synthetic == name.startswith("toy-")
    assert all(method.name == name for name, method in METHODS.items())
