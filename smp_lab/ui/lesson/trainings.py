"""Trainings of the small network, each done once for all who ask for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import streamlit as st
from threadpoolctl import ThreadpoolController

from smp_lab.lesson.network import sigmoid
from smp_lab.lesson.training import Settings, Training, answers, train

# The square that pictures of the plane show, and its points in a row and in a column.
REACH, N_SIDE = 1.8, 41
# A second thread makes nothing of such small matrices faster. It spins, on a core that the browser or a run needs.
_one_thread = ThreadpoolController().wrap(limits=1, user_api="blas")


# Some 21 snapshots of at most 3 x 2 x 128 x 128 numbers: 8 MB each, most far less.
@st.cache_resource(max_entries=48, show_spinner=False)
@_one_thread
def training(settings: Settings) -> Training:
    """What comes out of these settings; not to be changed."""
    return train(settings)


@st.cache_resource(max_entries=48, show_spinner=False)
@_one_thread
def surfaces(settings: Settings) -> npt.NDArray[np.uint8]:
    """What the network says of the plane at each snapshot: % for class 1, ``(n_snapshots, N_SIDE, N_SIDE)``."""
    side = np.linspace(-REACH, REACH, N_SIDE, dtype=np.float32)
    points = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    done = training(settings)
    answered = sigmoid(answers(done.network, done.snapshots, points))
    return (100 * answered).round().astype(np.uint8).reshape(-1, N_SIDE, N_SIDE)
