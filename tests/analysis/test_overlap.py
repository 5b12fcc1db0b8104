import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import TINY, random_masks, tiny_config

from smp_lab.analysis.overlap import (
    MEASURES,
    OTHER_TASK,
    SAME_TASK_OTHER_SEED,
    SAME_TASK_OTHER_SETTINGS,
    WITH_IMPORTED,
    WITH_MAGNITUDE,
    WITH_RANDOM,
    Magnitudes,
    check_one_encoder,
    consensus,
    describe_pairs,
    head_overlap,
    joined_pairs,
    magnitudes,
    measure_overlap,
    measures_of_parts,
    medians_by_kind,
    pair_kind,
    pairwise_overlap,
    region_counts,
    rows_of_pair,
    shared_circles,
)
from smp_lab.errors import MaskFormatError
from smp_lab.layout import MATRIX_TYPES, EncoderLayout, MatrixId
from smp_lab.masks import MaskSet
from smp_lab.storage.mask_records import MEASURED_RUN, MaskRecord

PAIR = ["run_a", "run_b"]
# Matrices of 9 and 27 weights: neither whole bytes nor whole words.
ODD = EncoderLayout(n_layers=2, hidden_size=3, intermediate_size=9, n_heads=3, n_parameters=1000)


def pack(layout, choose):
    """Masks from a function of the matrix."""
    return MaskSet.from_dense(layout, {matrix: choose(matrix) for matrix in layout.matrices})


def mask_of(config, mask_id="mask"):
    """The record of a mask that nobody reads."""
    return MaskRecord(
        mask_id=mask_id,
        label=mask_id,
        source=MEASURED_RUN,
        layout=TINY,
        encoder=config.base_model,
        encoder_sha256=config.base_model_sha256,
        task=config.task,
        kept=np.zeros((2, 6), np.int64),
        kept_per_head=np.zeros((2, 4, 2), np.int64),
        digest="",
        read=pytest.fail,
        config=config,
    )


def drawn(layout, seed, share=0.4):
    rng = np.random.default_rng(seed)
    return pack(layout, lambda matrix: rng.random(layout.shape(matrix.matrix_type)) < share)


def opposite(masks):
    return pack(masks.layout, lambda matrix: ~masks.dense(matrix))


def flat(masks, matrices=None):
    return np.concatenate([masks.dense(matrix).ravel() for matrix in matrices or masks.layout.matrices])


def measured(a, b):
    return measure_overlap(pairwise_overlap({"a": a, "b": b}), PAIR).iloc[0]


def tables(*rows):
    return pd.DataFrame(rows, columns=["n_a", "n_b", "n_both", "n_weights"]).assign(group=0)


def of_tables(*rows):
    return measure_overlap(tables(*rows), ["group"]).iloc[0]


# ------------------------------------------------------------------------------------------------------ counts


@pytest.mark.parametrize("layout", [TINY, ODD])
def test_pairs_against_a_slow_loop(layout):
    masks = {
        name: drawn(layout, seed, share) for seed, (name, share) in enumerate({"x": 0.2, "y": 0.5, "z": 0.8}.items())
    }
    table = pairwise_overlap(masks)
    assert len(table) == 3 * len(layout.matrices)
    assert list(zip(table["run_a"], table["run_b"], strict=True))[:: len(layout.matrices)] == [
        ("x", "y"),
        ("x", "z"),
        ("y", "z"),
    ]
    measures = measure_overlap(table, [*PAIR, "layer", "matrix_type"])
    for row, got in zip(table.itertuples(), measures.itertuples(), strict=True):
        a = masks[row.run_a].dense(MatrixId(row.layer, row.matrix_type)).ravel().tolist()
        b = masks[row.run_b].dense(MatrixId(row.layer, row.matrix_type)).ravel().tolist()
        assert row.n_weights == len(a)
        assert (row.n_a, row.n_b) == (sum(a), sum(b))
        assert row.n_both == sum(one and other for one, other in zip(a, b, strict=True))
        either = sum(one or other for one, other in zip(a, b, strict=True))
        assert got.jaccard == pytest.approx(row.n_both / either if either else np.nan, nan_ok=True)
        constant = len(set(a)) == 1 or len(set(b)) == 1
        assert got.phi_within == pytest.approx(np.nan if constant else np.corrcoef(a, b)[0, 1], nan_ok=True)
    assert table["magnitude_a"].isna().all()


