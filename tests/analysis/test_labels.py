import pytest
from conftest import TINY, make_run, random_masks, tiny_config

from smp_lab.analysis.labels import percent, plain, run_labels, variants, visible
from smp_lab.analysis.run_table import run_table

LINEAR = {"head": "linear", "label_words": None, "head_learning_rate": 3e-5}
# Its remaining fraction follows from lambda.
SOFT = {"method": "soft_movement", "remaining": None, "head": "linear", "label_words": None}


def test_seeds_and_levels_stand_on_one_line():
    configs = [tiny_config(seed=seed, remaining=remaining) for seed in (0, 1) for remaining in (0.5, 0.1)]
    # The paper tells its schedule in steps at some levels and as a fraction at others.
    configs.append(tiny_config(remaining=0.8, schedule_fraction=None, schedule_steps=3500))
    assert variants(configs) == [""] * 5


def test_what_no_recipe_has_by_task_is_usual_over_all_tasks():
    """On RTE alone, and in the order of the runs, 0 would be."""
    without = [tiny_config(regularizer=0, remaining=level) for level in (0.5, 0.1)]
    with_it = [tiny_config(), *(tiny_config(task="cola", remaining=level) for level in (0.5, 0.1))]
    assert variants([*without, *with_it]) == ["regularizer 0"] * 2 + [""] * 3
    # Of equally common ones that of the recipe.
    assert variants([*without, *with_it[1:]]) == ["regularizer 0"] * 2 + [""] * 2


def test_what_claims_are_about_is_no_matter_of_how_many_runs_there_are():
    """Usual is a regulariser, no teacher and the method's head, also where no run has them."""
    assert variants([tiny_config(seed=seed, regularizer=0.0) for seed in range(3)]) == ["regularizer 0"] * 3
    assert variants([*(tiny_config(seed=seed, **LINEAR) for seed in range(3)), tiny_config()]) == [
        "head linear"
    ] * 3 + [""]


def test_what_differs_from_the_usual_run_is_named():
    usual = [tiny_config(seed=seed) for seed in (0, 1, 2)]
    names = variants([*usual, tiny_config(**LINEAR), tiny_config(regularizer=0), tiny_config(task="cola", epochs=8)])
    assert names[:3] == [""] * 3
    assert "head linear" in names[3]
    assert names[4:] == ["regularizer 0", ""]


def test_a_setting_without_a_value_is_said_by_what_it_is_then():
    few = [tiny_config(seed=seed, train_examples=1000) for seed in range(2)]
    assert variants([*few, tiny_config()]) == ["", "", "train examples all"]


def test_what_follows_from_another_setting_is_named_only_where_it_distinguishes_runs():
    usual = [tiny_config(seed=seed) for seed in range(3)]
    taught = {"teacher": "rte-dense-r1-s0-01234567@89ab", "distillation_temperature": 2.0, "distillation_weight": 0.5}
    one, other = (tiny_config(**taught, kl_direction=way) for way in ("teacher_student", "student_teacher"))
    assert variants([*usual, one, tiny_config(**LINEAR)]) == ["", "", "", "teacher rte-dense-r1-s0", "head linear"]
    names = variants([*usual, one, other])
    assert ["KL direction KL(teacher" in names[3], "KL direction KL(student" in names[4]] == [True, True]


def test_schedules_of_one_level_are_named_where_they_are_not_the_usual_one():
    tenth = {"remaining": 0.1}
    configs = [
        tiny_config(schedule_fraction=0.5, **tenth),
        tiny_config(**tenth),
        tiny_config(remaining=0.5),
        tiny_config(schedule_fraction=None, schedule_steps=3500, **tenth),
    ]
    # Of three schedules at 10 % the usual one is that of the other level too.
    assert variants(configs) == ["schedule fraction 0.5", "", "", "schedule steps 3500"]


def labels(*runs):
    return list(run_labels(run_table(runs)).values())


