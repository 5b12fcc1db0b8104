import math

import numpy as np
import pandas as pd
import pytest

from smp_lab.analysis import sampling
from smp_lab.analysis.sampling import (
    Outcomes,
    compare,
    compare_on,
    mcnemar,
    of_metric,
    paired_change,
    reliability,
    sampling_interval,
    wilson_interval,
)
from smp_lab.errors import DataError
from smp_lab.paths import cached_runs_folder
from smp_lab.storage.runs import load_run
from smp_lab.tasks import TASKS
from smp_lab.tasks.kinds import CLASSES


def classified(target, prediction):
    target, prediction = np.asarray(target), np.asarray(prediction)
    return pd.DataFrame({"prediction": prediction.astype(np.uint8), "correct": prediction == target})


def regressed(target, prediction):
    return pd.DataFrame(
        {
            "prediction": np.asarray(prediction, np.float32),
            "error": (np.asarray(prediction) - np.asarray(target)).astype(np.float32),
        }
    )


def some(n, agreement, seed):
    """Two classes, right with some chance."""
    rng = np.random.default_rng(seed)
    target = rng.integers(0, 2, n)
    return target, np.where(rng.random(n) < agreement, target, 1 - target)


def slow_metric(metric, target, prediction):
    """The definitions, an example at a time."""
    pairs = list(zip(target, prediction, strict=True))
    if metric in ("f1", "matthews_correlation"):
        tp, fp, fn, tn = (pairs.count(pair) for pair in ((1, 1), (0, 1), (1, 0), (0, 0)))
        if metric == "f1":
            return 2 * tp / (2 * tp + fp + fn) if tp else 0.0
        product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        return (tp * tn - fp * fn) / math.sqrt(product) if product else 0.0
    if metric == "spearman":
        target, prediction = (
            [sum(v < u for v in values) + (sum(v == u for v in values) + 1) / 2 for u in values]
            for values in (target, prediction)
        )
    return np.corrcoef(target, prediction)[0, 1]


def test_wilson_by_hand():
    # n = 10 and a share of 1/2: centre 1/2, half width z / sqrt(n + z^2) / 2.
    z = 1.959964
    half = z / math.sqrt(10 + z**2) / 2
    assert wilson_interval(5, 10) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-6)
    # All right: 1 / (1 + z^2 / n) to 1.
    assert wilson_interval(20, 20) == pytest.approx((1 / (1 + z**2 / 20), 1.0), abs=1e-6)
    assert wilson_interval(0, 20) == pytest.approx((0.0, 1 - 1 / (1 + z**2 / 20)), abs=1e-6)


def test_wilson_stays_within_0_and_1():
    for n in range(1, 500):
        assert wilson_interval(0, n)[0] >= 0 and wilson_interval(n, n)[1] <= 1


def test_wilson_is_the_set_of_shares_that_the_score_test_accepts():
    for correct, n in ((3, 7), (150, 277), (871, 872)):
        for bound in wilson_interval(correct, n):
            assert abs(correct / n - bound) / math.sqrt(bound * (1 - bound) / n) == pytest.approx(1.959964, abs=1e-5)


@pytest.mark.parametrize("metric", ["pearson", "spearman"])
def test_correlations_of_resamples_against_the_definition(metric):
    rng = np.random.default_rng(5)
    target = np.round(rng.uniform(0, 5, 30))
    prediction = np.round(target + rng.normal(0, 1, 30), 1)
    cells, times = sampling._resample(np.column_stack([target, prediction]))
    values = sampling._METRICS[metric](times, cells[:, 0], cells[:, 1])
    for row in range(5):
        drawn = np.repeat(cells, times[row].astype(int), axis=0)
        assert values[row] == pytest.approx(slow_metric(metric, *(list(column) for column in drawn.T)))


def test_a_constant_prediction_has_no_correlation():
    ones, cells = np.ones((1, 4)), np.array([0.0, 1.0, 1.0, 0.0])
    for metric in ("matthews_correlation", "f1", "pearson", "spearman"):
        for constant in (0.0, 0.1):
            assert sampling._METRICS[metric](ones, cells, np.full(4, constant)).tolist() == [0.0]


def test_accuracy_of_a_development_set():
    target, prediction = some(277, 0.66, 1)
    low, high = sampling_interval(classified(target, prediction), "accuracy")
    assert (low, high) == wilson_interval(int((target == prediction).sum()), 277)


@pytest.mark.parametrize("metric", ["matthews_correlation", "f1"])
def test_interval_of_a_classification_is_that_of_resampled_examples(metric):
    """Drawing counts of four cells is drawing examples: the percentiles of both agree."""
    target, prediction = some(150, 0.8, 4)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, 150, 150) for _ in range(2000)]
    want = np.quantile([slow_metric(metric, target[draw], prediction[draw]) for draw in draws], [0.025, 0.975])
    assert sampling_interval(classified(target, prediction), metric) == pytest.approx(want, abs=0.02)


