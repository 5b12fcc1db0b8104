import pytest

from smp_lab.metrics import METRICS
from smp_lab.tasks import TASKS
from smp_lab.tasks.kinds import KINDS


def test_every_metric_of_a_task_or_a_kind_is_in_the_table():
    assert {name for task in TASKS.values() for name in task.metrics} <= METRICS.keys()
    assert {name for kind in KINDS for name in kind.means} <= METRICS.keys()


@pytest.mark.parametrize("metric", METRICS.values(), ids=lambda metric: metric.name)
def test_entries_are_consistent(metric):
    assert METRICS[metric.name] is metric
    assert metric.lowest in (-1, 0) and metric.highest == 1
    assert (metric.lowest == -1) == (metric.name in ("matthews_correlation", "pearson", "spearman"))
