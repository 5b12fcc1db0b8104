import numpy as np
import pandas as pd
import pytest
from conftest import TINY, random_masks

from smp_lab.analysis.sparsity import (
    ALL_TYPES,
    answer,
    block_fractions,
    count_table,
    empty_lines,
    ranked,
    remaining_per_head,
    remaining_per_layer,
    spread_over_heads,
)
from smp_lab.layout import HEAD_TYPES, MATRIX_TYPES, EncoderLayout, MatrixId

MINILM = EncoderLayout(6, 384, 1536, 12, 22_713_216)
ENCODER = {"base_model": "tiny", "base_model_sha256": 64 * "a"}
# (layers, types): TINY's attention matrices hold 256 weights, its feed-forward ones 512.
KEPT = np.array([[256, 128, 64, 0, 512, 128], [0, 0, 0, 0, 256, 0]])


def test_remaining_per_layer_by_hand():
    table = remaining_per_layer(KEPT, TINY).set_index(["matrix_type", "layer"])
    assert list(table.index.get_level_values(0).unique()) == [ALL_TYPES, *MATRIX_TYPES]
    assert table.loc[("query", 0)].tolist() == [256, 256, 1.0]
    assert table.loc[("output", 0)].tolist() == [128, 512, 0.25]
    # A mean of the six fractions would be 0.5; the counts say 1088 of 2048.
    assert table.loc[(ALL_TYPES, 0)].tolist() == [1088, 2048, 0.53125]
    assert table.loc[(ALL_TYPES, 1)].tolist() == [256, 2048, 0.125]


def test_head_types_are_those_of_the_record():
    # Axis 1 of results["kept_per_head"] in every record that is already written.
    assert HEAD_TYPES == ("query", "key", "value", "attention_output")


@pytest.mark.parametrize("types", [HEAD_TYPES, ("key",), ("query", "attention_output")])
def test_remaining_per_head_against_a_slow_loop(types):
    masks = random_masks(TINY, 0.3)
    kept = np.array(
        [[masks.kept_per_head(MatrixId(layer, kind)) for kind in HEAD_TYPES] for layer in range(TINY.n_layers)]
    )
    table = remaining_per_head(kept, TINY, types)
    assert len(table) == TINY.n_layers * TINY.n_heads
    size = TINY.head_size
    for row in table.itertuples():
        owned = slice(row.head * size, (row.head + 1) * size)
        slow = 0
        for kind in types:
            dense = masks.dense(MatrixId(row.layer, kind))
            slow += dense[:, owned].sum() if kind == "attention_output" else dense[owned].sum()
        assert (row.kept, row.n_weights) == (slow, len(types) * size * TINY.hidden_size)
        assert row.remaining == row.kept / row.n_weights


def test_count_table_by_hand():
    table = count_table(KEPT, TINY, 0.25).set_index(["part", "scope"])
    assert table.loc[("query", "encoder")].tolist() == [256, 512, 0.5, 0.25]
    assert table.loc[("intermediate", "encoder")].tolist() == [768, 1024, 0.75, 0.25]
    # 1344 of 4096 prunable weights, and all of the 6000 - 4096 others.
    assert table.loc[("all", "encoder")].tolist() == [1344, 4096, 0.328125, 0.25]
    assert table.loc[("all", "model")].tolist() == [3248, 6000, 3248 / 6000, (1904 + 1024) / 6000]