def test_chunks_add_up(monkeypatch):
    masks = {name: random_masks(TINY, 0.3, seed) for seed, name in enumerate("abc")}
    whole = pairwise_overlap(masks)
    monkeypatch.setattr("smp_lab.analysis.overlap._CHUNK_WORDS", 3)
    pd.testing.assert_frame_equal(pairwise_overlap(masks), whole)


def test_heads_against_a_slow_loop():
    a, b = drawn(TINY, 0), drawn(TINY, 1)
    table = head_overlap(a, b)
    assert len(table) == TINY.n_layers * 4 * TINY.n_heads
    for row in table.itertuples():
        owned = slice(row.head * TINY.head_size, (row.head + 1) * TINY.head_size)
        cut = (slice(None), owned) if row.matrix_type == "attention_output" else (owned, slice(None))
        one, other = (masks.dense(MatrixId(row.layer, row.matrix_type))[cut] for masks in (a, b))
        assert (row.n_a, row.n_b, row.n_both) == (one.sum(), other.sum(), (one & other).sum())
        assert row.n_weights == one.size


# ---------------------------------------------------------------------------------------------------- measures


def test_one_table_by_hand():
    """A keeps 4 of 10, B 5, both 3: 2 x 2 table 3, 1 / 2, 4."""
    got = of_tables((4, 5, 3, 10))
    assert got["expected"] == 2
    assert got["phi_within"] == pytest.approx((3 * 4 - 1 * 2) / math.sqrt(4 * 6 * 5 * 5))
    assert got["phi_pooled"] == pytest.approx(got["phi_within"])
    assert got["phi_between"] == pytest.approx(0)
    assert got["lift"] == 1.5
    assert got["jaccard"] == 3 / 6
    assert got["jaccard_chance"] == 2 / 7
    assert got["jaccard_excess"] == pytest.approx(3 / 6 - 2 / 7)
    assert got["containment"] == 3 / 4
    assert got["containment_chance"] == 2 / 4
    assert got["odds_ratio"] == pytest.approx(3 * 4 / (1 * 2))
    # At best all 4 are in common: 4, 0 / 1, 5.
    assert got["phi_within_max"] == pytest.approx(4 * 5 / math.sqrt(4 * 6 * 5 * 5))
    assert got["phi_share"] == pytest.approx(1 / 2)
    assert got["jaccard_max"] == 4 / 5


def test_two_tables_by_hand():
    """10 weights kept 5 and 5 with 4 in common, 20 kept 2 and 10 with 1 in common."""
    got = of_tables((5, 5, 4, 10), (2, 10, 1, 20))
    assert got[["n_a", "n_b", "n_both", "n_weights"]].tolist() == [7, 15, 5, 30]
    # e = 2.5 and 1; v = 2.5 and 1.8; w = 2.5 and 5.
    assert got["expected"] == 3.5
    assert got["phi_within"] == pytest.approx(1.5 / math.sqrt(4.3 * 7.5))
    assert got["phi_pooled"] == pytest.approx((5 - 7 * 15 / 30) / math.sqrt(7 * 23 / 30 * 7.5))
    assert got["phi_between"] == pytest.approx(got["phi_pooled"] - got["phi_within"])
    # By chance 3.5 in common, as many as one bag of 30 gives.
    assert got["phi_pooled_chance"] == 0
    assert of_tables((8, 8, 7, 10), (1, 1, 0, 10))["phi_pooled_chance"] == pytest.approx(
        (6.5 - 81 / 20) / (9 * 11 / 20)
    )
    assert got["lift"] == pytest.approx(5 / 3.5)
    assert got["jaccard"] == 5 / 17
    assert got["jaccard_chance"] == 3.5 / 18.5
    assert got["containment"] == 5 / 7
    assert got["odds_ratio"] == pytest.approx((4 * 4 / 10 + 1 * 9 / 20) / (1 * 1 / 10 + 1 * 9 / 20))
    assert got["phi_within_max"] == pytest.approx((7 - 3.5) / math.sqrt(4.3 * 7.5))
    assert got["phi_pooled_max"] == pytest.approx((7 - 3.5) / math.sqrt(7 * 23 / 30 * 7.5))
    assert got["jaccard_max"] == 7 / 15


