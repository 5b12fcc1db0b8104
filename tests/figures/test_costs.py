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
    line, published = plot_cuts(TABLE).data
    assert list(line.x) == [90, 60] and list(line.y) == pytest.approx([0, -5])
    assert list(line.text) == ["0", "10"]
    assert list(published.x) == [left for _, left, _, _ in PUBLISHED]
    assert published.marker.symbol == "circle-open" and published.line.dash == "dash"


def test_an_empty_table_says_so():
    assert "was measured yet" in plot_cuts(TABLE[:0]).to_json()
