"""Masks as the authors of Jiang et al. (2023) release them: one ``.npy`` of packed bits per task, and nothing else.

The masks of all matrices, each as `numpy.packbits` lays it out (C order, first weight in the highest bit, 1 is kept),
follow one another in the lexicographic order of ``bert.encoder.layer.{layer}.{module}.mask_scores``: layers 0, 1, 10,
11, 2 and so on. For BERT-base these are 10,616,832 bytes. Shapes, task and class order are not in the file.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from smp_lab.encoder_families import BERT, MASK_SCORES
from smp_lab.errors import MaskFormatError
from smp_lab.layout import EncoderLayout, MatrixId
from smp_lab.masks import MaskSet
from smp_lab.storage.sealed import write_new

TITLE = "the authors' release"
# Their file of MNLI has the classes in another order than its masks are trained with here: entailment is scored by the
# first word, neutral by the second, contradiction by the third.
MNLI_WORDS = ("maybe", "no", "yes")
# Theirs are of BERT-base; of other shapes a file was written by `write_release`.
RELEASED_WIDTHS = (12, 768, 3072)


def _order(layout: EncoderLayout) -> list[MatrixId]:
    if any(layout.size(matrix.matrix_type) % 8 for matrix in layout.matrices):
        raise MaskFormatError(
            f"The release format packs eight weights a byte; a matrix of {layout} is not whole bytes."
        )
    return sorted(layout.matrices, key=lambda matrix: BERT.parameter_name(matrix, "bert.", MASK_SCORES))


def write_release(masks: MaskSet, file: Path) -> None:
    """Write masks as the authors release theirs; a file that is there is not overwritten.

    Raises
    ------
    MaskFormatError
        If the weights of a matrix do not fill whole bytes.
    RunWriteError
        If the file is there or cannot be written. Nothing is left behind.
    """
    buffer = io.BytesIO()
    np.save(buffer, np.concatenate([masks.bits[matrix] for matrix in _order(masks.layout)]), allow_pickle=False)
    write_new(file, buffer.getvalue())


def release_masks(packed: npt.NDArray[Any], layout: EncoderLayout, file: str) -> MaskSet:
    """Masks of the content of the authors' ``.npy``, for an encoder that it does not name; `file` is for sentences.

    Raises
    ------
    MaskFormatError
        If the array does not hold the bits of that encoder's matrices.
    """
    order, n_bytes = _order(layout), layout.n_weights // 8
    if packed.dtype != np.uint8 or packed.shape != (n_bytes,):
        raise MaskFormatError(
            f"{file} holds {packed.shape} of {packed.dtype}; expected ({n_bytes},) of uint8, the bits of "
            f"{layout.n_weights:,} weights in {layout.n_layers} layers of width {layout.hidden_size}."
        )
    ends = np.cumsum([layout.size(matrix.matrix_type) // 8 for matrix in order])
    return MaskSet(layout, dict(zip(order, np.split(packed, ends[:-1]), strict=True)))