def test_phi_within_is_the_correlation_with_matrix_means_taken_out():
    a, b = drawn(TINY, 0, 0.3), drawn(TINY, 1, 0.6)

    def centred(masks):
        return np.concatenate([masks.dense(matrix).ravel() - masks.dense(matrix).mean() for matrix in TINY.matrices])

    assert measured(a, b)["phi_within"] == pytest.approx(np.corrcoef(centred(a), centred(b))[0, 1])
    assert measured(a, b)["phi_pooled"] == pytest.approx(np.corrcoef(flat(a), flat(b))[0, 1])


def test_the_confound_of_a_shared_profile():
    """Independent masks at 50 % that keep 20 % of layer 0, 80 % of layer 11: they look alike, and are not."""
    layout = EncoderLayout(n_layers=12, hidden_size=48, intermediate_size=192, n_heads=4, n_parameters=10**6)
    profile = np.linspace(0.2, 0.8, 12)
    rngs = [np.random.default_rng(seed) for seed in (0, 1)]
    a, b = (
        pack(layout, lambda matrix, rng=rng: rng.random(layout.shape(matrix.matrix_type)) < profile[matrix.layer])
        for rng in rngs
    )
    got = measured(a, b)
    assert a.remaining == pytest.approx(0.5, abs=0.01)
    # Variance of the profile over that of a weight: 0.142 with 12 even steps.
    by_profile = profile.var() / 0.25
    assert by_profile == pytest.approx(0.142, abs=0.001)
    assert got["phi_pooled"] == pytest.approx(by_profile, abs=0.01)
    assert got["phi_pooled_chance"] == pytest.approx(by_profile, abs=0.01)
    assert got["phi_within"] == pytest.approx(0, abs=0.01)
    assert got["phi_between"] == pytest.approx(by_profile, abs=0.01)
    assert got["lift"] == pytest.approx(1, abs=0.01)
    assert got["odds_ratio"] == pytest.approx(1, abs=0.05)
    assert got["jaccard"] - got["jaccard_chance"] == pytest.approx(0, abs=0.01)


def test_self_overlap_is_complete():
    a = drawn(TINY, 0)
    got = measured(a, a)
    for name in ("phi_within", "phi_share", "phi_pooled", "jaccard", "containment"):
        assert got[name] == pytest.approx(1), name
    assert got["odds_ratio"] == np.inf


def test_opposite_masks():
    a = drawn(TINY, 0)
    got = measured(a, opposite(a))
    assert got["phi_within"] == pytest.approx(-1)
    assert got["phi_pooled"] == pytest.approx(-1)
    assert got["n_both"] == got["lift"] == got["jaccard"] == got["odds_ratio"] == 0


def test_measures_are_symmetric():
    a, b = drawn(TINY, 0, 0.3), drawn(TINY, 1, 0.6)
    one, other = measured(a, b), measured(b, a)
    for name in MEASURES:
        assert one[name] == pytest.approx(other[name], nan_ok=True), name


def test_measures_do_not_depend_on_where_in_a_matrix_weights_lie():
    a, b = drawn(TINY, 0, 0.3), drawn(TINY, 1, 0.6)
    order = {kind: np.random.default_rng(5).permutation(TINY.size(kind)) for kind in MATRIX_TYPES}

    def shuffled(masks):
        def move(matrix):
            mask = masks.dense(matrix)
            return mask.ravel()[order[matrix.matrix_type]].reshape(mask.shape)

        return pack(TINY, move)

    pd.testing.assert_series_equal(measured(shuffled(a), shuffled(b)), measured(a, b))


