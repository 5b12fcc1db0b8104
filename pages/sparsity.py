"""Where masks keep weights: by layer, head and matrix, as pictures and as counts."""

from __future__ import annotations

import base64
import io

import numpy as np
import streamlit as st
from PIL import Image

from smp_lab.analysis import sparsity
from smp_lab.figures import sparsity as figures
from smp_lab.figures.style import FRACTION_ENDS, MATRIX_TITLES
from smp_lab.layout import HEAD_TYPES, MATRIX_TYPES, MatrixId
from smp_lab.masks import BoolArray
from smp_lab.storage.runs import RunRecord
from smp_lab.ui import cache, controls, messages

_SUM = "all four"
_ZOOM_SIDE = 128
_ZOOM_PIXELS = 512


def main() -> None:
    st.title("Sparsity")
    runs = controls.chosen_runs(cache.run_index(), otherwise=controls.ONE_PER_TASK)
    _layers(runs)
    _heads(runs)
    _counts(runs)
    _matrix(runs)


def _layers(runs: list[RunRecord]) -> None:
    table = controls.tables_of_runs([(run, sparsity.remaining_per_layer(run.kept, run.layout)) for run in runs])
    controls.show_figure(
        controls.drawn(figures.plot_remaining_per_layer, table, controls.color_by()),
        table,
        key="remaining-per-layer",
        alt=f"Remaining weights in percent by layer for {len(runs)} runs, overall and for each matrix type.",
        min_width=860,
    )


# What is set in a fragment draws it alone: the rest of the page stays.
@st.fragment
def _heads(runs: list[RunRecord]) -> None:
    matrices = st.segmented_control(
        "Matrices of the heads",
        [_SUM, *HEAD_TYPES],
        default=_SUM,
        required=True,
        key="heads",
        bind="query-params",
    )
    types = HEAD_TYPES if matrices == _SUM else (matrices,)
    table = controls.tables_of_runs(
        [(run, sparsity.remaining_per_head(run.kept_per_head, run.layout, types)) for run in runs]
    )
    words = "query, key, value and attention output" if matrices == _SUM else MATRIX_TITLES[matrices].lower()
    controls.show_figure(
        controls.drawn(figures.plot_remaining_per_head, table, words),
        table,
        key="remaining-per-head",
        alt=f"Remaining weights in percent by layer and attention head in {words}, one panel for each of "
        f"{len(runs)} runs.",
        min_width=190 * min(len(runs), 4) + 100,
    )


def _counts(runs: list[RunRecord]) -> None:
    st.subheader("Counts")
    table = controls.tables_of_runs(
        [(run, sparsity.count_table(run.kept, run.layout, run.config.remaining)) for run in runs]
    )
    st.dataframe(
        table.assign(nominal=100 * table["nominal"], remaining=100 * table["remaining"]),
        column_order=["run", "part", "scope", "kept", "n_weights", "nominal", "remaining"],
        column_config={
            "run": "Run",
            "part": "Matrices",
            "scope": st.column_config.TextColumn(
                "Scope",
                help="Encoder: the prunable weights. Model: these, embeddings, biases, LayerNorm and pooler; "
                "no task head.",
            ),
            "kept": st.column_config.NumberColumn("Kept", format="localized"),
            "n_weights": st.column_config.NumberColumn("Weights", format="localized"),
            "nominal": st.column_config.NumberColumn("Asked to keep (%)", format="%.3f"),
            "remaining": st.column_config.NumberColumn("Kept, measured (%)", format="%.3f"),
        },
        hide_index=True,
        alt="Kept weights by matrix type, of the encoder and of the whole model, for each chosen run",
    )
    controls.data_downloads(table, "kept-weights")


