"""How much masks of one encoder have in common, with what chance and the remaining fractions alone would give.

All is counted on packed bits. For two masks and one matrix the counts are those of a 2 x 2 table: ``n_a`` and ``n_b``
kept weights, ``n_both`` of them in common, of ``n_weights``. Weights are no sample of anything and there are millions
of them, so nothing here is a p-value: other seeds of the same task say what a difference is worth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from smp_lab.analysis.clustering import Clustering, average_linkage
from smp_lab.analysis.run_table import Mask
from smp_lab.analysis.sparsity import matrix_table
from smp_lab.errors import MaskFormatError
from smp_lab.layout import HEAD_TYPES, EncoderLayout, MatrixId
from smp_lab.masks import CountArray, MaskSet
from smp_lab.methods import RANDOM

WordArray = npt.NDArray[np.uint64]
FloatArray = npt.NDArray[np.float64]

MOST_REGION_RUNS = 6
# Caps of phi_within below this change how a value reads; runs of one level of smp_s have caps around 0.9.
LOW_CAP = 0.75

# 64-bit words of every run that are compared at once: some runs of them fit the cache of a CPU.
_CHUNK_WORDS = 4096

_SIZE_TERMS = ("size_expected", "size_highest", "size_v_a", "size_v_b")

SAME_TASK_OTHER_SEED = "same task, other seed"
SAME_TASK_OTHER_SETTINGS = "same task, other settings"
OTHER_TASK = "other task"
WITH_RANDOM, WITH_MAGNITUDE = "with a random mask", "with a magnitude mask"
WITH_IMPORTED = "with an imported mask"
PAIR_KINDS = (
    SAME_TASK_OTHER_SEED,
    SAME_TASK_OTHER_SETTINGS,
    OTHER_TASK,
    WITH_RANDOM,
    WITH_MAGNITUDE,
    WITH_IMPORTED,
)

UNION, MAJORITY, INTERSECTION = CONSENSUS_RULES = ("union", "majority", "intersection")


@dataclass(frozen=True)
class Magnitudes:
    """How the weights that a run keeps lie among the sizes of the pre-trained weights, from `magnitudes`.

    Parameters
    ----------
    kept_by_magnitude
        ``(n_matrices,)`` kept weights that are also among as many largest |W|.
    kept_by_size, n_by_size
        ``(n_matrices, n_bins)`` kept and all weights in each bin of |W|.
    """

    kept_by_magnitude: npt.NDArray[np.int64]
    kept_by_size: FloatArray
    n_by_size: FloatArray


@dataclass(frozen=True)
class Measure:
    """One way to say how much two masks agree.

    Parameters
    ----------
    formula
        In the words of `MEASURES`.
    answers
        The question it answers, in a sentence.
    chance
        Its value for masks that are independent within every matrix; None where it depends on how much they keep: then
        the column ``{name}_chance`` of `measure_overlap` has it, if there is one.
    capped
        Whether it stays below 1 for masks that keep unequally much, however well they agree; the column ``{name}_max``
        has the cap.
    """

    formula: str
    answers: str
    chance: float | None = 0.0
    capped: bool = False


# a, b, o, N: kept by A, by B, by both, and all weights of a matrix. e = a b / N: o by chance. v = a (N - a) / N, w the
# same of b. Sums run over the matrices.
MEASURES: Mapping[str, Measure] = {
    "phi_within": Measure(
        "Σ(o - e) / √(Σv Σw)",
        "Do the masks choose the same weights inside each matrix, whatever share of it each of them keeps?",
        capped=True,
    ),
    "phi_share": Measure(
        "phi_within / its cap, which has o = min(a, b)",
        "How much of the agreement that masks of these sizes allow is reached?",
    ),
    "phi_pooled": Measure(
        "(O - AB/M) / √(A(M - A)/M · B(M - B)/M), with A = Σa, B = Σb, O = Σo, M = ΣN",
        "Do the masks agree over the encoder as one bag of weights, where a shared choice of layers counts as well?",
        chance=None,
        capped=True,
    ),
    "phi_between": Measure(
        "phi_pooled - phi_within",
        "How much of the pooled agreement comes from keeping the same shares of the same matrices?",
        chance=None,
    ),
    "phi_partial": Measure(
        "(r - s t) / √((1 - s²)(1 - t²)), r = phi_within of A and B, s and t = of each and the magnitude mask",
        "Do the masks agree beyond what both have in common with the largest weights?",
        chance=None,
    ),
    "phi_magnitude": Measure(
        "phi_within with every matrix cut into bins of |W|, ten a decade: e, v and w are sums over the bins",
        "Do the masks agree beyond what weights of one matrix and of nearly one size would share?",
        capped=True,
    ),
    "lift": Measure(
        "Σo / Σe",
        "How many times as many weights do they share as chance within each matrix would give?",
        chance=1.0,
    ),
    "jaccard": Measure(
        "Σo / Σ(a + b - o)",
        "Which share of the weights that either keeps do both keep? Compare it with its chance level.",
        chance=None,
        capped=True,
    ),
    "jaccard_excess": Measure(
        "jaccard - Σe / Σ(a + b - e)",
        "How far is the Jaccard index above its chance level?",
    ),
    "containment": Measure(
        "Σo / min(Σa, Σb)",
        "Which share of the smaller mask lies inside the larger? For unequal masks; compare it with chance.",
        chance=None,
    ),
    "odds_ratio": Measure(
        "Σ(o (N - a - b + o) / N) / Σ((a - o)(b - o) / N), after Mantel and Haenszel (1959)",
        "How many times higher are the odds that B keeps a weight if A does, matrix by matrix?",
        chance=1.0,
    ),
}


def encoder_name(mask: Mask) -> str:
    """Name and fingerprint of a mask's encoder."""
    return f"{mask.encoder} ({mask.encoder_sha256[:8]})"


