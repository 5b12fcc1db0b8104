import hashlib
import zlib
from dataclasses import replace

import numpy as np
import pytest
from conftest import MINILM, TINY, random_masks

from smp_lab.errors import MaskFormatError
from smp_lab.layout import HEAD_TYPES, EncoderLayout, MatrixId
from smp_lab.masks import (
    MaskSet,
    compress_bits,
    decompress_bits,
    kept_count,
    popcount,
    random_like,
    top_k,
)
from smp_lab.storage.array_files import masks_to_bytes

# 5 x 5 and 7 x 5 weights: neither fills whole bytes.
ODD = EncoderLayout(n_layers=1, hidden_size=5, intermediate_size=7, n_heads=5, n_parameters=1000)


@pytest.mark.parametrize(
    ("fraction", "n_weights", "kept"),
    [(0.5, 9, 4), (1, 9, 9), (0.1, 9, 0), (0.03, 147_456, 4423), (0, 9, 0), (1.2, 9, 9), (-0.1, 9, 0)],
)
def test_kept_count_rounds_down_and_stays_in_bounds(fraction, n_weights, kept):
    assert kept_count(fraction, n_weights) == kept


def slow_top_k(scores, k):
    """k times: the largest of those left, the first of them where several are."""
    left = scores.reshape(-1).tolist()
    mask = [False] * len(left)
    for _ in range(k):
        best = None
        for position, score in enumerate(left):
            if not mask[position] and (best is None or score > left[best]):
                best = position
        mask[best] = True
    return np.array(mask).reshape(scores.shape)


