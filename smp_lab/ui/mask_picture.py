"""One matrix of a mask as a picture: blocks of it in a figure, a square of it weight by weight."""

from __future__ import annotations

import base64
import io

import numpy as np
import streamlit as st
from PIL import Image

from smp_lab.analysis import sparsity
from smp_lab.analysis.labels import percent
from smp_lab.figures import sparsity as figures
from smp_lab.figures.style import FRACTION_ENDS, MATRIX_TITLES
from smp_lab.layout import ATTENTION_OUTPUT, MATRIX_TYPES, OUTPUT, MatrixId
from smp_lab.masks import BoolArray
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.ui import cache, controls, messages

_ZOOM_SIDE = 128
_ZOOM_PIXELS = 512


# What is set in a fragment draws it alone: the rest of the page stays.
@st.fragment
def show(masks: dict[str, MaskRecord], labels: dict[str, str]) -> None:
    """Pickers for one mask or two and for a matrix, and the pictures of it; both by id."""
    pick_run, pick_second, pick_layer, pick_type = st.columns([3, 3, 1, 2])
    picked = controls.pick_one_or_two((pick_run, pick_second), labels, ("matrix_run", "matrix_beside"))
    chosen = [masks[mask_id] for mask_id in picked]
    n_layers = min(mask.layout.n_layers for mask in chosen)
    layer = pick_layer.selectbox("Layer", range(n_layers), key="layer", bind="query-params")
    with pick_type:
        matrix = MatrixId(
            layer, controls.pick("Matrix type", {t: MATRIX_TITLES[t] for t in MATRIX_TYPES}, key="matrix")
        )
    bits = messages.readable(chosen, lambda mask: cache.masks(mask).dense(matrix))
    if not bits:
        return
    # What is in all of them.
    square = _square(tuple(map(min, zip(*(weights.shape for _, weights in bits), strict=True))))
    blocks = [sparsity.block_fractions(weights) for _, weights in bits]
    highest = max(float(table["remaining"].max()) for table in blocks)
    # One run has its square at the right of its picture, two have theirs below.
    columns = st.columns([3, 2] if len(bits) == 1 else 2, gap="medium")
    for place, ((mask, weights), table) in enumerate(zip(bits, blocks, strict=True)):
        with columns[place]:
            controls.show(
                figures.plot_matrix,
                table,
                f"{labels[mask.mask_id]}, {matrix}",
                square,
                highest,
                key="mask-picture" + ("-beside" if place else ""),
                alt=f"Share of kept weights by block of the mask of {matrix} in {labels[mask.mask_id]}.",
            )
            _empty_lines(weights, matrix)
        with columns[-1] if len(bits) == 1 else columns[place]:
            _zoom(weights, matrix, mask.mask_id, square)


def _square(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """First row, first column and side of the square that is shown weight by weight."""
    side = min(_ZOOM_SIDE, *shape)
    from_row, from_column = st.columns(2)
    with from_row:
        row = _corner("First row", shape[0] - side, "row")
    with from_column:
        column = _corner("First column", shape[1] - side, "column")
    return row, column, side


def _zoom(mask: BoolArray, matrix: MatrixId, mask_id: str, square: tuple[int, int, int]) -> None:
    """A square of the matrix at full resolution, and the whole of it to save."""
    row, column, side = square
    region = mask[row : row + side, column : column + side]
    kept = int(region.sum())
    # Within the page: as a file of the server's it may be gone when the browser asks, where a slider moves fast.
    picture = base64.b64encode(_png(region, _ZOOM_PIXELS // side)).decode()
    st.image(
        f"data:image/png;base64,{picture}",
        caption=f"The framed square, weight by weight, kept ones bright: {kept:,} of {region.size:,} "
        f"({percent(kept / region.size)}).",
        width="stretch",
        alt=f"Every weight of a {side} x {side} square of {matrix}; kept weights are bright.",
    )
    controls.download(
        f"Whole mask, {' x '.join(map(str, mask.shape))} (PNG)",
        lambda: _png(mask, 1),
        f"{mask_id}-layer{matrix.layer}-{matrix.matrix_type}.png",
        "image/png",
        key=f"mask-png-{mask_id}",
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


def _empty_lines(mask: BoolArray, matrix: MatrixId) -> None:
    lines = sparsity.empty_lines(mask)
    counts = " and ".join(
        f"{row['empty']:,} of {row['n']:,} {row['line']} ({percent(row['share'])})" for row in lines.to_dict("records")
    )
    # The others are as wide as the residual stream, which all layers share.
    line = "column" if matrix.matrix_type in (ATTENTION_OUTPUT, OUTPUT) else "row"
    st.markdown(
        f"Empty: {counts}. Here an empty {line} can be cut out, which saves time. {messages.NOT_FASTER.capitalize()}."
    )