@st.fragment
def _matrix(runs: list[RunRecord]) -> None:
    st.subheader("One matrix")
    with_masks = {run.run_id: mask for run in runs if (mask := run.mask_record) is not None}
    if not with_masks:
        st.info("None of the chosen runs holds a mask.")
        return
    labels = controls.run_labels(runs)
    pick_run, pick_second, pick_layer, pick_type = st.columns([3, 3, 1, 2])
    first = pick_run.selectbox("Run", list(with_masks), key="matrix_run", bind="query-params")
    others = [run_id for run_id in with_masks if run_id != first]
    second = pick_second.selectbox(
        "Beside it", [controls.NONE, *others], key="matrix_beside", bind="query-params", help="On the same scale."
    )
    chosen = [with_masks[run_id] for run_id in (first, second) if run_id != controls.NONE]
    n_layers = min(mask.layout.n_layers for mask in chosen)
    layer = pick_layer.selectbox("Layer", range(n_layers), key="layer", bind="query-params")
    matrix = MatrixId(layer, pick_type.selectbox("Matrix type", MATRIX_TYPES, key="matrix", bind="query-params"))
    masks = messages.readable(chosen, lambda mask: cache.masks(mask).dense(matrix))
    if not masks:
        return
    square = _square(min(mask.shape for _, mask in masks))
    blocks = [sparsity.block_fractions(mask) for _, mask in masks]
    highest = max(float(table["remaining"].max()) for table in blocks)
    # One run has its square at the right of its picture, two have theirs below.
    places = st.columns([3, 2] if len(masks) == 1 else 2, gap="medium")
    for place, ((record, mask), table) in enumerate(zip(masks, blocks, strict=True)):
        name = labels[record.mask_id]
        with places[place]:
            controls.show_figure(
                controls.drawn(figures.plot_matrix, table, f"{name}, {matrix}", square, highest or 1),
                table,
                key="mask-picture" + ("-beside" if place else ""),
                alt=f"Share of kept weights by block of the mask of {matrix} in {name}.",
            )
            _empty_lines(mask)
        with places[-1] if len(masks) == 1 else places[place]:
            _zoom(mask, matrix, record.mask_id, square)


def _square(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """First row, first column and side of the square that is shown weight by weight."""
    side = min(_ZOOM_SIDE, *shape)
    from_row, from_column = st.columns(2)
    with from_row:
        row = _corner("First row", shape[0] - side, "row")
    with from_column:
        column = _corner("First column", shape[1] - side, "column")
    return row, column, side


def _zoom(mask: BoolArray, matrix: MatrixId, run_id: str, square: tuple[int, int, int]) -> None:
    """A square of the matrix at full resolution, and the whole of it to save."""
    row, column, side = square
    region = mask[row : row + side, column : column + side]
    kept = int(region.sum())
    # Within the page: as a file of the server's it may be gone when the browser asks, where a slider moves fast.
    picture = base64.b64encode(_png(region, _ZOOM_PIXELS // side)).decode()
    st.image(
        f"data:image/png;base64,{picture}",
        caption=f"The framed square, weight by weight, kept ones bright: {kept:,} of {region.size:,} "
        f"({controls.percent(kept / region.size)}).",
        width="stretch",
        alt=f"Every weight of a {side} x {side} square of {matrix}; kept weights are bright.",
    )
    st.download_button(
        f"Whole mask, {' x '.join(map(str, mask.shape))} (PNG)",
        data=lambda: _png(mask, 1),
        file_name=f"{run_id}-layer{matrix.layer}-{matrix.matrix_type}.png",
        mime="image/png",
        key=f"mask-png-{run_id}",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )


def _corner(label: str, highest: int, key: str) -> int:
    if highest <= 0:
        return 0
    return int(st.slider(label, 0, highest, step=8, key=key, bind="query-params"))


def _png(mask: BoolArray, pixels_per_weight: int) -> bytes:
    """A two-colour PNG, kept weights bright as in the figures."""
    image = Image.fromarray(mask.astype(np.uint8), "P")
    image.putpalette([int(end[place : place + 2], 16) for end in FRACTION_ENDS for place in (1, 3, 5)])
    image = image.resize([pixels_per_weight * side for side in image.size], Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", bits=1)
    return buffer.getvalue()


def _empty_lines(mask: BoolArray) -> None:
    lines = sparsity.empty_lines(mask)
    counts = " and ".join(
        f"{row.empty:,} of {row.n:,} {row.line} ({controls.percent(row.share)})" for row in lines.itertuples()
    )
    st.markdown(
        f"Empty: {counts}. An empty row or column could be cut out and save time; {messages.ZEROS_SAVE_NO_TIME}."
    )


main()
