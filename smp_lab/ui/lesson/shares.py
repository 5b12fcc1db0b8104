"""Screen 6: how layers compete for weights."""

from __future__ import annotations

import streamlit as st

from smp_lab.analysis.labels import percent
from smp_lab.figures.lesson.shares import plot_shares
from smp_lab.lesson.masking import mean_sigmoids
from smp_lab.lesson.shares import N_WEIGHTS, asked, kept_counts, two_layers
from smp_lab.ui.glossary import explain
from smp_lab.ui.lesson import frame

_LESS, _AS_MUCH, _MORE, _ALL = _ANSWERS = ("less than v", "just v", "more than v", "all of it")

FORMULAS = (
    frame.Formula(
        r"v_{l} = v\, L\, \frac{r_l}{\sum_{l'} r_{l'}}, \qquad r_l = \operatorname{mean}(\sigma(S_l))",
        "Jiang et al., ACL 2023 (SMP-S); what is above a whole layer goes to the others here, and is lost in the "
        "authors' code",
        "smp_lab.training.masking.share",
        "share_among_layers",
        "shares = torch.where(whole",
    ),
    frame.Formula(
        r"k = \lfloor v\, n \rfloor",
        "Jiang et al., ACL 2023 (SMP-L and SMP-G)",
        "smp_lab.masks",
        "kept_count",
        "return",
    ),
)
WORDS = (
    "Two layers of one size have scores of different heights, and v of all weights is kept. SMP-L keeps v of each "
    "layer, SMP-S lets the layers compete by the mean of sigmoid(S), and SMP-G ranks all scores together."
)


def show() -> None:
    """Sliders for the mean scores and v; a guess about the first layer."""
    left, right = frame.halves()
    with left:
        one, other = st.columns(2)
        first = one.slider("Mean score, layer 1", -3.0, 3.0, 1.5, step=0.25, key="mean1", bind="query-params")
        second = other.slider("Mean score, layer 2", -3.0, 3.0, -1.0, step=0.25, key="mean2", bind="query-params")
        v = st.slider("Keep v (%)", 1, 99, 50, key="v6", bind="query-params", help=explain("asked to keep", "share"))
        scores = two_layers((first, second))
        counts = kept_counts(scores, v / 100)
        wanted = asked(scores, v / 100)
        shares = {name: [count / N_WEIGHTS for count in pair] for name, pair in counts.items()}
        mine, level = counts["share"][0], counts["local"][0]
        right_answer = (
            _ALL if mine == N_WEIGHTS else _AS_MUCH if abs(mine - level) <= 1 else _MORE if mine > level else _LESS
        )
        r = mean_sigmoids(scores)
        guessed = frame.guess(
            "guess_share",
            "How much of layer 1 does SMP-S keep?",
            _ANSWERS,
            right_answer,
            f"r is {r[0]:.2f} and {r[1]:.2f}, so the formula asks for {percent(wanted[0])} and {percent(wanted[1])}. "
            + (
                "More than a whole layer cannot be had: the other layer gets the rest, and the two together keep v. "
                if max(wanted) > 1
                else "The mean of the two is v. "
            )
            + f"SMP-G keeps {percent(shares['global'][0])} and {percent(shares['global'][1])}.",
        )
    with right:
        shown = shares if guessed else {"local": shares["local"]}
        frame.picture(
            plot_shares,
            [values.ravel() for values in scores],
            shown,
            wanted if guessed else None,
            alt=(
                f"Histograms of the scores of two layers with means {first:g} and {second:g}, and bars of how much of "
                "each is kept: "
                + "; ".join(f"{name} {percent(pair[0])} and {percent(pair[1])}" for name, pair in shown.items())
                + "."
            ),
        )
