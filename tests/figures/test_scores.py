import numpy as np
import pandas as pd
import pytest
from conftest import TINY, random_masks

from smp_lab.analysis import scores as analysis
from smp_lab.figures import scores as figures
from smp_lab.figures.style import KEPT_COLOR, REMOVED_COLOR, TASK_COLORS
from smp_lab.layout import MATRIX_TYPES

from .test_overlap import assert_types_stand_upright

EDGES = np.array([-np.inf, -2, -1, -0.5, 0, 3, np.inf])
WEIGHT_EDGES = np.array([-np.inf, -2, -1.5, -1, np.inf])
STEPS = np.array([0, 10, 30])
SCALES = {"scores": (-2.0, 3.0), "densities": (0.01, 1.0)}


def histograms():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 60, (2, 3, 12, 6)).astype(np.uint32)
    counts[:, :, :, [0, 5]] = 0
    return counts


KEPT, REMOVED = histograms()
CUTS = np.linspace(-1, 1, 36).reshape(3, 12)


def cuts(kind="query", layer=None):
    return analysis.score_cuts(STEPS, CUTS, TINY, kind, layer)


def test_distribution_has_a_panel_per_layer_with_layer_0_at_the_bottom():
    table = analysis.score_distribution(STEPS, EDGES, {"kept": KEPT, "removed": REMOVED}, TINY, "query")
    figure = figures.plot_distribution(table, cuts(), "a run", 30, **SCALES)
    assert [figure.layout[axis].title.text for axis in ("yaxis", "yaxis2")] == ["Layer 1", "Layer 0"]
    assert figure.layout.xaxis2.title.text == "Score S (no unit)"
    assert len(figure.data) == 2 * 3
    of_layer_0 = [trace for trace in figure.data if trace.yaxis == "y2"]
    kept = next(trace for trace in of_layer_0 if trace.name == "kept")
    assert kept.line.color == KEPT_COLOR
    assert kept.line.shape == "hv"
    # Every bin's height from its lower edge on, the last one to its end.
    assert list(kept.x) == [-2, -1, -0.5, 0, 3]
    densities = KEPT[2, 0, 1:5] / 256 / np.diff(EDGES[1:6])
    assert list(kept.y)[:4] == pytest.approx(densities)
    assert kept.y[4] == kept.y[3]
    assert next(trace for trace in of_layer_0 if trace.name == "removed").line.color == REMOVED_COLOR
    cut = next(trace for trace in of_layer_0 if trace.name == "cut")
    assert list(cut.x) == [CUTS[2, 0]] * 2
    assert [trace.name for trace in figure.data if trace.showlegend] == ["kept", "removed", "cut"]


def test_a_distribution_plays_through_every_snapshot():
    table = analysis.score_distribution(STEPS, EDGES, {"kept": KEPT, "removed": REMOVED}, TINY, "query")
    shown = {int(step): figures.plot_distribution(table, cuts(), "a run", step, **SCALES) for step in STEPS}
    for frame, step in zip(shown[30].frames, STEPS, strict=True):
        assert f"step {step} of 30" in frame.layout.title.subtitle.text
        highest = table.loc[table["step"] == step, "density"].max()
        assert frame.layout.yaxis.range[1] == pytest.approx(1.05 * highest)
        for played, still in zip(frame.data, shown[step].data, strict=True):
            changed = {name: played[name] for name in ("x", "y", "text") if played[name] is not None}
            assert changed
            if still.name == "cut":
                assert changed.pop("y")[1] == frame.layout.yaxis.range[1] == frame.layout.yaxis2.range[1]
            assert all(tuple(still[name]) == tuple(value) for name, value in changed.items())
    labels = [button.label for button in shown[30].layout.updatemenus[0].buttons]
    assert labels == ["Play", "Slowly", "Stop"]


