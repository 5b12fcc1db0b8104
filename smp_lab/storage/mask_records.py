"""A mask and what has to be known of it to show it and to compare it, whatever it comes from.

A run that keeps a mask has such a record (`RunRecord.mask_record`). A mask from elsewhere makes one by itself: it needs
no history, scores or metric.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from smp_lab.config import RunConfig
from smp_lab.layout import EncoderLayout
from smp_lab.masks import MaskSet

MEASURED_RUN, IMPORTED = "measured run", "imported"


@dataclass(frozen=True, eq=False, kw_only=True)
class MaskRecord:
    """One mask. Its counts are read with the record; its bits are read and verified when first asked for.

    Parameters
    ----------
    mask_id
        Identity: the run id of a run's mask.
    label
        What people call it where it stands alone.
    source
        `MEASURED_RUN` or `IMPORTED`.
    layout
        Of the encoder that it is for.
    encoder, encoder_sha256
        Name of that encoder, and its fingerprint as in `RunConfig.base_model_sha256`. Masks of two fingerprints are not
        compared.
    task
        Name of the task that it was learned on; None where it is of no task, or of an unknown one.
    kept
        ``(n_layers, 6)`` kept weights per matrix, in the order of `MATRIX_TYPES`.
    kept_per_head
        ``(n_layers, 4, n_heads)`` kept weights per head, in the order of `HEAD_TYPES`.
    digest
        Of the stored mask: what is cached under it never grows old.
    read
        Reads and verifies the mask at each call. Raises `RunFormatError` or `MaskFormatError`.
    config
        Settings of the run that it is of; None elsewhere.
    """

    mask_id: str
    label: str
    source: str
    layout: EncoderLayout
    encoder: str
    encoder_sha256: str
    task: str | None
    kept: npt.NDArray[np.int64]
    kept_per_head: npt.NDArray[np.int64]
    digest: str
    read: Callable[[], MaskSet]
    config: RunConfig | None = None

    @cached_property
    def masks(self) -> MaskSet:
        """The mask, kept from the first call of `read`; raises what that raises."""
        return self.read()

    @property
    def remaining(self) -> float:
        """Measured fraction of the encoder's prunable weights that is kept."""
        return int(self.kept.sum()) / self.layout.n_weights
