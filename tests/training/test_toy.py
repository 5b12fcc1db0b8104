from collections import Counter

import numpy as np
import pytest
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from smp_lab.tasks import TASKS
from smp_lab.training.toy import N_DEVELOPMENT, N_TRAIN, Texts, generate, start_of

TOYS = [name for name, task in TASKS.items() if task.synthetic]
CLASSIFIED = [name for name in TOYS if TASKS[name].classes]
Rows = list[tuple[str, Texts]]


def words(text: str) -> Counter:
    return Counter(text.lower().split())


@pytest.mark.parametrize("task", CLASSIFIED)
def test_sizes_balance_and_fields(task: str) -> None:
    for rows, size in zip(generate(task), (N_TRAIN, N_DEVELOPMENT), strict=True):
        assert len(rows) == size
        assert Counter(label for label, _ in rows) == {label: size // 2 for label in TASKS[task].classes}
        assert {len(texts) for _, texts in rows} == {len(TASKS[task].text_fields)}
    # So the first n are balanced too.
    assert Counter(label for label, _ in generate(task)[0][:100]).most_common()[0][1] == 50


@pytest.mark.parametrize("task", TOYS)
def test_seed_decides_everything(task: str) -> None:
    assert generate(task, 1) == generate(task, 1)
    assert generate(task, 1) != generate(task, 2)


@pytest.mark.parametrize("task", TOYS)
def test_development_sentences_are_not_trained_on(task: str) -> None:
    place = 1 if task == "toy-span" else 0
    train, development = ({texts[place] for _, texts in rows} for rows in generate(task))
    assert not train & development


@pytest.mark.parametrize("task", TOYS)
def test_no_example_twice(task: str) -> None:
    rows = [texts for part in generate(task) for _, texts in part]
    assert len(set(rows)) == len(rows)


def test_acceptability_pairs_are_the_same_words_in_another_order() -> None:
    for rows in generate("toy-acceptability"):
        for (_, (wrong,)), (_, (right,)) in zip(rows[::2], rows[1::2], strict=True):
            assert words(wrong) == words(right)
            assert wrong != right


def test_entailment_pairs_share_the_premise() -> None:
    rows = generate("toy-entailment")[0]
    reversed_roles = 0
    for (yes, (premise, follows)), (no, (same, other)) in zip(rows[::2], rows[1::2], strict=True):
        assert (yes, no, premise) == ("entailment", "not_entailment", same)
        assert words(follows) - words("was by") <= words(premise)
        reversed_roles += words(other) - words("was by") <= words(premise)
    # The rest of the false hypotheses name someone whom the premise does not.
    assert 0.4 < reversed_roles / (N_TRAIN / 2) < 0.6


def test_each_answer_is_in_the_fact_that_was_asked_for_and_no_place_gives_it_away() -> None:
    rows = generate("toy-span")[0]
    assert len(rows) == N_TRAIN
    places: Counter = Counter()
    for answer, (question, context) in rows:
        start = start_of(answer, (question, context))
        assert context[start - 4 : start + len(answer)].lower() == f"the {answer}"
        facts = [fact.lower().split() for fact in context.split(" .")]
        (place,) = (number for number, fact in enumerate(facts) if answer in fact)
        # The deed, and the other person.
        assert {question.split()[2 if " was " in question else 1], question.split()[-2]} <= set(facts[place])
        places[place, facts[place].index(answer)] += 1
    assert max(places.values()) / N_TRAIN < 0.25


def features(train: Rows, development: Rows, overlap: bool) -> list[csr_matrix]:
    """Word counts per field; with `overlap` also which words, and how many, the two fields share."""
    vectorizers = [CountVectorizer().fit([texts[field] for _, texts in train]) for field in range(len(train[0][1]))]
    shared = CountVectorizer().fit([" ".join(texts) for _, texts in train])
    matrices = []
    for rows in (train, development):
        columns = list(zip(*(texts for _, texts in rows), strict=True))
        parts = [vectorizer.transform(column) for vectorizer, column in zip(vectorizers, columns, strict=True)]
        if overlap:
            first, second = (shared.transform(column) for column in columns)
            new = (second - second.minimum(first)).sum(axis=1)
            parts += [first.minimum(second), csr_matrix(new)]
        matrices.append(hstack(parts).tocsr())
    return matrices


def bag_of_words_accuracy(task: str, overlap: bool = False) -> float:
    train, development = generate(task)
    x_train, x_development = features(train, development, overlap)
    labels = np.array([label for label, _ in train])
    model = LogisticRegression(max_iter=2000).fit(x_train, labels)
    return float((model.predict(x_development) == [label for label, _ in development]).mean())


def test_bag_of_words_gets_the_plain_part_of_sentiment_only() -> None:
    assert 0.6 < bag_of_words_accuracy("toy-sentiment") < 0.85


def test_bag_of_words_is_at_chance_on_acceptability() -> None:
    # Both of a pair get the same guess, so exactly one is right.
    assert bag_of_words_accuracy("toy-acceptability") == 0.5


def test_bag_of_words_is_far_from_solving_entailment() -> None:
    assert bag_of_words_accuracy("toy-entailment") < 0.65
    # Even one that is told which words the hypothesis shares with its premise and how many are new.
    assert bag_of_words_accuracy("toy-entailment", overlap=True) < 0.85
