import numpy as np
import pytest
from scipy.cluster import hierarchy

from smp_lab.analysis.clustering import Merge, average_linkage


def test_three_leaves_by_hand():
    similarity = np.array([[1, 0.1, 0.8], [0.1, 1, 0.3], [0.8, 0.3, 1]])
    found = average_linkage(similarity)
    assert found.merges == (Merge(2, 0, 0.8), Merge(3, 1, pytest.approx(0.2)))
    # Leaf 1 stands beside 2, which it is closer to than to 0.
    assert found.order in ((0, 2, 1), (1, 2, 0))
    np.testing.assert_allclose(found.joined(), [[np.nan, 0.2, 0.8], [0.2, np.nan, 0.2], [0.8, 0.2, np.nan]])


@pytest.mark.parametrize("seed", range(5))
def test_the_tree_is_scipys(seed):
    n = 30
    half = np.random.default_rng(seed).random((n, n))
    similarity = (half + half.T) / 2
    ours = average_linkage(similarity)
    theirs = hierarchy.linkage(1 - similarity[np.triu_indices(n, 1)], "average")
    np.testing.assert_allclose([1 - merge.similarity for merge in ours.merges], theirs[:, 2])
    np.testing.assert_allclose(1 - ours.joined()[np.triu_indices(n, 1)], hierarchy.cophenet(theirs))
    assert sorted(ours.order) == list(range(n))


@pytest.mark.parametrize("seed", range(3))
def test_leaves_of_a_cluster_stand_side_by_side(seed):
    half = np.random.default_rng(seed).random((9, 9))
    tree = average_linkage((half + half.T) / 2)
    clusters = [[leaf] for leaf in range(9)]
    for merge in tree.merges:
        clusters.append(clusters[merge.left] + clusters[merge.right])
        places = sorted(tree.order.index(leaf) for leaf in clusters[-1])
        assert places == list(range(places[0], places[0] + len(places)))


def test_unknown_similarity_is_none():
    similarity = np.array([[1, np.nan, 0.5], [np.nan, 1, -0.2], [0.5, -0.2, 1]])
    assert average_linkage(similarity).merges[-1].similarity == pytest.approx(-0.1)


def test_one_leaf():
    assert average_linkage(np.ones((1, 1))) == ((0,), ())
