import numpy as np
import pytest
from conftest import TINY, random_masks

from smp_lab.analysis import scores as analysis
from smp_lab.analysis.scores import ALL_TYPES, KEPT, REMOVED
from smp_lab.layout import MATRIX_TYPES
from smp_lab.masks import popcount

SIZES = np.array([TINY.size(matrix.matrix_type) for matrix in TINY.matrices])
NOW = np.array([30])
EDGES = np.array([-np.inf, -2, -1, -0.5, 0, 3, np.inf])


def histograms(seed=0, n_snapshots=3):
    """Kept and removed scores that add up to each matrix's size; the outermost bins stay empty."""
    rng = np.random.default_rng(seed)
    bins = rng.choice([1, 2, 3, 4], size=(n_snapshots, SIZES.sum()), p=[0.1, 0.2, 0.3, 0.4])
    side = rng.random((n_snapshots, SIZES.sum())) < 0.3
    both = np.zeros((2, n_snapshots, len(SIZES), 6), np.uint32)
    stops = np.cumsum(SIZES)
    for snapshot in range(n_snapshots):
        for place, stop in enumerate(stops):
            for i in range(stop - SIZES[place], stop):
                both[int(side[snapshot, i]), snapshot, place, bins[snapshot, i]] += 1
    return both[1], both[0]


def test_places_by_type_and_layer():
    assert analysis.places(TINY) == list(range(12))
    assert analysis.places(TINY, "query") == [0, 6]
    assert analysis.places(TINY, ALL_TYPES, 1) == [6, 7, 8, 9, 10, 11]
    assert analysis.places(TINY, "output", 0) == [5]


@pytest.mark.parametrize(("share", "place"), [(0, 0), (0.24, 1), (0.13, 1), (0.5, 2), (1, 4)])
def test_snapshot_nearest_to_a_share_of_training(share, place):
    assert analysis.snapshot_at(np.array([0, 25, 50, 75, 100]), share) == place


def test_a_single_snapshot_is_every_snapshot():
    assert analysis.snapshot_at(np.array([0]), 0.7) == 0


def test_magnitude_cuts_by_hand():
    weight_edges = np.array([-np.inf, -3, -2, -1, np.inf])
    histogram = np.zeros((len(SIZES), 4, 6), np.uint32)
    # The query of layer 0: 100 weights below 10^-3, then 60, 80, and 16 above 10^-1.
    histogram[:, :, 2] = [100, 60, 80, 16]
    kept = np.zeros(len(SIZES), int)
    kept[:6] = [16, 96, 56, 156, 8, 200]
    table = analysis.magnitude_cuts(weight_edges, histogram, kept, TINY)
    # At an edge, at an edge, half way through a bin, at the lowest edge; then beyond both ends, and nothing kept.
    assert table["magnitude_cut"].tolist()[:4] == pytest.approx([-1, -2, -1.5, -3])
    assert table["magnitude_cut"].isna().tolist()[4:] == [True] * 8
    assert table["layer"].tolist() == [0] * 6 + [1] * 6
    one = analysis.magnitude_cuts(weight_edges, histogram, kept, TINY, "value", 0)
    assert one.to_dict("records") == [{"layer": 0, "matrix_type": "value", "magnitude_cut": pytest.approx(-1.5)}]


def test_as_many_weights_lie_above_the_magnitude_cut_as_are_kept():
    rng = np.random.default_rng(2)
    weight_edges = np.array([-np.inf, *np.linspace(-4, 1, 501), np.inf])
    sizes = [np.log10(np.abs(rng.standard_normal(size))) for size in SIZES]
    histogram = np.stack([np.histogram(of_matrix, weight_edges)[0] for of_matrix in sizes])[:, :, None]
    kept = SIZES * 3 // 10
    cuts = analysis.magnitude_cuts(weight_edges, histogram, kept, TINY)["magnitude_cut"]
    for of_matrix, cut, wanted in zip(sizes, cuts, kept, strict=True):
        # Within what one bin holds.
        assert abs((of_matrix > cut).sum() - wanted) <= np.histogram(of_matrix, weight_edges)[0].max()


def test_distribution_by_hand():
    kept, removed = np.zeros((2, len(SIZES), 6), np.uint32)
    # 256 weights of layer 0's query: 64 kept above 0, 128 removed in [-1, -0.5), 64 in [-0.5, 0).
    kept[0, 4], removed[0, 2], removed[0, 3] = 64, 128, 64
    table = analysis.score_distribution(NOW, EDGES, {"kept": kept[None], "removed": removed[None]}, TINY, "query", 0)
    of_kept, of_removed = (table[table["side"] == side] for side in (KEPT, REMOVED))
    assert of_kept["low"].tolist() == [-1, -0.5, 0]
    assert of_kept["high"].tolist() == [-0.5, 0, 3]
    assert of_removed["count"].tolist() == [128, 64, 0]
    # A quarter of the weights over three units; half over half a unit.
    assert of_kept["density"].tolist() == pytest.approx([0, 0, 0.25 / 3])
    assert of_removed["density"].tolist() == pytest.approx([1.0, 0.5, 0])


