import numpy as np
import pytest

from smp_lab.analysis.costs import (
    model_remaining,
    plain_mask_bytes,
    storage_of_tasks,
    tasks_until_masks_are_smaller,
)
from smp_lab.analysis.sparsity import count_table
from smp_lab.layout import EncoderLayout

BERT_BASE = EncoderLayout(12, 768, 3072, 12, 109_482_240)


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


def test_masks_take_less_from_a_number_of_tasks_on():
    model = 4 * BERT_BASE.n_parameters
    assert tasks_until_masks_are_smaller(BERT_BASE, 5e6, model) == 2
    # An encoder of 100, masks of 10: 4 tasks take 140, as 4 models of 35 do; 5 take 150 and not 175.
    small = EncoderLayout(1, 2, 2, 1, 25)
    assert tasks_until_masks_are_smaller(small, 10, 35) == 5
    assert tasks_until_masks_are_smaller(small, 10, 10) is None
