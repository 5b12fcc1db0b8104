"""The table of settings beside what derives from it."""

from __future__ import annotations

import pytest

from smp_lab.errors import ConfigError
from smp_lab.methods import METHODS
from smp_lab.settings import SETTINGS
from smp_lab.tasks import TASKS


def test_the_table_has_the_types_of_the_fields() -> None:
    assert {setting.type for setting in SETTINGS.values()} == {str, int, float, tuple}
    assert [name for name, setting in SETTINGS.items() if setting.since] == ["task_definition", "share_temperature"]


def test_every_setting_is_one_plain_sentence() -> None:
    for setting in SETTINGS.values():
        assert setting.help.endswith(".") and setting.help[0].isascii(), setting.name
        assert ". " not in setting.help, setting.name
    assert SETTINGS["schedule"].sentence == "How the remaining fraction falls from 1: cubic or linear."
    assert SETTINGS["head"].sentence == "What scores the classes: label_words (frozen) or linear (trained)."


def test_a_setting_that_not_all_methods_look_at_has_a_value_for_the_others() -> None:
    for setting in SETTINGS.values():
        if len(setting.users) < len(METHODS):
            setting.coerced(setting.unused)
        if setting.since:
            setting.check_range(setting.coerced(setting.neutral))


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_what_is_out_of_bounds_or_no_choice_is_refused(setting) -> None:
    outside = [bound for bound in (setting.above, setting.below) if bound is not None]
    outside += [setting.lowest - 1] if setting.lowest is not None else []
    outside += [setting.highest + 1] if setting.highest is not None else []
    assert outside or setting.type not in (int, float) or setting.name == "remaining"
    for value in [*outside, *(["other"] if setting.choices else [])]:
        with pytest.raises(ConfigError, match=setting.name):
            setting.check_range(value)


def test_a_setting_of_one_kind_of_task_is_for_no_other() -> None:
    magnitude = METHODS["magnitude"]
    assert SETTINGS["regression_head"].used_by(magnitude, TASKS["stsb"])
    assert not SETTINGS["regression_head"].used_by(magnitude, TASKS["rte"])
    assert not SETTINGS["teacher"].used_by(magnitude, TASKS["stsb"])
    assert not SETTINGS["teacher"].used_by(METHODS["random"], TASKS["rte"])


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("label_words", ("yes", "no"), "yes/no"),
        ("epochs", 8.0, "8"),
        ("seed", 3, "3"),
        ("regularizer_ramp", "paper", "with the sparsity"),
        ("schedule", "cubic", "cubic"),
        ("dropout", None, "None"),
    ],
)
def test_values_are_written_as_people_write_them(name, value, text) -> None:
    assert SETTINGS[name].text(value) == text


def test_what_was_got_is_cut_to_a_line() -> None:
    with pytest.raises(ConfigError) as caught:
        SETTINGS["seed"].coerced("\n".join(["many words"] * 100))
    assert len(str(caught.value)) < 120 and "\n" not in str(caught.value)