def test_interval_of_a_correlation_is_near_fishers():
    rng = np.random.default_rng(8)
    x = rng.normal(size=1500)
    y = 0.85 * x + math.sqrt(1 - 0.85**2) * rng.normal(size=1500)
    r = np.corrcoef(x, y)[0, 1]
    want = np.tanh(np.arctanh(r) + np.array([-1, 1]) * 1.96 / math.sqrt(1497))
    assert sampling_interval(regressed(x, y), "pearson") == pytest.approx(want, abs=0.006)


def test_intervals_are_the_same_every_time():
    table = regressed(*np.random.default_rng(2).normal(size=(2, 60)))
    assert sampling_interval(table, "spearman") == sampling_interval(table, "spearman")


def test_mcnemar_by_hand():
    # 1 against 5 of 6 coins: 2 * (1 + 6) / 64.
    assert mcnemar(1, 5) == pytest.approx(14 / 64)
    assert mcnemar(5, 1) == pytest.approx(14 / 64)
    assert mcnemar(0, 8) == pytest.approx(2 / 256)
    assert mcnemar(0, 0) == 1
    # An even split is as likely as can be; twice the half of it must not pass 1.
    assert mcnemar(4, 4) == 1


def test_mcnemar_against_a_sum_of_binomial_coefficients():
    for a, b in ((3, 17), (40, 61), (200, 260), (1900, 2050)):
        n = a + b
        exact = 2 * sum(math.comb(n, k) for k in range(min(a, b) + 1)) / 2**n
        assert mcnemar(a, b) == pytest.approx(min(1, exact), rel=1e-9)


def test_compare_counts_who_is_right():
    target = np.array([1, 1, 1, 0, 0, 0, 1, 0])
    a = np.array([1, 1, 0, 0, 0, 1, 0, 0])
    b = np.array([1, 0, 1, 0, 0, 0, 0, 0])
    found = compare(classified(target, a), classified(target, b), "accuracy")
    assert found.outcomes == Outcomes(only_a=1, only_b=2, both=4, neither=1)
    assert found.difference == pytest.approx(1 / 8)
    assert found.p_value == mcnemar(1, 2) == 1
    assert not found.distinguishable


def test_accuracy_that_differs_by_far_is_told_apart():
    target = np.arange(200) % 2
    good, poor = target.copy(), np.where(np.arange(200) < 60, 1 - target, target)
    good[:5] = 1 - good[:5]
    assert compare(classified(target, poor), classified(target, good), "accuracy").distinguishable


@pytest.mark.parametrize("metric", ["matthews_correlation", "f1"])
def test_paired_classification_against_slow_resamples(metric):
    target, a = some(120, 0.85, 6)
    flip = np.random.default_rng(7).random(120) < 0.15
    b = np.where(flip, 1 - a, a)
    found = compare(classified(target, a), classified(target, b), metric)
    assert found.difference == pytest.approx(slow_metric(metric, target, b) - slow_metric(metric, target, a))
    rng = np.random.default_rng(1)
    draws = [rng.integers(0, 120, 120) for _ in range(2000)]
    slow = [slow_metric(metric, target[d], b[d]) - slow_metric(metric, target[d], a[d]) for d in draws]
    assert found.interval == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.025)


def test_paired_correlations_need_less_than_two_intervals():
    """Two models that err alike are told apart though their own intervals overlap."""
    rng = np.random.default_rng(9)
    target = rng.uniform(0, 5, 1500)
    a = target + rng.normal(0, 1.6, 1500)
    b = target + 0.92 * (a - target)
    one, other = regressed(target, a), regressed(target, b)
    found = compare(one, other, "pearson")
    assert found.distinguishable
    assert found.p_value is None
    assert found.outcomes is None
    assert sampling_interval(one, "pearson")[1] > sampling_interval(other, "pearson")[0]


@pytest.mark.parametrize("metric", TASKS["stsb"].metrics)
def test_the_difference_of_two_records_is_that_of_their_metrics(metric):
    a, b = (load_run(next(cached_runs_folder().glob(f"stsb-{name}-s0-*"))) for name in ("random-r0.5", "smp_s-r0.03"))
    found = compare_on(a.predictions, b.predictions, TASKS["stsb"], metric)
    assert found.difference == pytest.approx(b.results["metrics"][metric] - a.results["metrics"][metric], abs=1e-6)


@pytest.mark.parametrize("metric", ["accuracy", "matthews_correlation"])
def test_a_run_is_not_distinguishable_from_itself(metric):
    run = classified(*some(80, 0.7, 11))
    found = compare(run, run, metric)
    assert found.difference == 0
    assert not found.distinguishable


def test_other_examples_are_refused():
    one, other = classified(*some(80, 0.7, 1)), classified(*some(80, 0.7, 2))
    with pytest.raises(DataError, match="not measured on the same examples"):
        compare(one, other, "accuracy")
    with pytest.raises(DataError, match="not measured on the same examples"):
        compare(one, one[:40], "accuracy")