def test_taking_both_opposites_keeps_phi_and_odds():
    a, b = drawn(TINY, 0, 0.3), drawn(TINY, 1, 0.6)
    one, other = measured(a, b), measured(opposite(a), opposite(b))
    for name in ("phi_within", "phi_pooled", "odds_ratio"):
        assert one[name] == pytest.approx(other[name]), name


def test_no_agreement_exceeds_its_cap():
    shares = (0.1, 0.5, 0.8)
    for (seed, one), (other_seed, other) in itertools.product(enumerate(shares), enumerate(shares, start=7)):
        a, b = drawn(TINY, seed, one), drawn(TINY, other_seed, other)
        # The most that these counts allow: the smaller of two masks along one ranking lies in the larger.
        ranks = {
            matrix: np.random.default_rng(9).permutation(TINY.size(matrix.matrix_type)) for matrix in TINY.matrices
        }

        def nested(masks, ranks=ranks):
            return pack(TINY, lambda m: (ranks[m] < masks.kept(m)).reshape(TINY.shape(m.matrix_type)))

        got, best = measured(a, b), measured(nested(a), nested(b))
        for name in ("phi_within", "phi_pooled", "jaccard"):
            assert MEASURES[name].capped
            assert best[name] == pytest.approx(got[f"{name}_max"])
            assert got[name] <= got[f"{name}_max"]
        assert best["phi_share"] == pytest.approx(1)


def test_nothing_over_nothing_is_unknown():
    empty = pack(TINY, lambda matrix: np.zeros(TINY.shape(matrix.matrix_type), bool))
    got = measured(empty, empty)
    assert got[list(MEASURES)].isna().all()
    assert (got["n_a"], got["n_both"], got["expected"]) == (0, 0, 0)
    full = measured(opposite(empty), opposite(empty))
    assert full[["phi_within", "phi_pooled"]].isna().all()
    assert (full["jaccard"], full["lift"]) == (1, 1)


def test_an_empty_matrix_does_not_spoil_the_others():
    got = of_tables((0, 0, 0, 10), (4, 5, 3, 10))
    assert got["phi_within"] == pytest.approx(of_tables((4, 5, 3, 10))["phi_within"])


def test_groups_are_measured_apart_in_their_order():
    table = tables((4, 5, 3, 10), (5, 5, 4, 10), (4, 5, 2, 10)).assign(group=["z", "a", "z"])
    got = measure_overlap(table, ["group"])
    assert got["group"].tolist() == ["z", "a"]
    assert got["n_both"].tolist() == [5, 4]


def test_every_measure_is_computed_and_told():
    got = of_tables((4, 5, 3, 10))
    for name, measure in MEASURES.items():
        assert name in got
        assert measure.answers.rstrip(".")[-1] != " "
        assert not measure.capped or f"{name}_max" in got


# ------------------------------------------------------------------------------------- given the size of weights

# Some |W| and scores on a grid, so that a histogram knows them exactly.
N_SIZES, N_SCORES = 5, 40


def graded(seed, n_grades):
    rng = np.random.default_rng(seed)
    return {matrix: rng.integers(0, n_grades, TINY.shape(matrix.matrix_type)) for matrix in TINY.matrices}


def leaning(sizes, seed):
    """Scores that large weights have the higher chances in."""
    return {matrix: np.clip(4 * sizes[matrix] + own, 0, N_SCORES - 1) for matrix, own in graded(seed, 20).items()}


