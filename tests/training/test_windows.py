"""Windows over long texts, and the best span of them, against slow loops."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, log_softmax
from training.conftest import WORDS, bert_folder, roberta_folder, tiny_data  # noqa: F401 - fixtures
from transformers import BertTokenizerFast

from smp_lab.errors import ConfigError, DataError
from smp_lab.tasks.spans import Span
from smp_lab.training.data import Examples
from smp_lab.training.distillation import Distillation
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.heads import PADDING_SCORE, StartEnd
from smp_lab.training.squad import column
from smp_lab.training.windows import MOST_TOKENS, N_BEST, Window, best_span, question_split, windows

CONTEXT = "the big cat sat  the small dog ran. a red cat saw a blue dog the great dog saw yes no maybe the cat ran"


def examples(answer: str = "red cat", question: str = "a dog saw", context: str = CONTEXT) -> Examples:
    return Examples(([question], [context]), column([(Span(answer, context.index(answer)),)]))


@pytest.fixture(params=["bert_folder", "roberta_folder"])
def tokenizer(request):
    return load_encoder(find_encoder(str(request.getfixturevalue(request.param)))).tokenizer


def test_a_context_without_a_token_is_told():
    context = "\u200b"
    tokenizer = BertTokenizerFast(vocab={"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "[MASK]": 4, "a": 5})
    with pytest.raises(DataError, match=r"Context '\\u200b' is no token for this tokenizer"):
        windows(examples(context, context=context), tokenizer, 18)


def test_every_token_of_a_context_is_in_a_window_and_names_its_characters(tokenizer):
    whole = tokenizer(CONTEXT, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    tokenized, found = windows(examples(), tokenizer, 18)
    assert len(found) > 2
    assert max(tokenized.lengths) <= 18
    parts = [tuple(map(tuple, window.characters.tolist())) for window in found]
    assert set(itertools.chain(*parts)) == set(whole)
    for one, other in itertools.pairwise(parts):
        # A third of 18 tokens is shared.
        assert one[-6:] == other[:6]
    for window, ids in zip(found, tokenized.columns["input_ids"], strict=True):
        read = ids[window.first : window.first + len(window.characters)]
        texts = [CONTEXT[start:end] for start, end in window.characters]
        known = [number != tokenizer.unk_token_id for number in read]
        spelled = [tokenizer.decode([number]).strip() for number in read]
        assert list(itertools.compress(spelled, known)) == list(itertools.compress(texts, known))


@pytest.mark.parametrize("answer", ["red cat", "the big", "cat ran"])
def test_targets_say_the_answer_where_a_window_holds_all_of_it(tokenizer, answer):
    tokenized, found = windows(examples(answer), tokenizer, 18)
    held = 0
    for window, (first, last) in zip(found, tokenized.targets, strict=True):
        start, end = window.characters[0, 0], window.characters[-1, 1]
        place = CONTEXT.index(answer)
        if start <= place and place + len(answer) <= end:
            held += 1
            characters = window.characters[first - window.first : last - window.first + 1]
            assert CONTEXT[characters[0, 0] : characters[-1, 1]] == answer
        else:
            assert (first, last) == (0, 0)
    assert 0 < held < len(found)


def test_a_question_longer_than_a_third_of_the_window_is_cut(tokenizer):
    long = " ".join(WORDS[7:] * 3)
    tokenized, found = windows(examples(question=f"  {long}"), tokenizer, 30)
    specials = tokenizer.num_special_tokens_to_add(pair=True)
    assert max(tokenized.lengths) == 30
    assert len(found[0].characters) == 30 - 10 - specials


def test_the_shortest_windows_share_tokens_and_shorter_ones_are_refused(tokenizer):
    for length in range(4, 40):
        try:
            tokenized, found = windows(examples(), tokenizer, length)
        except ConfigError as error:
            assert f"Windows of {length} tokens have no room" in str(error) and length < 16
        else:
            assert length > 7 and len(found) > (length < 30) and max(tokenized.lengths) <= length


def test_a_tokenizer_that_names_no_characters_is_refused(tokenizer, monkeypatch):
    monkeypatch.setattr(type(tokenizer), "is_fast", False)
    with pytest.raises(ConfigError, match=r"does not tell which characters a token is.*tokenizer\.json"):
        windows(examples(), tokenizer, 18)


def test_the_best_span_is_that_of_a_slow_search():
    rng = np.random.default_rng(0)
    for n_tokens in (1, 5, 25, 70):
        scores = rng.normal(size=(n_tokens + 7, 2)).astype(np.float32)
        window = Window(0, 3, np.zeros((n_tokens, 2), int))
        start, end = scores[3 : 3 + n_tokens].T
        starts, ends = (sorted(range(n_tokens), key=lambda i, part=part: -part[i])[:N_BEST] for part in (start, end))
        spans = [(start[a] + end[b], a, b) for a in starts for b in ends if 0 <= b - a < MOST_TOKENS]
        assert best_span(scores, window) == pytest.approx(max(spans))


@pytest.mark.parametrize(("last", "found"), [(39, True), (40, False)])
def test_an_answer_has_thirty_tokens_at_most(last, found):
    scores = np.zeros((60, 2), np.float32)
    scores[10, 0] = scores[last, 1] = 1
    assert (best_span(scores, Window(0, 0, np.zeros((60, 2), int))) == (2, 10, last)) == found


def test_a_window_whose_ends_all_lie_before_its_starts_has_no_span():
    scores = np.zeros((60, 2), np.float32)
    scores[40:, 0] = scores[:20, 1] = 1
    assert best_span(scores, Window(0, 0, np.zeros((60, 2), int)))[0] == -math.inf


def test_the_answer_is_the_best_of_all_windows_in_characters(tokenizer):
    asked = examples()
    split = question_split("", asked, tokenizer, 18)
    assert split.examples.lengths == sorted(split.examples.lengths)
    scores = np.full((len(split.examples), 18, 2), -1.0, np.float32)
    wanted = CONTEXT.index("small dog ran")
    for place, number in enumerate(split.order):
        window = split.windows[number]
        for token, (start, end) in enumerate(window.characters, start=window.first):
            # The right one, beside another start of the same window.
            scores[place, token] = (
                5 * (start == wanted) + 4 * (start == 0),
                5 * (end == wanted + len("small dog ran")),
            )
    assert split.predictions(scores, StartEnd()).tolist() == [Span("small dog ran", wanted)]
    assert split.targets is asked.targets
    # Some tokenizers count the blank before a word to it.
    wider = replace(split, windows=[window._replace(characters=window.characters - [1, 0]) for window in split.windows])
    assert wider.predictions(scores, StartEnd()).tolist() == [Span("small dog ran", wanted)]


def test_a_question_without_any_span_has_an_empty_answer(tokenizer):
    split = question_split("", examples(context="the cat", answer="cat"), tokenizer, 18)
    scores = np.full((1, 18, 2), -math.inf, np.float32)
    assert split.predictions(scores, StartEnd()).tolist() == [Span("", 0)]


def test_the_loss_is_the_mean_of_two_cross_entropies_and_padding_has_no_part_in_it():
    generator = torch.Generator().manual_seed(0)
    hidden, head = torch.randn(3, 9, 4, generator=generator), torch.nn.Linear(4, 2)
    mask = torch.ones(3, 9, dtype=torch.long)
    mask[1, 6:] = 0
    scores = StartEnd().scores(head, hidden, mask)
    targets = torch.tensor([[0, 0], [2, 5], [8, 8]])
    of_each = [
        (cross_entropy(head(row[:n])[None, :, 0], pair[:1]) + cross_entropy(head(row[:n])[None, :, 1], pair[1:])) / 2
        for row, n, pair in zip(hidden, (9, 6, 9), targets, strict=True)
    ]
    torch.testing.assert_close(StartEnd().loss(scores, targets), torch.stack(of_each).mean())
    assert (scores[1, 6:] == PADDING_SCORE).all()


@pytest.mark.parametrize("direction", ["teacher_student", "student_teacher"])
def test_distillation_is_half_the_loss_and_half_the_mean_of_two_divergences(direction):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 3, 7, 2, generator=generator).unbind()
    logits = StartEnd().logits
    loss = Distillation(direction, 2.0, 0.5).loss(torch.tensor(1.5), logits(student), logits(teacher))
    divergences = []
    for part, row in itertools.product(range(2), range(3)):
        p, q = (log_softmax(scores[row, :, part] / 2, dim=0).double() for scores in (teacher, student))
        p, q = (p, q) if direction == "teacher_student" else (q, p)
        divergences.append((p.exp() * (p - q)).sum())
    torch.testing.assert_close(loss.double(), 0.5 * 1.5 + 0.5 * 4 * torch.stack(divergences).mean())
