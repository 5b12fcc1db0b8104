"""How far a metric of a development set can be trusted: sampling error of one run, and a paired comparison of two.

Both speak of the examples: another development set of the same size would give another value. How far two trainings
with different seeds differ is another spread, and is not in here.

Resampling examples with replacement is the same as drawing how often each example comes up. Examples with the same
target and predictions are alike, so that a classification of any size is a table of few counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from smp_lab.errors import DataError
from smp_lab.tasks import Task
from smp_lab.tasks.kinds import Kind, kind_of_columns

N_RESAMPLES = 2000
# Where they cost little: ends of intervals move by 0.06 standard errors from one draw of 2,000 to the next.
N_OF_FEW_CELLS = 20_000
# Two-sided, of everything in here.
LEVEL = 0.95
# Quantile of the normal distribution at 1 - (1 - LEVEL) / 2.
_Z = 1.959963984540054
_SEED = 20230710
# Two classes make four cells, and eight for two runs.
_FEW_CELLS = 64

Floats = npt.NDArray[np.float64]


def of_metric(predictions: pd.DataFrame, task: Task, metric: str) -> tuple[pd.DataFrame, str]:
    """The examples that a metric was measured on, and its name without the suffix of its split.

    Of more than two classes a wrong prediction does not tell the target: where no column holds it, it is NaN there.

    Parameters
    ----------
    predictions
        Of a run: split, and the columns of a `smp_lab.tasks.kinds.Kind`.
    task
        Whose splits they are.
    metric
        One of the task's: ``accuracy_mismatched`` is the accuracy of mnli's second split.
    """
    place, suffix = next((place, suffix) for place, (suffix, _) in enumerate(task.splits) if metric.endswith(suffix))
    examples = predictions[predictions["split"] == place]
    if len(task.classes) > 2 and "target" not in examples:
        examples = examples.assign(target=examples["prediction"].where(examples["correct"].astype(bool)))
    return examples, metric.removesuffix(suffix)


def kind_of(predictions: pd.DataFrame) -> Kind:
    """Of what kind of task predictions are; raises `DataError`."""
    kind = kind_of_columns(predictions.columns)
    if kind is None:
        raise DataError(f"Predictions have columns {', '.join(predictions.columns)}, which no kind of task has.")
    return kind


def wilson_interval(correct: int, n: int) -> tuple[float, float]:
    """Interval of a share of `n` examples at `LEVEL` (Wilson 1927, "Probable inference").

    It stays within 0 and 1 and holds near both ends, where the usual mean plus or minus two standard errors does not.
    """
    share, z2 = correct / n, _Z**2
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n**2))
    # Where none or all are correct an end is 0 or 1, and rounding may pass it.
    return max(center - half, 0.0), min(center + half, 1.0)


def sampling_interval(predictions: pd.DataFrame, metric: str) -> tuple[float, float]:
    """Sampling error of a development set: where the metric would lie on others of its size, at `LEVEL`.

    Parameters
    ----------
    predictions
        Of one split: columns of a `smp_lab.tasks.kinds.Kind`.
    metric
        A mean of yes and no, such as accuracy: Wilson's interval. All others: percentiles of resamples of the examples,
        with a fixed seed: `N_OF_FEW_CELLS` where few examples are unlike, as of classes, else `N_RESAMPLES`.

    Returns
    -------
    tuple of float
        Lowest and highest value, fractions.
    """
    kind = kind_of(predictions)
    if kind.right and kind.means.get(metric) == kind.right:
        return wilson_interval(int(predictions[kind.right].sum()), len(predictions))
    measure, examples = _examples(metric, predictions)
    cells, times = _resample(examples)
    return _percentiles(measure(times, cells[:, 0], cells[:, 1]))


class Reliability(NamedTuple):
    """What one of a task's metrics is to be compared with: other development sets, and having learned nothing.

    Attributes
    ----------
    low, high
        `sampling_interval`.
    n_examples
        Examples that the metric was measured on.
    majority_baseline
        What the most frequent class scores on them, said of every example: its share for accuracy, 0 for
        matthews_correlation; NaN for other metrics, and where the predictions do not tell the targets.
    """

    low: float
    high: float
    n_examples: int
    majority_baseline: float


def reliability(predictions: pd.DataFrame, task: Task, metric: str) -> Reliability:
    """`Reliability` of a metric; parameters as in `of_metric`."""
    examples, name = of_metric(predictions, task, metric)
    return Reliability(*sampling_interval(examples, name), len(examples), kind_of(examples).majority(examples, name))


class Outcomes(NamedTuple):
    """Examples that one, the other, both or neither of two runs predict right."""

    only_a: int
    only_b: int
    both: int
    neither: int


@dataclass(frozen=True)
class Comparison:
    """Two runs on the same examples, b against a.

    Parameters
    ----------
    metric, n_examples
        What was compared, on how many.
    difference
        Metric of b minus metric of a, a fraction.
    interval
        Of the difference, at `LEVEL`, from resamples of the examples; None where `p_value` decides.
    p_value
        McNemar's, exact and two-sided; None where `interval` decides.
    outcomes
        None for a regression.
    constant
        Whether one of the two, or both, says the same of every example: it has learned nothing.
    """

    metric: str
    n_examples: int
    difference: float
    interval: tuple[float, float] | None = None
    p_value: float | None = None
    outcomes: Outcomes | None = None
    constant: bool = False

    @property
    def distinguishable(self) -> bool:
        """Whether chance in the choice of examples is a poor explanation of the difference."""
        if self.p_value is not None:
            return self.p_value < 1 - LEVEL
        low, high = self.interval or (0.0, 0.0)
        return low > 0 or high < 0


def compare(predictions_a: pd.DataFrame, predictions_b: pd.DataFrame, metric: str) -> Comparison:
    """Compare two runs of a task on the same examples, in the same order.

    Parameters
    ----------
    predictions_a, predictions_b
        Of one split: columns of a `smp_lab.tasks.kinds.Kind`.
    metric
        accuracy: McNemar's exact test (McNemar 1947) on the examples that only one of the two predicts right. Others:
        percentiles of the difference over as many resamples as in `sampling_interval`, the same for both runs.

    Raises
    ------
    DataError
        If the examples are not the same: other targets, or another number of them.
    """
    kind = kind_of(predictions_a)
    target, other = kind.targets(predictions_a), kind.targets(predictions_b)
    n = len(target)
    # Regression targets are differences of rounded numbers.
    if n != len(other) or not np.isclose(target, other, atol=1e-4)[~np.isnan(target) & ~np.isnan(other)].all():
        raise DataError("The two runs were not measured on the same examples, so they cannot be paired.")
    outcomes = _outcomes(predictions_a[kind.right], predictions_b[kind.right]) if kind.right else None
    said = (predictions.get("prediction") for predictions in (predictions_a, predictions_b))
    constant = any(column is not None and (column == column.iloc[0]).all() for column in said)
    interval = p_value = None
    if outcomes and kind.means.get(metric) == kind.right:
        difference = (outcomes.only_b - outcomes.only_a) / n
        p_value = mcnemar(outcomes.only_a, outcomes.only_b)
    else:
        difference, interval = paired_change(predictions_a, predictions_b, metric)
    return Comparison(metric, n, difference, interval, p_value, outcomes, constant)


def paired_change(
    predictions_a: pd.DataFrame, predictions_b: pd.DataFrame, metric: str
) -> tuple[float, tuple[float, float]]:
    """Metric of b minus metric of a on the same examples, and its interval over resamples of them.

    Parameters
    ----------
    predictions_a, predictions_b, metric
        As in `compare`.
    """
    measure, examples = _examples(metric, predictions_a, predictions_b)
    a, b = (measure(np.ones((1, len(examples))), examples[:, 0], examples[:, place])[0] for place in (1, 2))
    cells, times = _resample(examples)
    differences = measure(times, cells[:, 0], cells[:, 2]) - measure(times, cells[:, 0], cells[:, 1])
    return float(b - a), _percentiles(differences)


def compare_on(predictions_a: pd.DataFrame, predictions_b: pd.DataFrame, task: Task, metric: str) -> Comparison:
    """`compare` two runs by one of their task's metrics, as `of_metric` names it."""
    examples_a, name = of_metric(predictions_a, task, metric)
    examples_b, _ = of_metric(predictions_b, task, metric)
    return compare(examples_a, examples_b, name)


