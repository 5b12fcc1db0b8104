import pandas as pd
import pytest

from smp_lab.analysis.curves import difference_to_dense, differences, mean_curves, published_lines, with_reliability
from smp_lab.analysis.sampling import Reliability
from smp_lab.storage.published import published_points


def runs(*rows, **same):
    table = pd.DataFrame(rows, columns=["method", "level", "seed", "value"])
    shared = {
        "task": "rte",
        "metric": "accuracy",
        "variant": "",
        "name": "SMP-S",
        "base_model": "tiny",
        "base_model_sha256": "a",
        "data_sha256": "b",
        "n_examples": 277,
    }
    table = table.assign(settings=table["method"] + table["level"].astype(str), **(shared | same))
    return table.assign(remaining=table["level"], low=table["value"] - 0.06, high=table["value"] + 0.04)


def test_lines_go_from_few_weights_to_many():
    table = mean_curves(runs(("smp_s", 0.5, 0, 0.60), ("smp_s", 0.1, 0, 0.55), ("smp_l", 0.3, 0, 0.6)))
    assert table[["method", "remaining"]].to_numpy().tolist() == [["smp_l", 0.3], ["smp_s", 0.1], ["smp_s", 0.5]]


def test_a_line_is_named_by_method_and_variant_and_a_panel_by_its_encoder_where_there_are_several():
    two = pd.concat([runs(("smp_s", 0.5, 0, 0.6)), runs(("smp_l", 0.5, 0, 0.6), variant="epochs 3")])
    known = [Reliability(0.5, 0.7, 277, 0.5)] * 2
    for encoders, wanted in ((["a", "a"], ["", ""]), (["a", "<b>"], ["a", "(b)"])):
        table = with_reliability(two.assign(base_model=encoders), known)
        assert table["name"].tolist() == ["SMP-S", "SMP-L, epochs 3"]
        assert table["encoder"].tolist() == wanted


def test_copies_of_one_name_are_set_apart_by_the_beginning_of_their_fingerprints():
    two = pd.concat([runs(("smp_s", 0.5, 0, 0.6)), runs(("smp_s", 0.1, 0, 0.5))]).assign(base_model="a")
    known = [Reliability(0.5, 0.7, 277, 0.5)] * 2
    table = with_reliability(two.assign(data_sha256=["1" * 64, "2" * 64]), known)
    assert table["name"].tolist() == ["SMP-S, data 11111111", "SMP-S, data 22222222"]
    assert set(table["encoder"]) == {""}
    table = with_reliability(two.assign(base_model_sha256=["1" * 64, "2" * 64]), known)
    assert table["encoder"].tolist() == ["a 11111111", "a 22222222"]
    assert set(table["name"]) == {"SMP-S"}


def test_difference_is_to_the_mean_of_the_dense_runs():
    table = runs(("dense", 1.0, 0, 0.70), ("dense", 1.0, 1, 0.72), ("smp_s", 0.5, 0, 0.69), ("smp_s", 0.1, 0, 0.72))
    found = difference_to_dense(table)
    assert found["method"].tolist() == ["smp_s", "smp_s"]
    assert found["dense"].tolist() == pytest.approx([0.71, 0.71])
    assert found["difference"].tolist() == pytest.approx([-0.02, 0.01])


def test_a_line_and_its_dots_have_one_reference():
    usual = [("dense", 1.0, seed, 0.9) for seed in range(3)]
    every = pd.concat([runs(*usual, ("smp_s", 0.5, 0, 0.7)), runs(("dense", 1.0, 0, 0.5), variant="epochs 1")])
    dots, lines, _ = differences(every, mean_curves(every), published_points())
    # Runs of unusual settings are in it only where there are no others.
    assert dots["difference"].tolist() == lines["difference"].tolist() == pytest.approx([0.7 - 0.9])
    few = every[(every["method"] != "dense") | (every["variant"] != "")]
    assert differences(few, mean_curves(few), published_points())[0]["difference"].tolist() == pytest.approx([0.2])


def test_a_published_line_is_named_by_whether_its_masks_had_a_teacher():
    lines = published_lines(published_points(), ["mnli"], ["smp_s"])
    assert set(lines["distilled"]) == {True, False}
    assert (lines["name"].str.endswith(", distilled") == lines["distilled"]).all()


@pytest.mark.parametrize("other", [{"data_sha256": "other"}, {"metric": "f1"}])
def test_dense_runs_of_other_data_or_metric_are_no_reference(other):
    dense = runs(("dense", 1.0, 0, 0.7), **other)
    assert difference_to_dense(pd.concat([dense, runs(("smp_s", 0.5, 0, 0.6))])).empty
