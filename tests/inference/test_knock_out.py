import pandas as pd
import pytest
import torch

from smp_lab.errors import ConfigError
from smp_lab.inference.knock_out import Variant, head_changes, knock_out
from smp_lab.inference.scoring import predict
from smp_lab.layout import ATTENTION_OUTPUT, HEAD_TYPES, MatrixId
from smp_lab.masks import MaskSet

TEXT = "the cat sat on unreal"


def emptied(masks, heads=(), matrices=()):
    """The mask without some heads and matrices, weight by weight."""
    size = masks.layout.head_size
    dense = {matrix: masks.dense(matrix).copy() for matrix in masks}
    for layer, head in heads:
        block = slice(head * size, (head + 1) * size)
        for kind in HEAD_TYPES:
            matrix = dense[MatrixId(layer, kind)]
            matrix[(slice(None), block) if kind == ATTENTION_OUTPUT else block] = False
    for matrix in matrices:
        dense[matrix][:] = False
    return MaskSet.from_dense(masks.layout, dense)


def test_a_part_that_is_knocked_out_is_empty_in_the_mask(pruned):
    layout = pruned.encoder.layout
    variants = [
        Variant(),
        Variant(heads=((0, 1),)),
        Variant(heads=((0, 0), (1, 1)), matrices=(MatrixId(1, "value"),)),
        *(Variant(matrices=(matrix,)) for matrix in layout.matrices),
    ]
    got = knock_out(pruned, [TEXT], variants)
    want = [
        pruned.with_masks(emptied(pruned.masks, variant.heads, variant.matrices)).scores([TEXT]) for variant in variants
    ]
    # Of an untrained encoder the parts change little: far more than the tolerance all the same.
    torch.testing.assert_close(got, torch.cat(want), rtol=0, atol=1e-7)
    assert (got - got[0]).abs().amax(1)[[1, 2, *range(5, len(got))]].gt(1e-6).sum() >= 10
    # Nothing is left behind on the encoder.
    torch.testing.assert_close(pruned.scores([TEXT]), got[:1], rtol=0, atol=1e-5)


def test_a_hidden_token_is_not_read(pruned):
    whole, hidden = knock_out(pruned, ["the cat sat"], [Variant(), Variant(tokens=(2,))])
    (other,) = knock_out(pruned, ["the dog sat"], [Variant(tokens=(2,))])
    torch.testing.assert_close(hidden, other)
    assert not torch.allclose(hidden, whole)


def test_many_variants_take_several_passes(pruned, monkeypatch):
    variants = [Variant(heads=((layer, head),)) for layer in range(2) for head in range(2)]
    at_once = knock_out(pruned, [TEXT], variants)
    monkeypatch.setattr("smp_lab.inference.knock_out.MOST_TOKENS", 1)
    torch.testing.assert_close(knock_out(pruned, [TEXT], variants), at_once, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "variant", [Variant(heads=((0, 9),)), Variant(matrices=(MatrixId(9, "key"),)), Variant(tokens=(99,))]
)
def test_a_part_that_is_not_there_is_a_sentence(pruned, variant):
    with pytest.raises(ConfigError, match="names a part that is not there: the encoder has 2 layers of 2 heads"):
        knock_out(pruned, [TEXT], [variant])


def test_changes_of_heads_are_those_of_emptied_masks(prepared, pruned):
    data = prepared(task="sst2").data
    table = head_changes(pruned, data).set_index(["layer", "head"])
    whole = predict(pruned, data)
    assert list(table.index) == [(layer, head) for layer in range(2) for head in range(2)]
    for place, row in table.iterrows():
        said = predict(pruned.with_masks(emptied(pruned.masks, [place])), data)
        assert row["value"] == pytest.approx(said["correct"].mean())
        assert row["change"] == pytest.approx(said["correct"].mean() - whole["correct"].mean())
        assert row["low"] <= row["change"] <= row["high"] and row["n_examples"] == len(whole)
    pd.testing.assert_frame_equal(predict(pruned, data), whole)
