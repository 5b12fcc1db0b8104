"""Verdicts on the paper's claims: worked by hand on made-up runs, published differences by hand from the tables."""

from itertools import count

import pandas as pd
import pytest

from smp_lab.analysis.claims import AGREES, CLAIMS, DIFFERS, MOST_SEEDS, OPEN, claims_table, in_words
from smp_lab.analysis.sampling import Comparison
from smp_lab.storage.published import published_ablations, published_points

WORDS = "SMP-S scores above magnitude pruning."
NUMBER = count()


def row(method, task, value, *, level=0.5, seed=0, variant="", data="d"):
    return {
        "run_id": f"{method}{next(NUMBER)}",
        "task": task,
        "method": method,
        "level": level,
        "variant": variant,
        "seed": seed,
        "value": value,
        "base_model": "tiny",
        "base_model_sha256": "a",
        "data_sha256": data,
    }


def table(rows, told=0.05, asked=None):
    """Two runs are distinguishable where they differ by more than `told`."""
    runs = pd.DataFrame(rows)
    values = runs.set_index("run_id")["value"]

    def compare(a, b):
        if asked is not None:
            asked.append((a, b))
        difference = values[b] - values[a]
        return Comparison("accuracy", 100, difference, p_value=0.01 if abs(difference) > told else 0.5)

    return claims_table(runs, compare, published_points(), published_ablations())


def one(rows, words=WORDS, **options):
    found = table(rows, **options)
    return found[(found["claim"] == words) & (found["base_model"] == "tiny")].iloc[0]


@pytest.mark.parametrize(
    ("rte", "cola", "verdict"),
    [
        ((0.7, 0.6), (0.31, 0.3), AGREES),
        ((0.6, 0.7), (0.31, 0.3), DIFFERS),
        ((0.7, 0.6), (0.3, 0.4), OPEN),
        ((0.61, 0.6), (0.31, 0.3), OPEN),
    ],
)
def test_a_verdict_is_that_of_the_tasks_that_can_be_told(rte, cola, verdict):
    rows = [
        row(method, task, value)
        for task, values in (("rte", rte), ("cola", cola))
        for method, value in zip(("smp_s", "magnitude"), values, strict=True)
    ]
    found = one(rows)
    assert found["verdict"] == verdict
    assert found["measured"] == pytest.approx((rte[0] - rte[1] + cola[0] - cola[1]) / 2)
    assert found["tasks"] == "cola, rte" and found["n_pairs"] == 2


@pytest.mark.parametrize("sign", [1, -1])
def test_one_task_decides_nothing_against_the_mean(sign):
    differences = {"rte": 0.06, "cola": -0.04, "sst2": -0.04}
    rows = [row("magnitude", task, 0.5) for task in differences]
    found = one(rows + [row("smp_s", task, 0.5 + sign * each) for task, each in differences.items()])
    assert {found["tasks_for"], found["tasks_against"]} == {0, 1} and found["verdict"] == OPEN


@pytest.mark.parametrize(("value", "verdict"), [(0.6, AGREES), (0.59, OPEN), (0.5, DIFFERS), (0.7, AGREES)])
def test_no_lower_needs_no_task_that_is_higher(value, verdict):
    rows = [row("smp_s", "rte", value), row("dense", "rte", 0.6, level=1.0)]
    assert one(rows, "A mask alone scores no lower than fine-tuning.")["verdict"] == verdict


def test_a_claim_is_measured_at_its_own_levels_alone():
    found = table([row("smp_s", "rte", 0.7, level=0.1), row("dense", "rte", 0.6, level=1.0)])
    assert "tiny" not in set(found["base_model"])


def test_most_pairs_of_seeds_decide_and_means_are_over_all_seeds():
    seeds = [row("smp_s", "rte", value, seed=seed) for seed, value in enumerate([0.7, 0.7, 0.6])]
    found = one([*seeds, row("magnitude", "rte", 0.6)])
    assert (found["n_pairs"], found["tasks_for"], found["verdict"]) == (3, 1, AGREES)
    assert found["measured"] == pytest.approx(2 / 3 - 0.6)
    found = one([*seeds[1:], row("magnitude", "rte", 0.6)])
    assert (found["n_pairs"], found["tasks_for"], found["verdict"]) == (2, 0, OPEN)


