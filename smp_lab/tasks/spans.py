"""Answers that are spans of a text, and how they are graded: the rules of SQuAD v1.1's evaluation.

Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine Comprehension of Text", section 6.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """A span of a text: what it says, and the character at which it begins."""

    text: str
    start: int


_ARTICLES = re.compile(r"\b(a|an|the)\b")
# ASCII alone: the evaluation keeps dashes and quotes of other scripts.
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def graded_words(text: str) -> list[str]:
    """The words of an answer that count: in lower case, without punctuation marks and then without articles."""
    return _ARTICLES.sub(" ", text.lower().translate(_WITHOUT_PUNCTUATION)).split()


def exact_match(predicted: Span, answers: Sequence[Span]) -> bool:
    """Whether the words of a prediction are those of one of the answers."""
    words = graded_words(predicted.text)
    return any(graded_words(answer.text) == words for answer in answers)


def f1(predicted: Span, answers: Sequence[Span]) -> float:
    """Highest F1 of the words of a prediction, as often as they occur, with one of the answers.

    0 where no word is shared, as the evaluation has it: also where neither has a word left, which is an exact match.
    """
    return max(_f1(graded_words(predicted.text), graded_words(answer.text)) for answer in answers)


def _f1(predicted: list[str], wanted: list[str]) -> float:
    n_shared = (Counter(predicted) & Counter(wanted)).total()
    return 2 * n_shared / (len(predicted) + len(wanted)) if n_shared else 0.0
