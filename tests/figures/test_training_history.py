import numpy as np
import pandas as pd
import pytest

from smp_lab.figures.training_history import (
    plot_evaluations,
    plot_flips,
    plot_loss,
    plot_regularizer,
    plot_remaining,
)

TABLE = pd.DataFrame(
    {
        "run": ["A", "A", "B"],
        "task": ["rte", "rte", "cola"],
        "method": "smp_s",
        "level": [0.1, 0.1, 0.5],
        "step": [10, 20, 15],
        "epoch": [1.0, 2.0, 1.5],
        "loss": [0.7, 0.5, 0.6],
        "regularizer": [0.5, 0.4, 0.3],
        "regularizer_weight": [0.0, 400.0, 200.0],
        "nominal": [1.0, 0.1, 0.5],
        "remaining": [0.99, 0.1, 0.5],
        "forced": [35, 0, 9],
        "swaps": [5, 12, 3],
        "metric": ["accuracy", "accuracy", "matthews_correlation"],
        "value": [0.5, 0.6, 0.3],
        "n_examples": [277, 277, 1043],
    }
)


def drawn(figure):
    return {(trace.name, trace.yaxis or "y"): (list(trace.x), list(trace.y)) for trace in figure.data}


@pytest.mark.parametrize(("x", "places"), [("step", [10, 20]), ("epoch", [1.0, 2.0])])
def test_loss_on_either_axis(x, places):
    figure = plot_loss(TABLE, x)
    assert drawn(figure) == {("A", "y"): (places, [0.7, 0.5]), ("B", "y"): ([TABLE[x][2]], [0.6])}
    # Of a regression it is no information.
    assert figure.layout.yaxis.title.text == "Loss"


def test_regularizer_and_weight_have_a_panel_each():
    lines = drawn(plot_regularizer(TABLE))
    assert lines[("A", "y")] == ([10, 20], [0.5, 0.4])
    assert lines[("A", "y2")] == ([10, 20], [0.0, 400.0])
    for method, said in (("smp_s", False), ("l0", True)):
        words = plot_regularizer(TABLE.assign(method=method)).layout.title.subtitle.text
        assert ("open gates" in words) == said


def test_remaining_draws_measured_lines_and_scheduled_circles():
    measured, _, scheduled, _ = plot_remaining(TABLE).data
    assert (measured.mode, list(measured.y)) == ("lines", [99, 10])
    assert (scheduled.mode, list(scheduled.y)) == ("markers", [100, 10])
    assert scheduled.marker.symbol == "circle-open"
    assert not scheduled.showlegend


def test_evaluations_name_metric_and_examples():
    figure = plot_evaluations(TABLE)
    assert figure.layout.title.subtitle.text == "Accuracy; MCC"
    assert list(figure.data[0].y) == [50, 60]
    assert list(figure.data[1].customdata[0]) == ["MCC", 50, ", n = 1,043"]
    assert "% kept" in figure.data[0].hovertemplate
    # While a run trains its examples are not counted yet.
    assert plot_evaluations(TABLE.assign(n_examples=np.nan)).data[1].customdata[0][2] == ""


def test_flips_apart_on_one_scale():
    figure = plot_flips(TABLE)
    assert drawn(figure)[("A", "y")] == ([10, 20], [35, 0])
    assert drawn(figure)[("A", "y2")] == ([10, 20], [5, 12])
    assert figure.layout.yaxis.type == figure.layout.yaxis2.type == "log"
    assert figure.layout.yaxis2.matches == "y"
    # Plotly draws a zero of such a scale far below it.
    assert "At a step with none a line leaves the scale" in figure.layout.title.subtitle.text
    # Not all methods have a schedule.
    assert [note.text for note in figure.layout.annotations] == ["Forced: fewer are kept", "True swaps"]


@pytest.mark.parametrize("plot", [plot_loss, plot_regularizer, plot_remaining, plot_evaluations, plot_flips])
def test_every_run_is_in_the_legend_once(plot):
    assert [trace.name for trace in plot(TABLE).data if trace.showlegend is not False] == ["A", "B"]
