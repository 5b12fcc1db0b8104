"""Scores over training: where they lie, what they have to do with abs(W), and when the mask is decided.

Histograms are those of a run's `ScoreHistory`: axis "matrices" is `EncoderLayout.matrices`, bins have unequal width,
and the first and the last reach to infinity. So a bin's height is a density, counts per unit of score, never a count;
bins without an end have none, and their counts stand in the tables all the same.

Everywhere `steps` are ``(n_snapshots,)``; `edges` ``(n_bins + 1,)`` are of scores and `weight_edges`
``(n_weight_bins + 1,)`` of log10 abs(W), both with an infinite first and last; `layout` is the encoder's; `matrix_type`
and `layer` choose matrices as in `places`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from smp_lab.analysis.overlap import measure_overlap
from smp_lab.analysis.sparsity import ALL_TYPES, matrix_table
from smp_lab.layout import EncoderLayout

KEPT, REMOVED = "kept", "removed"
# Of both together, as one side.
BOTH = "both"

RECALL, PRECISION, JACCARD, PHI = SIMILARITIES = ("recall", "precision", "jaccard", "phi_within")

Ints = npt.NDArray[np.integer]
Floats = npt.NDArray[np.floating]


def snapshot_at(steps: Ints, share: float) -> int:
    """Place of the recorded snapshot nearest to a share of all steps; of two equally near the earlier."""
    return int(np.argmin(np.abs(steps - share * steps[-1])))


def places(layout: EncoderLayout, matrix_type: str = ALL_TYPES, layer: int | None = None) -> list[int]:
    """Places in `EncoderLayout.matrices` of one type or all, in one layer or all."""
    return [
        place
        for place, matrix in enumerate(layout.matrices)
        if matrix_type in (ALL_TYPES, matrix.matrix_type) and layer in (None, matrix.layer)
    ]


def score_distribution(
    steps: Ints,
    edges: Floats,
    histograms: Mapping[str, Ints],
    layout: EncoderLayout,
    matrix_type: str = ALL_TYPES,
    layer: int | None = None,
) -> pd.DataFrame:
    """Distribution of the scores of each layer, its matrices added up, at every snapshot, of each side.

    Parameters
    ----------
    histograms
        By side, such as `KEPT` and `REMOVED`: ``(n_snapshots, n_matrices, n_bins)`` counts.

    Returns
    -------
    DataFrame
        A row per (layer, side, step, bin) between the lowest and the highest bin that is ever occupied: low and high
        (scores), count, n_weights (of the layer's matrices), density (share of them per unit of score; NaN for a bin
        without an end).
    """
    chosen = places(layout, matrix_type, layer)
    bins = _occupied(sum(histogram[:, chosen].sum(axis=(0, 1)) for histogram in histograms.values()))
    low, high = edges[bins], edges[bins + 1]
    tables = []
    for number, of_layer in matrix_table(layout).iloc[chosen].groupby("layer"):
        n_weights = of_layer["n_weights"].sum()
        for side, histogram in histograms.items():
            count = histogram[:, of_layer.index][:, :, bins].sum(axis=1, dtype=np.int64)
            tables.append(
                pd.DataFrame(
                    {
                        "step": np.repeat(steps, len(bins)),
                        "layer": number,
                        "side": side,
                        "low": np.tile(low, len(steps)),
                        "high": np.tile(high, len(steps)),
                        "count": count.ravel(),
                        "n_weights": n_weights,
                        "density": _per_width(count / n_weights, high - low).ravel(),
                    }
                )
            )
    return pd.concat(tables, ignore_index=True)


def score_cuts(
    steps: Ints, score_cut: Floats, layout: EncoderLayout, matrix_type: str = ALL_TYPES, layer: int | None = None
) -> pd.DataFrame:
    """The lowest kept score of each matrix at every snapshot.

    Parameters
    ----------
    score_cut
        ``(n_snapshots, n_matrices)``; NaN where nothing is kept.

    Returns
    -------
    DataFrame
        A row per (matrix, step): layer, matrix_type, step, score_cut.
    """
    chosen = places(layout, matrix_type, layer)
    return _by_matrix(steps, layout, {"score_cut": score_cut}, chosen).drop(columns="n_weights")


def weight_scores(
    weight_edges: Floats,
    edges: Floats,
    histogram: Ints,
    layout: EncoderLayout,
    matrix_type: str = ALL_TYPES,
    layer: int | None = None,
) -> pd.DataFrame:
    """Final scores against the absolute pre-trained weights, added up over matrices.

    Parameters
    ----------
    histogram
        ``(n_matrices, n_weight_bins, n_bins)`` counts.

    Returns
    -------
    DataFrame
        A row per cell between the outermost occupied bins of either kind: weight_low and weight_high (log10 abs(W)),
        low and high (scores), count, density (weights per decade of abs(W) and unit of score; NaN for a cell without an
        end).
    """
    counts = histogram[places(layout, matrix_type, layer)].sum(axis=0, dtype=np.int64)
    rows, columns = _occupied(counts.sum(axis=1)), _occupied(counts.sum(axis=0))
    counts = counts[np.ix_(rows, columns)]
    area = np.outer(weight_edges[rows + 1] - weight_edges[rows], edges[columns + 1] - edges[columns])
    row, column = (index.ravel() for index in np.indices(counts.shape))
    return pd.DataFrame(
        {
            "weight_low": weight_edges[rows][row],
            "weight_high": weight_edges[rows + 1][row],
            "low": edges[columns][column],
            "high": edges[columns + 1][column],
            "count": counts.ravel(),
            "density": _per_width(counts, area).ravel(),
        }
    )


def kept_by_magnitude(both: Ints, kept: Ints, layout: EncoderLayout) -> pd.DataFrame:
    """How much of each matrix's mask magnitude pruning would have kept too, if it kept as much.

    Parameters
    ----------
    both
        ``(n_matrices,)`` weights of the mask that are among as many largest absolute weights.
    kept
        ``(n_matrices,)`` weights of the mask.

    Returns
    -------
    DataFrame
        A row per matrix: layer, matrix_type, both, kept, n_weights (counts), share = both / kept, chance = kept /
        n_weights, what a mask drawn at random would share. 0 / 0 is NaN.
    """
    table = matrix_table(layout).assign(both=both, kept=kept)
    table = table.assign(share=table["both"] / table["kept"], chance=table["kept"] / table["n_weights"])
    return table[["layer", "matrix_type", "both", "kept", "n_weights", "share", "chance"]]


def magnitude_cuts(
    weight_edges: Floats,
    histogram: Ints,
    kept: Ints,
    layout: EncoderLayout,
    matrix_type: str = ALL_TYPES,
    layer: int | None = None,
) -> pd.DataFrame:
    """The size of weight at which magnitude pruning would cut each matrix, to keep as many weights as its mask.

    Parameters
    ----------
    histogram
        ``(n_matrices, n_weight_bins, n_bins)`` counts, by abs(W) and score.
    kept
        ``(n_matrices,)`` weights of the mask.

    Returns
    -------
    DataFrame
        A row per matrix: layer, matrix_type, magnitude_cut (log10 abs(W); NaN where nothing is kept, or where the cut
        lies in a bin without an end). Inside a bin weights are taken to be spread evenly.
    """
    cuts, chosen = [], places(layout, matrix_type, layer)
    for place in chosen:
        # Weights above each edge that has an end, from the largest edge down: they only grow.
        above = np.cumsum(histogram[place].sum(axis=1, dtype=np.int64)[::-1])[:-1]
        cut = np.interp(kept[place], above, weight_edges[-2:0:-1], left=np.nan, right=np.nan)
        cuts.append(cut if kept[place] else np.nan)
    matrices = matrix_table(layout).loc[chosen, ["layer", "matrix_type"]].reset_index(drop=True)
    return matrices.assign(magnitude_cut=cuts)


def similarity_to_final(steps: Ints, kept: Ints, kept_in_final: Ints, layout: EncoderLayout) -> pd.DataFrame:
    """How like the final mask each snapshot's mask was: over all matrices, by type, and for each matrix.

    Parameters
    ----------
    kept, kept_in_final
        ``(n_snapshots, n_matrices)`` weights kept at the snapshot, the last of them the final mask's, and those of them
        that are in the final mask.

    Returns
    -------
    DataFrame
        A row per step and group: layer (missing for a group of several layers), matrix_type (`ALL_TYPES` for the
        encoder), step, n_a (kept at the snapshot), n_b (in the final mask), n_both, n_weights (counts); recall = n_both
        / n_b, precision = n_both / n_a, jaccard, phi_within; recall_chance, precision_chance, jaccard_chance, and
        phi_within_max, what the remaining fractions allow. Chance is that within each matrix. 0 / 0 is NaN.
    """
    counts = _by_matrix(
        steps,
        layout,
        {"n_a": kept, "n_both": kept_in_final, "n_b": np.broadcast_to(kept[-1], kept.shape)},
        places(layout),
    )
    parts = [
        measure_overlap(counts.assign(matrix_type=ALL_TYPES), ["matrix_type", "step"]),
        measure_overlap(counts, ["matrix_type", "step"]),
        measure_overlap(counts, ["layer", "matrix_type", "step"]),
    ]
    table = pd.concat(parts, ignore_index=True)
    table["layer"] = table["layer"].astype("Int64")
    for name, among in ((RECALL, "n_b"), (PRECISION, "n_a")):
        table[name] = table["n_both"] / table[among]
        table[f"{name}_chance"] = table["expected"] / table[among]
    columns = ["layer", "matrix_type", "step", "n_a", "n_b", "n_both", "n_weights", *SIMILARITIES]
    return table[[*columns, "recall_chance", "precision_chance", "jaccard_chance", "phi_within_max"]]


def flips_between_snapshots(steps: Ints, flips_in: Ints, flips_out: Ints, layout: EncoderLayout) -> pd.DataFrame:
    """What changed sides between one snapshot and the next, forced flips apart from two kinds of true swaps.

    A matrix that loses 40 weights and takes in 5 exchanged 5 of them; the other 35 it gave up. Of what matrices gave up
    or took in, a schedule forces as much as their sum changes; the rest moved from one matrix to another.

    Parameters
    ----------
    flips_in, flips_out
        ``(n_snapshots, n_matrices)`` weights that came in, and that left, since the snapshot before.

    Returns
    -------
    DataFrame
        A row per step from the second and group: layer (missing for a group of several layers), matrix_type
        (`ALL_TYPES` for the encoder), step, flips_in and flips_out, forced = abs(flips_out - flips_in) of the group,
        swaps_within (exchanged inside matrices), swaps_between (moved between the group's matrices) (counts).
    """
    counts = _by_matrix(steps, layout, {"flips_in": flips_in, "flips_out": flips_out}, places(layout))
    counts = counts[counts["step"] > steps[0]].reset_index(drop=True)
    counts["swaps_within"] = counts[["flips_in", "flips_out"]].min(axis=1)
    kinds = ["flips_in", "flips_out", "swaps_within"]
    table = pd.concat(
        [
            counts.groupby("step", as_index=False)[kinds].sum().assign(matrix_type=ALL_TYPES),
            counts.groupby(["matrix_type", "step"], as_index=False, sort=False)[kinds].sum(),
            counts,
        ],
        ignore_index=True,
    )
    table["layer"] = table["layer"].astype("Int64")
    table["forced"] = (table["flips_out"] - table["flips_in"]).abs()
    table["swaps_between"] = table[["flips_in", "flips_out"]].min(axis=1) - table["swaps_within"]
    return table[["layer", "matrix_type", "step", "flips_in", "flips_out", "forced", "swaps_within", "swaps_between"]]


def swaps_by_matrix(flips: pd.DataFrame, layout: EncoderLayout) -> pd.DataFrame:
    """Rows of `flips_between_snapshots` of matrices, with n_weights (count) and share (of them, swapped inside)."""
    table = flips[flips["layer"].notna()].merge(matrix_table(layout))
    return table.assign(share=table["swaps_within"] / table["n_weights"])


def _by_matrix(
    steps: Ints, layout: EncoderLayout, arrays: dict[str, npt.NDArray[np.generic]], chosen: list[int]
) -> pd.DataFrame:
    """Arrays ``(n_snapshots, n_matrices)`` as columns: a row per (matrix, step), of `matrix_table`."""
    table = matrix_table(layout).iloc[np.repeat(chosen, len(steps))].reset_index(drop=True)
    columns = {name: array[:, chosen].T.ravel() for name, array in arrays.items()}
    return table.assign(step=np.tile(steps, len(chosen)), **columns)


def _occupied(counts: Ints) -> npt.NDArray[np.intp]:
    """Bins from the first to the last that holds anything; all where none does."""
    found = np.flatnonzero(counts)
    return np.arange(found[0], found[-1] + 1) if len(found) else np.arange(len(counts))


def _per_width(values: npt.NDArray[Any], width: Floats) -> npt.NDArray[np.float64]:
    """Values over bin widths; NaN where a bin has no end."""
    return np.where(np.isfinite(width), values / width, np.nan)