def test_densities_add_up_to_one_over_a_layer():
    kept, removed = (histogram[0] for histogram in histograms())
    for kind in (ALL_TYPES, "key", "intermediate"):
        table = analysis.score_distribution(NOW, EDGES, {"kept": kept[None], "removed": removed[None]}, TINY, kind)
        mass = (table["density"] * (table["high"] - table["low"])).groupby(table["layer"]).sum()
        assert mass.tolist() == pytest.approx([1, 1])
        assert table.groupby("layer")["count"].sum().eq(table.groupby("layer")["n_weights"].first()).all()


def test_a_bin_without_an_end_has_a_count_and_no_density():
    kept, removed = np.zeros((2, len(SIZES), 6), np.uint32)
    kept[:, 5], removed[:, 0] = 6, SIZES - 6
    table = analysis.score_distribution(NOW, EDGES, {"kept": kept[None], "removed": removed[None]}, TINY, "query", 1)
    ends = table[np.isinf(table["low"]) | np.isinf(table["high"])]
    assert ends["count"].sum() == 256
    assert ends["density"].isna().all()


def test_no_scores_at_all_still_give_a_table():
    empty = np.zeros((len(SIZES), 6), np.uint32)
    assert (
        analysis.score_distribution(NOW, EDGES, {"kept": empty[None], "removed": empty[None]}, TINY)["count"].sum() == 0
    )


def test_history_is_the_distribution_of_each_snapshot():
    kept, removed = histograms()
    steps = np.array([0, 10, 20])
    history = analysis.score_distribution(steps, EDGES, {"both": kept + removed}, TINY, "value")
    for place, step in enumerate(steps):
        one = analysis.score_distribution(
            NOW, EDGES, {"kept": kept[place, None], "removed": removed[place, None]}, TINY, "value"
        )
        one = one.groupby(["layer", "low"], as_index=False)[["count", "density"]].sum()
        at_step = history[history["step"] == step].reset_index(drop=True)
        assert at_step["count"].tolist() == one["count"].tolist()
        assert at_step["density"].tolist() == pytest.approx(one["density"].tolist())