def test_a_metric_of_mnli_is_of_its_own_split():
    predictions = pd.DataFrame({"split": [0, 0, 1], "prediction": [0, 1, 2], "correct": [True, False, True]})
    examples, name = of_metric(predictions, TASKS["mnli"], "accuracy_mismatched")
    assert (len(examples), name) == (1, "accuracy")
    examples, name = of_metric(predictions, TASKS["mnli"], "accuracy_matched")
    assert (len(examples), name) == (2, "accuracy")
    examples, name = of_metric(predictions[:2], TASKS["cola"], "matthews_correlation")
    assert (len(examples), name) == (2, "matthews_correlation")


def test_majority_baseline_for_all_examples():
    predictions = classified([0, 1, 1, 1, 0], [0, 0, 1, 1, 1])
    assert CLASSES.majority(predictions, "accuracy") == 0.6
    assert CLASSES.majority(predictions, "matthews_correlation") == 0.0
    assert math.isnan(CLASSES.majority(predictions, "f1"))
    assert math.isnan(CLASSES.majority(classified([2, 1, 0], [2, 2, 0]), "accuracy"))


def test_reliability_is_of_the_split_that_the_metric_was_measured_on():
    both = pd.concat([classified([0] * 4, [0, 0, 0, 1]).assign(split=0), classified([0] * 9, [0] * 9).assign(split=1)])
    found = reliability(both, TASKS["mnli"], "accuracy_mismatched")
    assert (found.low, found.high) == wilson_interval(9, 9)
    assert found.n_examples == 9
    assert found.majority_baseline == 1.0
    # Of three classes a wrong prediction does not tell the target, though no one says the third.
    assert math.isnan(reliability(both, TASKS["mnli"], "accuracy_matched").majority_baseline)


def spans(exact_match, f1):
    n = len(f1)
    zeros = np.zeros(n, np.int32)
    return pd.DataFrame({"start": zeros, "end": zeros, "exact_match": exact_match, "f1": np.asarray(f1, np.float32)})


def test_span_metrics_are_means_over_questions():
    rng = np.random.default_rng(0)
    f1 = rng.random(300)
    one, other = spans(f1 > 0.5, f1), spans(f1 > 0.4, np.minimum(f1 + 0.1, 1))
    assert sampling_interval(one, "exact_match") == wilson_interval(int((f1 > 0.5).sum()), 300)
    low, high = sampling_interval(one, "f1")
    assert (low + high) / 2 == pytest.approx(f1.mean(), abs=0.005)
    # Standard error of a mean, s / sqrt(n).
    assert high - low == pytest.approx(2 * 1.96 * f1.std() / math.sqrt(300), rel=0.1)
    found = compare(one, other, "f1")
    assert found.difference == pytest.approx((other["f1"] - one["f1"]).mean(), abs=1e-6)
    assert found.interval[0] < found.difference < found.interval[1]
    paired = compare(one, other, "exact_match")
    assert paired.outcomes.only_b == ((f1 > 0.4) & (f1 <= 0.5)).sum() and paired.outcomes.only_a == 0
    assert paired.p_value == mcnemar(0, paired.outcomes.only_b)


def test_a_paired_change_of_accuracy_is_that_of_a_normal_mean():
    # 400 examples, 30 lost and 10 won: a mean of -1, 0 and 1.
    right = np.repeat([True, True, False, False], [150, 30, 10, 210])
    without = np.repeat([True, False, True, False], [150, 30, 10, 210])
    frames = [
        pd.DataFrame({"split": 0, "prediction": said.astype(float), "correct": said}) for said in (right, without)
    ]
    change, (low, high) = paired_change(*frames, "accuracy")
    steps = without.astype(float) - right
    half = 1.96 * steps.std() / np.sqrt(len(steps))
    assert change == pytest.approx(-0.05)
    assert (low, high) == pytest.approx((change - half, change + half), abs=0.004)


def test_intervals_of_classes_hardly_depend_on_the_draw(monkeypatch):
    """As many examples as CoLA has; of 2,000 resamples the ends lie up to a point apart."""
    examples = classified(*some(1043, 0.7, 5))
    ends = []
    for seed in range(8):
        monkeypatch.setattr(sampling, "_SEED", seed)
        ends.append(sampling_interval(examples, "matthews_correlation"))
    assert np.ptp(ends, axis=0).max() < 0.003


def test_a_run_that_says_one_class_is_told():
    target = [0, 1, 1, 0, 1, 1]
    learned, constant = classified(target, [0, 1, 0, 0, 1, 1]), classified(target, [1] * 6)
    assert not compare(learned, learned, "accuracy").constant
    assert compare(learned, constant, "accuracy").constant
    assert compare(constant, learned, "matthews_correlation").constant
