"""Screen 4: a network that learns by forgetting, two ways side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import streamlit as st

from smp_lab.analysis.labels import percent
from smp_lab.figures.lesson.network import Side, plot_network
from smp_lab.lesson.shapes import SHAPES
from smp_lab.lesson.training import FINE_TUNING, MAGNITUDE, MASKINGS, METHODS, MOVEMENT, RANDOM, SMP, Settings, Training
from smp_lab.ui.controls import whole_number
from smp_lab.ui.glossary import explain
from smp_lab.ui.lesson import frame
from smp_lab.ui.lesson.trainings import REACH, surfaces, training

TITLES = {
    SMP: "SMP",
    MOVEMENT: "Movement",
    MAGNITUDE: "Magnitude",
    RANDOM: "Random mask",
    FINE_TUNING: "Fine-tuning",
}
WIDTHS = (8, 16, 32, 64, 128)
# Each is twice the one before: multiplying by two is exact, so that scores are exactly twice as large.
LEARNING_RATES = (0.0125, 0.025, 0.05, 0.1, 0.2)
REGULARIZERS = (0, 1, 5, 20, 100)
REMAINING = (1, 3, 5, 10, 20, 30, 50, 70, 80)
_METHODS, _WIDTHS, _RATES = _COMPARED = ("two methods", "two widths", "two learning rates")
_RANDOM_WEIGHTS = "random weights"
# Test accuracies nearer than this are called alike: 1,000 points tell no smaller difference.
ALIKE = 0.03
_N_DRAWN = 100

FORMULAS = (
    frame.Formula(
        r"\mathcal{L} + \lambda(t)\, R, \qquad R = \operatorname{mean}(\sigma(S))",
        "Jiang et al., ACL 2023; the ramp of lambda as in the authors' code",
        "smp_lab.schedule",
        "Schedule.regularizer_weight",
        "(1 - left**3)",
    ),
    frame.SCHEDULE,
)
WORDS = (
    "Under SMP the weights of this network are frozen, and all it can do is forget some of them. Choose what it learns "
    "and how much may remain, guess what comes out, and press play to see how it came about."
)


def show() -> None:
    """Settings, two trainings and a guess."""
    left, right = frame.halves()
    with left:
        compared, sides = _settings()
        done = [training(side) for side in sides]
        guessed = _guess(compared, done)
    with right:
        names = [_name(compared, side) for side in sides]
        final = [100 * seen.test_accuracy[-1] for seen in done]
        frame.picture(
            plot_network,
            [
                Side(
                    name,
                    surfaces(side),
                    np.stack([np.stack(state.masks) for state in seen.snapshots]),
                    seen.test_accuracy,
                    seen.loss,
                )
                for name, side, seen in zip(names, sides, done, strict=True)
            ],
            done[0].steps.tolist(),
            done[0].points[:_N_DRAWN],
            done[0].labels[:_N_DRAWN],
            REACH,
            guessed,
            frame.step(),
            alt=(
                f"Two small networks that learn {sides[0].shape}: {names[0]} and {names[1]}. "
                + (
                    f"Over 300 steps they reach {final[0]:.0f} % and {final[1]:.0f} % of points they never saw."
                    if guessed
                    else "Before the first step; guess to see them learn."
                )
            ),
        )


def _settings() -> tuple[str, list[Settings]]:
    """What is compared, and the settings of both sides."""
    one, other = st.columns(2)
    shape = one.selectbox("Learn", SHAPES, key="shape", bind="query-params")
    compared = str(other.selectbox("Compare", _COMPARED, key="compare", bind="query-params"))
    one, other = st.columns(2)
    # A step of percent, because a share of 0.3 has many ways to be written in an address.
    remaining = one.select_slider(
        "Keep v (%)", REMAINING, 50, key="v", bind="query-params", help=explain("asked to keep")
    )
    if compared == _WIDTHS:
        width = WIDTHS[-1]
    else:
        width = int(other.select_slider("Units in a layer", WIDTHS, 32, key="width", bind="query-params"))
    methods = [SMP, SMP]
    if compared == _METHODS:
        one, other = st.columns(2)
        for place, (column, name, first) in enumerate(((one, "Left", 0), (other, "Right", 2))):
            methods[place] = str(
                column.selectbox(
                    name,
                    METHODS,
                    first,
                    format_func=TITLES.__getitem__,
                    key=name.lower(),
                    bind="query-params",
                )
            )
    with st.popover("More settings", icon=":material/tune:"):
        common = _more(compared)
    common = replace(common, shape=str(shape), remaining=remaining / 100, width=width)
    if compared == _METHODS:
        return compared, [replace(common, method=method) for method in methods]
    if compared == _WIDTHS:
        return compared, [replace(common, width=width) for width in (WIDTHS[0], WIDTHS[-1])]
    return compared, [replace(common, learning_rate=rate) for rate in (LEARNING_RATES[0], LEARNING_RATES[-1])]


def _more(compared: str) -> Settings:
    start = st.selectbox(
        "Start from",
        [_RANDOM_WEIGHTS, *SHAPES],
        key="start",
        bind="query-params",
        help="A shape: the weights were fine-tuned on it before they were frozen.",
    )
    masking = st.selectbox(
        "Masking function of the scores", MASKINGS, key="masking", bind="query-params", help=explain("share", "cut")
    )
    # Only scores that are kept by rank keep v; the others keep what is above tau.
    threshold = st.slider(
        "Threshold tau", 0.3, 0.7, 0.5, step=0.05, key="tau", bind="query-params", disabled=masking != "threshold"
    )
    regularizer = st.select_slider(
        "lambda", REGULARIZERS, key="lambda", bind="query-params", help=explain("regulariser")
    )
    percent_of_steps = st.slider(
        "Schedule N (% of the steps)", 0, 100, 60, step=10, key="n", bind="query-params", help=explain("schedule")
    )
    rate = st.select_slider(
        "Learning rate of the scores",
        LEARNING_RATES,
        0.05,
        key="rate",
        bind="query-params",
        disabled=compared == _RATES,
    )
    seed = whole_number("Seed", 0, 99, 0, key="seed")
    return Settings(
        masking=str(masking),
        threshold=float(threshold),
        regularizer=float(regularizer),
        schedule_fraction=percent_of_steps / 100,
        learning_rate=float(rate),
        seed=seed,
        pretrained=None if start == _RANDOM_WEIGHTS else str(start),
    )


def _name(compared: str, side: Settings) -> str:
    if compared == _WIDTHS:
        return f"SMP, {side.width} units"
    if compared == _RATES:
        return f"SMP, learning rate {side.learning_rate:g}"
    return TITLES[side.method]


def _guess(compared: str, done: list[Training]) -> bool:
    if compared == _RATES:
        masks = [np.stack(seen.snapshots[-1].masks) for seen in done]
        changed = int((masks[0] != masks[1]).sum())
        alike = "none" if changed == 0 else "some" if changed < 0.05 * masks[0].size else "many"
        low, high = (np.stack(seen.snapshots[-1].scores) for seen in done)
        if np.array_equal(LEARNING_RATES[-1] / LEARNING_RATES[0] * low, high):
            why = (
                "Without the regulariser the gradient of a score does not look at the score: all scores are 16 times "
                "as large, and their ranks are what they were."
            )
        else:
            why = "The size of a score counts where the regulariser, a share or a threshold looks at sigmoid(S)."
        return frame.guess(
            "guess_rates",
            "The learning rate is 16 times as high. How many weights of the final mask differ?",
            ("none", "some", "many"),
            alike,
            f"{changed} of {masks[0].size:,} weights are on the other side. {why}",
        )
    first, second = (float(seen.test_accuracy[-1]) for seen in done)
    right = "alike" if abs(first - second) < ALIKE else "left" if first > second else "right"
    kept = [int(seen.kept[-1]) for seen in done]
    words = f"Of points never seen, left has {percent(first)} right and right {percent(second)}"
    tail = (
        f", with {kept[0]:,} and {kept[1]:,} weights kept."
        if compared == _WIDTHS
        else f". The left keeps {kept[0]:,} of {done[0].network.n_weights:,} weights, the right {kept[1]:,}."
    )
    return frame.guess(
        f"guess_{'widths' if compared == _WIDTHS else 'methods'}",
        f"Which side will be right more often (by {100 * ALIKE:.0f} points or more)?",
        ("left", "alike", "right"),
        right,
        words + tail,
    )