def test_cuts_stand_beside_their_matrix():
    cuts = np.arange(3 * 12, dtype=float).reshape(3, 12)
    table = analysis.score_cuts(np.array([0, 5, 9]), cuts, TINY, "key")
    assert table["score_cut"].tolist() == [1, 13, 25, 7, 19, 31]
    assert table["layer"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["step"].tolist() == [0, 5, 9] * 2


def test_weights_against_scores_by_hand():
    weight_edges = np.array([-np.inf, -2, -1.5, -1, np.inf])
    histogram = np.zeros((12, 4, 6), np.uint32)
    histogram[0, 1, 3], histogram[6, 2, 4], histogram[1, 3, 5] = 10, 30, 99
    table = analysis.weight_scores(weight_edges, EDGES, histogram, TINY, "query")
    cells = table.set_index(["weight_low", "low"])
    assert len(cells) == 4
    # Ten weights in half a decade and half a unit; thirty in half a decade and three units.
    assert cells.loc[(-2, -0.5), "density"] == pytest.approx(10 / 0.25)
    assert cells.loc[(-1.5, 0), "density"] == pytest.approx(30 / 1.5)
    assert cells["count"].sum() == 40
    everything = analysis.weight_scores(weight_edges, EDGES, histogram, TINY)
    assert everything["count"].sum() == 139
    assert everything.loc[everything["count"] == 99, "density"].isna().all()


def test_magnitude_by_hand():
    kept = np.full(12, 64)
    kept[11] = 0
    both = kept // 4
    table = analysis.kept_by_magnitude(both, kept, TINY)
    assert table["share"][0] == 0.25
    assert table["chance"][0] == 0.25
    assert table["chance"][4] == 0.125
    assert np.isnan(table["share"][11])


def masks_of_snapshots():
    """A mask that thins out, and the counts that a recorder takes of it."""
    masks = [random_masks(TINY, remaining, seed) for seed, remaining in enumerate((1.0, 0.6, 0.4, 0.3))]
    matrices = TINY.matrices
    kept = np.array([[mask.kept(matrix) for matrix in matrices] for mask in masks])
    in_final = np.array([[popcount(mask.bits[m] & masks[-1].bits[m]) for m in matrices] for mask in masks])
    return masks, kept, in_final


def test_similarity_to_the_final_mask_against_sets():
    masks, kept, in_final = masks_of_snapshots()
    table = analysis.similarity_to_final(np.array([0, 1, 2, 3]), kept, in_final, TINY)
    for step, mask in enumerate(masks):
        for kind in (ALL_TYPES, *MATRIX_TYPES):
            chosen = [matrix for matrix in TINY.matrices if kind in (ALL_TYPES, matrix.matrix_type)]
            now, final = ({(m, i) for m in chosen for i in np.flatnonzero(part.dense(m))} for part in (mask, masks[-1]))
            row = table[(table["matrix_type"] == kind) & (table["step"] == step) & table["layer"].isna()].iloc[0]
            assert row["recall"] == pytest.approx(len(now & final) / len(final))
            assert row["precision"] == pytest.approx(len(now & final) / len(now))
            assert row["jaccard"] == pytest.approx(len(now & final) / len(now | final))
            chance = sum(mask.kept(m) * masks[-1].kept(m) / TINY.size(m.matrix_type) for m in chosen)
            assert row["recall_chance"] == pytest.approx(chance / len(final))
            assert row["precision_chance"] == pytest.approx(chance / len(now))


def test_phi_of_one_matrix_is_the_correlation_of_its_bits():
    masks, kept, in_final = masks_of_snapshots()
    table = analysis.similarity_to_final(np.array([0, 1, 2, 3]), kept, in_final, TINY)
    for matrix in TINY.matrices:
        rows = table[(table["layer"] == matrix.layer) & (table["matrix_type"] == matrix.matrix_type)]
        phi = rows.set_index("step")["phi_within"]
        assert np.isnan(phi[0])
        assert phi[3] == pytest.approx(1)
        bits = (masks[place].dense(matrix).ravel() for place in (1, 3))
        assert phi[1] == pytest.approx(np.corrcoef(*bits)[0, 1])


def test_flips_forced_and_two_kinds_of_swaps_by_hand():
    flips_in, flips_out = np.zeros((2, 2, 12), int)
    # Query loses 10 in layer 0 and takes 4 in; in layer 1 it loses 1 and takes 5 in. Key loses 7.
    flips_out[1, [0, 6, 1]] = 10, 1, 7
    flips_in[1, [0, 6]] = 4, 5
    table = analysis.flips_between_snapshots(np.array([0, 10]), flips_in, flips_out, TINY)
    rows = table.set_index(["matrix_type", table["layer"].astype("float").fillna(-1)])
    columns = ["forced", "swaps_within", "swaps_between"]
    assert rows.loc[("query", 0), columns].tolist() == [6, 4, 0]
    assert rows.loc[("query", 1), columns].tolist() == [4, 1, 0]
    # Of both query matrices: 11 out, 9 in. Two are forced, 5 exchanged inside, 4 moved from layer 0 to layer 1.
    assert rows.loc[("query", -1), columns].tolist() == [2, 5, 4]
    assert rows.loc[("key", -1), columns].tolist() == [7, 0, 0]
    assert rows.loc[(ALL_TYPES, -1), columns].tolist() == [9, 5, 4]
    assert set(table["step"]) == {10}


def test_flips_add_up():
    rng = np.random.default_rng(1)
    flips_in, flips_out = rng.integers(0, 50, (2, 4, 12))
    table = analysis.flips_between_snapshots(np.array([0, 1, 2, 3]), flips_in, flips_out, TINY)
    total = table["forced"] + 2 * (table["swaps_within"] + table["swaps_between"])
    assert total.tolist() == (table["flips_in"] + table["flips_out"]).tolist()
    everything = table[table["matrix_type"] == ALL_TYPES]
    assert everything["flips_out"].tolist() == flips_out[1:].sum(axis=1).tolist()


def test_one_snapshot_has_no_flips():
    zeros = np.zeros((1, 12), int)
    assert analysis.flips_between_snapshots(np.array([0]), zeros, zeros, TINY).empty


def test_swaps_of_a_matrix_are_a_share_of_it():
    flips = np.zeros((2, 12), int)
    flips[1] = 3
    table = analysis.flips_between_snapshots(np.array([0, 10]), flips, 2 * flips, TINY)
    swaps = analysis.swaps_by_matrix(table, TINY)
    assert swaps["layer"].notna().all()
    assert swaps["share"].tolist() == pytest.approx((3 / SIZES).tolist())
    one = analysis.flips_between_snapshots(np.array([0]), flips[:1], flips[:1], TINY)
    assert analysis.swaps_by_matrix(one, TINY).empty