def of_scores(sizes, scores, cuts):
    """The mask that keeps scores from a cut on, and its magnitudes; ties of sizes by position."""
    masks = pack(TINY, lambda matrix: scores[matrix] >= cuts[matrix.layer])
    kept, removed, joint, by_rank = [], [], [], []
    for matrix in TINY.matrices:
        mask, size, score = masks.dense(matrix), sizes[matrix], scores[matrix]
        kept.append(np.bincount(score[mask], minlength=N_SCORES))
        removed.append(np.bincount(score[~mask], minlength=N_SCORES))
        joint.append(np.bincount((size * N_SCORES + score).ravel(), minlength=N_SIZES * N_SCORES))
        largest = np.argsort(-size.ravel(), kind="stable")[: mask.sum()]
        by_rank.append(mask.ravel()[largest].sum())
    joint = np.array(joint, np.uint32).reshape(-1, N_SIZES, N_SCORES)
    return masks, magnitudes(np.array(kept, np.uint32), np.array(removed, np.uint32), joint, np.array(by_rank))


def residuals(masks, cells):
    """A mask with the mean of each cell of a matrix taken out."""
    columns = []
    for matrix in TINY.matrices:
        mask, cell = masks.dense(matrix).ravel().astype(float), cells[matrix].ravel()
        means = np.bincount(cell, mask) / np.maximum(np.bincount(cell), 1)
        columns.append(mask - means[cell])
    return np.concatenate(columns)


def test_sizes_of_kept_weights_are_counted():
    sizes = graded(0, N_SIZES)
    masks, known = of_scores(sizes, leaning(sizes, 1), (16, 20))
    for place, matrix in enumerate(TINY.matrices):
        kept = np.bincount(sizes[matrix][masks.dense(matrix)], minlength=N_SIZES)
        assert known.kept_by_size[place].tolist() == kept.tolist()
        assert known.n_by_size[place].tolist() == np.bincount(sizes[matrix].ravel(), minlength=N_SIZES).tolist()


def test_a_split_score_bin_is_shared_out():
    """Of a bin of 4 weights, 1 small and 3 large, 2 are kept: half of each size."""
    known = magnitudes(
        np.array([[0, 2, 1]], np.uint32),
        np.array([[5, 2, 0]], np.uint32),
        np.array([[[2, 1, 0], [3, 3, 1]]], np.uint32),
        np.array([2]),
    )
    assert known.kept_by_size.tolist() == [[0.5, 2.5]]
    assert known.n_by_size.tolist() == [[3, 7]]


@pytest.mark.parametrize("cuts", [(16, 20), (10, 30)])
def test_phi_given_size_is_the_correlation_within_sizes(cuts):
    sizes = graded(0, N_SIZES)
    a, of_a = of_scores(sizes, leaning(sizes, 1), (16, 20))
    b, of_b = of_scores(sizes, leaning(sizes, 2), cuts)
    got = measure_overlap(pairwise_overlap({"a": a, "b": b}, {"a": of_a, "b": of_b}), PAIR).iloc[0]
    assert got["phi_magnitude"] == pytest.approx(np.corrcoef(residuals(a, sizes), residuals(b, sizes))[0, 1])
    # Nothing but |W| is common to the two.
    assert got["phi_within"] > 0.2
    assert abs(got["phi_magnitude"]) < 0.05
    assert got["phi_magnitude"] < got["phi_magnitude_max"] <= 1
    alone = measure_overlap(pairwise_overlap({"a": a, "b": b}, {"a": of_a}), PAIR).iloc[0]
    assert np.isnan(alone["phi_magnitude"])


def test_sizes_in_other_bins_are_unknown():
    sizes = graded(0, N_SIZES)
    (a, of_a), (b, of_b) = (of_scores(sizes, leaning(sizes, seed), (16, 20)) for seed in (1, 2))
    coarse = Magnitudes(
        of_b.kept_by_magnitude, of_b.kept_by_size.sum(1, keepdims=True), of_b.n_by_size.sum(1, keepdims=True)
    )
    got = measure_overlap(pairwise_overlap({"a": a, "b": b}, {"a": of_a, "b": coarse}), PAIR).iloc[0]
    assert np.isnan(got["phi_magnitude"])


