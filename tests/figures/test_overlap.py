import numpy as np
import pytest
from conftest import TINY, random_masks

from smp_lab.analysis.clustering import average_linkage
from smp_lab.analysis.overlap import (
    MEASURES,
    OTHER_TASK,
    SAME_TASK_OTHER_SEED,
    SAME_TASK_OTHER_SETTINGS,
    head_overlap,
    measure_overlap,
    pairwise_overlap,
    region_counts,
    shared_circles,
)
from smp_lab.figures import overlap as figures
from smp_lab.figures.style import DARK, LIGHT, MATRIX_TITLES, REMOVED_COLOR, TASK_COLORS, template
from smp_lab.layout import MATRIX_TYPES

MASKS = {
    name: random_masks(TINY, share, seed) for seed, (name, share) in enumerate({"x": 0.5, "y": 0.5, "z": 0.1}.items())
}
COUNTS = pairwise_overlap(MASKS)
NAMES = {"x": "RTE", "y": "RTE again", "z": "CoLA"}
TASKS = {"x": "rte", "y": "rte", "z": "cola"}
KINDS = [SAME_TASK_OTHER_SEED, SAME_TASK_OTHER_SETTINGS, OTHER_TASK]
ORDER, MERGES = (0, 2, 1), ((2, 0, 0.5), (3, 1, 0.2))


def pairs():
    table = measure_overlap(COUNTS, ["run_a", "run_b"])
    for side in "ab":
        runs = table[f"run_{side}"]
        table = table.assign(
            **{f"label_{side}": runs.map(NAMES), f"task_{side}": runs.map(TASKS), f"method_{side}": "smp_s"}
        )
    return table.assign(kind=[KINDS[0], KINDS[2], KINDS[2]], capped=[False, True, True])


def of_pair(by):
    rows = COUNTS[(COUNTS["run_a"] == "x") & (COUNTS["run_b"] == "y")]
    return measure_overlap(rows, by)


def heat(figure):
    return next(trace for trace in figure.data if trace.type == "heatmap")


