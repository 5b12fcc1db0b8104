"""How the chosen runs were trained: objective, remaining weights, metric and flips over the steps."""

from __future__ import annotations

import streamlit as st

from smp_lab.analysis import training_history as analysis
from smp_lab.analysis.replicates import along_lines
from smp_lab.figures import style
from smp_lab.figures import training_history as figures
from smp_lab.ui import cache, controls, messages
from smp_lab.ui.glossary import explain


def main() -> None:
    st.title("How did the masks come about?")
    answer = messages.answer_slot()
    runs = controls.chosen_runs(cache.run_index(), otherwise=controls.ONE_PER_TASK)
    x = controls.one_of("Horizontal axis", figures.AXES, key="x")
    histories = messages.readable(runs, cache.history)
    if not histories:
        return
    progress = controls.tables_of_runs(
        [(run, cache.computed(analysis.progress, history, run.layout.n_weights)) for run, history in histories]
    )
    flips = controls.tables_of_runs([(run, cache.computed(analysis.flips, history)) for run, history in histories])
    metrics = controls.tables_of_runs([(run, cache.computed(analysis.evaluations_of, run)) for run in runs])
    with answer:
        if words := analysis.settled(flips, progress):
            st.markdown(words, help=explain("kept", "schedule", "true swap"))
    if not controls.seeds_apart(metrics):
        place = ["step", "epoch"]
        metrics = along_lines(metrics, place, ["value"])
        progress = along_lines(progress, place, ["loss", "regularizer", "regularizer_weight", "remaining"])
        flips = along_lines(flips, place, ["forced", "swaps"])
    color = controls.color_by()
    named = f"for {len(runs)} run{'s' * (len(runs) > 1)}, by {x}."
    pairs = (
        (
            (figures.plot_evaluations, metrics, "main-metric", "Main metric"),
            (figures.plot_remaining, progress, "remaining-over-training", "Remaining weights in percent and schedule"),
        ),
        (
            (figures.plot_loss, progress, "task-loss", "Training loss"),
            (figures.plot_regularizer, progress, "regularizer", "Regulariser R and its weight lambda"),
        ),
    )
    few = metrics["run"].nunique() <= style.MOST_SIDE_BY_SIDE
    least = None if few else style.PAGE_PIXELS
    for pair in pairs:
        places = st.columns(2, gap="medium") if few else [st.container(), st.container()]
        for column, (plot, table, key, what) in zip(places, pair, strict=True):
            with column:
                controls.show(plot, table, x, color, key=key, alt=f"{what} {named}", min_width=least)
    controls.show(
        figures.plot_flips,
        flips,
        x,
        color,
        key="flips",
        alt=f"Weights that change sides in a step, forced because fewer are kept, and truly swapped, {named}",
        min_width=style.PAGE_PIXELS,
    )


main()
