import numpy as np
import pytest

from smp_lab.analysis.clustering import Merge, average_linkage


def test_three_leaves_by_hand():
    similarity = np.array([[1, 0.1, 0.8], [0.1, 1, 0.3], [0.8, 0.3, 1]])
    found = average_linkage(similarity)
    assert found.merges == (Merge(2, 0, 0.8), Merge(3, 1, pytest.approx(0.2)))
    # Leaf 1 stands beside 2, which it is closer to than to 0.
    assert found.order in ((0, 2, 1), (1, 2, 0))
    np.testing.assert_allclose(found.joined(), [[np.nan, 0.2, 0.8], [0.2, np.nan, 0.2], [0.8, 0.2, np.nan]])


def members(node, merges, n):
    if node < n:
        return [node]
    merge = merges[node - n]
    return members(merge.left, merges, n) + members(merge.right, merges, n)


@pytest.mark.parametrize("seed", range(5))
def test_merges_are_means_over_leaves_and_the_best_at_hand(seed):
    n = 9
    half = np.random.default_rng(seed).random((n, n))
    similarity = (half + half.T) / 2
    found = average_linkage(similarity)
    open_nodes = set(range(n))
    for place, merge in enumerate(found.merges):

        def mean(one, other):
            return similarity[np.ix_(members(one, found.merges, n), members(other, found.merges, n))].mean()

        assert merge.similarity == pytest.approx(mean(merge.left, merge.right))
        best = max(mean(one, other) for one in open_nodes for other in open_nodes if one != other)
        assert merge.similarity == pytest.approx(best)
        open_nodes -= {merge.left, merge.right}
        open_nodes.add(n + place)
    assert sorted(found.order) == list(range(n))
    for node in range(n, 2 * n - 1):
        places = sorted(found.order.index(leaf) for leaf in members(node, found.merges, n))
        assert places == list(range(places[0], places[0] + len(places)))


def test_blocks_come_together():
    kind = np.array([0, 1, 0, 1, 2, 0])
    order = np.array(average_linkage((kind[:, None] == kind) + 0.0).order)
    assert (np.diff(kind[order]) != 0).sum() == 2


def test_unknown_similarity_is_none():
    similarity = np.array([[1, np.nan, 0.5], [np.nan, 1, -0.2], [0.5, -0.2, 1]])
    assert average_linkage(similarity).merges[-1].similarity == pytest.approx(-0.1)


def test_one_leaf():
    assert average_linkage(np.ones((1, 1))) == ((0,), ())