def _outcomes(right_a: pd.Series[bool], right_b: pd.Series[bool]) -> Outcomes:
    a, b = right_a.to_numpy(bool), right_b.to_numpy(bool)
    return Outcomes(int((a & ~b).sum()), int((b & ~a).sum()), int((a & b).sum()), int((~a & ~b).sum()))


def mcnemar(only_a: int, only_b: int) -> float:
    """Chance of a split at least this uneven, were each example as likely to fall to either side: two-sided, exact.

    Parameters
    ----------
    only_a, only_b
        Examples that only one of two runs predicts right.
    """
    n, fewer = only_a + only_b, min(only_a, only_b)
    if n == 0:
        return 1.0
    # math.comb(n, k) has thousands of digits for large n; its logarithm has not.
    log_choose = [math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) for k in range(fewer + 1)]
    return min(1.0, 2 * math.fsum(math.exp(value - n * math.log(2)) for value in log_choose))


def _examples(metric: str, *runs: pd.DataFrame) -> tuple[Callable[[Floats, Floats, Floats], Floats], Floats]:
    """How a metric is measured, and its examples ``(n, 1 + n_runs)``: the target, then what each run has there."""
    kind = kind_of(runs[0])
    column = kind.means.get(metric)
    # A mean asks for no target; one that is not known would set each example apart.
    target = np.zeros(len(runs[0])) if column else kind.targets(runs[0])
    return _mean if column else _METRICS[metric], np.column_stack(
        [target, *(run[column or "prediction"] for run in runs)]
    )


