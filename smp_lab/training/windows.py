"""Questions on long texts: read in windows, and answered by the best span of any of them.

A window holds the question and a part of the context; windows of one question overlap. Sources: Devlin et al. (2019),
"BERT", section 4.2, for the sum of a start's and an end's score; the lengths are those of Jiang et al. (2023), whose
code has them from the examples of transformers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerBase

from smp_lab.errors import ConfigError, DataError
from smp_lab.tasks.spans import Span
from smp_lab.training.data import Examples
from smp_lab.training.examples import DevelopmentSplit, TokenizedExamples
from smp_lab.training.heads import Target
from smp_lab.training.squad import column

# Tokens that two windows of one question share; a third of shorter windows than 384.
OVERLAP = 128
# Starts, and ends, of a window that are looked at, and tokens of the longest answer.
N_BEST = 20
MOST_TOKENS = 30


class Window(NamedTuple):
    """Where the tokens of a window come from.

    Attributes
    ----------
    question
        Number of its question.
    first
        Its first token of the context.
    characters
        ``(n_tokens, 2)`` start and end, in the context, of each of its tokens of the context.
    """

    question: int
    first: int
    characters: npt.NDArray[np.int64]


def windows(
    examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> tuple[TokenizedExamples, list[Window]]:
    """Questions with parts of their contexts as token numbers, in order, and where they come from.

    A window has `max_length` tokens at most; a question longer than a third of it is cut.

    Returns
    -------
    TokenizedExamples
        Targets ``(n_windows, 2)``: first and last token of the first answer; 0, the first token of the window, where
        it does not hold all of it.
    list of Window
        One for each.

    Raises
    ------
    ConfigError
        If the tokenizer does not tell, or windows would be too short.
    DataError
        If a context has no token.
    """
    if not tokenizer.is_fast:
        raise ConfigError(
            f"Tokenizer {type(tokenizer).__name__} does not tell which characters a token is, so a span of tokens is "
            "no text. Choose an encoder with a tokenizer.json."
        )
    questions, contexts = examples.texts
    third = max_length // 3
    shared = min(OVERLAP, third)
    if max_length - third - tokenizer.num_special_tokens_to_add(pair=True) <= shared:
        raise ConfigError(
            f"Windows of {max_length} tokens have no room for a text beside its question. Take 16 or more."
        )
    encoded = tokenizer(
        _cut(questions, tokenizer, third),
        contexts,
        truncation="only_second",
        max_length=max_length,
        stride=shared,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    offsets, numbers = encoded.pop("offset_mapping"), encoded.pop("overflow_to_sample_mapping")
    found = []
    for place, (question, characters) in enumerate(zip(numbers, offsets, strict=True)):
        of_context = np.flatnonzero(np.array([part == 1 for part in encoded.sequence_ids(place)]))
        if not of_context.size:
            raise DataError(f"Context {contexts[question][:40]!r} is no token for this tokenizer. Take it out.")
        found.append(Window(question, int(of_context[0]), np.array(characters)[of_context]))
    targets = np.array([_tokens_of(examples.targets[window.question][0], window) for window in found], np.int64)
    return TokenizedExamples({name: encoded[name] for name in encoded}, targets), found


def tokenize_windows(examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenizedExamples:
    """The first part of what `windows` gives."""
    return windows(examples, tokenizer, max_length)[0]


def _cut(questions: Sequence[str], tokenizer: PreTrainedTokenizerBase, most: int) -> list[str]:
    """Questions of so many tokens at most. Blanks before one have a tokenizer count it twice."""
    short = [question.lstrip() for question in questions]
    read = tokenizer(short, add_special_tokens=False, truncation=True, max_length=most, return_offsets_mapping=True)
    ends = [offsets[-1][1] if len(offsets) == most else None for offsets in read["offset_mapping"]]
    return [question[:end] for question, end in zip(short, ends, strict=True)]


def _tokens_of(answer: Span, window: Window) -> tuple[int, int]:
    """First and last token of an answer in a window; 0 and 0 where it is not all there."""
    starts, ends = window.characters.T
    end = answer.start + len(answer.text)
    if answer.start < starts[0] or end > ends[-1]:
        return 0, 0
    first, last = np.searchsorted(starts, answer.start, "right") - 1, np.searchsorted(ends, end)
    return window.first + int(first), window.first + int(last)


def best_span(scores: npt.NDArray[np.float32], window: Window) -> tuple[float, int, int]:
    """The span of a window whose start and end score highest together.

    Parameters
    ----------
    scores
        ``(n_tokens, 2)``, as start and as end, of the window's tokens and maybe of padding behind them.
    window
        Answers lie among its tokens of the context.

    Returns
    -------
    tuple
        Sum of the two scores, first and last token of the context; -inf where none of the `N_BEST` starts has one of
        the `N_BEST` ends behind it within `MOST_TOKENS`.
    """
    start, end = scores[window.first : window.first + len(window.characters)].T
    starts, ends = (np.argsort(-part, kind="stable")[:N_BEST] for part in (start, end))
    n_behind = ends[None, :] - starts[:, None]
    sums = np.where((n_behind >= 0) & (n_behind < MOST_TOKENS), start[starts][:, None] + end[ends], -math.inf)
    row, column = np.unravel_index(sums.argmax(), sums.shape)
    return float(sums[row, column]), int(starts[row]), int(ends[column])


@dataclass(frozen=True)
class QuestionSplit(DevelopmentSplit):
    """A development split of windows, shortest first, that is scored by question; `windows` are in the file's order."""

    questions: Examples
    windows: list[Window]

    @property
    def targets(self) -> npt.NDArray[np.object_]:
        """Answers that are taken for right, of each question."""
        return self.questions.targets

    def predictions(self, scores: npt.NDArray[np.float32], target: Target) -> npt.NDArray[np.object_]:
        """A `Span` for each question, from scores ``(n_windows, n_tokens, 2)``; an empty one where there is none."""
        best, answers = np.full(len(self.questions), -math.inf), [Span("", 0)] * len(self.questions)
        for place, of_window in zip(self.order, scores, strict=True):
            window = self.windows[place]
            score, first, last = best_span(of_window, window)
            if score > best[window.question]:
                best[window.question] = score
                context = self.questions.texts[1][window.question]
                answers[window.question] = _answer(context, window.characters[first, 0], window.characters[last, 1])
        return column(answers)


def _answer(context: str, start: int, end: int) -> Span:
    """A span without the blanks around it, which some tokenizers count to a word."""
    text = context[start:end]
    return Span(text.strip(), int(start) + len(text) - len(text.lstrip()))


def question_split(
    suffix: str, questions: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> QuestionSplit:
    """A development split of a span task."""
    tokenized, found = windows(questions, tokenizer, max_length)
    by_length = tokenized.by_length()
    return QuestionSplit(suffix, tokenized.taken(by_length), by_length, questions, found)