@pytest.mark.parametrize("n_values", [1, 2, 3, 1000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_top_k_matches_a_slow_loop_with_ties_and_without(n_values, dtype):
    rng = np.random.default_rng(n_values)
    scores = (rng.integers(0, n_values, (6, 7)) - n_values // 2).astype(dtype)
    for k in range(scores.size + 1):
        mask = top_k(scores, k)
        assert mask.dtype == np.bool_
        np.testing.assert_array_equal(mask, slow_top_k(scores, k))


def test_top_k_orders_infinities_and_takes_both_zeros_for_one():
    scores = np.array([-np.inf, 0.0, -0.0, 0.0, np.inf])
    np.testing.assert_array_equal(top_k(scores, 3), [False, True, True, False, True])


def test_top_k_reads_a_transposed_array_in_its_own_order():
    scores = np.zeros((2, 3)).T
    np.testing.assert_array_equal(top_k(scores, 3), [[True, True], [True, False], [False, False]])


def test_top_k_leaves_its_scores_alone():
    scores = np.array([3.0, 1.0, 2.0])
    top_k(scores, 2)
    np.testing.assert_array_equal(scores, [3.0, 1.0, 2.0])


@pytest.mark.parametrize("k", [-1, 4])
def test_top_k_refuses_a_count_out_of_range(k):
    with pytest.raises(ValueError, match="not between 0 and the 3 scores"):
        top_k(np.zeros(3), k)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_top_k_refuses_nan(k):
    with pytest.raises(ValueError, match="NaN"):
        top_k(np.array([1.0, np.nan]), k)


def entropy_bytes(kept: int, n_weights: int) -> float:
    """Bytes below which no code can store a mask whose kept weights lie at random (Shannon 1948)."""
    p = kept / n_weights
    return sum(-q * np.log2(q) for q in (p, 1 - p) if q > 0) * n_weights / 8


@pytest.mark.parametrize("remaining", [0.03, 0.1, 0.5, 0.8])
def test_masks_at_random_take_at_most_a_quarter_more_than_their_entropy(remaining):
    masks = random_masks(MINILM, remaining)
    bound = sum(entropy_bytes(masks.kept(matrix), MINILM.size(matrix.matrix_type)) for matrix in masks)
    assert bound < len(masks_to_bytes(masks)) <= 1.25 * bound


def test_masks_with_whole_rows_removed_take_less_than_the_entropy_of_random_ones():
    mask = np.zeros((384, 384), bool)
    mask[:38] = np.random.default_rng(0).random((38, 384)) < 0.5
    bits = np.packbits(mask)
    assert len(compress_bits(bits)) < 0.5 * entropy_bytes(popcount(bits), mask.size)


@pytest.mark.parametrize("n_weights", [1, 7, 8, 9, 1000])
@pytest.mark.parametrize("remaining", [0, 0.1, 0.5, 1])
def test_compression_round_trips(n_weights, remaining):
    bits = np.packbits(np.random.default_rng(n_weights).random(n_weights) < remaining)
    np.testing.assert_array_equal(decompress_bits(compress_bits(bits), n_weights), bits)


STREAM = compress_bits(np.packbits(np.random.default_rng(0).random(8000) < 0.5))


@pytest.mark.parametrize(
    ("stream", "sentence"),
    [
        (STREAM[:0], "holds 0 bytes"),
        (STREAM[:-1], "Mask holds"),
        (STREAM[:100], "Mask holds"),
        (STREAM[1:], "cannot be decompressed"),
        (np.append(STREAM, np.uint8(0)), "Mask holds"),
        (np.append(STREAM, STREAM), "Mask holds"),
        (compress_bits(np.zeros(999, np.uint8)), "holds 999 bytes or more; expected 1000 for 8000 weights"),
        (compress_bits(np.zeros(1001, np.uint8)), "holds 1001 bytes or more"),
    ],
    ids=["empty", "lacks a byte", "cut off", "no header", "a byte more", "two streams", "short", "long"],
)
def test_a_damaged_stream_is_refused(stream, sentence):
    with pytest.raises(MaskFormatError, match=sentence):
        decompress_bits(stream, 8000)


def test_a_stream_that_would_unpack_to_gigabytes_is_not_unpacked():
    compressor = zlib.compressobj(9)
    stream = b"".join(compressor.compress(bytes(2**20)) for _ in range(64)) + compressor.flush()
    with pytest.raises(MaskFormatError, match="holds 1001 bytes or more; expected 1000"):
        decompress_bits(np.frombuffer(stream, np.uint8), 8000)


def test_a_stream_with_a_flipped_bit_is_refused():
    stream = STREAM.copy()
    stream[len(stream) // 2] ^= 1
    with pytest.raises(MaskFormatError):
        decompress_bits(stream, 8000)


def test_shapes_that_do_not_fill_bytes_round_trip():
    masks = random_masks(ODD, 0.5)
    assert len(masks.bits[MatrixId(0, "query")]) == 4  # 25 weights
    assert len(masks.bits[MatrixId(0, "output")]) == 5  # 35 weights
    for matrix in masks:
        dense = masks.dense(matrix)
        assert dense.shape == ODD.shape(matrix.matrix_type)
        np.testing.assert_array_equal(np.packbits(dense), masks.bits[matrix])
        assert masks.kept(matrix) == dense.sum() == dense.size // 2


def test_bits_behind_the_last_weight_are_refused():
    bits = dict(random_masks(ODD, 0.5).bits)
    for padding_bit in (1, 1 << 6):  # 25 weights leave the lower 7 bits of the fourth byte
        spoilt = bits[MatrixId(0, "key")].copy()
        spoilt[-1] |= padding_bit
        with pytest.raises(MaskFormatError, match="bits set behind its 25 weights"):
            MaskSet(ODD, bits | {MatrixId(0, "key"): spoilt})
        with pytest.raises(MaskFormatError, match="bits set behind its 25 weights"):
            decompress_bits(compress_bits(spoilt), 25)


def test_packing_is_numpys_and_true_is_kept():
    mask = np.zeros((5, 5), bool)
    mask[0, 0] = mask[4, 4] = True
    masks = MaskSet.from_dense(ODD, {matrix: np.zeros(ODD.shape(matrix.matrix_type), bool) for matrix in ODD.matrices})
    assert masks.kept_total == 0
    masks = MaskSet(ODD, masks.bits | {MatrixId(0, "query"): np.packbits(mask)})
    assert masks.bits[MatrixId(0, "query")].tolist() == [0b10000000, 0, 0, 0b10000000]
    assert masks.kept_total == 2
    assert masks.remaining == 2 / (4 * 25 + 2 * 35)


def test_digest_is_of_the_bits_in_the_order_of_the_layout():
    masks = random_masks(TINY, 0.3)
    assert masks.sha256 == hashlib.sha256(b"".join(masks.bits[matrix].tobytes() for matrix in masks)).hexdigest()
    backwards = MaskSet(TINY, dict(reversed(masks.bits.items())))
    assert backwards.sha256 == masks.sha256 != random_masks(TINY, 0.3, seed=1).sha256


def test_counts_of_matrices_add_up():
    masks = random_masks(TINY, 0.3)
    kept = [masks.kept(matrix) for matrix in masks]
    assert kept == [masks.dense(matrix).sum() for matrix in masks]
    assert masks.kept_total == sum(kept)


@pytest.mark.parametrize("matrix_type", ["query", "key", "value", "attention_output"])
def test_a_head_owns_rows_on_the_way_in_and_columns_on_the_way_out(matrix_type):
    matrix = MatrixId(1, matrix_type)
    dense = {other: np.zeros(TINY.shape(other.matrix_type), bool) for other in TINY.matrices}
    second_head = slice(8, 16)
    if matrix_type == "attention_output":
        dense[matrix][:, second_head] = True
    else:
        dense[matrix][second_head] = True
    np.testing.assert_array_equal(MaskSet.from_dense(TINY, dense).kept_per_head(matrix), [0, 128])


@pytest.mark.parametrize("n_heads", [1, 2, 4, 16])
def test_heads_are_counted_alike_in_whole_bytes_and_in_parts(n_heads):
    masks = random_masks(replace(TINY, n_heads=n_heads), 0.3, seed=n_heads)
    for kind in HEAD_TYPES:
        dense = masks.dense(MatrixId(1, kind))
        rows = dense.T if kind == "attention_output" else dense
        want = [int(block.sum()) for block in np.split(rows, n_heads)]
        assert masks.kept_per_head(MatrixId(1, kind)).tolist() == want


def test_feed_forward_matrices_have_no_heads():
    with pytest.raises(ValueError, match="intermediate has no attention heads"):
        random_masks(TINY, 0.5).kept_per_head(MatrixId(0, "intermediate"))


def test_masks_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        random_masks(TINY, 0.5).bits[MatrixId(0, "query")][0] = 0


def test_a_missing_matrix_is_named():
    bits = dict(random_masks(TINY, 0.5).bits)
    del bits[MatrixId(1, "value")]
    with pytest.raises(MaskFormatError, match="Mask of layer 1 value is missing; the layout has 12 matrices"):
        MaskSet(TINY, bits)


def test_a_superfluous_matrix_is_named():
    bits = dict(random_masks(TINY, 0.5).bits)
    bits[MatrixId(2, "value")] = bits[MatrixId(1, "value")]
    with pytest.raises(MaskFormatError, match="Mask of layer 2 value is not part of the encoder"):
        MaskSet(TINY, bits)


@pytest.mark.parametrize("spoilt", [np.zeros(31, np.uint8), np.zeros(33, np.uint8), np.zeros(32, np.int8)])
def test_bits_of_another_length_or_type_are_refused(spoilt):
    bits = dict(random_masks(TINY, 0.5).bits)
    with pytest.raises(MaskFormatError, match=r"Mask of layer 0 key has .* expected \(32,\) of uint8"):
        MaskSet(TINY, bits | {MatrixId(0, "key"): spoilt})


@pytest.mark.parametrize("mask", [np.zeros((16, 32), bool), np.zeros((16, 16), np.uint8), np.zeros(256, bool)])
def test_a_dense_mask_of_another_shape_or_type_is_refused(mask):
    dense = {matrix: np.zeros(TINY.shape(matrix.matrix_type), bool) for matrix in TINY.matrices}
    with pytest.raises(MaskFormatError, match=r"Mask of layer 0 query .* expected boolean \(16, 16\)"):
        MaskSet.from_dense(TINY, dense | {MatrixId(0, "query"): mask})


def test_a_random_mask_keeps_as_much_of_every_matrix_as_the_one_it_is_like():
    rng = np.random.default_rng(1)
    shares = {matrix: 0.2 + 0.5 * matrix.layer for matrix in TINY.matrices}
    masks = MaskSet.from_dense(
        TINY, {matrix: rng.random(TINY.shape(matrix.matrix_type)) < share for matrix, share in shares.items()}
    )
    found = random_like(masks)
    np.testing.assert_array_equal(found.kept_per_matrix, masks.kept_per_matrix)
    assert found.sha256 != masks.sha256