def test_model_scope_of_minilm():
    """The worked example of a real encoder: 10 % of the encoder's matrices is 57.9 % of the model."""
    kept = np.array([[MINILM.size(kind) // 10 for kind in MATRIX_TYPES]] * MINILM.n_layers)
    model = count_table(kept, MINILM, 0.1).iloc[-1]
    assert model["scope"] == "model"
    assert model["remaining"] == pytest.approx(0.5793, abs=1e-4)
    assert model["nominal"] == pytest.approx(0.5793, abs=1e-4)


def test_counts_without_a_nominal_fraction():
    assert count_table(KEPT, TINY, None)["nominal"].isna().all()


def test_a_global_fraction_is_asked_of_no_matrix_type():
    table = count_table(KEPT, TINY, 0.25, False)
    assert table["nominal"].notna().tolist() == [False] * 6 + [True, True]


@pytest.mark.parametrize("shape", [(4, 6), (130, 256), (300, 7), (1, 1)])
def test_block_fractions_against_a_slow_loop(shape):
    mask = np.random.default_rng(0).random(shape) < 0.3
    table = block_fractions(mask, max_side=128)
    assert table["kept"].sum() == mask.sum()
    assert table["n_weights"].sum() == mask.size
    assert table["remaining"].dtype == np.float32
    assert table["first_row"].nunique() <= 128
    assert table["first_column"].nunique() <= 128
    for row in table.itertuples():
        block = mask[row.first_row : row.last_row + 1, row.first_column : row.last_column + 1]
        assert (row.kept, row.n_weights) == (block.sum(), block.size)
        assert row.remaining == pytest.approx(block.mean())


def test_small_matrix_has_a_block_per_weight():
    mask = np.array([[True, False], [False, True]])
    table = block_fractions(mask)
    assert table[["first_row", "last_row", "first_column", "last_column"]].to_numpy().tolist() == [
        [0, 0, 0, 0],
        [0, 0, 1, 1],
        [1, 1, 0, 0],
        [1, 1, 1, 1],
    ]
    assert table["remaining"].tolist() == [1, 0, 0, 1]


def test_empty_lines_by_hand():
    mask = np.array([[1, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]], bool)
    table = empty_lines(mask).set_index("line")
    assert table.loc["rows"].tolist() == [2, 4, 0.5]
    assert table.loc["columns"].tolist() == [1, 3, 1 / 3]


def test_parts_are_ranked_by_sums_of_counts_not_by_means_of_shares():
    table = pd.DataFrame({"layer": [0, 1, 0, 1], "kept": [9, 1, 0, 60], "n_weights": [10, 10, 90, 90]})
    found = ranked(table, ["layer"])
    assert found["layer"].tolist() == [1, 0]
    assert found["remaining"].tolist() == [0.61, 0.09]


def test_spread_over_heads_by_hand():
    kept = np.zeros((TINY.n_layers, len(HEAD_TYPES), TINY.n_heads), np.int64)
    size = TINY.head_size * TINY.hidden_size
    # Of each query matrix one of the two heads keeps all: 0 and 1, half each.
    kept[:, 0, 0] = size
    assert spread_over_heads(kept, TINY, ("query",)) == 0.5
    # Among all four matrices 1 in 8: the root of 1/8 * 7/8.
    assert spread_over_heads(kept, TINY) == pytest.approx((7 / 64) ** 0.5)


def test_the_answer_counts_matrices_that_a_mask_keeps_whole():
    counts = np.ones((2, 4, TINY.n_heads), int)
    counts[1, :, 0] = 2
    heads = remaining_per_head(counts, TINY)

    def said(*kept):
        layers = [remaining_per_layer(counts, TINY).assign(run_id=number) for number, counts in enumerate(kept)]
        per_head = [heads.assign(run_id=number) for number in range(len(kept))]
        return answer(pd.concat(layers).assign(**ENCODER), pd.concat(per_head).assign(**ENCODER))

    sizes = np.array([TINY.size(kind) for kind in MATRIX_TYPES])
    whole = np.array([sizes, sizes])
    # The query and the intermediate matrix of the first layer.
    assert said(KEPT).endswith("2 of 12 matrices are kept whole: there a mask changes nothing.")
    one = KEPT.copy()
    one[0, list(MATRIX_TYPES).index("query")] -= 1
    assert said(one).endswith("1 of 12 matrices is kept whole: there a mask changes nothing.")
    # A dense run beside it is no mask, and changes no word.
    assert said(KEPT, whole) == said(KEPT)
    assert said(KEPT, KEPT).endswith("4 of 24 matrices are kept whole: there a mask changes nothing.")
    assert said(KEPT // 2).endswith("keep most.")
    assert "Attention head 0 of layer 1 (" in said(KEPT)
    assert said(KEPT[[1, 1]]).startswith("All layers keep as much (12.5 %). ")
    assert said(whole) == "All weights are kept: there is no mask."


@pytest.mark.parametrize(
    ("fewer", "words"),
    [(1, "3 of 4 attention heads keep most (12.5 %)."), (0, "All attention heads keep as much (12.5 %).")],
)
def test_of_many_heads_that_keep_as_much_none_is_named(fewer, words):
    counts = np.full((TINY.n_layers, len(HEAD_TYPES), TINY.n_heads), TINY.head_size * TINY.hidden_size // 8)
    counts[0, 0, 0] -= fewer
    tables = remaining_per_layer(KEPT, TINY), remaining_per_head(counts, TINY)
    assert words in answer(*(table.assign(**ENCODER, run_id="a") for table in tables))


def test_the_answer_takes_no_two_encoders_together():
    heads = remaining_per_head(np.ones((2, 4, TINY.n_heads), int), TINY)
    layers = [remaining_per_layer(counts, TINY) for counts in (KEPT, KEPT[::-1])]
    names = [ENCODER | {"run_id": "a"}, ENCODER | {"base_model_sha256": 64 * "b", "run_id": "b"}]

    def said(*chosen):
        rows = [layers[each].assign(**names[each]) for each in chosen]
        return answer(pd.concat(rows), pd.concat([heads.assign(**names[each]) for each in chosen]))

    assert said(0).startswith("Layer 1 keeps least (12.5 %), layer 0 most")
    assert said(1).startswith("Layer 0 keeps least (12.5 %), layer 1 most")
    assert said(0, 1) == f"tiny: {said(0)}  \ntiny: {said(1)}"
