"""The official evaluation of SQuAD v1.1, on cases worked by hand."""

import pytest

from smp_lab.tasks.kinds import SPAN
from smp_lab.tasks.spans import Span, exact_match, f1, graded_words
from smp_lab.training.squad import column


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The  Cat,\tsat.", ["cat", "sat"]),
        # Articles are whole words; marks go first, so that "a.m." has none and "-the-" is part of a word.
        ("an anthem at 9 a.m.", ["anthem", "at", "9", "am"]),
        ("over-the-top", ["overthetop"]),
        ("A", []),
        # Marks beyond ASCII stay, such as an en dash, and so do accents.
        ("1889\u20131914", ["1889\u20131914"]),
        ("Ångström “unit”", ["ångström", "“unit”"]),
        ("大学", ["大学"]),
        ("$5.50 (US)", ["550", "us"]),
    ],
)
def test_what_of_an_answer_counts(text, words):
    assert graded_words(text) == words


@pytest.mark.parametrize(
    ("predicted", "answers", "exact", "score"),
    [
        ("the Denver Broncos", ["Denver Broncos"], True, 1),
        ("Denver", ["Denver Broncos"], False, 2 / 3),
        # The best of several answers; of 3 words predicted 2 are right, of 2 wanted 2 are.
        ("in Santa Clara", ["Santa Clara, California", "Santa Clara"], False, 4 / 5),
        ("Santa Clara", ["Santa Clara, California", "Santa Clara"], True, 1),
        # A word counts as often as it occurs in both: 1 of 3, and 1 of 1.
        ("very very very", ["very"], False, 2 * (1 / 3) * 1 / (1 / 3 + 1)),
        ("Paris", ["London"], False, 0),
        # The same words in another order have the F1 of the answer.
        ("Clara Santa", ["Santa Clara"], False, 1),
        ("", ["London"], False, 0),
        # Where no word is left the evaluation finds none that is shared.
        ("the", ["a"], True, 0),
    ],
)
def test_exact_match_and_f1(predicted, answers, exact, score):
    predicted, answers = Span(predicted, 0), [Span(answer, 0) for answer in answers]
    assert exact_match(predicted, answers) is exact
    assert f1(predicted, answers) == pytest.approx(score)


def test_the_columns_of_predictions():
    predictions = column([Span("the cat", 4), Span("", 0)])
    targets = column([(Span("cat", 8),), (Span("dog", 0), Span("big dog", 0))])
    table = SPAN.table(predictions, targets)
    assert table["start"].tolist() == [4, 0]
    assert table["end"].tolist() == [11, 0]
    assert table["exact_match"].tolist() == [True, False]
    assert table["f1"].tolist() == [1, 0]
    assert SPAN.problem(None, table) is None
