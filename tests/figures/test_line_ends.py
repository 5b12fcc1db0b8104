import numpy as np
import pytest

from smp_lab.figures.line_ends import label_line_ends
from smp_lab.figures.style import new_figure

# 780 by 340 pixels: a figure of the page's width, less what is above and the axis below.
SIDE = {"x": (0.0, 10.0), "height": 450}


def drawn(*lines, x=SIDE["x"], height=SIDE["height"], kind=None):
    """A figure of lines: name, x, y, and what else a trace takes."""
    figure = new_figure("A title", "In a unit", height=height)
    for name, along, values, *rest in lines:
        more = rest[0] if rest else {}
        figure.add_scatter(x=along, y=values, name=name, legendgroup=name, mode="lines", **more)
    figure.update_layout(margin_t=60)
    figure.update_xaxes(range=x, type=kind)
    label_line_ends(figure)
    return {
        trace.text[0]: (trace.x[0], trace.y[0], trace.textposition, trace.legendgroup)
        for trace in figure.data
        if trace.text
    }


def test_a_name_stands_at_the_end_of_its_line_and_goes_with_it():
    found = drawn(("low", [1, 5], [0, 1]), ("high", [1, 5], [9, 8]))
    assert found == {"low": (5, 1, "middle right", "low"), "high": (5, 8, "middle right", "high")}


def test_a_line_that_ends_at_the_edge_has_its_name_elsewhere():
    assert drawn(("line", [4, 10], [0, 9]))["line"][:3] == (4, 0, "middle left")
    low, high = ("low", [0, 1], [0, 0]), ("high", [0, 1], [9, 9])
    assert drawn(("level", [0, 10], [5, 5]), low, high)["level"][:3] == (10, 5, "top left")


@pytest.mark.parametrize(("apart", "n_named"), [(0.01, 0), (2, 5)])
def test_of_lines_that_end_together_none_has_a_name_that_could_be_of_another(apart, n_named):
    lines = [(f"line {place}", [2, 6], [apart * place] * 2) for place in range(5)]
    assert len(drawn(("scale", [9, 9.1], [0, 10]), *lines)) - 1 == n_named


def test_no_name_lies_on_a_line():
    wall = ("wall", [5.3, 5.3], [0, 10])
    assert drawn(("line", [1, 5], [5, 5]), wall)["line"][2] != "middle right"


def test_bars_of_error_are_in_the_way():
    dot = ("dot", [5.2], [0.0], {"error_y": {"array": [10.0], "arrayminus": [0.0]}})
    assert drawn(("line", [1, 5], [5, 5]))["line"][2] == "middle right"
    assert drawn(("line", [1, 5], [5, 5]), dot)["line"][2] != "middle right"


def test_a_name_that_is_wider_than_its_panel_is_left_to_the_legend():
    assert drawn(("n" * 200, [1, 5], [0, 1])) == {}


def test_places_on_a_logarithmic_axis_are_those_of_its_powers():
    # A line to 10 of 1 to 100 ends in the middle, where half of the width is free.
    assert drawn(("n" * 55, [1, 10], [0, 1]), x=(0, 2), kind="log") == {"n" * 55: (10, 1, "middle right", "n" * 55)}
    assert drawn(("n" * 60, [1, 10], [0, 1]), x=(0, 2), kind="log") == {}


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_a_line_without_points_has_no_name(values):
    assert drawn(("line", values, values), ("other", [1, 5], [0, 1])).keys() == {"other"}
