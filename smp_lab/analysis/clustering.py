"""An order of runs that puts similar ones side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Merge(NamedTuple):
    """Two clusters that become one. Node i is leaf i; merge k makes node n_leaves + k.

    Parameters
    ----------
    left, right
        Nodes.
    similarity
        Mean similarity of a leaf of the one and a leaf of the other.
    """

    left: int
    right: int
    similarity: float


class Clustering(NamedTuple):
    """Result of `average_linkage`.

    Parameters
    ----------
    order
        Leaves from left to right.
    merges
        Most similar first, one fewer than there are leaves.
    """

    order: tuple[int, ...]
    merges: tuple[Merge, ...]

    def joined(self) -> npt.NDArray[np.float64]:
        """Similarity of the merge that brings two leaves together (cophenetic; Sokal and Rohlf 1962).

        Returns
        -------
        ndarray
            ``(n_leaves, n_leaves)``; NaN on the diagonal.
        """
        n = len(self.order)
        found = np.full((n, n), np.nan)
        leaves = [[leaf] for leaf in range(n)]
        for left, right, similarity in self.merges:
            one, two = leaves[left], leaves[right]
            found[np.ix_(one, two)] = similarity
            found[np.ix_(two, one)] = similarity
            leaves.append(one + two)
        return found


def average_linkage(similarity: npt.NDArray[np.float64]) -> Clustering:
    """Cluster leaves by mean similarity (Sokal and Michener 1958), and lay out the tree.

    Parameters
    ----------
    similarity
        ``(n, n)`` with n at least 1, symmetric; the diagonal is not read. NaN counts as 0: nothing in common.

    Returns
    -------
    Clustering
        Of two clusters that meet, each is turned so that the leaves that come to stand side by side are as similar as
        they can be.
    """
    leaves = np.nan_to_num(np.asarray(similarity, np.float64), nan=0.0)
    n = len(leaves)
    orders: dict[int, tuple[int, ...]] = {node: (node,) for node in range(n)}
    between = {(a, b): float(leaves[a, b]) for a in range(n) for b in range(a)}
    merges = []
    for node in range(n, 2 * n - 1):
        left, right = max(between, key=lambda pair: (between[pair], -pair[0], -pair[1]))
        merges.append(Merge(left, right, between[left, right]))
        one, two = orders.pop(left), orders.pop(right)
        turned = [(a, b) for a in (one, one[::-1]) for b in (two, two[::-1])]
        joined = max(turned, key=lambda sides: leaves[sides[0][-1], sides[1][0]])
        del between[left, right]
        for other in orders:
            apart = [between.pop((max(other, side), min(other, side))) for side in (left, right)]
            between[node, other] = float(np.average(apart, weights=[len(one), len(two)]))
        orders[node] = joined[0] + joined[1]
    (order,) = orders.values()
    return Clustering(order, tuple(merges))
