"""Scores over training: where they lie, what they have to do with the weights, and when the mask is decided."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from smp_lab.figures.style import MATRIX_TITLES
from smp_lab.layout import MATRIX_TYPES
from smp_lab.storage.runs import RunRecord
from smp_lab.ui import cache, controls, links, messages
from smp_lab.ui import score_views as views
from smp_lab.ui.glossary import explain

_EVERY = "all"
_DISTRIBUTION, _HISTORY, _WEIGHTS, _DECISION = _VIEWS = (
    "distribution",
    "over training",
    "score and weight",
    "when decided",
)
_QUESTIONS = {
    _DISTRIBUTION: "Which scores does a mask keep?",
    _HISTORY: "How do scores move in training?",
    _WEIGHTS: "Does a mask keep the large weights?",
    _DECISION: "When is a mask decided?",
}


def main() -> None:
    question, answer = st.container(), messages.answer_slot()
    chosen = _pick(controls.chosen_runs(cache.run_index()))
    with st.container(horizontal=True):
        view = controls.one_of("View", _VIEWS, key="view")
        if view != _DECISION:
            kind, layer = _matrices(chosen)
    question.title(_QUESTIONS[view])
    with answer:
        words = st.empty()
    if view == _DECISION:
        found = views.decision(chosen)
    else:
        draw = {_DISTRIBUTION: views.distribution, _HISTORY: views.history, _WEIGHTS: views.weights}[view]
        found = draw(chosen, kind, layer)
    words.markdown("  \n".join(found), help=explain("kept", "cut", "snapshot"))


def _pick(runs: Sequence[RunRecord]) -> views.Chosen:
    """One run, or two to stand side by side; the page ends where none has scores."""
    with_scores = {run.run_id: run for run in runs if run.has_scores}
    if not with_scores:
        st.title(_QUESTIONS[_DISTRIBUTION])
        st.info("None of these runs has scores: only methods that learn a score for each weight record them.")
        st.stop()
    labels = controls.run_labels(list(with_scores.values()))
    # Of runs that somebody chose the first comes first.
    asked = st.session_state.get(links.RUNS)
    first = next(iter(with_scores)) if asked else controls.clearest(list(with_scores.values()))
    picked = controls.pick_one_or_two(st.columns(2), labels, ("score_run", "beside"), index=list(labels).index(first))
    chosen = messages.readable([with_scores[run_id] for run_id in picked], cache.scores)
    if not chosen:
        st.stop()
    labels = controls.run_labels([run for run, _ in chosen])
    return [(run, scores, labels[run.run_id]) for run, scores in chosen]


def _matrices(chosen: views.Chosen) -> tuple[str, int | None]:
    layers = min(run.layout.n_layers for run, _, _ in chosen)
    titles = {kind: MATRIX_TITLES[kind] for kind in (*MATRIX_TYPES, _EVERY)}
    kind = controls.pick("Matrix type", titles, key="score_type", width=200)
    layer = st.selectbox("Layer", [_EVERY, *map(str, range(layers))], key="score_layer", bind="query-params", width=100)
    return kind, None if layer == _EVERY else int(layer)


main()