def test_matrices_play_through_every_snapshot():
    rows = analysis.similarity_to_final(STEPS, *np.array([[[9] * 12, [6] * 12, [4] * 12]] * 2), TINY)
    rows, how = rows[rows["layer"].notna()], {"values": (0, 1), "facts": ["n_both", "n_b"], "hover": "%{z}"}
    figure = figures.plot_matrices(rows, "precision", "T", "A run", "S", **how, step=10)
    assert figure.layout.title.subtitle.text == "A run, step 10"
    assert [frame.layout.title.subtitle.text for frame in figure.frames] == [f"A run, step {step}" for step in STEPS]
    np.testing.assert_array_equal(figure.frames[1].data[0].z, figure.data[0].z)


def test_an_axis_holds_all_but_one_weight_in_a_thousand():
    far = pd.DataFrame({"low": [-np.inf, -9.0, -1.0, 0.0, 8.0], "high": [-9.0, -8.0, 0.0, 1.0, 9.0]})
    rare = far.assign(count=[3, 2, 5000, 5000, 2])
    assert figures.score_range([rare]) == (-1, 1)
    assert figures.n_outside(rare, (-1, 1)) == 7
    often = far.assign(count=[0, 20, 5000, 5000, 20])
    assert figures.score_range([often]) == (-9, 9)
    assert figures.score_range([far.assign(count=0)]) == (-9, 9)
    sizes = rare.rename(columns={"low": "weight_low", "high": "weight_high"}).assign(low=0.0, high=1.0)
    assert figures.score_range([sizes], "weight_low", "weight_high") == (-1, 1)


def test_two_runs_share_their_ranges():
    one = analysis.score_distribution(STEPS, EDGES, {"kept": KEPT, "removed": REMOVED}, TINY, "query")
    other = one.assign(density=one["density"] * 3)
    low, high = figures.density_range([one, other])
    assert (low, high) == (one["density"].min(), 3 * one["density"].max())
    drawn = [
        figures.plot_distribution(table, cuts(), "a run", 30, scores=(-2, 3), densities=(low, high))
        for table in (one, other)
    ]
    assert drawn[0].layout.yaxis.range == drawn[1].layout.yaxis.range
    assert drawn[0].layout.xaxis.range == (-2, 3)


def test_ranges_leave_out_bins_without_an_end():
    kept = KEPT.copy()
    kept[:, :, 0] = 5
    table = analysis.score_distribution(STEPS, EDGES, {"kept": kept, "removed": REMOVED}, TINY)
    assert figures.score_range([table]) == (-2, 3)
    assert np.isfinite(figures.density_range([table])).all()


def test_a_snapshot_whose_scores_have_no_bin_with_an_end_is_drawn_empty():
    kept = np.zeros((3, 12, 6), np.uint32)
    kept[:, :, 5] = 10
    table = analysis.score_distribution(STEPS, EDGES, {"kept": kept, "removed": 0 * kept}, TINY, "query")
    figure = figures.plot_distribution(table, cuts()[:0], "a run", 30, **SCALES)
    assert len(figure.data) == 0
    assert figures.density_range([table]) == (0.1, 1.0)


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_history_is_a_heat_map_per_layer_with_its_cut(columns):
    table = analysis.score_distribution(STEPS, EDGES, {"both": KEPT + REMOVED}, TINY, "key")
    figure = figures.plot_score_history(table, cuts("key"), "a run", columns=columns, **SCALES)
    heat = [trace for trace in figure.data if trace.type == "heatmap"]
    lines = [trace for trace in figure.data if trace.name == "cut"]
    assert len(heat) == len(lines) == 2
    below, above = figure.layout.annotations
    assert (below.text, above.text) == ("Layer 0", "Layer 1")
    assert (below.y < above.y) == (columns == 1)
    first = heat[0]
    density = (KEPT + REMOVED)[:, 1, 1:5] / 256 / np.diff(EDGES[1:6])
    assert first.z == pytest.approx(np.log10(density).T.astype(np.float32), rel=1e-5)
    assert list(first.y) == [-2, -1, -0.5, 0, 3]
    assert list(first.x) == [-5, 5, 20, 40]
    assert list(lines[0].y) == CUTS[:, 1].tolist()
    # It plays by lifting a veil, snapshot by snapshot; at the end, and before it plays, nothing is veiled.
    veils = [place for place, trace in enumerate(figure.data) if trace.name == "veil"]
    assert len(veils) == 2
    assert [frame.traces for frame in figure.frames] == [tuple(veils)] * 3
    assert [(veil.x[0], veil.x[1]) for frame in figure.frames for veil in frame.data] == [
        (edge, 40) for edge in (5, 20, 40) for _ in veils
    ]
    assert set(figure.data[veils[0]].x) == {40}
    assert all(
        f"step {step}" in frame.layout.title.subtitle.text for step, frame in zip(STEPS, figure.frames, strict=True)
    )

    assert first.z.dtype == np.float32


