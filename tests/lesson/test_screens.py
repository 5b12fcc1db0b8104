"""The screens of the lesson, opened without a browser: what they ask, answer and show is so."""

import json
import subprocess
import sys

import pytest
from pages.conftest import charts
from streamlit.testing.v1 import AppTest

from smp_lab import paths
from smp_lab.ui.lesson.code import find_code
from smp_lab.ui.lesson.screens import SCREENS


def open_screen(number, **query):
    app = AppTest.from_file(str(paths.pages_folder() / "learn.py"), default_timeout=60)
    app.query_params.update({"screen": str(number), **query})
    app.run()
    assert not app.exception, app.exception
    assert not app.warning, [warning.value for warning in app.warning]
    return app


@pytest.mark.parametrize("number", range(1, len(SCREENS) + 1))
def test_every_screen_opens_asks_and_shows_what_it_sees(number):
    app = open_screen(number)
    assert [title.value for title in app.title] == [f"{number}. {SCREENS[number - 1].title}"]
    (chart,) = charts(app)
    assert chart.proto.alt.endswith(".")
    # Two sentences, and the arrow keys.
    assert SCREENS[number - 1].words.count(". ") == 1
    shortcuts = {button.label: button.proto.shortcut for button in app.button if button.label in ("Back", "Next")}
    assert shortcuts == {"Back": "left", "Next": "right"}


# Screen -> what else the address says, the guess's key, and its right answer where that is known beforehand.
GUESSES = [
    (1, {}, "guess_kept_grow", "rises"),
    (1, {"w1_is": "removed"}, "guess_removed_grow", "rises"),
    (1, {"w1_is": "removed", "y_should": "shrink", "w1": "-0.5"}, "guess_removed_shrink", "rises"),
    (1, {"w1": "0"}, "guess_kept_grow", "stays"),
    (2, {}, "guess_true", "it stays"),
    (3, {}, "guess_plane_smp", "up and down"),
    (3, {"plane_method": "Movement"}, "guess_plane_movement", "both ways"),
    (3, {"plane_method": "Magnitude"}, "guess_plane_magnitude", "sideways"),
    (4, {"right": "Random mask"}, "guess_methods", "left"),
    (4, {"right": "Fine-tuning", "shape": "circles"}, "guess_methods", "alike"),
    (4, {"compare": "two learning rates", "width": "8"}, "guess_rates", "none"),
    (5, {}, "guess_swaps", "fewer"),
    (5, {"where": "MiniLM on SST-2"}, "guess_real", "the majority class alone"),
    (6, {"mean1": "0", "mean2": "0"}, "guess_share", "just v"),
    (6, {"mean1": "2", "mean2": "-2", "v6": "80"}, "guess_share", "all of it"),
    (6, {"mean1": "-1", "mean2": "1"}, "guess_share", "less than v"),
    (7, {}, "guess_decided", "more than half"),
    (7, {"look": "weight and score"}, "guess_magnitude", "about half"),
    (7, {"look": "whose mask?"}, "guess_whose", "B"),
    (7, {"look": "seeds and tasks"}, "guess_seeds", "two seeds"),
    (7, {"look": "a random mask"}, "guess_random", "like the majority class"),
]


@pytest.mark.parametrize(("number", "query", "key", "right"), GUESSES, ids=str)
def test_a_guess_is_answered_by_what_is_shown(number, query, key, right):
    app = open_screen(number, **query)
    (guess,) = (group for group in app.get("button_group") if group.key == key)
    said = [text.value for text in app.markdown]
    assert not any("**Yes.**" in text or "**No" in text for text in said)
    before = [chart.proto.alt for chart in charts(app)]
    guess.set_value(next(answer for answer in guess.options if answer != right)).run()
    assert any(f"**No: {right}.**" in text.value for text in app.markdown)
    after = [chart.proto.alt for chart in charts(app)]
    assert after
    assert after != before or key == "guess_whose"
    assert not app.exception


def test_the_table_fills_with_the_cases_that_were_guessed():
    app = open_screen(1, guess_kept_grow="rises", guess_removed_shrink="rises")
    (table,) = (part.value for part in app.get("html") if "lesson-table" in part.value and "<td>" in part.value)
    assert table.count("?") == 2
    assert table.count("✓") == table.count("✗") == 1


def test_what_moves_plays_without_the_server():
    for number, query in ((3, {"guess_plane_smp": "sideways"}), (4, {"guess_methods": "left"}), (7, {})):
        (chart,) = charts(open_screen(number, **query))
        spec = json.loads(chart.proto.spec)
        assert len(spec["frames"]) == len(spec["layout"]["sliders"][0]["steps"]) == 21
        assert [button["label"] for button in spec["layout"]["updatemenus"][0]["buttons"]] == ["Play", "Pause"]


def test_a_screen_that_is_not_there_is_the_first():
    for asked in ("0", "99", "two"):
        assert open_screen(asked).title[0].value.startswith("1. ")


def test_without_cached_runs_a_sentence_stands_in_place_of_the_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "cached_runs_folder", lambda: tmp_path)
    app = open_screen(7)
    assert "made of cached runs" in app.info[0].value
    assert not charts(app)


def test_the_lesson_needs_no_torch():
    """Not even to show the code of the torch engine."""
    code = (
        "import sys\nfrom smp_lab.ui.lesson.code import find_code\nfrom smp_lab.ui.lesson.screens import SCREENS\n"
        "for screen in SCREENS:\n    for part in screen.formulas: find_code(*part[2:])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_code_is_found_in_the_source_or_refused():
    code = find_code("smp_lab.masks", "kept_count", "return")
    assert code.text == "return min(max(int(np.floor(fraction * n_weights)), 0), n_weights)"
    source = (paths.project_folder() / "smp_lab" / "masks.py").read_text().splitlines()
    assert source[code.line - 1].strip() == code.text
    for module, function, words in (
        ("smp_lab.no_such_module", "f", "return"),
        ("smp_lab.masks", "no_such_function", "return"),
        ("smp_lab.masks", "kept_count", "no such words"),
        ("smp_lab.masks", "top_k", "raise"),
    ):
        with pytest.raises(LookupError):
            find_code(module, function, words)
