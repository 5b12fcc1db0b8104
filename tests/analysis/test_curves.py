import numpy as np
import pandas as pd
import pytest
from conftest import tiny_config

from smp_lab.analysis.curves import (
    difference_to_dense,
    model_remaining,
    over_seeds,
    plain_mask_bytes,
    storage_of_tasks,
    variants,
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
    table = table.assign(**(shared | same))
    return table.assign(remaining=table["level"], low=table["value"] - 0.06, high=table["value"] + 0.04)


def test_seeds_and_levels_stand_on_one_line():
    configs = [tiny_config(seed=seed, remaining=remaining) for seed in (0, 1) for remaining in (0.5, 0.1)]
    # The paper tells its schedule in steps at some levels and as a fraction at others.
    configs.append(tiny_config(remaining=0.8, schedule_fraction=None, schedule_steps=3500))
    assert variants(configs) == [""] * 5


def test_what_differs_from_the_usual_run_is_named():
    usual = [tiny_config(seed=seed) for seed in (0, 1, 2)]
    linear = tiny_config(head="linear", label_words=None, head_learning_rate=3e-5)
    plain = tiny_config(regularizer=0)
    cola = tiny_config(task="cola", epochs=8)
    names = variants([*usual, linear, plain, cola])
    assert names[:3] == [""] * 3
    assert "head linear" in names[3]
    assert names[4:] == ["regularizer 0", ""]


def test_what_follows_from_another_setting_is_named_only_where_it_tells_runs_apart():
    usual = [tiny_config(seed=seed) for seed in range(3)]
    taught = {"teacher": "rte-dense", "distillation_temperature": 2.0, "distillation_weight": 0.5}
    one, other = (tiny_config(**taught, kl_direction=way) for way in ("teacher_student", "student_teacher"))
    linear = tiny_config(head="linear", label_words=None, head_learning_rate=3e-5)
    assert variants([*usual, one, linear]) == ["", "", "", "teacher rte-dense", "head linear"]
    names = variants([*usual, one, other])
    assert ["kl_direction teacher_student" in names[3], "kl_direction student_teacher" in names[4]] == [True, True]


def test_mean_and_spread_over_seeds_by_hand():
    table = over_seeds(runs(("smp_s", 0.5, 0, 0.60), ("smp_s", 0.5, 1, 0.64), ("smp_s", 0.1, 0, 0.55)))
    assert table["remaining"].tolist() == [0.1, 0.5]
    assert table["mean"].tolist() == pytest.approx([0.55, 0.62])
    assert np.isnan(table["sd"][0])
    assert table["sd"][1] == pytest.approx(0.04 / np.sqrt(2))
    assert table["n_seeds"].tolist() == [1, 2]
    assert table["sampling"].tolist() == pytest.approx([0.05, 0.05])


def test_other_encoders_data_and_variants_are_no_replicates():
    one = runs(("smp_s", 0.5, 0, 0.6))
    others = [
        runs(("smp_s", 0.5, 0, 0.7), **{name: "other"}) for name in ("base_model_sha256", "data_sha256", "variant")
    ]
    assert over_seeds(pd.concat([one, *others]))["n_seeds"].tolist() == [1] * 4


def test_a_measured_level_is_a_level_of_its_own():
    table = runs(("l0", 0.5, 0, 0.6), ("l0", 0.5, 1, 0.7)).assign(remaining=[0.31, 0.29])
    assert over_seeds(table)["remaining"].tolist() == pytest.approx([0.30])


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