def test_pairs_are_bounded_and_of_the_same_data_level_and_settings():
    asked = []
    table([row(method, "rte", 0.5, seed=seed) for method in ("smp_s", "magnitude") for seed in range(9)], asked=asked)
    assert len(asked) == MOST_SEEDS**2
    asked.clear()
    table(
        [
            row("smp_s", "rte", 0.5),
            row("magnitude", "rte", 0.5, data="other"),
            row("magnitude", "rte", 0.5, level=0.1),
            row("magnitude", "rte", 0.5, variant="epochs 3"),
        ],
        asked=asked,
    )
    assert asked == []


def test_two_copies_of_a_tasks_data_are_not_crossed():
    asked = []
    table([row(m, "rte", 0.5, data=data) for m in ("smp_s", "magnitude") for data in "de" for _ in "ab"], asked=asked)
    assert len(asked) == 2 * 2**2


def test_a_difference_is_taken_within_a_copy_of_the_data():
    """Both methods have 0.9 on one copy and 0.5 on the other; each was run more often on another one.

    A task of two copies counts as much as one of one, on which the two are 0.1 apart.
    """
    rows = [
        row(method, "rte", 0.9 if data == "d" else 0.5, seed=seed, data=data)
        for method, often in (("smp_s", "d"), ("magnitude", "e"))
        for data in "de"
        for seed in range(MOST_SEEDS if data == often else 1)
    ]
    found = one([*rows, row("smp_s", "cola", 0.6), row("magnitude", "cola", 0.5)])
    assert found["measured"] == pytest.approx((0 + 0.1) / 2)
    assert found["n_pairs"] == 2 * MOST_SEEDS + 1


def test_published_differences_are_those_of_the_tables():
    rows = table([row("smp_s", "rte", 0.5)]).set_index(["claim", "level"])
    found = rows["published"]
    # Table 3 at 10 %, BERT-base: MNLI 82.5 - 82.0, SQuAD F1 84.6 - 84.3.
    assert found["The share rule scores above local top-k.", 0.1] == pytest.approx(0.004)
    # Table 5 at 10 %: MNLI 82.0 - 80.1; SQuAD did not converge without it.
    assert found["The regulariser raises the score.", 0.1] == pytest.approx(0.019)
    # Table 1 at 50 %: MNLI 85.7 - 84.5, QQP 91.7 - 91.4, SQuAD F1 89.8 - 88.1; all masks have a teacher there.
    half = rows.loc[("Half of the weights score above all of them fine-tuned.", 0.5)]
    assert half["published"] == pytest.approx((0.012 + 0.003 + 0.017) / 3) and half["distilled"]
    # Of the two kinds of masks at 10 % those without: MNLI 82.5 - 79.3, QQP 90.8 - 89.1, SQuAD F1 84.6 - 81.7.
    moved = rows.loc[("SMP-S scores above movement pruning.", 0.1)]
    assert moved["published"] == pytest.approx((0.032 + 0.017 + 0.029) / 3) and not moved["distilled"]
    # Table 2: eight tasks of BERT-base and of RoBERTa-base at 80 %.
    assert found["A mask alone scores no lower than fine-tuning.", 0.8] > 0


def test_every_claim_has_a_row_and_words():
    words = in_words(table([row("smp_s", "rte", 0.5)]))
    assert set(words["claim"]) == {claim.words.rstrip(".") for claim in CLAIMS if claim.published}
    assert set(words["verdict"]) == {OPEN} and (words["measured"] == "-").all()
    assert not words.isna().any().any()


def test_tasks_in_which_a_run_says_one_class_are_named():
    rows = [
        row(method, task, value) for task in ("rte", "cola") for method, value in (("smp_s", 0.7), ("magnitude", 0.5))
    ]
    runs = pd.DataFrame(rows)
    learned_nothing = set(runs.loc[(runs["task"] == "rte") & (runs["method"] == "magnitude"), "run_id"])

    def compare(a, b):
        return Comparison("accuracy", 100, 0.2, p_value=0.01, constant=bool({a, b} & learned_nothing))

    found = claims_table(runs, compare, published_points(), published_ablations())
    found = found[(found["claim"] == WORDS) & (found["base_model"] == "tiny")]
    assert found["constant"].tolist() == ["rte"]
    words = in_words(found)
    assert words["one class"].tolist() == ["RTE"]
    assert words["tasks for it, against it, in all"].tolist() == ["2, 0, 2"]
