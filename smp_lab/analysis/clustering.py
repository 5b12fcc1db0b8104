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
    # Of the clusters that are left, oldest first; the other half is -inf, and no pair is there twice.
    nodes = np.arange(n)
    between = np.where(np.tri(n, k=-1, dtype=bool), leaves, -np.inf)
    merges = []
    for node in range(n, 2 * n - 1):
        row, column = np.unravel_index(between.argmax(), between.shape)
        left, right = int(nodes[row]), int(nodes[column])
        merges.append(Merge(left, right, float(between[row, column])))
        one, two = orders.pop(left), orders.pop(right)
        turned = [(a, b) for a in (one, one[::-1]) for b in (two, two[::-1])]
        joined = max(turned, key=lambda sides: leaves[sides[0][-1], sides[1][0]])
        orders[node] = joined[0] + joined[1]
        to_left, to_right = (np.maximum(between[side], between[:, side]) for side in (row, column))
        mean = (len(one) * to_left + len(two) * to_right) / (len(one) + len(two))
        others = np.delete(np.arange(len(nodes)), [row, column])
        nodes = np.append(nodes[others], node)
        between = np.pad(between[np.ix_(others, others)], (0, 1), constant_values=-np.inf)
        between[-1, :-1] = mean[others]
    (order,) = orders.values()
    return Clustering(order, tuple(merges))