def test_history_of_one_layer_and_one_snapshot():
    table = analysis.score_distribution(STEPS[:1], EDGES, {"both": (KEPT + REMOVED)[:1]}, TINY, "key", 1)
    figure = figures.plot_score_history(table, cuts("key", 1)[:1], "a run", columns=3, **SCALES)
    assert [note.text for note in figure.layout.annotations] == ["Layer 1"]
    assert list(figure.data[0].x) == [-0.5, 0.5]


def weight_table():
    histogram = np.zeros((12, 4, 6), np.uint32)
    histogram[:, 1, 3], histogram[:, 2, 4] = 10, 30
    return analysis.weight_scores(WEIGHT_EDGES, EDGES, histogram, TINY, "query")


def test_weights_against_scores_with_one_cut_or_a_band():
    scales = SCALES | {"weights": (-2.0, -1.0), "densities": (1e-7, 10.0)}
    figure = figures.plot_weight_scores(weight_table(), pd.Series([0.2]), pd.Series([-1.2]), "a run", **scales)
    assert list(figure.layout.xaxis.ticktext) == ["0.01", "0.1"]
    # Of the colours four decades at most.
    colors = figure.layout.coloraxis
    assert (colors.cmin, colors.cmax) == (-3, 1)
    assert list(colors.colorbar.ticktext) == ["0.001", "0.01", "0.1", "1", "10"]
    heat, line, by_size = figure.data
    assert list(heat.x) == [-2, -1.5, -1]
    assert list(heat.y) == [-0.5, 0, 3]
    # Two matrices of ten weights in half a decade and half a unit.
    assert 10 ** heat.z[0, 0] == pytest.approx(20 / 0.25)
    assert 10 ** heat.z[1, 1] == pytest.approx(60 / 1.5)
    assert np.isnan(heat.z[0, 1])
    assert heat.customdata[0][0].tolist() == pytest.approx([0.01, 10**-1.5, -0.5, 0, 20])
    assert list(line.y) == [0.2, 0.2]
    assert list(by_size.x) == [-1.2, -1.2]
    assert by_size.hovertemplate.startswith("|W| 0.0631<")
    assert list(by_size.y) == list(scales["scores"])
    assert by_size.line.dash != line.line.dash
    assert not figure.layout.shapes
    several = pd.Series([0.2, np.nan, 0.7]), pd.Series([-1.2, -1.1, -1.4])
    band = figures.plot_weight_scores(weight_table(), *several, "a run", **scales)
    assert (band.layout.shapes[0].y0, band.layout.shapes[0].y1) == (0.2, 0.7)
    assert (band.layout.shapes[1].x0, band.layout.shapes[1].x1) == (-1.4, -1.1)
    assert len(band.data) == 5
    assert [trace.name.split(":")[0] for trace in band.data if trace.showlegend] == [
        "cut of the scores",
        "cut of magnitude pruning",
    ]
    nothing_kept = figures.plot_weight_scores(
        weight_table(), pd.Series([np.nan]), pd.Series([np.nan]), "a run", **scales
    )
    assert len(nothing_kept.data) == 1


