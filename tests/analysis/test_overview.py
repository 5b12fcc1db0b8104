import numpy as np
import pandas as pd
import pytest

from smp_lab.analysis.overview import common_level, means_beside, metric_left, widest_setting


def runs(*rows):
    table = pd.DataFrame(rows, columns=["task", "method", "level", "value"])
    table = table.assign(base_model="tiny", metric="Accuracy", n_examples=40, seed=range(len(table)), variant="")
    return table.assign(settings=table["task"] + table["method"] + table["level"].astype(str), remaining=table["level"])


def test_common_level_is_where_most_tasks_are():
    table = runs(
        ("rte", "smp_s", 0.5, 60), ("sst2", "smp_s", 0.5, 85), ("rte", "smp_s", 0.1, 55), ("rte", "smp_l", 0.1, 54)
    )
    assert common_level(table) == 0.5


def test_common_level_of_equals_is_the_lowest():
    assert common_level(runs(("rte", "smp_s", 0.5, 60), ("rte", "smp_s", 0.1, 55))) == 0.1


def test_no_common_level_without_pruned_runs():
    assert common_level(runs(("rte", "dense", 1.0, 60), ("rte", "l0", np.nan, 55))) is None
    assert common_level(runs()) is None


def test_metric_left_against_the_fullest_run():
    table = runs(
        ("rte", "dense", 1.0, 66.0),
        ("rte", "smp_s", 0.5, 60.0),
        ("rte", "smp_s", 0.1, 56.0),
        ("rte", "smp_s", 0.1, 54.0),
        ("rte", "smp_l", 0.1, 50.0),
        ("sst2", "smp_s", 0.1, 81.0),
    )
    left = metric_left(table, 0.1).set_index(["task", "method"])
    share = left.loc[("rte", "smp_s")]
    assert (share["value"], share["n_seeds"]) == (55.0, 2)
    assert (share["reference_level"], share["reference_value"], share["change"]) == (1.0, 66.0, -11.0)
    assert left.loc[("rte", "smp_l")]["change"] == pytest.approx(-16.0)
    assert np.isnan(left.loc[("sst2", "smp_s")]["change"])


def test_metric_left_keeps_recipes_apart_and_compares_like_with_like():
    table = runs(
        ("rte", "smp_l", 0.5, 62.0),
        ("rte", "smp_s", 0.5, 70.0),
        ("rte", "smp_s", 0.5, 60.0),
        ("rte", "smp_s", 0.1, 58.0),
        ("rte", "smp_s", 0.1, 54.0),
        ("rte", "movement", 0.1, 50.0),
    )
    longer = [1, 3]
    table.loc[longer, "variant"] = "epochs 60"
    table.loc[longer, "settings"] += ", epochs 60"
    left = metric_left(table, 0.1).set_index(["method", "variant"])
    assert left["n_seeds"].tolist() == [1, 1, 1]
    assert left["change"].to_dict() == {
        ("smp_s", "epochs 60"): -12.0,
        ("smp_s", ""): -6.0,
        ("movement", ""): -12.0,  # no run of its own method keeps more: the usual recipe of the first
    }


def test_metric_left_compares_within_one_encoder():
    table = runs(("rte", "smp_s", 0.5, 70.0), ("rte", "smp_s", 0.1, 56.0))
    table.loc[0, "base_model"] = "larger"
    assert metric_left(table, 0.1)["change"].isna().all()


def test_widest_setting_has_most_tasks_and_is_usual():
    table = runs(
        ("rte", "smp_l", 0.1, 50.0),
        ("rte", "magnitude", 0.1, 52.0),
        ("cola", "magnitude", 0.1, 12.0),
        ("rte", "smp_s", 0.1, 56.0),
        ("cola", "smp_s", 0.1, 16.0),
        ("rte", "smp_s", 0.1, 54.0),
        ("cola", "smp_s", 0.1, 14.0),
    )
    table.loc[[5, 6], "variant"] = "linear head"
    table.loc[[5, 6], "settings"] += ", linear head"
    shown = widest_setting(metric_left(table, 0.1))
    assert (shown["task"].tolist(), shown["value"].tolist()) == (["rte", "cola"], [56.0, 16.0])


def test_means_are_over_the_same_tasks_or_not_given():
    table = runs(
        ("rte", "smp_s", 0.1, 56.0),
        ("cola", "smp_s", 0.1, 16.0),
        ("rte", "magnitude", 0.1, 52.0),
        ("cola", "magnitude", 0.1, 12.0),
        ("rte", "smp_l", 0.1, 50.0),
        ("rte", "random", 0.1, 51.0),
        ("cola", "random", 0.1, 1.0),
        ("sst2", "random", 0.1, 49.0),
    )
    left = metric_left(table, 0.1)
    shown = left[left["method"] == "smp_s"]
    assert means_beside(left, shown).to_dict() == {"smp_s": 36.0, "magnitude": 32.0, "random": 26.0}
