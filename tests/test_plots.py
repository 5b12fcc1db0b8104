"""The public figures, on records of a test and as README shows them."""

from __future__ import annotations

import inspect

import plotly.graph_objects as go
import pytest
from conftest import make_run

from smp_lab import plots
from smp_lab.errors import MaskFormatError, RunFormatError

OF_RUNS = [
    plots.remaining_per_layer,
    plots.remaining_per_head,
    plots.overlap,
    plots.overlap_by_kind,
    plots.intersections,
    plots.similarity_to_final,
    plots.evaluations,
    plots.remaining_over_training,
]


@pytest.fixture
def three(runs):
    return [make_run(runs, seed=0), make_run(runs, seed=1, mask_seed=1), make_run(runs, task="cola", mask_seed=2)]


@pytest.mark.parametrize("plot", OF_RUNS)
def test_each_is_one_call_on_runs(three, plot):
    figure = plot(three)
    assert isinstance(figure, go.Figure)
    assert figure.data
    assert "RTE" in figure.to_json()


def test_each_of_one_run(three):
    assert plots.mask(three[0], 1, "value").data[0].z.shape == (16, 16)
    assert "step 10 of 30" in plots.score_distribution(three[0], "query", share_of_steps=0.3).layout.title.subtitle.text


def test_no_public_figure_is_untried():
    public = {
        function
        for name, function in inspect.getmembers(plots, inspect.isfunction)
        if not name.startswith("_") and function.__module__ == plots.__name__
    }
    assert public == {*OF_RUNS, plots.mask, plots.score_distribution, plots.open_runs}


def test_runs_are_opened_by_their_settings(runs, three):
    assert [run.run_id for run in plots.open_runs(runs, task="cola")] == [three[2].run_id]
    assert len(plots.open_runs(runs)) == 3
    with pytest.raises(RunFormatError, match="No run in .* has task='sst2', seed=9"):
        plots.open_runs(runs, task="sst2", seed=9)


def test_one_mask_has_no_overlap(three):
    with pytest.raises(MaskFormatError, match="two masks or more; 1 of these 1 runs"):
        plots.overlap(three[:1])
