"""Screen 3: how weights and scores move under magnitude pruning, movement pruning and SMP."""

from __future__ import annotations

import numpy as np
import streamlit as st

from smp_lab.figures.lesson.plane import plot_plane
from smp_lab.lesson.training import MAGNITUDE, MOVEMENT, SMP, Settings
from smp_lab.ui import controls
from smp_lab.ui.glossary import explain
from smp_lab.ui.lesson import frame
from smp_lab.ui.lesson.trainings import training

TITLES = {SMP: "SMP", MOVEMENT: "Movement", MAGNITUDE: "Magnitude"}
_UP_DOWN, _SIDEWAYS, _BOTH = _WAYS = ("up and down", "sideways", "both ways")
_LAYER = 1

FORMULAS = (
    frame.SCHEDULE,
    frame.Formula(
        r"M_{ij} = 1 \text{ where } S_{ij} \text{ is among the top } v",
        "Jiang et al., ACL 2023",
        "smp_lab.masks",
        "top_k",
        "cut = ",
    ),
)
WORDS = (
    "All weights of one layer of a small network, while it learns two moons and its mask falls to 10 %. Magnitude "
    "pruning cuts by |W|, movement pruning and SMP by the score S: guess which way the points move, then press play."
)

_WHY = {
    SMP: "W is frozen, so no point leaves its place on the W axis: all that is learned is how high it stands.",
    MOVEMENT: "W and S are both trained: a point drifts sideways while its score rises or falls.",
    MAGNITUDE: "W is trained and no score is used. The height is where a score that follows the trend would have "
    "ended; the cut, two upright lines, does not see it.",
}


def show() -> None:
    """The cloud of one layer, and the history of one weight of it."""
    left, right = frame.halves()
    with left:
        method = controls.one_of(
            "Method",
            list(TITLES),
            key="plane_method",
            format_func=TITLES.__getitem__,
            help=explain("cut", "schedule"),
        )
        seen = training(Settings(method=method, remaining=0.1, width=16))
        weights, scores, kept = (
            np.stack([part[_LAYER].ravel() for part in parts])
            for parts in zip(*((state.weights, state.scores, state.masks) for state in seen.snapshots), strict=True)
        )
        if method == MAGNITUDE:
            # Nothing looks at them: they stand where they would end, so that one sees what is not looked at.
            scores = np.broadcast_to(scores[-1], scores.shape)
        moved = bool(np.ptp(weights, axis=0).any()), bool(np.ptp(scores, axis=0).any())
        way = {(False, True): _UP_DOWN, (True, False): _SIDEWAYS, (True, True): _BOTH}[moved]
        guessed = frame.guess(f"guess_plane_{method}", "Which way will the points move?", _WAYS, way, _WHY[method])
        chosen = int(
            st.number_input(
                "Follow weight",
                0,
                weights.shape[1] - 1,
                7,
                key="follow",
                bind="query-params",
                help="A click on a point follows it too.",
            )
        )
        if guessed:
            changes = int(np.abs(np.diff(kept[:, chosen].astype(int))).sum())
            swaps = int(np.minimum(seen.flips_in, seen.flips_out).sum())
            forced = int(np.abs(seen.flips_out - seen.flips_in).sum())
            st.markdown(
                f"Weight {chosen} is **{'kept' if kept[-1, chosen] else 'removed'}** in the end and changed sides "
                f"{changes} time{'s' * (changes != 1)} from snapshot to snapshot. "
                f"Both layers together had **{forced:,}** forced flips and **{swaps:,}** true swaps.",
                help=explain("forced flip", "true swap", "snapshot"),
            )
    with right:
        frame.picture(
            plot_plane,
            weights,
            scores,
            kept,
            seen.steps.tolist(),
            method == MAGNITUDE,
            chosen,
            guessed,
            frame.step(),
            on_click=_follow,
            alt=(
                f"{weights.shape[1]} weights of one layer as points of weight and score, under {TITLES[method]}. "
                + (
                    f"They move {way}; at the end {int(kept[-1].sum())} are kept."
                    if guessed
                    else "At the start all scores are 0 and all weights are kept."
                )
            ),
        )


def _follow(weight: int) -> None:
    st.session_state["follow"] = weight