def check_one_encoder(masks: Sequence[Mask]) -> None:
    """Refuse masks over different weights.

    Raises
    ------
    MaskFormatError
        If two are for another encoder; names the two.
    """
    for mask in masks:
        if mask.encoder_sha256 != masks[0].encoder_sha256:
            raise MaskFormatError(
                f"Run {mask.mask_id} has masks over {encoder_name(mask)}, run {masks[0].mask_id} over "
                f"{encoder_name(masks[0])}. Masks can be compared over the same weights only; choose runs of one "
                "encoder."
            )


def pair_kind(a: Mask, b: Mask) -> str:
    """Which of `PAIR_KINDS` two masks are."""
    if a.config is None or b.config is None:
        return WITH_IMPORTED
    controls = {config.method_info.importance for config in (a.config, b.config) if config.method_info.is_control}
    if controls:
        return WITH_RANDOM if RANDOM in controls else WITH_MAGNITUDE
    if a.config.task != b.config.task:
        return OTHER_TASK
    seeds_alone = replace(a.config, seed=b.config.seed) == b.config
    return SAME_TASK_OTHER_SEED if seeds_alone else SAME_TASK_OTHER_SETTINGS


def kinds_of(pairs: pd.DataFrame) -> list[str]:
    """Those of `PAIR_KINDS` that there are pairs of, in their order."""
    return [kind for kind in PAIR_KINDS if kind in set(pairs["kind"])]


def describe_pairs(pairs: pd.DataFrame, masks: Sequence[Mask], labels: Mapping[str, str]) -> pd.DataFrame:
    """Pairs of masks with what each of the two is called, and what they share.

    Parameters
    ----------
    pairs
        Of `measure_overlap`, with run_a and run_b: mask ids.
    masks
        Every mask of the pairs.
    labels
        Mask id -> what it is called.

    Returns
    -------
    DataFrame
        The same with label_a, label_b, task_a, task_b, method_a, method_b (text; empty where it is not known, and of
        a control, which has one mask for all tasks, no task), kind (one of `PAIR_KINDS`) and capped: whether unequal
        remaining fractions alone keep phi_within below `LOW_CAP`.
    """
    by_id = {mask.mask_id: mask for mask in masks}
    facts = pd.DataFrame(
        {
            "label": labels,
            "task": {mask.mask_id: mask.task or "" for mask in masks},
            "method": {mask.mask_id: mask.config.method if mask.config else "" for mask in masks},
        }
    )
    kinds = [pair_kind(by_id[a], by_id[b]) for a, b in zip(pairs["run_a"], pairs["run_b"], strict=True)]
    sides = {f"{name}_{side}": pairs[f"run_{side}"].map(facts[name]) for name in facts for side in "ab"}
    return pairs.assign(**sides, kind=kinds, capped=pairs["phi_within_max"] < LOW_CAP)


