"""Screen 2: the true gradient of a mask is zero almost everywhere, and what stands in for it."""

from __future__ import annotations

import numpy as np
import streamlit as st

from smp_lab.figures.lesson.slopes import plot_slopes
from smp_lab.lesson.slopes import N_WEIGHTS, bench
from smp_lab.lesson.training import Settings
from smp_lab.ui.glossary import explain
from smp_lab.ui.lesson import frame
from smp_lab.ui.lesson.trainings import training

_ANSWERS = ("it falls", "it stays", "it rises")
_STRAIGHT, _TRUE = "straight-through", "true gradient"

FORMULAS = (
    frame.Formula(
        r"\frac{\partial L}{\partial S} := \frac{\partial L}{\partial M} = \frac{\partial L}{\partial W'}\, W",
        "Jiang et al., ACL 2023; the straight-through estimator: Bengio, Léonard and Courville 2013",
        "smp_lab.training.pruned_weights",
        "_StraightThrough.backward",
        "score_gradient = gradient.to",
    ),
    frame.Formula(
        r"W' = W \odot M",
        "Jiang et al., ACL 2023",
        "smp_lab.training.pruned_weights",
        "_StraightThrough.forward",
        "return mask.view",
    ),
)
WORDS = (
    "The loss is a staircase in the score: flat, but for one jump where the weight passes the cut. So its true "
    "gradient is zero almost everywhere, and SMP takes the slope in the mask instead, as if M could be any number."
)

_bench = st.cache_resource(max_entries=1, show_spinner=False)(bench)


def show() -> None:
    """Move a score over the cut; compare the gradient with a finite difference; see both train."""
    left, right = frame.halves()
    here = _bench()
    with left:
        one, other = st.columns(2)
        score = one.slider(
            "Score S", -1.0, 1.0, -0.4, step=0.05, key="score", bind="query-params", help=explain("score", "cut")
        )
        weight = other.slider("Weight", 0, N_WEIGHTS - 1, 5, key="which", bind="query-params")
        cut = here.cut(weight)
        mask = float(score > cut)
        slope, difference = here.gradient(weight, score), here.difference(weight, score)
        loss = here.loss_at_score(weight, score)
        st.markdown(
            f"The weight is **{'kept' if mask else 'removed'}** (cut {cut:+.2f}). Slope in S: **0**. "
            f"dL/dW' · W: **{slope:+.6f}**. Finite difference in M: **{difference:+.6f}**."
        )
        runs = {name: training(_settings(name == _STRAIGHT)) for name in (_STRAIGHT, _TRUE)}
        stays = bool(np.ptp(runs[_TRUE].loss) == 0)
        guessed = frame.guess(
            "guess_true",
            "Train 300 steps with the true gradient, half of the weights kept from the start. What does the loss do?",
            _ANSWERS,
            _ANSWERS[1] if stays else _ANSWERS[0],
            f"No score moves, so no weight changes sides: the loss is {runs[_TRUE].loss[0]:.3f} at the first step and "
            f"{runs[_TRUE].loss[-1]:.3f} at the last. The straight-through gradient brings it to "
            f"{runs[_STRAIGHT].loss[-1]:.3f}.",
        )
        names = [_STRAIGHT]
        if guessed and st.toggle("True gradient", value=True, key="true_gradient", bind="query-params"):
            names.append(_TRUE)
    with right:
        frame.picture(
            plot_slopes,
            [(x, here.loss_at_score(weight, x)) for x in (-1.0, cut - 1e-9, cut + 1e-9, 1.0)],
            [(float(x), here.loss_at_mask(weight, score, x)) for x in np.linspace(-0.5, 1.5, 41)],
            (score, loss),
            (mask, loss),
            slope,
            cut,
            {name: runs[name].loss.tolist() for name in names} if guessed else {},
            alt=(
                f"Left: the loss against the score of one weight, two flat steps with a jump at the cut {cut:+.2f}; "
                f"the weight is {'kept' if mask else 'removed'}. Middle: the loss against its mask, a line "
                f"with slope {slope:+.4f} at the weight. "
                + (
                    "Right: the loss over 300 steps with each gradient."
                    if guessed
                    else "Right: empty before the guess."
                )
            ),
        )


def _settings(straight_through: bool) -> Settings:
    return Settings(schedule_fraction=0, straight_through=straight_through, width=16)
