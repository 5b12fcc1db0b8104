"""Marks of cuts against their columns."""

import pandas as pd
import pytest

from smp_lab.figures.costs import PUBLISHED, plot_cuts

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
    assert list(published.x) == [left for _, left, _, _ in PUBLISHED]
    assert all(symbol.endswith("-open") for symbol in published.marker.symbol) and published.line.dash == "dash"
    # A cut has one mark, measured or published, and the subtitle says which.
    assert [f"{symbol}-open" for symbol in line.marker.symbol] == list(published.marker.symbol)
    assert "0 circle, 10 square" in figure.layout.title.subtitle.text


def test_an_empty_table_says_so():
    assert "was measured yet" in plot_cuts(TABLE[:0]).to_json()