def test_phi_given_size_of_equal_masks_is_one():
    sizes = graded(0, N_SIZES)
    a, of_a = of_scores(sizes, leaning(sizes, 1), (16, 20))
    got = measure_overlap(pairwise_overlap({"a": a, "b": a}, {"a": of_a, "b": of_a}), PAIR).iloc[0]
    assert got["phi_magnitude"] == pytest.approx(1)
    assert got["phi_magnitude_max"] == pytest.approx(1)


def test_partial_phi_is_the_correlation_of_residuals():
    rng = np.random.default_rng(0)
    weights = {matrix: rng.random(TINY.shape(matrix.matrix_type)) for matrix in TINY.matrices}

    def quarter(scores):
        return scores >= np.sort(scores.ravel())[-(scores.size // 4)]

    def near(seed):
        own = np.random.default_rng(seed)
        return pack(TINY, lambda matrix: quarter(weights[matrix] + own.random(weights[matrix].shape)))

    a, b, magnitude = near(1), near(2), pack(TINY, lambda matrix: quarter(weights[matrix]))
    nowhere = np.full((len(TINY.matrices), 1), np.nan)
    known = {
        name: Magnitudes(
            np.array([(magnitude.dense(matrix) & masks.dense(matrix)).sum() for matrix in TINY.matrices]),
            nowhere,
            nowhere,
        )
        for name, masks in (("a", a), ("b", b))
    }
    got = measure_overlap(pairwise_overlap({"a": a, "b": b}, known), PAIR).iloc[0]
    whole = {matrix: np.zeros(TINY.shape(matrix.matrix_type), int) for matrix in TINY.matrices}
    x, y, z = (residuals(masks, whole) for masks in (a, b, magnitude))
    apart = [column - z * (column @ z) / (z @ z) for column in (x, y)]
    assert got["phi_partial"] == pytest.approx(np.corrcoef(*apart)[0, 1])
    assert got["phi_within"] > 0.15
    assert got["phi_partial"] < got["phi_within"] / 2


def test_partial_phi_is_unknown_where_counts_differ_or_magnitudes_are_missing():
    table = tables((4, 5, 3, 10), (4, 4, 3, 10)).assign(magnitude_a=[2.0, 2.0], magnitude_b=[3.0, 2.0])
    assert np.isnan(measure_overlap(table, ["group"])["phi_partial"].item())
    same = table.iloc[1:]
    assert np.isfinite(measure_overlap(same, ["group"])["phi_partial"].item())
    assert np.isnan(measure_overlap(same.assign(magnitude_b=np.nan), ["group"])["phi_partial"].item())
    # A is the magnitude mask itself: nothing of it is left to correlate.
    assert np.isnan(measure_overlap(same.assign(magnitude_a=4.0), ["group"])["phi_partial"].item())


# ------------------------------------------------------------------------------------------------- regions


@pytest.mark.parametrize(("layout", "n_runs"), [(TINY, 2), (ODD, 3), (TINY, 6)])
def test_regions_against_a_slow_loop(layout, n_runs):
    masks = {f"run{seed}": drawn(layout, seed, 0.2 + 0.1 * seed) for seed in range(n_runs)}
    table = region_counts(masks)
    assert len(table) == 2**n_runs
    assert table["n_runs"].tolist() == sorted(table["n_runs"])
    columns = {name: flat(mask) for name, mask in masks.items()}
    for row in table.to_dict("records"):
        inside = np.ones(layout.n_weights, bool)
        expected = 0.0
        for name in masks:
            inside &= columns[name] == row[name]
        for matrix in layout.matrices:
            size = layout.size(matrix.matrix_type)
            shares = [masks[name].kept(matrix) / size for name in masks]
            expected += size * math.prod(
                share if row[name] else 1 - share for name, share in zip(masks, shares, strict=True)
            )
        assert row["n_weights"] == inside.sum()
        assert row["expected"] == pytest.approx(expected)
        assert row["n_runs"] == sum(row[name] for name in masks)
    assert table["n_weights"].sum() == layout.n_weights
    assert table["expected"].sum() == pytest.approx(layout.n_weights)


@pytest.mark.parametrize("n_runs", [3, 4])
def test_consensus_against_votes(n_runs):
    masks = {f"run{seed}": drawn(TINY, seed, 0.2 + 0.1 * seed) for seed in range(n_runs)}
    votes = sum(flat(mask).astype(int) for mask in masks.values())
    table = consensus(region_counts(masks)).set_index("rule")
    assert table["kept"].to_dict() == {
        "union": (votes > 0).sum(),
        "majority": (votes > n_runs / 2).sum(),
        "intersection": (votes == n_runs).sum(),
    }
    assert table.loc["union", "remaining"] == (votes > 0).mean()
    assert set(table["n_weights"]) == {TINY.n_weights}
    sizes = np.array([TINY.size(matrix.matrix_type) for matrix in TINY.matrices])
    shares = np.array([mask.kept_per_matrix.ravel() for mask in masks.values()]) / sizes
    none, every = (sizes @ part.prod(axis=0) / TINY.n_weights for part in (1 - shares, shares))
    bounds = table.loc[["union", "intersection"]]
    np.testing.assert_allclose(bounds["expected"], [1 - none, every])
    np.testing.assert_allclose(bounds["lift"], bounds["remaining"] / [1 - none, every])


# ------------------------------------------------------------------------------------------------ refusals


def test_masks_of_two_layouts_are_refused():
    with pytest.raises(MaskFormatError, match=r"Masks of first and third cannot be compared.*Choose runs of one"):
        pairwise_overlap({"first": drawn(TINY, 0), "second": drawn(TINY, 1), "third": drawn(ODD, 0)})


def test_one_mask_has_no_overlap():
    with pytest.raises(MaskFormatError, match="two masks or more; got 1"):
        pairwise_overlap({"a": drawn(TINY, 0)})


def test_seven_runs_have_too_many_combinations():
    with pytest.raises(MaskFormatError, match="7 runs have 128 combinations; choose 6"):
        region_counts({str(seed): drawn(ODD, seed) for seed in range(7)})


def test_runs_of_two_encoders_are_refused():
    one, other = tiny_config(), tiny_config(base_model="another-encoder", base_model_sha256="f" * 64)
    check_one_encoder([mask_of(one, "x"), mask_of(replace(one, seed=1), "y")])
    with pytest.raises(MaskFormatError, match=r"Run z has masks over another-encoder \(ffffffff\), run x over tiny-"):
        check_one_encoder([mask_of(one, "x"), mask_of(other, "z")])


# -------------------------------------------------------------------------------------------- kinds of pairs


def test_kinds_of_pairs():
    run, control = mask_of(tiny_config()), mask_of(tiny_config(method="random"))
    assert pair_kind(run, mask_of(tiny_config(seed=1))) == SAME_TASK_OTHER_SEED
    assert pair_kind(run, mask_of(tiny_config(seed=1, remaining=0.1))) == SAME_TASK_OTHER_SETTINGS
    assert pair_kind(run, mask_of(tiny_config(method="smp_l"))) == SAME_TASK_OTHER_SETTINGS
    assert pair_kind(run, mask_of(tiny_config(task="cola"))) == OTHER_TASK
    largest = mask_of(tiny_config(method="magnitude_frozen"))
    assert {pair_kind(run, control), pair_kind(control, run), pair_kind(largest, control)} == {WITH_RANDOM}
    assert pair_kind(run, largest) == pair_kind(largest, run) == WITH_MAGNITUDE
    # Magnitude pruning that trains is no control.
    assert pair_kind(run, mask_of(tiny_config(method="magnitude"))) == SAME_TASK_OTHER_SETTINGS


def test_a_mask_of_no_run_makes_pairs_of_a_kind_of_their_own():
    run = mask_of(tiny_config())
    foreign = replace(run, config=None)
    assert pair_kind(run, foreign) == pair_kind(foreign, run) == pair_kind(foreign, foreign) == WITH_IMPORTED


def test_pairs_are_described_and_have_their_medians():
    masks = [mask_of(tiny_config(seed=seed), f"m{seed}") for seed in range(3)]
    masks.append(mask_of(tiny_config(task="cola"), "cola"))
    pairs = pd.DataFrame(
        [(a.mask_id, b.mask_id) for a, b in itertools.combinations(masks, 2)], columns=["run_a", "run_b"]
    ).assign(phi_within=[0.1, 0.2, 0.5, 0.6, np.nan, 0.3], phi_within_max=[1, 0.75, 0.74, 1, 1, 1])
    table = describe_pairs(pairs, masks, {mask.mask_id: mask.mask_id.upper() for mask in masks})
    assert table[["label_a", "label_b", "task_b", "method_a"]].iloc[2].tolist() == ["M0", "COLA", "cola", "smp_s"]
    assert table["capped"].tolist() == [False, False, True, False, False, False]
    medians = medians_by_kind(table, "phi_within")
    assert medians.loc[SAME_TASK_OTHER_SEED].tolist() == [3, 0.2]
    assert medians.loc[OTHER_TASK].tolist() == [2, 0.4]


def test_a_control_has_no_task():
    masks = [mask_of(tiny_config(), "mask"), replace(mask_of(tiny_config(method="random"), "control"), task=None)]
    pairs = pd.DataFrame({"run_a": ["mask"], "run_b": ["control"], "phi_within_max": [1.0]})
    table = describe_pairs(pairs, masks, {mask.mask_id: "" for mask in masks})
    assert table[["task_a", "task_b", "method_b"]].iloc[0].tolist() == ["rte", "", "random"]


def test_rows_of_a_pair_have_a_first():
    table = pd.DataFrame({"run_a": ["x", "x"], "run_b": ["y", "z"], "n_a": [1, 1], "n_b": [2, 3], "n_both": [0, 1]})
    assert rows_of_pair(table, "x", "z").to_dict("list") == table.iloc[1:].to_dict("list")
    turned = rows_of_pair(table, "z", "x")
    assert turned[["run_a", "run_b", "n_a", "n_b", "n_both"]].iloc[0].tolist() == ["z", "x", 3, 1, 1]


def test_a_pair_has_the_similarity_at_which_the_tree_joins_it():
    pairs = pd.DataFrame({"run_a": ["a", "a", "b"], "run_b": ["b", "c", "c"], "phi_within": [0.1, 0.8, 0.3]})
    joined, _ = joined_pairs(pairs, ["a", "b", "c"])
    assert joined["phi_within_joined"].tolist() == pytest.approx([0.2, 0.8, 0.2])


@pytest.mark.parametrize("measure", MEASURES)
def test_what_is_said_of_a_part_needs_that_part_alone(measure):
    of_matrix, of_head = measures_of_parts(measure)
    assert of_matrix not in ("phi_pooled", "phi_between")
    assert of_head not in ("phi_pooled", "phi_between", "phi_partial", "phi_magnitude")


@pytest.mark.parametrize(
    ("n_a", "n_b", "n_both"),
    [(100, 100, 40), (100, 10, 3), (7, 90, 7), (50, 50, 50), (30, 20, 0), (0, 20, 0), (0, 0, 0)],
)
def test_circles_share_the_area_of_the_common_weights(n_a, n_b, n_both):
    counted, by_chance = shared_circles(
        pd.Series({"n_a": n_a, "n_b": n_b, "n_both": n_both, "expected": 0.0})
    ).itertuples()
    assert [np.pi * radius**2 for radius in (counted.radius_a, counted.radius_b)] == pytest.approx([n_a, n_b])
    # Another way: the share of a fine grid that lies in both.
    x, y = np.meshgrid(np.linspace(-20, 20, 2001), np.linspace(-20, 20, 2001))
    inside = (np.hypot(x, y) < counted.radius_a) & (np.hypot(x - counted.distance, y) < counted.radius_b)
    assert inside.sum() * 0.02**2 == pytest.approx(n_both, abs=0.1)
    # Circles that share nothing only touch.
    assert by_chance.distance == pytest.approx(by_chance.radius_a + by_chance.radius_b)
