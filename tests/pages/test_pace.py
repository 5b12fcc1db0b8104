"""How often those who watch look: their number times what a look costs fits into a share of the machine."""

import pytest

from smp_lab.ui.pace import Pace


def crowd(n_watchers, cost, n_cores=2):
    pace = Pace(n_cores)
    for watcher in range(n_watchers):
        pace.looked(str(watcher), 0, 9)
        pace.looked(str(watcher), 0, cost)
    return pace


@pytest.mark.parametrize(
    ("n_watchers", "cost", "n_cores", "seconds"),
    [
        (0, 0.05, 2, 2),
        (1, 0.05, 2, 2),
        (2, 0.06, 2, 2),
        (3, 0.06, 2, 4),
        (20, 0.05, 2, 32),
        (20, 0.03, 16, 2),
        (1000, 0.05, 2, 32),
    ],
)
def test_seconds_are_doubled_until_all_looks_fit_into_their_share(n_watchers, cost, n_cores, seconds):
    pace = crowd(n_watchers, cost, n_cores)
    assert pace.seconds(1) == seconds
    assert n_watchers * cost / seconds <= 0.03 * n_cores or n_watchers == 1000


def test_what_is_long_enough_is_not_changed_for_a_little():
    pace = crowd(20, 0.05)
    assert [pace.seconds(1, current) for current in (2, 16, 32, 48, 96)] == [32, 32, 32, 48, 32]


def test_a_first_look_does_not_count_and_a_dear_one_does_not_last():
    pace = Pace(2)
    costs = [9, 0.3, 0.05, 4]
    seconds = [2, 8, 2, 2]
    for at, (cost, expected) in enumerate(zip(costs, seconds, strict=True)):
        pace.looked("one", at, cost)
        assert pace.seconds(at) == expected


def test_a_watcher_counts_once_with_his_last_look_and_until_he_is_gone():
    pace = crowd(20, 0.05)
    pace.looked("0", 60, 0.01)
    assert pace.seconds(63) == 32 and pace.seconds(65) == 2
    assert crowd(1, 0.0).seconds(1) == 2
