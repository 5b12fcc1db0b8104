"""Screen 5: what the regulariser is for, on the small network and in two real runs."""

from __future__ import annotations

import numpy as np
import streamlit as st

from smp_lab.analysis.labels import percent
from smp_lab.analysis.training_history import flips
from smp_lab.figures.lesson.regulariser import plot_heads, plot_regulariser
from smp_lab.layout import QUERY, VALUE
from smp_lab.lesson.training import Settings, Training
from smp_lab.ui import cache, controls
from smp_lab.ui.glossary import explain
from smp_lab.ui.lesson import frame, records
from smp_lab.ui.lesson.trainings import training

_SMALL, _REAL = _VIEWS = ("small network", "MiniLM on SST-2")
_FEWER, _AS_MANY, _MORE = _SWAPS = ("fewer", "about as many", "more")
_SAME, _LESS, _NOTHING = _SCORES = ("about as much", "some points less", "the majority class alone")
STRENGTHS = (1, 5, 20, 100)

FORMULAS = (
    frame.Formula(
        r"\frac{\partial}{\partial S}\, \lambda R = \frac{\lambda}{m\, n}\, \sigma(S)\,\bigl(1 - \sigma(S)\bigr)",
        "Jiang et al., ACL 2023: R is the mean over m matrices of the mean of sigmoid(S) over their n weights",
        "smp_lab.training.pruned_weights",
        "_StraightThrough.backward",
        "score_gradient.add_",
    ),
    frame.Formula(
        r"\lambda(t) = \lambda_{\max}\left(1 - \left(1 - \frac{t}{T}\right)^3\right)",
        "the authors' code; the paper's text ties lambda to the sparsity reached",
        "smp_lab.schedule",
        "Schedule.regularizer_weight",
        "(1 - left**3)",
    ),
)
WORDS = (
    "The regulariser adds lambda times the mean of sigmoid(S) to the loss: it pulls every score down, and hardest "
    "where the slope of the sigmoid is steepest, at 0. A score stays high only where the task pushes back."
)


def show() -> None:
    """The small network, or two runs of MiniLM."""
    left, right = frame.halves()
    with left:
        view = controls.one_of("Where", _VIEWS, key="where")
    (_small if view == _SMALL else _real)(left, right)


def _small(left: st.delta_generator.DeltaGenerator, right: st.delta_generator.DeltaGenerator) -> None:
    with left:
        strength = st.select_slider(
            "lambda", STRENGTHS, 20, key="strength", bind="query-params", help=explain("regulariser", "true swap")
        )
        plain = Settings(remaining=0.1)
        done = {
            "lambda 0": training(plain),
            f"lambda {strength}": training(Settings(remaining=0.1, regularizer=float(strength))),
        }
        late = [int(_swaps(seen)[plain.schedule.schedule_steps + 1 :].sum()) for seen in done.values()]
        answer = _FEWER if late[1] < 0.8 * late[0] else _MORE if late[1] > 1.25 * late[0] else _AS_MANY
        accuracy = [float(seen.test_accuracy[-1]) for seen in done.values()]
        guessed = frame.guess(
            "guess_swaps",
            f"With lambda {strength}: how many true swaps are there once the schedule has ended?",
            _SWAPS,
            answer,
            f"Without it {late[0]}, with it {late[1]}. Accuracy on new points is {percent(accuracy[0])} without and "
            f"{percent(accuracy[1])} with it.",
        )
    with right:
        frame.picture(
            plot_regulariser,
            {
                name: np.concatenate([score.ravel() for score in seen.snapshots[-1].scores])
                for name, seen in done.items()
            }
            if guessed
            else {},
            {name: np.cumsum(_swaps(seen)).tolist() for name, seen in done.items()} if guessed else {},
            plain.schedule.schedule_steps,
            alt=(
                "Left: sigmoid(S) rises from 0 to 1, and its slope is a hill with its top at 0. "
                + (
                    "Middle: final scores without the regulariser, and with it, pulled down. Right: true swaps added "
                    f"up over the steps; {late[0]} and {late[1]} of them after the schedule."
                    if guessed
                    else "Middle and right: empty before the guess."
                )
            ),
        )


def _swaps(seen: Training) -> np.ndarray:
    return np.minimum(seen.flips_in, seen.flips_out)


def _real(left: st.delta_generator.DeltaGenerator, right: st.delta_generator.DeltaGenerator) -> None:
    with left:
        runs = dict(
            zip(("lambda 0", "lambda 400"), records.find(records.SST2_UNREGULARISED, records.SST2), strict=True)
        )
        values = [run.main_value for run in runs.values()]
        majority = cache.reliability(runs["lambda 0"], runs["lambda 0"].main_metric).majority_baseline
        answer = _NOTHING if values[0] <= majority else _SAME if values[0] > values[1] - 0.02 else _LESS
        heads = {name: records.heads(run, (QUERY, VALUE)) for name, run in runs.items()}
        spread = [100 * float(part.std()) for part in heads.values()]
        guessed = frame.guess(
            "guess_real",
            f"With lambda 400 MiniLM is right on {percent(values[1])} of SST-2. And without the regulariser?",
            _SCORES,
            answer,
            f"{percent(values[0])}; the majority-class baseline is {percent(majority)}. What is kept of a "
            "head, query and value together, has a "
            f"standard deviation of {spread[0]:.1f} points without it and of {spread[1]:.1f} with it: then some heads "
            "keep far more than others.",
        )
    with right:
        swaps = {}
        for name, run in runs.items():
            table = flips(cache.history(run))
            kept = cache.history(run)["kept"]
            swaps[name] = (table["step"].tolist(), (100 * table["swaps"] / kept).tolist())
        frame.picture(
            plot_heads,
            heads,
            swaps if guessed else {},
            alt=(
                "Two heat maps of layers by heads: without the regulariser all heads keep alike, with it some keep "
                "far more than others. " + ("Beside them the true swaps at each step of both." if guessed else "")
            ),
        )
