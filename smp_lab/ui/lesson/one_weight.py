"""Screen 1: whether a score rises or falls, for a kept and for a removed weight."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from smp_lab.figures.lesson.neuron import plot_neuron
from smp_lab.lesson.neuron import DIRECTIONS, MOST_INPUTS, a_neuron, direction
from smp_lab.ui import controls
from smp_lab.ui.glossary import explain
from smp_lab.ui.lesson import frame

_LEARNING_RATE = 1.0
_MASKS, _WISHES = ("kept", "removed"), ("grow", "shrink")


class Case(NamedTuple):
    """Whether the mask keeps the weight, and whether the output should grow."""

    kept: bool
    up: bool

    def __str__(self) -> str:
        return f"{_MASKS[not self.kept]}, y should {_WISHES[not self.up]}"


_CASES = tuple(Case(kept, up) for kept in (True, False) for up in (True, False))

FORMULAS = (
    frame.Formula(
        r"\frac{\partial L}{\partial S} := \frac{\partial L}{\partial W'}\, W, \qquad W' = W \odot M",
        "Jiang et al., ACL 2023; for movement pruning Sanh, Wolf and Rush, NeurIPS 2020",
        "smp_lab.training.pruned_weights",
        "_StraightThrough.backward",
        "score_gradient = gradient.to",
    ),
)
WORDS = (
    "The weight **W** is frozen, and only its score **S** learns: a step moves S against dL/dW' · W. A removed weight "
    "adds nothing to the output **y**: say in each of the four cases where the score of W₁ goes."
)


def show() -> None:
    """A neuron with two to six inputs, four cases, and a table that fills with what was guessed."""
    left, right = frame.halves()
    with left:
        one, other = st.columns(2)
        n_inputs = one.slider("Inputs", 2, MOST_INPUTS, 3, key="inputs", bind="query-params")
        weight = other.slider(
            "Weight W₁",
            -1.5,
            1.5,
            0.9,
            step=0.1,
            key="w1",
            bind="query-params",
            help=explain("score", "kept", "removed"),
        )
        one, other = st.columns(2)
        with one:
            mask = controls.one_of("W₁ is", _MASKS, key="w1_is")
        with other:
            wish = controls.one_of("y should", _WISHES, key="y_should")
        case = Case(mask == _MASKS[0], wish == _WISHES[0])
        neuron = a_neuron(n_inputs, weight, kept=case.kept, up=case.up)
        change = -_LEARNING_RATE * float(neuron.score_gradients[0])
        guessed = frame.guess(
            _key(case),
            "One step. Where does the score of W₁ go?",
            DIRECTIONS,
            direction(change),
            f"dL/dW' = {neuron.weight_gradients[0]:+.2f} and W = {weight:+.1f}, so S goes from 0 to {change:+.2f}. "
            + reason(weight, case),
        )
        _table(case, weight, n_inputs)
    with right:
        scores = [-_LEARNING_RATE * float(gradient) for gradient in neuron.score_gradients] if guessed else None
        frame.picture(
            plot_neuron,
            neuron.weights.tolist(),
            neuron.mask.tolist(),
            neuron.inputs.tolist(),
            neuron.output,
            neuron.target,
            scores,
            alt=(
                f"A neuron with {n_inputs} inputs. Its first weight is {weight:+.1f} and {case}: its output is "
                f"{neuron.output:.1f}, wanted is {neuron.target:.1f}. "
                + (f"After one step its score is {change:+.2f}." if guessed else "All scores are 0.")
            ),
        )


def _key(case: Case) -> str:
    return f"guess_{_MASKS[not case.kept]}_{_WISHES[not case.up]}"


def reason(weight: float, case: Case) -> str:
    """What the loss wants of the weight, in a sentence."""
    if weight == 0:
        return "A weight of 0 adds nothing, kept or removed, so its score has no reason to move."
    if (weight > 0) == case.up:
        return (
            "The loss wants this weight further from 0."
            if case.kept
            else "The loss wants what this weight would add: the mask hides it from the output, not from the gradient."
        )
    return (
        "The loss wants this weight nearer to 0."
        if case.kept
        else "The loss wants the opposite of what this weight would add: it is better left out."
    )


def _table(here: Case, weight: float, n_inputs: int) -> None:
    """The cases that were guessed, with what is so."""
    rows = []
    for case in _CASES:
        answer = "?"
        given = st.session_state.get(_key(case)) or st.query_params.get(_key(case))
        if given:
            gradient = a_neuron(n_inputs, weight, kept=case.kept, up=case.up).score_gradients[0]
            right = direction(-float(gradient))
            answer = f"S {right} {'✓' if given == right else '✗'}"
        rows.append(f"<tr{' class=here' * (case == here)}><td>{case}</td><td>{answer}</td></tr>")
    st.html(f"<table class=lesson-table><caption hidden>Where the score goes</caption>{''.join(rows)}</table>")