def _resample(examples: Floats) -> tuple[Floats, Floats]:
    """Unlike examples ``(n_cells, n_columns)``, and how often each comes up ``(n_resamples, n_cells)``."""
    cells, counts = np.unique(examples, axis=0, return_counts=True)
    n, rng = int(counts.sum()), np.random.default_rng(_SEED)
    if len(cells) <= _FEW_CELLS:
        return cells, rng.multinomial(n, counts / n, size=N_OF_FEW_CELLS).astype(np.float64)
    # The same draw, an example at a time: eight times as fast where nearly every example is a cell of its own.
    drawn = np.repeat(np.arange(len(cells)), counts)[rng.integers(0, n, (N_RESAMPLES, n))]
    drawn += np.arange(N_RESAMPLES)[:, None] * len(cells)
    times = np.bincount(drawn.ravel(), minlength=N_RESAMPLES * len(cells))
    return cells, times.reshape(N_RESAMPLES, len(cells)).astype(np.float64)


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _confusion(times: Floats, target: Floats, prediction: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """True positives, false positives, false negatives and true negatives of each resample; class 1 is positive."""
    positive, said = target == 1, prediction == 1
    return (
        times @ (positive & said),
        times @ (~positive & said),
        times @ (positive & ~said),
        times @ (~positive & ~said),
    )


def _ratio(numerator: Floats, denominator: Floats) -> Floats:
    """0 where there is nothing to divide by, as the trainer's metrics have it."""
    return np.divide(numerator, denominator, out=np.zeros_like(numerator), where=denominator > 0)


def _mean(times: Floats, target: Floats, value: Floats) -> Floats:
    return times @ value / times.sum(axis=1)


def _matthews_correlation(times: Floats, target: Floats, prediction: Floats) -> Floats:
    tp, fp, fn, tn = _confusion(times, target, prediction)
    return _ratio(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))


def _f1(times: Floats, target: Floats, prediction: Floats) -> Floats:
    tp, fp, fn, _ = _confusion(times, target, prediction)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def _pearson(times: Floats, target: Floats, prediction: Floats) -> Floats:
    # Moments about one of the examples: exactly 0 where all are alike.
    x, y = target - target[0], prediction - prediction[0]
    return _correlation(times, (times @ np.column_stack([x, y, x * x, y * y, x * y])).T)


def _spearman(times: Floats, target: Floats, prediction: Floats) -> Floats:
    # A target is a difference of float32 numbers: equal ones come out unequal, and share no rank then.
    x, y = _ranks(times, np.round(target, 5)), _ranks(times, prediction)
    return _correlation(times, np.array([(times * part).sum(axis=1) for part in (x, y, x * x, y * y, x * y)]))


def _correlation(times: Floats, sums: Floats) -> Floats:
    """Of two quantities x and y, from the sums ``(5, n_resamples)`` of x, y, x^2, y^2 and x y."""
    x, y, xx, yy, xy = sums / times.sum(axis=1)
    return _ratio(xy - x * y, np.sqrt(np.maximum((xx - x * x) * (yy - y * y), 0)))


def _ranks(times: Floats, values: Floats) -> Floats:
    """Rank of each cell in each resample, ``(n_resamples, n_cells)``, about the middle rank.

    Equal values share the mean of their ranks.
    """
    order = np.argsort(values, kind="stable")
    _, first, place = np.unique(values[order], return_index=True, return_inverse=True)
    tied = np.add.reduceat(times[:, order], first, axis=1)
    ranks = np.empty_like(times)
    ranks[:, order] = (tied.cumsum(axis=1) - (tied + times.sum(axis=1, keepdims=True)) / 2)[:, place]
    return ranks


_METRICS: Mapping[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "matthews_correlation": _matthews_correlation,
    "f1": _f1,
    "pearson": _pearson,
    "spearman": _spearman,
}
