import numpy as np
import pandas as pd
import pytest

from smp_lab.analysis.curves import (
    difference_to_dense,
    line_names,
    mean_curves,
    model_remaining,
    plain_mask_bytes,
    storage_of_tasks,
)
from smp_lab.analysis.sparsity import count_table
from smp_lab.layout import EncoderLayout

BERT_BASE = EncoderLayout(12, 768, 3072, 12, 109_482_240)


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


def test_a_line_is_named_by_its_encoder_where_there_are_several():
    two = pd.concat([runs(("smp_s", 0.5, 0, 0.6)), runs(("smp_l", 0.5, 0, 0.6), variant="epochs 3")])
    assert line_names(two) == ["SMP-S", "SMP-L, epochs 3"]
    assert line_names(two.assign(base_model=["a", "b"])) == ["SMP-S, a", "SMP-L, epochs 3, b"]


def test_difference_is_to_the_mean_of_the_dense_runs():
    table = runs(("dense", 1.0, 0, 0.70), ("dense", 1.0, 1, 0.72), ("smp_s", 0.5, 0, 0.69), ("smp_s", 0.1, 0, 0.72))
    found = difference_to_dense(table)
    assert found["method"].tolist() == ["smp_s", "smp_s"]
    assert found["dense"].tolist() == pytest.approx([0.71, 0.71])
    assert found["difference"].tolist() == pytest.approx([-0.02, 0.01])


def test_dense_runs_of_other_data_are_no_reference():
    dense = runs(("dense", 1.0, 0, 0.7), data_sha256="other")
    assert difference_to_dense(pd.concat([dense, runs(("smp_s", 0.5, 0, 0.6))])).empty


def test_bert_base_at_ten_percent_keeps_thirty_percent_of_the_model():
    kept = BERT_BASE.n_weights // 10
    assert model_remaining(BERT_BASE, kept) == pytest.approx(0.302, abs=0.0005)
    assert model_remaining(BERT_BASE, BERT_BASE.n_weights) == 1


def test_model_scope_is_that_of_the_sparsity_page():
    layout = EncoderLayout(2, 16, 32, 2, 6000)
    kept = np.full((2, 6), 100)
    assert count_table(kept, layout, None)["remaining"].iloc[-1] == model_remaining(layout, 1200)


def test_a_mask_of_bert_base_has_the_size_of_the_released_ones():
    assert plain_mask_bytes(BERT_BASE) == 10_616_832


def test_storage_by_hand():
    table = storage_of_tasks(BERT_BASE, 8, 5e6).set_index("way")
    model = 4 * 109_482_240
    assert table.loc["fine-tuned", "bytes"] == 8 * model
    assert table.loc["masks, one bit a weight", "bytes"] == model + 8 * 10_616_832
    assert table.loc["masks, as stored", "bytes"] == model + 8 * 5e6
    assert table.loc["fine-tuned", "times"] == 1
    assert table.loc["masks, one bit a weight", "times"] == pytest.approx(6.7, abs=0.01)
    # One task gains nothing: the mask comes on top of the model.
    assert (storage_of_tasks(BERT_BASE, 1, 5e6)["times"] <= 1).all()
