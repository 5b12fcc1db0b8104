"""Figures of what carries an answer: each trace against its column."""

from __future__ import annotations

import pandas as pd
import pytest

from smp_lab.figures.answers import plot_parts, plot_tokens
from smp_lab.figures.style import KEPT_COLOR, REMOVED_COLOR
from smp_lab.layout import MatrixId

HEADS = pd.DataFrame({"layer": [0, 0, 1, 1], "part": [0, 1, 0, 1], "change": [0.1, -0.2, 0.3, -0.4]})


def test_a_bar_per_token():
    figure = plot_tokens(pd.DataFrame({"place": [0, 1], "token": ["a", "b"], "change": [0.1, -0.3]}), "P(great)")
    (bars,) = figure.data
    assert list(bars.y) == [0.1, -0.3]
    # Hiding the second takes from the answer: it spoke for it.
    assert list(bars.marker.color) == [REMOVED_COLOR, KEPT_COLOR]
    assert list(figure.layout.xaxis.ticktext) == ["a", "b"]
    assert "P(great)" in figure.layout.yaxis.title.text


def test_cells_and_the_squares_to_click_are_those_of_the_table():
    figure = plot_parts(HEADS, "P(great)", [(1, 0)])
    cells, squares, rings = figure.data
    assert cells.z.tolist() == [[0.1, -0.2], [0.3, -0.4]]
    assert [tuple(facts) for facts in squares.customdata] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [float(text) for text in squares.text] == pytest.approx([0.1, -0.2, 0.3, -0.4])
    assert [tuple(facts) for facts in rings.customdata] == [(0, None), (1, None), (None, 0), (None, 1)]
    assert list(zip(rings.x, rings.y, strict=True)) == [(2, 0), (2, 1), (0, 2), (1, 2)]
    assert list(figure.layout.yaxis.tickvals) == [0, 1]
    assert {(shape.x0, shape.y0) for shape in figure.layout.shapes} == {(-0.5, 0.5)}
    assert figure.layout.coloraxis.cmin == -figure.layout.coloraxis.cmax == -0.4


def test_an_interval_that_is_known_is_told():
    _, squares = plot_parts(HEADS.assign(low=-0.5, high=[0.2, 0.3, 0.4, 0.5]), "accuracy in points").data
    assert squares.text[0] == "+0.10 (95 %: -0.50 to +0.20)"


def test_matrices_stand_in_their_order():
    matrices = [MatrixId(0, "output"), MatrixId(0, "query")]
    table = pd.DataFrame(matrices, columns=["layer", "part"]).assign(change=[0.5, -0.5])
    cells, _ = plot_parts(table, "the score").data
    assert cells.z.tolist() == [[-0.5, 0.5]]