def of_run(table, run="RTE"):
    return table.assign(run=run, task="rte", method="smp_s", level=0.5)


def similar():
    kept = np.array([[200] * 12, [150] * 12, [100] * 12])
    both = np.array([[100] * 12, [90] * 12, [100] * 12])
    return analysis.similarity_to_final(STEPS, kept, both, TINY)


@pytest.mark.parametrize("measure", analysis.SIMILARITIES)
def test_similarity_has_a_panel_per_type_and_its_reference(measure):
    table = of_run(similar()[similar()["layer"].isna()])
    figure = figures.plot_similarity(table, measure)
    assert len(figure.layout.annotations) == 7
    assert len(figure.data) == 14
    line, reference = figure.data[:2]
    everything = table[table["matrix_type"] == "all"]
    assert np.asarray(line.y) == pytest.approx(everything[measure])
    assert line.line.color == TASK_COLORS["rte"]
    name = "phi_within_max" if measure == "phi_within" else f"{measure}_chance"
    assert np.asarray(reference.y) == pytest.approx(everything[name], nan_ok=True)
    assert reference.line.dash == "dot"
    assert figures.SIMILARITY_TITLES[measure] in figure.layout.title.subtitle.text


def test_flips_stand_in_three_panels():
    flips = np.array([[0] * 12, [4] * 12, [6] * 12])
    table = analysis.flips_between_snapshots(STEPS, flips, 2 * flips, TINY)
    table = of_run(table[table["matrix_type"] == "all"])
    figure = figures.plot_snapshot_flips(table)
    assert [list(trace.y) for trace in figure.data[:2]] == [[48, 72], [48, 72]]
    assert np.isnan(figure.data[2].y).all()
    assert [trace.showlegend for trace in figure.data] == [True, False, False]
    assert list(figure.data[0].x) == [10, 30]


def test_matrices_are_layer_by_type_with_layer_0_at_the_bottom():
    share = analysis.kept_by_magnitude(np.arange(12), np.full(12, 20), TINY)
    # Rows in another order must not change the picture.
    table, how = share.sample(frac=1, random_state=0), {"values": (0, 1), "facts": ["both", "kept"], "hover": "%{z}"}
    figure = figures.plot_matrices(table, "share", "A title", "A run", "Share", **how)
    (heat,) = figure.data
    assert list(heat.y) == [0, 1]
    assert len(heat.x) == len(MATRIX_TYPES)
    assert heat.z == pytest.approx(np.arange(12).reshape(2, 6) / 20)
    assert heat.customdata[1][0].tolist() == [6, 20]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 1)
    assert_types_stand_upright(figure.layout.xaxis)
    assert figure.layout.yaxis.autorange is None


def test_kept_and_removed_are_the_two_sides_of_real_masks():
    masks = random_masks(TINY, 0.3)
    kept = np.array([masks.kept(matrix) for matrix in TINY.matrices])
    histogram = np.zeros((2, 12, 6), np.uint32)
    histogram[0, :, 4] = kept
    histogram[1, :, 2] = [TINY.size(matrix.matrix_type) for matrix in TINY.matrices] - kept
    table = analysis.score_distribution(
        STEPS[:1], EDGES, dict(zip(("kept", "removed"), histogram[:, None], strict=True)), TINY
    )
    figure = figures.plot_distribution(table, cuts()[:0], "a run", 0, **SCALES)
    drawn = {
        (trace.name, trace.yaxis): sum(int(text.replace(",", "")) for text in trace.text[:-1]) for trace in figure.data
    }
    assert drawn["kept", "y2"] == kept[:6].sum()
    assert drawn["removed", "y"] == 2048 - kept[6:].sum()


def test_weights_in_bins_without_an_end_alone_are_no_picture():
    table = weight_table().assign(density=np.nan)
    figure = figures.plot_weight_scores(table, pd.Series([1.0]), pd.Series([]), "", weights=(0, 1), **SCALES)
    assert figure.layout.annotations[0].text == "No weight lies in a bin that has an end."