def medians_by_kind(pairs: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Median of a measure for each kind of pairs, indexed by kind: n (pairs that have it) and median."""
    known = pairs[pairs[measure].notna()]
    return known.groupby("kind").agg(n=(measure, "size"), median=(measure, "median"))


def number(value: float) -> str:
    """Two decimals, or three digits from 10 on; a dash where it is unknown."""
    if np.isnan(value):
        return "-"
    return f"{float(value):z.2f}" if abs(value) < 10 else f"{float(value):.3g}"


def medians_in_words(pairs: pd.DataFrame, measure: str) -> str:
    """Median of a measure for each kind of pairs; empty where none is known."""
    medians = medians_by_kind(pairs, measure).to_dict("index")
    kinds = {
        SAME_TASK_OTHER_SEED: "two seeds of one task",
        SAME_TASK_OTHER_SETTINGS: "two settings on one task",
        OTHER_TASK: "two tasks",
        WITH_RANDOM: "a mask and a random one",
        WITH_MAGNITUDE: "a mask and that of the largest weights",
        WITH_IMPORTED: "an imported mask and another",
    }
    return "; ".join(
        f"{words} **{number(medians[kind]['median'])}** ({medians[kind]['n']:,} pair{'s' * (medians[kind]['n'] != 1)})"
        for kind, words in kinds.items()
        if kind in medians
    )


def ceiling(pairs: pd.DataFrame) -> str:
    """What the pairs of seeds are good for, or that there are none."""
    if SAME_TASK_OTHER_SEED in set(pairs["kind"]):
        return "Two seeds of one task set the ceiling: two tasks differ only by what falls below it."
    return (
        "No two of these runs differ in their seed alone, so nothing here says how far apart two masks of the SAME "
        "task would be. Train one of the tasks with another seed before reading differences between tasks."
    )


def pair_measures(pair: pd.Series[Any]) -> pd.DataFrame:
    """Every measure of a pair, a row each: measure, value, chance, cap (NaN where there is none), answers, formula.

    Parameters
    ----------
    pair
        A row of `measure_overlap`.
    """
    return pd.DataFrame(
        {
            "measure": name,
            "value": pair[name],
            "chance": pair.get(f"{name}_chance", np.nan) if measure.chance is None else measure.chance,
            "cap": pair.get(f"{name}_max", np.nan),
            "answers": measure.answers,
            "formula": measure.formula,
        }
        for name, measure in MEASURES.items()
    )


def measures_of_parts(measure: str) -> tuple[str, str]:
    """What can be said of a single matrix, and of a single head, where a pair is read by this measure.

    In one matrix nothing lies between matrices, and a record has the sizes of weights by matrix, not by head.
    """
    of_matrix = "phi_within" if measure in ("phi_pooled", "phi_between") else measure
    return of_matrix, "phi_within" if of_matrix in ("phi_partial", "phi_magnitude") else of_matrix


def rows_of_pair(table: pd.DataFrame, a: str, b: str) -> pd.DataFrame:
    """Rows of one pair, with the columns of its two sides so named that A is `a`; each pair is in the table once."""
    rows = table[(table["run_a"] == a) & (table["run_b"] == b)]
    if len(rows):
        return rows
    rows = table[(table["run_a"] == b) & (table["run_b"] == a)]
    sides = {"_a": "_b", "_b": "_a"}
    return rows.rename(columns=lambda name: name[:-2] + sides.get(name[-2:], name[-2:]))


def magnitudes(
    kept_histogram: npt.NDArray[np.uint32],
    removed_histogram: npt.NDArray[np.uint32],
    weight_score_histogram: npt.NDArray[np.uint32],
    kept_by_magnitude: CountArray,
) -> Magnitudes:
    """How many weights of each size |W| a run keeps, from what its record has of the final scores.

    Parameters
    ----------
    kept_histogram, removed_histogram
        ``(n_matrices, n_score_bins)`` final scores of kept and of removed weights.
    weight_score_histogram
        ``(n_matrices, n_bins, n_score_bins)`` weights by |W| and final score.
    kept_by_magnitude
        ``(n_matrices,)`` weights of the final mask that are also among as many largest |W|.

    Notes
    -----
    A top-k of the scores splits one score bin of a matrix; the weights kept of that bin are taken to have the sizes of
    all weights in it. All other bins are kept or removed whole, so their sizes are exact.
    """
    in_bin = kept_histogram.astype(np.float64) + removed_histogram
    share = np.divide(kept_histogram, in_bin, out=np.zeros(in_bin.shape), where=in_bin > 0)
    return Magnitudes(
        kept_by_magnitude,
        kept_by_size=np.einsum("mks,ms->mk", weight_score_histogram, share),
        n_by_size=weight_score_histogram.sum(axis=2, dtype=np.float64),
    )


def pairwise_overlap(
    masks_by_run: Mapping[str, MaskSet], magnitudes_by_run: Mapping[str, Magnitudes] | None = None
) -> pd.DataFrame:
    """Overlap of kept weights for each pair of runs, matrix by matrix.

    Parameters
    ----------
    masks_by_run
        run id -> packed masks; all of the same base model.
    magnitudes_by_run
        run id -> how its kept weights lie among the sizes of all; runs may be missing.

    Returns
    -------
    DataFrame
        A row per (run_a, run_b, layer, matrix_type), each pair once in the order of the runs: n_a, n_b, n_both,
        n_weights (counts); what phi_partial and phi_magnitude need, NaN where it is not known: magnitude_a, magnitude_b
        (`kept_by_magnitude`), size_expected, size_highest, size_v_a, size_v_b (sums over the bins of |W|).

    Raises
    ------
    MaskFormatError
        If there are fewer than two runs, or two differ in layout.
    """
    layout = _common_layout(masks_by_run)
    runs, matrices = np.array(list(masks_by_run)), matrix_table(layout)
    a, b = np.triu_indices(len(runs), k=1)
    shared = np.stack([_shared_counts(_words(masks_by_run, matrix)) for matrix in layout.matrices], axis=-1)
    kept = np.einsum("iim->im", shared)
    sizes = _size_terms([(magnitudes_by_run or {}).get(run) for run in runs], len(matrices), a, b)
    counts = {"n_a": kept[a], "n_b": kept[b], "n_both": shared[a, b], **sizes}
    pairs = pd.DataFrame({"run_a": runs[a], "run_b": runs[b]}).merge(matrices, how="cross")
    return pairs.assign(**{name: values.ravel() for name, values in counts.items()})


def head_overlap(a: MaskSet, b: MaskSet) -> pd.DataFrame:
    """Overlap of two masks for each attention head: its block of rows, or of columns of attention_output.

    Returns
    -------
    DataFrame
        A row per (layer, matrix_type, head): n_a, n_b, n_both, n_weights (counts).

    Raises
    ------
    MaskFormatError
        If the two differ in layout.
    """
    layout = _common_layout({"A": a, "B": b})
    both = MaskSet(layout, {matrix: a.bits[matrix] & b.bits[matrix] for matrix in layout.matrices})
    counts = a.kept_per_head_and_matrix
    layers, kinds, heads = np.indices(counts.shape).reshape(3, -1)
    return pd.DataFrame(
        {
            "layer": layers,
            "matrix_type": np.array(HEAD_TYPES)[kinds],
            "head": heads,
            "n_a": counts.ravel(),
            "n_b": b.kept_per_head_and_matrix.ravel(),
            "n_both": both.kept_per_head_and_matrix.ravel(),
            "n_weights": layout.head_size * layout.hidden_size,
        }
    )


def measure_overlap(counts: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Every measure of `MEASURES` for each group of 2 x 2 tables.

    Parameters
    ----------
    counts
        A row per 2 x 2 table, which chance is removed within: n_a, n_b, n_both, n_weights; phi_partial and
        phi_magnitude need the other columns of `pairwise_overlap` too.
    by
        Columns that distinguish groups, in their order of first appearance.

    Returns
    -------
    DataFrame
        A row per group: `by`; n_a, n_b, n_both, n_weights (sums of counts), expected (n_both by chance within each
        table); a column per measure; ``{measure}_max`` of those that remaining fractions cap, ``{measure}_chance`` of
        phi_pooled, jaccard and containment. 0 / 0 is NaN, and an odds ratio without discordant weights infinite.

    Notes
    -----
    phi_within is the correlation of the two masks with the mean of each matrix taken out. phi_partial needs the
    magnitude mask at the remaining fraction of both runs, and a record has each run's at its own: it is NaN unless both
    keep the same count in every table of the group.
    """
    n_a, n_b, n_both, n_weights = (counts[column].to_numpy() for column in ("n_a", "n_b", "n_both", "n_weights"))
    highest = np.minimum(n_a, n_b)
    equal = n_a == n_b
    terms = {
        "n_a": n_a,
        "n_b": n_b,
        "n_both": n_both,
        "n_weights": n_weights,
        "expected": n_a * n_b / n_weights,
        "highest": highest,
        "v_a": n_a * (n_weights - n_a) / n_weights,
        "v_b": n_b * (n_weights - n_b) / n_weights,
        "concordant": n_both * (n_weights - n_a - n_b + n_both) / n_weights,
        "discordant": (n_a - n_both) * (n_b - n_both) / n_weights,
        **{name: counts.get(name, np.nan) for name in _SIZE_TERMS},
    }
    for side, n in (("a", n_a), ("b", n_b)):
        terms[f"small_{side}"] = np.where(equal, n - counts.get(f"magnitude_{side}", np.nan), np.nan)
    frame = pd.DataFrame(terms, index=counts.index)
    # A sum over a group is unknown where one of its terms is.
    groups = frame.groupby([counts[column] for column in by], sort=False, observed=True)
    sums = groups.sum(skipna=False)
    s = {name: sums[name].to_numpy() for name in terms}

    total = s["n_a"] + s["n_b"]
    smaller = np.minimum(s["n_a"], s["n_b"])
    norm = np.sqrt(s["v_a"] * s["v_b"])
    phi_within = _ratio(s["n_both"] - s["expected"], norm)
    measures = {
        "phi_within": phi_within,
        "phi_within_max": _ratio(s["highest"] - s["expected"], norm),
        "phi_pooled": _phi(s["n_a"], s["n_b"], s["n_both"], s["n_weights"]),
        "phi_pooled_chance": _phi(s["n_a"], s["n_b"], s["expected"], s["n_weights"]),
        "phi_pooled_max": _phi(s["n_a"], s["n_b"], s["highest"], s["n_weights"]),
        "lift": _ratio(s["n_both"], s["expected"]),
        "jaccard": _ratio(s["n_both"], total - s["n_both"]),
        "jaccard_chance": _ratio(s["expected"], total - s["expected"]),
        "jaccard_max": _ratio(s["highest"], total - s["highest"]),
        "containment": _ratio(s["n_both"], smaller),
        "containment_chance": _ratio(s["expected"], smaller),
    }
    size_norm = np.sqrt(s["size_v_a"] * s["size_v_b"])
    measures["phi_magnitude"] = _ratio(s["n_both"] - s["size_expected"], size_norm)
    measures["phi_magnitude_max"] = _ratio(s["size_highest"] - s["size_expected"], size_norm)
    measures["phi_share"] = _ratio(phi_within, measures["phi_within_max"])
    measures["phi_between"] = measures["phi_pooled"] - phi_within
    measures["jaccard_excess"] = measures["jaccard"] - measures["jaccard_chance"]
    with np.errstate(divide="ignore", invalid="ignore"):
        measures["odds_ratio"] = s["concordant"] / s["discordant"]
    # phi_within of two masks that keep the same counts is 1 - Σ(a - o) / Σv, and exactly 1 where nothing differs.
    to_a, to_b = (1 - _ratio(s[f"small_{side}"], s[f"v_{side}"]) for side in "ab")
    measures["phi_partial"] = _ratio(phi_within - to_a * to_b, np.sqrt((1 - to_a**2) * (1 - to_b**2)))
    shown = sums[["n_a", "n_b", "n_both", "n_weights", "expected"]]
    return shown.assign(**measures).reset_index()


def _size_terms(
    known: Sequence[Magnitudes | None], n_matrices: int, a: npt.NDArray[np.intp], b: npt.NDArray[np.intp]
) -> dict[str, FloatArray]:
    """Columns of `pairwise_overlap` that say how large kept weights are, each ``(n_pairs, n_matrices)``."""
    n_by_size = next((run.n_by_size for run in known if run is not None), np.full((n_matrices, 1), np.nan))
    by_rank = np.full((len(known), n_matrices), np.nan)
    by_size = np.full((len(known), *n_by_size.shape), np.nan)
    for place, run in enumerate(known):
        # One encoder has one histogram of sizes; another one has other bins, which do not fit.
        if run is not None and np.array_equal(run.n_by_size, n_by_size, equal_nan=True):
            by_rank[place], by_size[place] = run.kept_by_magnitude, run.kept_by_size
    expected, highest, v_a, v_b = terms = np.empty((len(_SIZE_TERMS), len(a), n_matrices))
    for matrix, n in enumerate(n_by_size):
        # An empty bin has no term of its own.
        n, kept = n[n != 0], by_size[:, matrix, n != 0]
        expected[:, matrix] = (kept[a] * kept[b] / n).sum(axis=1)
        highest[:, matrix] = np.minimum(kept[a], kept[b]).sum(axis=1)
        variance = (kept * (n - kept) / n).sum(axis=1)
        v_a[:, matrix], v_b[:, matrix] = variance[a], variance[b]
    return {"magnitude_a": by_rank[a], "magnitude_b": by_rank[b], **dict(zip(_SIZE_TERMS, terms, strict=True))}


def similarity_tree(pairs: pd.DataFrame, mask_ids: Sequence[str]) -> Clustering:
    """The tree of average linkage over phi_within: leaf i is the i-th of the masks.

    Parameters
    ----------
    pairs
        A row per pair of masks, as of `measure_overlap`: run_a, run_b, phi_within.
    mask_ids
        Every mask of the pairs.
    """
    place = {mask_id: number for number, mask_id in enumerate(mask_ids)}
    similarity = np.full((len(place), len(place)), np.nan)
    a, b = (pairs[side].map(place).to_numpy() for side in ("run_a", "run_b"))
    similarity[a, b] = similarity[b, a] = pairs["phi_within"]
    return average_linkage(similarity)


def joined_pairs(pairs: pd.DataFrame, mask_ids: Sequence[str]) -> tuple[pd.DataFrame, Clustering]:
    """The tree of `similarity_tree`, and pairs with phi_within_joined: the similarity at which it joins the two."""
    tree, ids = similarity_tree(pairs, mask_ids), list(mask_ids)
    joined = tree.joined()[*(pairs[side].map(ids.index).to_numpy() for side in ("run_a", "run_b"))]
    return pairs.assign(phi_within_joined=joined), tree


def shared_circles(pair: pd.Series[Any]) -> pd.DataFrame:
    """Two circles for a pair of masks: their areas, and the area that they share, are counts of weights.

    Parameters
    ----------
    pair
        n_a, n_b, n_both and expected, as in a row of `measure_overlap`.

    Returns
    -------
    DataFrame
        Rows "counted" and "by chance" (column case): n_a, n_b, n_both (counts), and radius_a, radius_b and distance of
        the centres (square roots of counts).
    """
    rows = []
    for case, n_both in (("counted", pair["n_both"]), ("by chance", pair["expected"])):
        a, b = (math.sqrt(n / math.pi) for n in (pair["n_a"], pair["n_b"]))
        # What circles share shrinks as they part: halve until the distance is found.
        near, far = abs(a - b), a + b
        for _ in range(60):
            middle = (near + far) / 2
            near, far = (middle, far) if _lens(a, b, middle) > n_both else (near, middle)
        rows.append((case, pair["n_a"], pair["n_b"], n_both, a, b, (near + far) / 2))
    return pd.DataFrame(rows, columns=["case", "n_a", "n_b", "n_both", "radius_a", "radius_b", "distance"])


def _lens(a: float, b: float, distance: float) -> float:
    """Area that two circles share, neither inside the other: two sectors less the two triangles in them."""
    to_chord = (distance**2 + a**2 - b**2) / (2 * distance) if distance else a
    sectors = 0.0
    for radius, height in ((a, to_chord), (b, distance - to_chord)):
        height = max(-radius, min(radius, height))
        sectors += radius**2 * math.acos(height / radius) - height * math.sqrt(radius**2 - height**2) if radius else 0.0
    return sectors


def region_counts(masks_by_run: Mapping[str, MaskSet]) -> pd.DataFrame:
    """How many weights each combination of runs keeps and no other of them does.

    Parameters
    ----------
    masks_by_run
        run id -> packed masks of one base model; 2 to `MOST_REGION_RUNS`.

    Returns
    -------
    DataFrame
        A row per combination, by number of runs, then fullest first; the first row is of no run at all. A boolean
        column per run id; n_runs; n_weights (count), expected (count, if the masks were independent within each
        matrix), lift (n_weights / expected).

    Raises
    ------
    MaskFormatError
        If there are too few or too many runs, or two differ in layout.
    """
    layout = _common_layout(masks_by_run)
    n = len(masks_by_run)
    if n > MOST_REGION_RUNS:
        raise MaskFormatError(f"{n} runs have {2**n:,} combinations; choose {MOST_REGION_RUNS} runs or fewer.")
    found, expected = np.zeros((2,) * n, np.int64), np.zeros((2,) * n)
    for matrix in layout.matrices:
        size = layout.size(matrix.matrix_type)
        # Which runs keep each weight: a bit for each of them, the first run's in front.
        keepers, independent = np.zeros(size, np.uint8), np.array(float(size))
        for masks in masks_by_run.values():
            keepers <<= 1
            keepers |= np.unpackbits(masks.bits[matrix], count=size)
            share = masks.kept(matrix) / size
            independent = np.multiply.outer(independent, [1 - share, share])
        found += np.bincount(keepers, minlength=found.size).reshape(found.shape)
        expected += independent
    member = np.indices(found.shape).reshape(n, -1).astype(bool)
    table = pd.DataFrame(dict(zip(masks_by_run, member, strict=True)))
    table["n_runs"] = member.sum(axis=0)
    table["n_weights"], table["expected"] = found.ravel(), expected.ravel()
    table["lift"] = _ratio(found.ravel(), expected.ravel())
    return table.sort_values(["n_runs", "n_weights"], ascending=[True, False], kind="stable", ignore_index=True)


def consensus(regions: pd.DataFrame) -> pd.DataFrame:
    """How much remains in the masks of what any, most and all of some runs keep.

    Parameters
    ----------
    regions
        From `region_counts`.

    Returns
    -------
    DataFrame
        A row per rule of `CONSENSUS_RULES` (majority: more than half of the runs): kept, n_weights (counts), remaining
        (fraction, scope encoder), expected (fraction, if the masks were independent within each matrix), lift.
    """
    n = regions["n_runs"].max()
    n_weights = int(regions["n_weights"].sum())
    sums = [regions.loc[regions["n_runs"] >= least, ["n_weights", "expected"]].sum() for least in (1, n // 2 + 1, n)]
    kept, expected = (np.array([each[name] for each in sums]) for name in ("n_weights", "expected"))
    return pd.DataFrame(
        {
            "rule": CONSENSUS_RULES,
            "kept": kept.astype(int),
            "n_weights": n_weights,
            "remaining": kept / n_weights,
            "expected": expected / n_weights,
            "lift": _ratio(kept, expected),
        }
    )


def _common_layout(masks_by_run: Mapping[str, MaskSet]) -> EncoderLayout:
    if len(masks_by_run) < 2:
        raise MaskFormatError(f"Overlap is of two masks or more; got {len(masks_by_run)}.")
    (first, masks), *others = masks_by_run.items()
    for run_id, other in others:
        if other.layout != masks.layout:
            raise MaskFormatError(
                f"Masks of {first} and {run_id} cannot be compared: one is for {masks.layout}, the other for "
                f"{other.layout}. Choose runs of one encoder."
            )
    return masks.layout


def _words(masks_by_run: Mapping[str, MaskSet], matrix: MatrixId) -> WordArray:
    """Packed bits of one matrix in every run, ``(n_runs, n_words)``, zeros behind the last weight."""
    bits = [masks.bits[matrix] for masks in masks_by_run.values()]
    words = np.zeros((len(bits), -(-bits[0].size // 8)), np.uint64)
    words.view(np.uint8)[:, : bits[0].size] = bits
    return words


def _shared_counts(words: WordArray) -> CountArray:
    """1 bits that two runs have in common, for all pairs, ``(n_runs, n_runs)``; a run's own count on the diagonal."""
    n_runs, n_words = words.shape
    counts = np.zeros((n_runs, n_runs), np.int64)
    for start in range(0, n_words, _CHUNK_WORDS):
        chunk = words[:, start : start + _CHUNK_WORDS]
        for run in range(n_runs):
            counts[run, run:] += np.bitwise_count(chunk[run] & chunk[run:]).sum(axis=-1, dtype=np.int64)
    return np.maximum(counts, counts.T)


def _phi(n_a: CountArray, n_b: CountArray, n_both: CountArray, n_weights: CountArray) -> FloatArray:
    variances = (n_a * (n_weights - n_a) / n_weights) * (n_b * (n_weights - n_b) / n_weights)
    return _ratio(n_both - n_a * n_b / n_weights, np.sqrt(variances))


def _ratio(numerator: npt.ArrayLike, denominator: npt.ArrayLike) -> FloatArray:
    """Quotient, NaN where the denominator is 0."""
    numerator, denominator = np.asarray(numerator, np.float64), np.asarray(denominator, np.float64)
    return np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator != 0)
