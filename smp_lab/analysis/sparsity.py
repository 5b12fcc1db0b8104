"""Where a mask keeps weights: by layer, matrix type, attention head, row, column and block.

Counts travel with every fraction, and a total is a sum of counts: a feed-forward matrix holds four times the weights
of an attention matrix, so a mean of fractions would be another number.

Everywhere `kept` are ``(n_layers, 6)`` kept weights in the order of `MATRIX_TYPES`, `kept_per_head` are
``(n_layers, 4, n_heads)`` in the order of `HEAD_TYPES`, and `layout` is that of their encoder.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from smp_lab.analysis.labels import of_each_encoder, percent
from smp_lab.analysis.run_table import by_encoder
from smp_lab.config import canonical_json
from smp_lab.layout import HEAD_TYPES, MATRIX_TYPES, EncoderLayout
from smp_lab.masks import BoolArray, CountArray
from smp_lab.methods import METHODS

ALL_TYPES = "all"
ENCODER, MODEL = "encoder", "model"


def matrix_table(layout: EncoderLayout) -> pd.DataFrame:
    """A row per matrix in the order of `EncoderLayout.matrices`: layer, matrix_type, n_weights (count)."""
    sizes = [layout.size(matrix.matrix_type) for matrix in layout.matrices]
    return pd.DataFrame(list(layout.matrices)).assign(n_weights=sizes)


def remaining_per_layer(kept: CountArray, layout: EncoderLayout) -> pd.DataFrame:
    """Remaining weights of each layer, by matrix type and over all types.

    Returns
    -------
    DataFrame
        A row per (matrix_type, layer), `ALL_TYPES` first: kept and n_weights (counts), remaining (fraction, encoder).
    """
    sizes = np.array([layout.size(kind) for kind in MATRIX_TYPES])
    counts = np.column_stack([kept.sum(axis=1), kept])
    table = pd.DataFrame(
        {
            "matrix_type": np.repeat([ALL_TYPES, *MATRIX_TYPES], layout.n_layers),
            "layer": np.tile(np.arange(layout.n_layers), counts.shape[1]),
            "kept": counts.T.ravel(),
            "n_weights": np.repeat([sizes.sum(), *sizes], layout.n_layers),
        }
    )
    return table.assign(remaining=table["kept"] / table["n_weights"])


def remaining_per_head(
    kept_per_head: CountArray, layout: EncoderLayout, matrix_types: Collection[str] = HEAD_TYPES
) -> pd.DataFrame:
    """Remaining weights of each attention head, summed over some matrix types.

    Parameters
    ----------
    matrix_types
        Which of `HEAD_TYPES` to add up; at least one.

    Returns
    -------
    DataFrame
        A row per (layer, head): kept and n_weights (counts), remaining (fraction of the head's weights).
    """
    places = [HEAD_TYPES.index(kind) for kind in matrix_types]
    counts = kept_per_head[:, places].sum(axis=1)
    layers, heads = np.indices(counts.shape)
    n_weights = len(places) * layout.head_size * layout.hidden_size
    return pd.DataFrame(
        {
            "layer": layers.ravel(),
            "head": heads.ravel(),
            "kept": counts.ravel(),
            "n_weights": n_weights,
            "remaining": counts.ravel() / n_weights,
        }
    )


def ranked(table: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Parts of an encoder, what keeps most first, several masks taken together.

    Parameters
    ----------
    table
        Rows of `remaining_per_layer` or `remaining_per_head` of any number of masks.
    by
        Columns that name a part.

    Returns
    -------
    DataFrame
        A row per part: `by`, kept and n_weights (sums of counts), remaining (their quotient).
    """
    sums = table.groupby(list(by), as_index=False)[["kept", "n_weights"]].sum()
    sums["remaining"] = sums["kept"] / sums["n_weights"]
    return sums.sort_values("remaining", ascending=False, kind="stable", ignore_index=True)


def answer(per_layer: pd.DataFrame, per_head: pd.DataFrame) -> str:
    """Which layers and attention heads masks keep most of, and how many matrices they keep whole, in Markdown.

    Two or three sentences for each encoder: layers of two encoders are not the same layers.

    Parameters
    ----------
    per_layer, per_head
        `tables_of_runs` of `remaining_per_layer` and `remaining_per_head` of any number of masks. What is kept whole
        altogether has no mask, and does not count.
    """
    masked = set(per_layer.loc[per_layer["kept"] < per_layer["n_weights"], "run_id"])
    if not masked:
        return "All weights are kept: there is no mask."
    per_layer, per_head = (table[table["run_id"].isin(masked)] for table in (per_layer, per_head))
    heads = dict(by_encoder(per_head))
    return of_each_encoder({encoder: _sentences(layers, heads[encoder]) for encoder, layers in by_encoder(per_layer)})


def _sentences(per_layer: pd.DataFrame, per_head: pd.DataFrame) -> str:
    layers = ranked(per_layer[per_layer["matrix_type"] == ALL_TYPES], ["layer"])
    heads = ranked(per_head, ["layer", "head"])
    least, most = layers.iloc[-1], layers.iloc[0]
    n_runs = per_layer["run_id"].nunique()
    together = f", over {n_runs} runs together" if n_runs > 1 else ""
    of_layers = (
        f"All layers keep as much ({percent(least['remaining'])}{together}). "
        if least["remaining"] == most["remaining"]
        else f"Layer {least['layer']:.0f} keeps least ({percent(least['remaining'])}{together}), "
        f"layer {most['layer']:.0f} most ({percent(most['remaining'])}). "
    )
    return f"{of_layers}{_of_heads(heads)}{_kept_whole(per_layer[per_layer['matrix_type'] != ALL_TYPES])}"


def _of_heads(heads: pd.DataFrame) -> str:
    """Which of `ranked` heads keep most; how many, where more than two share the first place."""
    highest = heads["remaining"].iloc[0]
    n_first = int((heads["remaining"] == highest).sum())
    if n_first > 2:
        some = f"{n_first} of {len(heads)} attention heads keep most"
        return f"{'All attention heads keep as much' if n_first == len(heads) else some} ({percent(highest)})."
    best = [
        f"head {head['head']:.0f} of layer {head['layer']:.0f} ({percent(head['remaining'])})"
        for _, head in heads.head(2).iterrows()
    ]
    return f"Attention {' and '.join(best)} keep{'s' * (len(best) == 1)} most."


def _kept_whole(matrices: pd.DataFrame) -> str:
    """A sentence on matrices that masks keep all of; empty without any."""
    n_whole = int((matrices["kept"] == matrices["n_weights"]).sum())
    if n_whole == 0:
        return ""
    are = "is" if n_whole == 1 else "are"
    return f" {n_whole} of {len(matrices)} matrices {are} kept whole: there a mask changes nothing."


def with_and_without_regularizer(runs: pd.DataFrame) -> list[tuple[str, str]]:
    """Ids of pairs of runs with frozen weights that differ in the regulariser alone, the one with it first.

    Parameters
    ----------
    runs
        A row per run: columns of `run_table.COLUMNS`.
    """
    # Of no run at all the answers have no type of their own.
    frozen = runs[~runs["method"].map(lambda name: METHODS[name].trains_weights).astype(bool)]
    settings = frozen["settings"].map(json.loads)
    frozen = frozen.assign(
        weight=[each.pop("regularizer") for each in settings],
        others=[canonical_json(each | {"regularizer_ramp": None}) for each in settings],
    )
    with_it, without = frozen[frozen["weight"] > 0], frozen[frozen["weight"] == 0]
    pairs = with_it.merge(without, on=["others", "seed"], suffixes=("", "_without"))
    return list(zip(pairs["run_id"], pairs["run_id_without"], strict=True))


def count_table(
    kept: CountArray, layout: EncoderLayout, nominal: float | None, of_each_type: bool = True
) -> pd.DataFrame:
    """Kept weights by matrix type, of the encoder, and of the whole model.

    Parameters
    ----------
    nominal
        The fraction that the run was asked to keep; None where it comes out of training.
    of_each_type
        Whether it was asked to keep it of every matrix type, and not of the encoder alone.

    Returns
    -------
    DataFrame
        Columns part, scope, kept, n_weights (counts), remaining (fraction), nominal (fraction; NaN where there is
        none). A row per matrix type, then "all" with scope "encoder" and "all" with scope "model". The model adds the
        embeddings, biases, LayerNorm and pooler, all kept, and no task head.
    """
    totals = kept.sum(axis=0)
    sizes = np.array([layout.n_layers * layout.size(kind) for kind in MATRIX_TYPES])
    never_pruned = layout.n_parameters - layout.n_weights
    counts = np.array([*totals, totals.sum(), never_pruned + totals.sum()])
    n_weights = np.array([*sizes, layout.n_weights, layout.n_parameters])
    fraction = np.nan if nominal is None else nominal
    model_nominal = (never_pruned + fraction * layout.n_weights) / layout.n_parameters
    return pd.DataFrame(
        {
            "part": [*MATRIX_TYPES, ALL_TYPES, ALL_TYPES],
            "scope": [*[ENCODER] * len(MATRIX_TYPES), ENCODER, MODEL],
            "kept": counts,
            "n_weights": n_weights,
            "remaining": counts / n_weights,
            "nominal": [*[fraction if of_each_type else np.nan] * len(MATRIX_TYPES), fraction, model_nominal],
        }
    )


def block_fractions(mask: BoolArray, max_side: int = 128) -> pd.DataFrame:
    """Share of kept weights in each block of a matrix, with at most `max_side` blocks a side.

    Parameters
    ----------
    mask
        ``(n_out, n_in)``.
    max_side
        Most blocks along an axis; an axis no longer than that has a block per row or column.

    Returns
    -------
    DataFrame
        A row per block, row-major: first_row, last_row, first_column, last_column (0-based, both ends inside), kept
        and n_weights (counts), remaining (fraction, float32).
    """
    rows, columns = (_block_edges(length, max_side) for length in mask.shape)
    kept = np.add.reduceat(np.add.reduceat(mask, rows[:-1], axis=0, dtype=np.int32), columns[:-1], axis=1)
    sizes = np.outer(np.diff(rows), np.diff(columns))
    row, column = (index.ravel() for index in np.indices(kept.shape))
    return pd.DataFrame(
        {
            "first_row": rows[row],
            "last_row": rows[row + 1] - 1,
            "first_column": columns[column],
            "last_column": columns[column + 1] - 1,
            "kept": kept.ravel(),
            "n_weights": sizes.ravel(),
            "remaining": (kept / sizes).astype(np.float32).ravel(),
        }
    )


def _block_edges(length: int, max_blocks: int) -> npt.NDArray[np.int64]:
    """Edges of the fewest equal blocks: whole numbers from 0 to `length`, one more than there are blocks."""
    step = -(-length // max_blocks)
    return np.append(np.arange(0, length, step), length)


def empty_lines(mask: BoolArray) -> pd.DataFrame:
    """Rows and columns of a matrix that keep no weight.

    Parameters
    ----------
    mask
        ``(n_out, n_in)``.

    Returns
    -------
    DataFrame
        Rows "rows" (outputs that are the bias alone) and "columns" (inputs that are not read): empty and n (counts),
        share (fraction).
    """
    empty = np.array([(~mask.any(axis=1)).sum(), (~mask.any(axis=0)).sum()])
    n = np.array(mask.shape)
    return pd.DataFrame({"line": ["rows", "columns"], "empty": empty, "n": n, "share": empty / n})


def spread_over_heads(
    kept_per_head: CountArray, layout: EncoderLayout, matrix_types: Collection[str] = HEAD_TYPES
) -> float:
    """Standard deviation of the remaining fraction over the attention heads, a fraction.

    Each head counts once for each of the matrix types; parameters as of `remaining_per_head`. Jiang et al. (2023),
    section 6.3, have 0.124 with the regulariser and 0.0375 without, of SMP-L on MNLI at 10 %.
    """
    places = [HEAD_TYPES.index(kind) for kind in matrix_types]
    return float(np.std(kept_per_head[:, places] / (layout.head_size * layout.hidden_size)))
