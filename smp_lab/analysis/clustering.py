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
    orders: list[tuple[int, ...]] = [(leaf,) for leaf in range(n)]
    # A cluster takes the place of the later of the two that it is made of; at the other's there is nothing any more.
    nodes, between = list(range(n)), np.where(np.eye(n, dtype=bool), -np.inf, leaves)
    merges = []
    for node in range(n, 2 * n - 1):
        gone, place = sorted(divmod(int(between.argmax()), n), key=nodes.__getitem__)
        merges.append(Merge(nodes[place], nodes[gone], float(between[place, gone])))
        one, two = orders[place], orders[gone]
        turned = [(a, b) for a in (one, one[::-1]) for b in (two, two[::-1])]
        joined = max(turned, key=lambda sides: leaves[sides[0][-1], sides[1][0]])
        nodes[place], orders[place] = node, joined[0] + joined[1]
        mean = (len(one) * between[place] + len(two) * between[gone]) / (len(one) + len(two))
        between[place] = between[:, place] = mean
        between[gone] = between[:, gone] = -np.inf
    return Clustering(max(orders, key=len), tuple(merges))
