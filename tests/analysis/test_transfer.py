import numpy as np
import pandas as pd
import pytest
from conftest import make_run, make_transfer

from smp_lab.analysis.sampling import Reliability
from smp_lab.analysis.transfer import MAGNITUDE, OTHER_TASK, OWN, RANDOM, measured_transfers, transfer_table


def transfers(*rows, **columns):
    names = ["mask_task", "mask_method", "task", "value"]
    return pd.DataFrame(rows, columns=names).assign(**{"majority": 0.5, "classifier": "x", **columns})


ROWS = [
    ("rte", "smp_s", "rte", 0.7),
    ("rte", "smp_s", "cola", 0.1),
    ("cola", "smp_s", "cola", 0.9),
    ("cola", "smp_s", "rte", 0.6),
    (None, "random", "rte", 0.4),
    (None, "random", "rte", 0.5),
    (None, "magnitude_frozen", "rte", 0.55),
]


def test_by_hand():
    table = transfer_table(transfers(*ROWS))
    assert table["kind"].tolist() == [OWN, OTHER_TASK, OWN, OTHER_TASK, RANDOM, RANDOM, MAGNITUDE]
    other = table.iloc[3]
    assert (other["own"], other["random"], other["magnitude"]) == pytest.approx((0.7, 0.45, 0.55))
    assert other[["difference_to_own", "difference_to_random", "difference_to_magnitude"]].tolist() == pytest.approx(
        [-0.1, 0.15, 0.05]
    )
    # Half of the way from the majority's 0.5 to the own mask's 0.7, and a full one below it.
    assert table["share"].tolist() == pytest.approx([1, -1, 1, 0.5, -0.5, 0, 0.25])
    assert np.isnan(table.loc[1, "random"]) and np.isnan(table.loc[1, "difference_to_random"])


def test_the_majority_baseline_of_a_transfer_is_that_of_its_record(runs):
    made = make_transfer(runs, make_run(runs), "rte", majority=0.55)
    table = measured_transfers([made], [Reliability(0.5, 0.7, 40, np.nan)], {})
    assert table[["majority", "low", "high"]].to_numpy().tolist() == [[0.55, 0.5, 0.7]]


def test_several_seeds_share_their_mean():
    rows = [("rte", "smp_s", "rte", value) for value in (0.6, 0.8)] + [("cola", "smp_s", "rte", 0.7)]
    table = transfer_table(transfers(*rows))
    assert table["own"].tolist() == pytest.approx([0.7] * 3)
    assert table["difference_to_own"].tolist() == pytest.approx([-0.1, 0.1, 0])


def test_no_share_where_the_own_mask_is_no_better_than_majority_baseline():
    table = transfer_table(transfers(*ROWS, majority=0.7))
    assert table["share"].isna().tolist() == [True, False, False, True, True, True, True]


def test_no_own_mask_leaves_nothing_to_compare_with():
    table = transfer_table(transfers(("rte", "smp_s", "cola", 0.5)))
    assert table[["own", "random", "magnitude", "share"]].isna().all(axis=None)


def test_a_control_run_is_a_control_on_its_own_task_too():
    assert transfer_table(transfers(("rte", "random", "rte", 0.5)))["kind"].tolist() == [RANDOM]


def test_other_classifiers_of_a_task_are_left_out():
    table = transfers(*ROWS).assign(classifier=["a", "x", "x", "b", "a", "a", "b"])
    kept = transfer_table(table)
    assert kept["value"].tolist() == [0.7, 0.1, 0.9, 0.4, 0.5]
