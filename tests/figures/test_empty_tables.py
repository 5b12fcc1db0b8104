"""What a figure of nothing says."""

import inspect

import pandas as pd
import plotly.graph_objects as go
import pytest

from smp_lab.figures import (
    answers,
    costs,
    curves,
    live,
    overlap,
    overview,
    scores,
    sparsity,
    training_history,
    transfer,
)

EMPTY = pd.DataFrame(columns=["form", "left", "remaining"])
NO_CUTS = pd.Series([], dtype=float)
SCALES = {"scores": (-1, 1), "densities": (0.1, 1)}

FIGURES = [
    (answers.plot_tokens, ("P(great)",), {}, "asked"),
    (answers.plot_parts, ("P(great)",), {}, "asked"),
    (costs.plot_cuts, (), {}, "measured"),
    (costs.plot_times, ("1 thread",), {}, "timed"),
    (curves.plot_curves, (EMPTY, EMPTY), {}, "chosen"),
    (curves.plot_difference, (EMPTY, EMPTY), {}, "dense run"),
    (live.plot_progress, (live.METRIC, 50), {}, "measured"),
    (live.plot_kept_by_matrix, (0,), {}, "recorded"),
    (overlap.plot_pairs, ({}, (), (), "lift"), {}, "encoder"),
    (overlap.plot_pair_kinds, ([], "lift"), {}, "encoder"),
    (overlap.plot_parts, ("lift", ""), {}, "chosen"),
    (overlap.plot_parts, ("lift", "", "query"), {}, "chosen"),
    (overlap.plot_shared, ("A", "B"), {}, "chosen"),
    (overlap.plot_regions, ({},), {}, "chosen"),
    (overview.plot_answer, (), {}, "no level with every task"),
    (scores.plot_distribution, (EMPTY, "", 0), SCALES, "chosen"),
    (scores.plot_score_history, (EMPTY, ""), {**SCALES, "columns": 2}, "chosen"),
    (scores.plot_weight_scores, (NO_CUTS, NO_CUTS, ""), {**SCALES, "weights": (0, 1)}, "chosen"),
    (scores.plot_similarity, ("recall",), {}, "chosen"),
    (scores.plot_snapshot_flips, (), {}, "no run"),
    (scores.plot_matrices, ("share", "A title", "", ""), {"values": (0, 1), "facts": [], "hover": ""}, "chosen"),
    (sparsity.plot_remaining_per_layer, (), {}, "chosen"),
    (sparsity.plot_remaining_per_head, ("query",), {}, "chosen"),
    (sparsity.plot_matrix, ("none", None, 1), {}, "chosen"),
    # Controls are runs too.
    (training_history.plot_loss, (), {}, "trained"),
    (training_history.plot_regularizer, (), {}, "trained"),
    (training_history.plot_remaining, (), {}, "trained"),
    (training_history.plot_evaluations, (), {}, "recorded"),
    (training_history.plot_flips, (), {}, "trained"),
    (transfer.plot_transfer, (), {}, "No mask"),
]


@pytest.mark.parametrize(("plot", "args", "settings", "words"), FIGURES)
def test_an_empty_table_gives_a_titled_figure_that_says_so(plot, args, settings, words):
    figure = plot(EMPTY, *args, **settings)
    assert isinstance(figure, go.Figure)
    assert figure.layout.title.text
    assert len(figure.data) == 0
    (note,) = figure.layout.annotations
    assert words in note.text and note.text.endswith(".")


def test_no_figure_is_left_out():
    modules = {inspect.getmodule(plot) for plot, *_ in FIGURES}
    there = {
        function
        for module in modules
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if name.startswith("plot_") and function.__module__ == module.__name__
    }
    assert there == {plot for plot, *_ in FIGURES}
