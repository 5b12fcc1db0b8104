"""Marks of cuts against their columns."""

import pandas as pd
import pytest

from smp_lab.figures.costs import plot_cuts, plot_times
from smp_lab.figures.style import TASK_COLORS

TABLE = pd.DataFrame(
    {
        "run": ["a"] * 2,
        "task": "rte",
        "cut": [0, 10],
        "left": [0.9, 0.6],
        "value": [0.7, 0.65],
        "change": [0, -0.05],
        "n_examples": 9,
    }
)


def test_a_line_per_run_and_the_published_points_hollow():
    figure = plot_cuts(TABLE)
    line, published = figure.data
    assert list(line.x) == [90, 60] and list(line.y) == pytest.approx([0, -5])
    assert list(line.text) == ["0", "10"]
    # Jiang et al. (2023), section 8.
    assert list(published.x) == [47.43, 25.19] and list(published.y) == [0, -0.9]
    assert all(symbol.endswith("-open") for symbol in published.marker.symbol) and published.line.dash == "dash"
    # A cut has one mark, measured or published, and the subtitle says which.
    assert [f"{symbol}-open" for symbol in line.marker.symbol] == list(published.marker.symbol)
    assert "0 circle, 10 square" in figure.layout.title.subtitle.text
    # Two scopes on one axis.
    assert "embeddings included" in figure.layout.xaxis.title.text
    assert "without embeddings" in published.name and "without embeddings" in published.hovertemplate


def test_many_masks_leave_the_lines_their_height():
    table = pd.concat([TABLE.assign(run=f"RTE · SMP-S · {level} % · minilm-l6 · seed 0") for level in range(30)])
    layout = plot_cuts(table).layout
    # Two names beside one another.
    assert layout.legend.entrywidth > 0.4
    assert layout.height == plot_cuts(TABLE).layout.height + 24 * 15
    assert "hollow: published" in layout.title.subtitle.text


def test_runs_of_one_task_have_its_colour_and_dashes_of_their_own():
    spread = {"form": "compact", "milliseconds": 9.0, "faster": 2.0, "faster_low": 1.9, "faster_high": 2.3, "rounds": 5}
    runs = [("a", "rte"), ("b", "rte"), ("c", "sst2"), ("d", "rte")]
    table = pd.concat([TABLE.assign(run=run, task=task, **spread) for run, task in runs])
    for figure in (plot_cuts(table), plot_times(table, "1 thread")):
        *lines, _ = figure.data
        assert [line.name for line in lines] == [run for run, _ in runs]
        assert [line.line.color for line in lines] == [TASK_COLORS[task] for _, task in runs]
        assert lines[0].line.dash == lines[2].line.dash == "solid"
        assert len({lines[place].line.dash for place in (0, 1, 3)}) == 3


def test_times_against_what_is_left_with_the_published_ones_hollow():
    spread = {"milliseconds": 9.0, "faster_low": [1.0, 1.9], "faster_high": [1.2, 2.3], "rounds": 5}
    table = TABLE.assign(form="compact", faster=[1.1, 2.0], **spread)
    others = table.assign(form="onnx", faster=3.0)
    figure = plot_times(pd.concat([table, others]), "1 thread")
    line, published = figure.data
    assert (list(line.x), list(line.y)) == ([90, 60], [1.1, 2.0])
    assert list(line.error_y.array) == pytest.approx([0.1, 0.3])
    assert list(line.error_y.arrayminus) == pytest.approx([0.1, 0.1])
    assert list(published.y) == [1.37, 1.76] and published.line.dash == "dash"
    # As fast as masked weights.
    assert [shape.y0 for shape in figure.layout.shapes] == [1]
    assert all(symbol.endswith("-open") for symbol in published.marker.symbol)
    assert "1 thread" in figure.layout.title.subtitle.text
    assert "was timed yet" in plot_times(others, "1 thread").to_json()
