"""Pictures of the lesson against what they are drawn from."""

import numpy as np
import plotly.graph_objects as go
import pytest

from smp_lab.figures.lesson.network import MOST_UNITS, Side, plot_network
from smp_lab.figures.lesson.neuron import plot_neuron
from smp_lab.figures.lesson.plane import plot_plane
from smp_lab.figures.lesson.real import plot_bars, plot_snapshots, plot_three
from smp_lab.figures.lesson.regulariser import plot_heads, plot_regulariser
from smp_lab.figures.lesson.shares import plot_shares
from smp_lab.figures.lesson.slopes import plot_slopes
from smp_lab.figures.style import KEPT_COLOR, METHOD_COLORS, REMOVED_COLOR


def lines_of(figure, color):
    lines = (trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines")
    return [line for line in lines if line.line.color == color]


def named(figure, name):
    (trace,) = (trace for trace in figure.data if trace.name == name)
    return trace


def test_a_removed_weight_is_grey_and_dotted():
    figure = plot_neuron([0.9, -0.5], [False, True], [1, 1], -0.5, 0.5, [0.1, -0.2])
    (removed,), (kept,) = (lines_of(figure, color) for color in (REMOVED_COLOR, KEPT_COLOR))
    assert (removed.line.dash, removed.line.width) == ("dot", 1 + 6 * 0.9)
    assert (kept.line.dash, kept.line.width) == ("solid", 1 + 6 * 0.5)
    (bars,) = (trace for trace in figure.data if trace.type == "bar")
    assert list(bars.x) == [0.1, -0.2]
    assert any(note.text == "wanted: 0.5" for note in figure.layout.annotations)


def test_scores_before_the_step_are_zero():
    figure = plot_neuron([0.9, -0.5], [True, True], [1, 1], 0.4, -0.6, None)
    assert list(figure.data[-1].x) == [0, 0]


@pytest.mark.parametrize("target", [-0.6, 0.9])
def test_an_arrow_shows_where_the_output_should_go(target):
    figure = plot_neuron([0.9, -0.5], [True, True], [1, 1], 0.4, target, None)
    (arrow,) = (note for note in figure.layout.annotations if note.arrowhead)
    assert (arrow.y > arrow.ay) == (target > 0.4)


@pytest.fixture
def cloud():
    rng = np.random.default_rng(0)
    weights = np.tile(rng.normal(size=12), (3, 1))
    scores = np.cumsum(rng.normal(size=(3, 12)), axis=0)
    kept = np.ones((3, 12), bool)
    for place, count in ((1, 8), (2, 4)):
        kept[place] = scores[place] >= np.sort(scores[place])[-count]
    return weights, scores, kept


def test_points_of_the_plane_are_the_weights_and_the_cut_is_the_lowest_that_is_kept(cloud):
    weights, scores, kept = cloud
    figure = plot_plane(weights, scores, kept, [0, 10, 20], False, 6, True)
    for place, frame in enumerate(figure.frames):
        removed, stays, cut, way = frame.data
        np.testing.assert_array_equal(stays.x, weights[place][kept[place]])
        np.testing.assert_array_equal(stays.y, scores[place][kept[place]])
        assert len(removed.x) == 12 - len(stays.x)
        assert set(cut.y) == {scores[place][kept[place]].min()}
        np.testing.assert_array_equal(way.y, scores[: place + 1, 6])
    np.testing.assert_array_equal(named(figure, "kept").y, figure.frames[-1].data[1].y)
    assert list(figure.data[4].marker.color) == [KEPT_COLOR, KEPT_COLOR, REMOVED_COLOR]


def test_a_step_is_shown_as_its_nearest_frame_is(cloud):
    figure = plot_plane(*cloud, [0, 10, 20], False, 5, True, 12)
    assert figure.layout.sliders[0].active == 1
    for trace, part in zip(figure.data, figure.frames[1].data, strict=False):
        np.testing.assert_array_equal(trace.y, part.y)
    last = plot_plane(*cloud, [0, 10, 20], False, 5, True)
    assert last.layout.sliders[0].active == 2
    assert len(named(last, "way of weight 5").y) == 3


def test_magnitude_cuts_upright_and_before_a_guess_nothing_plays(cloud):
    weights, scores, kept = cloud
    figure = plot_plane(weights, scores, kept, [0, 10, 20], True, 5, False)
    assert not figure.frames
    lowest = np.abs(weights[0]).min()
    assert {x for x in named(figure, "cut").x if x is not None} == {-lowest, lowest}
    assert len(named(figure, "removed").x) == 0


def test_lines_of_the_network_are_the_kept_weights():
    rng = np.random.default_rng(0)
    sides = []
    for name, width in (("a", 8), ("b", 20)):
        surfaces = rng.integers(0, 100, (2, 5, 5), np.uint8)
        sides.append(Side(name, surfaces, rng.random((2, 2, width, width)) < 0.4, np.array([0.5, 1]), np.ones(11)))
    figure = go.Figure(plot_network(sides, [0, 10], rng.normal(size=(6, 2)), np.arange(6) % 2, 1.5, True))
    for place, frame in enumerate(figure.frames):
        for number, side in enumerate(sides):
            surface, lines = frame.data[2 * number : 2 * number + 2]
            np.testing.assert_array_equal(surface.z, side.surfaces[place])
            high = np.linspace(1, 0, min(side.masks.shape[-1], MOST_UNITS), dtype=np.float32)
            edges = np.argwhere(side.masks[place][:, : len(high), : len(high)])
            drawn = set(zip(lines.x, lines.y, lines.x[1:], lines.y[1:], strict=False))
            # There, and back to the unit where the next line starts.
            there = {(layer, high[into], layer + 1, high[out]) for layer, out, into in edges}
            back = {(*line[2:], *line[:2]) for line in there}
            assert there <= {line for line in drawn if not np.isnan(line).any()} <= there | back
    np.testing.assert_array_equal(figure.data[0].z, sides[0].surfaces[-1])
    early = go.Figure(plot_network(sides, [0, 10], rng.normal(size=(6, 2)), np.arange(6) % 2, 1.5, True, 4))
    np.testing.assert_array_equal(early.data[0].z, sides[0].surfaces[0])
    assert early.layout.sliders[0].active == 0
    # A line goes from the unit that the weight reads to the unit that it feeds.
    masks = np.zeros((1, 1, 3, 3), bool)
    masks[0, 0, 2, 0] = True
    one = Side("one", np.zeros((1, 2, 2), np.uint8), masks, np.ones(1), np.ones(1))
    figure = go.Figure(plot_network([one, one], [0], np.zeros((2, 2)), np.arange(2), 1, False))
    line = lines_of(figure, KEPT_COLOR)[0]
    assert list(zip(line.x, line.y, strict=True))[:2] == [(0, 1), (1, 0)]


def test_curves_are_those_of_their_side_and_points_have_the_colour_of_their_class():
    masks = np.zeros((1, 1, 3, 3), bool)
    side = Side("one", np.zeros((1, 2, 2), np.uint8), masks, np.array([0.75]), np.array([0.5]))
    other = side._replace(accuracy=np.array([0.6]), loss=np.ones(1))
    points = np.array([[0.0, 1.0], [2.0, 3.0]])
    traces = plot_network([side, other], [0], points, np.arange(2), 4, False)["data"]
    assert [list(trace["y"]) for trace in traces if "name" in trace] == [[75], [0.5], [60], [1]]
    blue = [trace for trace in traces if trace.get("marker", {}).get("color") == "#0072B2"]
    assert [(list(trace["x"]), list(trace["y"])) for trace in blue] == [([0], [1])] * 2


def test_slopes_stand_at_the_weight():
    figure = plot_slopes([(0, 1), (1, 2)], [(0, 1), (1, 3)], (0.2, 1), (0, 1), 2.0, 0.5, {})
    level, tilted = lines_of(figure, "#009E73")
    assert len(set(level.y)) == 1
    assert np.ptp(tilted.y) == pytest.approx(2 * np.ptp(tilted.x))
    assert [trace.marker.color for trace in figure.data if trace.mode == "markers"] == [REMOVED_COLOR] * 2
    assert figure.layout.shapes[0].x0 == 0.5
    assert any(note.text == "guess first" for note in figure.layout.annotations)
    losses = {"straight-through": [1, 0.5], "true gradient": [1, 1]}
    figure = plot_slopes([(0, 1), (1, 2)], [(0, 1), (1, 3)], (0.6, 1), (1, 1), 2.0, 0.5, losses)
    assert list(named(figure, "true gradient").y) == [1, 1]
    assert [trace.marker.color for trace in figure.data if trace.mode == "markers"] == [KEPT_COLOR] * 2


def test_bars_of_the_share_rule_are_percent():
    scores = [np.zeros(10), np.ones(10)]
    figure = plot_shares(scores, {"local": [0.5, 0.5], "share": [0.4, 0.6]}, [0.4, 1.2])
    assert list(named(figure, "SMP-S").y) == [40, 60]
    assert list(named(figure, "SMP-S").text) == ["40 %", "60 %"]
    assert list(named(figure, "the formula's share").y) == [40, 120]
    assert named(figure, "Layer 1").y.sum() == named(figure, "Layer 2").y.sum() == 10


def test_bars_of_a_masking_function_have_the_colour_of_its_method():
    figure = plot_shares([np.zeros(10)] * 2, {"local": [1, 1], "share": [1, 1], "global": [1, 1]}, None)
    for name, method in (("SMP-L", "smp_l"), ("SMP-S", "smp_s"), ("SMP-G", "smp_g")):
        assert named(figure, name).marker.color == METHOD_COLORS[method]


def test_the_regulariser_pulls_hardest_at_zero():
    figure = plot_regulariser({}, {}, 180)
    slope = named(figure, "slope: the pull on a score")
    assert slope.x[np.argmax(slope.y)] == 0
    assert max(slope.y) == pytest.approx(0.25)
    shown = plot_regulariser({"a": np.zeros(5), "b": np.ones(7)}, {"a": [0, 1], "b": [0, 3]}, 180)
    assert [trace.y.sum() for trace in shown.data if trace.name in "ab" and trace.line.shape == "hvh"] == [5, 7]
    assert shown.layout.shapes[0].x0 == 180


def test_heads_are_percent_and_swaps_wait_for_a_guess():
    heads = {"a": np.full((2, 3), 0.1), "b": np.full((2, 3), 0.4)}
    figure = plot_heads(heads, {})
    assert [float(trace.z.max()) for trace in figure.data] == [10, 40]
    assert figure.layout.coloraxis.cmax == 40
    assert len(plot_heads(heads, {"a": ([1], [2.0]), "b": ([1], [3.0])}).data) == 4
    assert len(plot_three({**heads, "c": heads["a"]}).data) == 3


def test_densities_of_a_snapshot_are_shares_per_unit_of_score():
    edges = np.array([0.0, 1.0, 3.0])
    kept, removed = np.array([[3, 1], [0, 1]]), np.array([[0, 0], [3, 0]])
    figure = plot_snapshots([0, 5], edges, kept, removed, np.array([[0.0, np.nan], [1.0, 2.0]]))
    np.testing.assert_allclose(figure.frames[0].data[1].y[:2], [3 / 4, 1 / 8], rtol=1e-6)
    np.testing.assert_allclose(figure.frames[1].data[0].y[0], 3 / 4, rtol=1e-6)
    assert [len(frame.data[2].x) for frame in figure.frames] == [3, 6]


def test_bars_have_their_values_and_a_line():
    figure = plot_bars({"a": 0.6, "b": -0.1}, ["smp_s", "random"], "Words", "unit", ("chance", 0.0))
    assert figure.data[0].marker.color == (METHOD_COLORS["smp_s"], METHOD_COLORS["random"])
    assert list(figure.data[0].y) == [0.6, -0.1]
    assert figure.layout.yaxis.range[0] == -0.1
    assert figure.layout.shapes[0].y0 == 0
