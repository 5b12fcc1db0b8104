"""The cached runs that the lesson looks at."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import streamlit as st

from smp_lab.analysis.sparsity import remaining_per_head
from smp_lab.layout import HEAD_TYPES
from smp_lab.storage.runs import RunRecord
from smp_lab.ui import cache

# A record never changes, nor does its id. All are MiniLM with SMP-S and seed 0 but where said.
SST2 = "sst2-smp_s-r0.1-s0-d118aeb3"
SST2_UNREGULARISED = "sst2-smp_s-r0.1-s0-f0aae5e6"
SST2_HALF = "sst2-smp_s-r0.5-s0-8021b12e"
SST2_RANDOM_HALF = "sst2-random-r0.5-s0-449f986c"
MRPC, MRPC_SEED_1 = "mrpc-smp_s-r0.1-s0-65dec523", "mrpc-smp_s-r0.1-s1-86a536b4"


def find(*run_ids: str) -> list[RunRecord]:
    """Some cached runs; where one is missing, a sentence says so and the page ends."""
    runs = cache.run_index().records
    if missing := [run_id for run_id in run_ids if run_id not in runs]:
        st.info(f"This picture is made of cached runs, and {', '.join(missing)} is not there.")
        st.stop()
    return [runs[run_id] for run_id in run_ids]


def heads(run: RunRecord, matrix_types: Collection[str] = HEAD_TYPES) -> npt.NDArray[np.float64]:
    """What is left of each head over some matrix types, ``(n_layers, n_heads)`` fractions."""
    table = remaining_per_head(run.kept_per_head, run.layout, matrix_types)
    return table["remaining"].to_numpy().reshape(run.layout.n_layers, run.layout.n_heads)