def brackets(figure):
    return next(trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines")


def note(figure):
    return figure.layout.annotations[0].text


def test_every_measure_can_be_drawn():
    assert set(figures.SCALES) == set(MEASURES)
    for name, measure in MEASURES.items():
        scale = figures.SCALES[name]
        # What is called chance is what independent masks have.
        assert (measure.chance is None) == (scale.middle is None or scale.at_middle != "chance"), name
        assert measure.chance in (None, scale.middle), name


@pytest.mark.parametrize("measure", MEASURES)
def test_pairs_are_drawn_on_both_sides_of_the_diagonal(measure):
    table = pairs()
    figure = figures.plot_pairs(table, NAMES, ORDER, MERGES, measure)
    z = np.array(heat(figure).z, float)
    assert np.isnan(z.diagonal()).all()
    np.testing.assert_array_equal(z, z.T)
    # In the order of the tree: x, z, y.
    drawn = table.set_index(["run_a", "run_b"])[measure].reindex([("x", "z"), ("x", "y"), ("y", "z")])
    if measure in ("lift", "odds_ratio"):
        drawn = np.log2(drawn)
    np.testing.assert_allclose([z[0, 1], z[0, 2], z[2, 1]], drawn)
    axis = figure.layout.coloraxis
    if figures.SCALES[measure].middle is None:
        assert axis.cmin == 0
        assert not axis.autocolorscale
    else:
        assert axis.cmin == -axis.cmax
        assert axis.autocolorscale


def test_each_cell_has_a_point_that_knows_its_pair():
    figure = figures.plot_pairs(pairs(), NAMES, ORDER, MERGES, "phi_within", ("z", "x"))
    points = figure.data[-1]
    assert points.marker.opacity == points.unselected.marker.opacity == points.selected.marker.opacity == 0
    runs = ("x", "z", "y")
    assert len(points.x) == 6
    for x, y, facts in zip(points.x, points.y, points.customdata, strict=True):
        assert {runs[x], runs[y]} == set(facts[:2])
    assert [label.split("  ") for label in figure.layout.yaxis2.ticktext] == [
        ["RTE", "1"],
        ["CoLA", "2"],
        ["RTE again", "3"],
    ]
    frames = {(shape.x0 + 0.5, shape.y0 + 0.5) for shape in figure.layout.shapes}
    assert frames == {(0, 1), (1, 0)}
    assert figure.layout.yaxis2.range == (2.5, -0.5)


def test_a_long_name_leaves_room_for_the_cells():
    names = NAMES | {"z": "a mask of another tool " * 10 + "seed 7"}
    pairs_of, regions = (
        figures.plot_pairs(pairs(), names, ORDER, MERGES, "phi_within"),
        figures.plot_regions(region_counts(MASKS), names),
    )
    for figure in (pairs_of, regions):
        (long,) = [label for label in figure.layout.yaxis2.ticktext if "…" in label]
        assert len(long) < 55 and long.startswith("a mask of another tool") and "seed 7" in long


def test_brackets_stand_where_clusters_meet():
    figure = figures.plot_pairs(pairs(), NAMES, ORDER, MERGES, "phi_within")
    # Leaf 2 is at place 1, leaf 0 at place 0; their bracket stands at 0.5, and over leaf 1 the next.
    assert list(brackets(figure).x) == [1, 1, 0, 0, None, 0.5, 0.5, 2, 2, None]
    assert list(brackets(figure).y) == [0, 0.5, 0.5, 0, None, 0.5, 0.8, 0.8, 0, None]


def test_tree_of_the_analysis_fits():
    similarity = np.array([[1, 0.1, 0.8], [0.1, 1, 0.3], [0.8, 0.3, 1]])
    tree = average_linkage(similarity)
    figure = figures.plot_pairs(pairs(), NAMES, tree.order, tree.merges, "phi_within")
    assert len(brackets(figure).x) == 10


def test_numbers_are_written_in_cells_of_few_runs():
    figure = figures.plot_pairs(pairs(), NAMES, ORDER, MERGES, "phi_within")
    assert heat(figure).texttemplate == "%{text}"
    assert heat(figure).text[0][0] == ""
    masks = {f"run{seed}": random_masks(TINY, 0.5, seed) for seed in range(13)}
    names = {name: name for name in masks}
    many = measure_overlap(pairwise_overlap(masks), ["run_a", "run_b"]).assign(label_a="a", label_b="b")
    tree = average_linkage(np.zeros((13, 13)))
    assert heat(figures.plot_pairs(many, names, tree.order, tree.merges, "lift")).texttemplate is None


def of_query(measure, *values):
    """A grid in which the query matrices, layer by layer, have these values."""
    table = of_pair(["layer", "matrix_type"])
    return figures.plot_parts(
        table.assign(**{measure: table["layer"].map(dict(enumerate(values)))}), measure, "A: RTE; B: RTE again"
    )


def test_no_minus_zero():
    assert heat(of_query("phi_within", -0.001, 0.256)).hovertext[:, 0].tolist() == ["0.00", "0.26"]
    assert heat(of_query("lift", np.nan, 1.234)).hovertext[:, 0].tolist() == ["", "1.23"]


def test_noise_does_not_fill_the_colours():
    figure = of_query("phi_within", 0.001, -0.002)
    assert figure.layout.coloraxis.cmax == 0.05
    assert heat(figure).z[:, 0].tolist() == [0.001, -0.002]
    axis = of_query("lift", 4.0, 0.0).layout.coloraxis
    assert (axis.cmin, axis.cmax) == (-2, 2)
    assert list(axis.colorbar.ticktext) == ["0.25", "0.5", "1", "2", "4"]


def test_pairs_stand_in_the_column_of_their_kind():
    figure = figures.plot_pair_kinds(pairs(), KINDS, "phi_within")
    other, same = figure.data
    assert (same.name, same.marker.color) == ("RTE", TASK_COLORS["rte"])
    assert (other.name, other.marker.color) == ("other pairs", REMOVED_COLOR)
    assert np.round(same.x).tolist() == [0]
    assert np.round(other.x).tolist() == [2, 2]
    assert list(other.marker.symbol) == ["triangle-down"] * 2
    assert list(same.customdata[0][:2]) == ["x", "y"]
    assert [text.split("<br>")[-1] for text in figure.layout.xaxis.ticktext] == ["n = 1", "n = 0", "n = 2"]
    medians = {(shape.x0 + shape.x1) / 2: shape.y0 for shape in figure.layout.shapes if shape.line.dash is None}
    assert medians == pytest.approx({0: pairs()["phi_within"][0], 2: pairs()["phi_within"][1:].median()})
    by_method = figures.plot_pair_kinds(pairs().assign(method_b=["smp_s", "smp_l", "smp_l"]), KINDS, "lift", "method")
    assert {trace.name: len(trace.x) for trace in by_method.data} == {"SMP-S (share)": 1, "other pairs": 2}
    assert by_method.layout.yaxis.type == "log"


def test_hovers_name_chance_and_cap_of_the_measure():
    table = pairs()
    for measure, words, columns in (
        ("phi_within", ["Phi within matrices, at most"], ["phi_within_max"]),
        ("phi_pooled", ["By chance", "Phi, pooled, at most"], ["phi_pooled_chance", "phi_pooled_max"]),
        ("jaccard", ["By chance", "Jaccard index, at most"], ["jaccard_chance", "jaccard_max"]),
        ("containment", ["By chance", "Phi within matrices, at most"], ["containment_chance", "phi_within_max"]),
        ("lift", ["Phi within matrices, at most"], ["phi_within_max"]),
    ):
        points = figures.plot_pairs(table, NAMES, ORDER, MERGES, measure).data[-1]
        for place, (word, column) in enumerate(zip(words, columns, strict=True), start=9):
            assert f"<br>{word}: %{{customdata[{place}]}}" in points.hovertemplate
            written = [float(facts[place]) for facts in points.customdata]
            assert written == pytest.approx(2 * table[column].tolist(), rel=1e-3)


def test_hovers_have_no_number_for_what_is_not_known():
    points = figures.plot_pairs(pairs(), NAMES, ORDER, MERGES, "phi_magnitude").data[-1]
    assert {tuple(facts[8:]) for facts in points.customdata} == {("not known", "not known")}
    regions = region_counts(MASKS).assign(lift=np.nan)
    assert figures.plot_regions(regions, NAMES).data[1].customdata[-1][2] == ""


def test_a_level_of_chance_that_depends_on_the_pair_is_drawn_beside_it():
    table = pairs()
    chance, *dots = figures.plot_pair_kinds(table, KINDS, "jaccard").data
    assert chance.name == "by chance"
    drawn = {tuple(facts[:2]): x for dot in dots for facts, x in zip(dot.customdata, dot.x, strict=True)}
    for row, x, y in zip(table.itertuples(), chance.x, chance.y, strict=True):
        assert y == row.jaccard_chance
        assert drawn[row.run_a, row.run_b] == x
    assert "by chance" not in {trace.name for trace in figures.plot_pair_kinds(table, KINDS, "phi_within").data}


def test_matrices_are_at_their_layer_and_type():
    table = of_pair(["layer", "matrix_type"])
    figure = figures.plot_parts(table, "jaccard", "A: RTE; B: RTE again")
    z = np.array(heat(figure).z)
    for row in table.itertuples():
        assert z[row.layer, MATRIX_TYPES.index(row.matrix_type)] == row.jaccard
    facts = heat(figure).customdata[1][5]
    assert facts[0] == "Output (down)"
    assert facts[1:].tolist() == table.iloc[-1][["n_a", "n_b", "n_both", "expected"]].tolist()
    # Layer 0 at the bottom.
    assert list(heat(figure).y) == [0, 1]
    assert figure.layout.yaxis.autorange is None
    assert_types_stand_upright(figure.layout.xaxis)


def assert_types_stand_upright(axis):
    """At 12 pixels of type a line of nine letters is about as wide as a cell of half a page's grid."""
    assert axis.tickangle == 0
    assert [text.replace("-<br>", "").replace("<br>", " ") for text in axis.ticktext] == [
        MATRIX_TITLES[kind] for kind in MATRIX_TYPES
    ]
    assert max(len(line) for text in axis.ticktext for line in text.split("<br>")) <= 9


def test_heads_are_at_their_layer_and_head():
    table = measure_overlap(head_overlap(MASKS["x"], MASKS["y"]), ["layer", "head"])
    figure = figures.plot_parts(table, "phi_within", "A: RTE; B: RTE again", "query, key, value and attention output")
    z = np.array(heat(figure).z)
    for row in table.itertuples():
        assert z[row.layer, row.head] == row.phi_within
    assert figure.layout.xaxis.title.text == "Head (query, key, value and attention output)"


def area(trace):
    """Of a polygon, by its corners (Gauss)."""
    x, y = np.array(trace.x), np.array(trace.y)
    return abs(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) / 2


@pytest.mark.parametrize(("a", "b"), [("x", "y"), ("x", "z")])
def test_areas_of_the_circles_are_the_counts(a, b):
    pair = pairs().set_index(["run_a", "run_b"]).loc[(a, b)]
    figure = figures.plot_shared(shared_circles(pair), NAMES[a], NAMES[b])
    for both, drawn in ((pair["n_both"], figure.data[:3]), (pair["expected"], figure.data[3:])):
        assert [area(trace) for trace in drawn] == pytest.approx([pair["n_a"], pair["n_b"], both], rel=2e-3)
    words = [note.text for note in figure.layout.annotations]
    assert words[:2] == ["counted", "by chance"]
    assert f"A alone<br><b>{pair['n_a'] - pair['n_both']:,}</b>" in words
    assert f"B alone<br><b>{pair['n_b'] - pair['n_both']:,}</b>" in words
    assert f"both<br><b>{pair['n_both']:,}</b>" in words
    # A circle stays one.
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.yaxis2.scaleanchor == "x2"


def test_regions_are_drawn_over_their_runs():
    table = region_counts(MASKS)
    figure = figures.plot_regions(table, NAMES)
    chance, counted, absent, present = figure.data
    drawn = table[table["n_runs"] > 0]
    assert list(counted.y) == drawn["n_weights"].tolist()
    assert list(chance.y) == drawn["expected"].tolist()
    dots = set(zip(present.x.tolist(), present.y.tolist(), strict=True))
    for place, row in enumerate(drawn.to_dict("records")):
        for run, name in enumerate(NAMES):
            assert ((place, run) in dots) == row[name]
    assert len(present.x) + len(absent.x) == 7 * 3
    assert counted.customdata[-1][0] == "RTE and RTE again and CoLA"
    assert list(figure.layout.yaxis2.ticktext) == list(NAMES.values())


def test_the_middle_of_the_diverging_colours_is_near_the_page():
    def lightness(color):
        return sum(int(color[place : place + 2], 16) for place in (1, 3, 5)) / 3

    scales = {theme: [color for _, color in template(theme).layout.colorscale.diverging] for theme in (LIGHT, DARK)}
    for theme, page in ((LIGHT, 255), (DARK, 24)):
        distance = [abs(lightness(color) - page) for color in scales[theme]]
        assert min(distance) == distance[2] < 30
        assert distance[0] > distance[1] > distance[2] < distance[3] < distance[4]


def test_an_unknown_measure_gives_a_sentence():
    assert np.isnan(pairs()["phi_partial"]).all()
    for figure in (
        figures.plot_pair_kinds(pairs(), KINDS, "phi_partial"),
        figures.plot_parts(of_pair(["layer", "matrix_type"]), "phi_partial", ""),
    ):
        assert note(figure) == "Partial phi given magnitude is not known here."
