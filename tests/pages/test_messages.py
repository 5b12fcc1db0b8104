from __future__ import annotations

import pytest

from smp_lab.ui.messages import plain, visible


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


def test_what_nobody_sees_is_shown_by_its_number():
    assert visible("a\u202eb\u200bc\x00d\ud800") == r"a\u202eb\u200bc\u0000d\ud800"
    assert visible("two\n\n lines\t") == "two lines"