def test_a_label_says_what_was_asked_for_or_else_what_was_measured(runs):
    soft = [
        make_run(runs, **SOFT, regularizer=regularizer, masks=random_masks(TINY, remaining, 0))
        for regularizer, remaining in ((400.0, 0.25), (1600.0, 0.125))
    ]
    assert labels(make_run(runs, remaining=0.1), *soft) == [
        "RTE · SMP-S · 10 %",
        "RTE · Soft movement pruning · 25 % kept",
        "RTE · Soft movement pruning · 12.5 % kept",
    ]


def test_measured_runs_of_one_percentage_differ_in_what_led_there(runs):
    soft = [make_run(runs, **SOFT, regularizer=value, masks=random_masks(TINY, 0.25, 0)) for value in (400.0, 1600.0)]
    assert labels(*soft)[1] == "RTE · Soft movement pruning · 25 % kept · regularizer 1600"


def test_a_run_of_unusual_settings_says_so_whatever_is_shown_beside_it(runs):
    table = run_table([make_run(runs), make_run(runs, seed=1), make_run(runs, regularizer=0.0)])
    assert list(run_labels(table[2:]).values()) == ["RTE · SMP-S · 50 % · regularizer 0"]


def test_seeds_and_encoders_are_named_where_runs_differ_in_them(runs):
    first, second, other = make_run(runs), make_run(runs, seed=1), make_run(runs, task="cola", seed=1)
    assert labels(first, other) == ["RTE · SMP-S · 50 %", "CoLA · SMP-S · 50 %"]
    assert labels(first, second) == ["RTE · SMP-S · 50 % · seed 0", "RTE · SMP-S · 50 % · seed 1"]
    larger = make_run(runs, base_model="larger")
    assert labels(first, larger) == ["RTE · SMP-S · 50 % · tiny-test-encoder", "RTE · SMP-S · 50 % · larger"]


def test_the_hash_stands_where_no_word_distinguishes_two_runs(runs):
    altered = [make_run(runs, data_sha256=digest * 64) for digest in "ab"]
    assert labels(*altered) == [f"RTE · SMP-S · 50 % · {run.config.sha256[:8]}" for run in altered]


@pytest.mark.parametrize(
    ("fraction", "words"),
    [(0.1, "10 %"), (0.1234, "12.3 %"), (1, "100 %"), (0.9994, "99.9 %"), (0.9996, "99.96 %"), (0.999999, "99.99 %")],
)
def test_what_is_not_the_whole_is_not_written_as_the_whole(fraction, words):
    assert percent(fraction) == words


def test_what_nobody_sees_is_shown_by_its_number():
    assert visible("a\u202eb\u200bc\x00d\ud800") == r"a\u202eb\u200bc\u0000d\ud800"
    assert visible("two\n\n lines\t") == "two lines"


def test_a_label_holds_no_tag(runs):
    records = [
        make_run(runs, seed=seed, label_words=words)
        for seed, words in enumerate([("yes", "no"), ("yes", "no"), ("<a href='http://a.b'>", "n\u202eo")])
    ]
    label = run_labels(run_table(records))[records[2].run_id]
    assert "(a href='http://a.b')/n\\u202eo" in label


def test_words_stay_words():
    assert plain("Run mrpc-s0 has no mask") == r"Run mrpc\-s0 has no mask"


@pytest.mark.parametrize(
    "markup",
    ["[a](b)", "![a](b)", "<b>", "# a", "`a`", "$a$", "a|b", "~~a~~", "*a*", "&lt;", "1. a", "- a", ":red[a]", "\\["],
)
def test_every_mark_is_escaped(markup):
    shown = plain(markup)
    for place, sign in enumerate(shown):
        if sign.isascii() and not sign.isalnum() and sign not in " \\":
            assert shown[place - 1] == "\\"


@pytest.mark.parametrize("address", ["http://a.b", "HTTPS://a.b", "www.a.b", "Www.a.b", "a@b.c", ":smile:"])
def test_addresses_and_signs_are_parted_where_they_are_recognised(address):
    read = plain(address).replace("\\", "")
    assert read.replace("\u2060", "") == address
    assert "\u2060" in read
    assert not any(part in read.lower() for part in ("://", "www.", "a@b", ":smile"))
