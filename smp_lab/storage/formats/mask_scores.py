"""``X.mask_scores``: the scores of movement pruning, or the boolean ones of Static Model Pruning's own checkpoints.

How scores become a mask is not in the file. The rules and their names are those of movement pruning (Sanh et al. 2020).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from smp_lab.encoder_families import MASK_SCORES
from smp_lab.errors import MaskFormatError
from smp_lab.masks import BoolArray, kept_count, top_k
from smp_lab.storage.formats.format import Asked, Format, is_binary
from smp_lab.storage.formats.tables import Array


def _sigmoid(scores: Array) -> Array:
    half: Array = 0.5 * np.tanh(0.5 * scores) + 0.5
    return half


def _above(values: Array, threshold: float, scores: Array) -> BoolArray:
    """Where the values of scores are above a threshold, and the highest scores where these are too few.

    `ThresholdBinarizer` of movement pruning keeps ``int(0.005 n) + 1`` of n weights at least.
    """
    least = int(0.005 * scores.size) + 1
    mask: BoolArray = values > threshold
    if mask.sum() < least:
        last = max(scores.size - least, 1) - 1
        mask = scores > np.partition(scores, last, axis=None)[last]
    return mask


# Name -> the mask of one matrix, from its scores and a number.
RULES: Mapping[str, Callable[[Array, float], BoolArray]] = {
    "topK": lambda scores, share: top_k(scores, kept_count(share, scores.size)),
    "threshold": lambda scores, threshold: _above(scores, threshold, scores),
    "sigmoied_threshold": lambda scores, threshold: _above(_sigmoid(scores), threshold, scores),
}
_EXAMPLES = "topK=0.1 (the tenth of each matrix with the largest scores) or sigmoied_threshold=0.1"


def _mask(array: Array, asked: Asked) -> BoolArray:
    if asked.scores is None:
        if is_binary(array):
            return array.astype(bool)
        raise MaskFormatError(
            f"it holds {MASK_SCORES}, and how they become a mask is not in it. Say so with --scores, such as "
            f"{_EXAMPLES}."
        )
    name, _, text = asked.scores.partition("=")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if name not in RULES or not math.isfinite(number) or (name == "topK" and not 0 <= number <= 1):
        raise MaskFormatError(
            f"--scores {asked.scores[:80]!r} is none of {', '.join(RULES)} with a number: {_EXAMPLES}."
        )
    if np.isnan(array).any():
        raise MaskFormatError(f"its {MASK_SCORES} hold NaN, which has no rank.")
    return RULES[name](np.asarray(array, np.float32), number)


def _assumed(asked: Asked) -> str:
    return f"Scores became a mask by {asked.scores}." if asked.scores else "Its scores are 0 and 1: the mask itself."


FORMAT = Format(title="mask_scores", endings=(MASK_SCORES, f"weight.{MASK_SCORES}"), mask=_mask, assumed=_assumed)
