import numpy as np
import pandas as pd
import pytest

from smp_lab.analysis.curves import difference_to_dense, mean_curves
from smp_lab.figures.curves import LINEAR, plot_curves, plot_difference
from smp_lab.figures.style import METHOD, METHOD_COLORS, TASK_COLORS
from smp_lab.storage.published import published_points

POINTS = published_points()
TURNED = (("cola", "large"), ("cola", "small"), ("rte", "small"), ("rte", "large"))


def runs(task="rte"):
    rows = [
        ("dense", "Dense", 1.0, 0, 0.70),
        ("dense", "Dense", 1.0, 1, 0.72),
        ("smp_s", "SMP-S", 0.5, 0, 0.68),
        ("smp_s", "SMP-S", 0.5, 1, 0.70),
        ("smp_s", "SMP-S", 0.1, 0, 0.65),
    ]
    table = pd.DataFrame(rows, columns=["method", "name", "level", "seed", "value"])
    return table.assign(
        run_id=[f"run-{place}" for place in range(5)],
        task=task,
        metric="accuracy",
        variant="",
        base_model="MiniLM",
        encoder="",
        base_model_sha256="a",
        data_sha256="b",
        remaining=table["level"],
        low=table["value"] - 0.05,
        high=table["value"] + 0.06,
        n_examples=277,
        majority_baseline=0.527,
        settings=task + table["method"] + table["level"].astype(str),
    )


def published(task, metric, differences=False):
    table = POINTS[(POINTS["task"] == task) & (POINTS["metric"] == metric) & ~POINTS["distilled"]]
    table = table.assign(name=table["method_title"] + ", " + table["base_model"], encoder="")
    if differences:
        table = difference_to_dense(
            table.assign(base_model_sha256=table["base_model"], data_sha256="paper", variant="")
        )
    return table


def drawn(figure):
    """All but the names at the ends of lines."""
    return [trace for trace in figure.data if trace.marker.opacity != 0]


def measured(figure):
    return [trace for trace in drawn(figure) if "published" not in trace.name]


def test_what_majority_baseline_scores_is_a_level_of_its_own():
    both = pd.concat([runs(), runs("stsb").assign(metric="pearson", majority_baseline=np.nan)])
    levels = [trace for trace in plot_curves(both, mean_curves(both), POINTS[:0]).data if trace.line.dash == "dashdot"]
    assert [(list(trace.y), trace.name) for trace in levels] == [([52.7, 52.7], "Majority-class baseline")]


def test_measured_runs_are_filled_dots_with_a_line_through_the_means():
    figure = plot_curves(runs(), mean_curves(runs()), POINTS[:0])
    lines = {trace.name: trace for trace in figure.data if trace.mode == "lines"}
    assert np.asarray(lines["SMP-S"].x).tolist() == pytest.approx([10, 50])
    assert np.asarray(lines["SMP-S"].y).tolist() == pytest.approx([65, 69])
    assert lines["SMP-S"].line.dash is None
    assert lines["SMP-S"].line.color == METHOD_COLORS["smp_s"]
    dots = next(trace for trace in figure.data if trace.mode == "markers" and trace.name == "SMP-S")
    assert sorted(dots.y) == pytest.approx([65, 68, 70])
    assert dots.marker.symbol == "circle"
    assert np.asarray(dots.error_y.array) == pytest.approx(6)
    assert np.asarray(dots.error_y.arrayminus) == pytest.approx(5)
    assert [row[0] for row in dots.customdata] == [277] * 3
    assert "n = " in dots.hovertemplate
    assert [row[1] for row in dots.customdata][-1] == "95 % interval of the dev set 60.0 to 71.0, "


def test_no_hover_has_a_number_for_what_is_not_known():
    unknown = runs().assign(low=np.nan, high=np.nan)[1:]
    figure = plot_curves(unknown, mean_curves(unknown), POINTS[:0])
    dots = [row for trace in figure.data if trace.mode == "markers" for row in trace.customdata]
    assert len(dots) == 4 and {row[1] for row in dots} == {""}
    means = [
        row
        for trace in drawn(figure)
        if trace.mode == "lines" and trace.customdata is not None
        for row in trace.customdata
    ]
    assert {(row[0], row[2]) for row in means} == {(1, ""), (2, "<br>sd over seeds 1.4")}


def test_a_line_of_other_settings_has_a_letter_beside_its_dots_and_in_the_legend():
    other = runs()[-1:].assign(
        name="SMP-S, head linear", settings="other", variant="head linear", run_id="run-5", value=0.6
    )
    both = pd.concat([runs(), other], ignore_index=True)
    tables = difference_to_dense(both), difference_to_dense(mean_curves(both), both, "mean")
    for figure in (
        plot_curves(both, mean_curves(both), POINTS[:0]),
        plot_difference(*tables, POINTS[:0], color_by=METHOD),
    ):
        assert {trace.text: list(trace.x) for trace in drawn(figure) if trace.text} == {"a": [10]}
        legend = [trace.name for trace in figure.data if trace.showlegend]
        assert legend.count("SMP-S") == legend.count("SMP-S, head linear (a)") == 1


def test_dense_is_a_dashed_level_at_its_mean():
    figure = plot_curves(runs(), mean_curves(runs()), POINTS[:0])
    level = next(trace for trace in figure.data if trace.name == "Dense" and trace.mode == "lines")
    assert level.line.dash == "dash"
    assert level.y == pytest.approx((71, 71))


def test_published_points_are_hollow_and_never_joined_to_measured_ones():
    figure = plot_curves(runs(), mean_curves(runs()), published("rte", "accuracy"))
    hollow = [trace for trace in drawn(figure) if trace not in measured(figure)]
    assert hollow
    for trace in hollow:
        assert "-open" in trace.marker.symbol
        assert trace.line.dash == "dot"
        assert "bert" in trace.name
    values = sorted(y for trace in hollow for y in trace.y)
    assert values == pytest.approx(sorted(100 * published("rte", "accuracy")["value"]))
    # Table 2 has them of the masks.
    spreads = {row[2] for trace in hollow for row in trace.customdata}
    assert spreads == {"", "<br>sd over seeds 1.59", "<br>sd over seeds 0.74"}
    for trace in measured(figure):
        assert not str(trace.marker.symbol).endswith("open")
        assert set(np.round(trace.y, 6)) <= {70, 72, 68, 65, 69, 71, 52.7}


def test_points_read_off_a_figure_say_so():
    figure = plot_curves(runs()[:0], runs()[:0], published("mnli", "accuracy_matched"))
    for trace in drawn(figure):
        read_off = "read from a figure" in trace.customdata[0][1]
        assert trace.marker.symbol.endswith("-open-dot") == read_off
        assert ("figure" in trace.customdata[0][1]) == read_off
    assert sum(len(trace.x) for trace in drawn(figure)) == len(published("mnli", "accuracy_matched"))


def test_a_panel_per_task_and_one_legend_entry_per_line():
    both = pd.concat([runs("rte"), runs("sst2")], ignore_index=True)
    figure = plot_curves(both, mean_curves(both), POINTS[:0], scale=LINEAR, intervals=False)
    assert [note.text for note in figure.layout.annotations] == ["RTE", "SST-2"]
    assert [trace.name for trace in figure.data if trace.showlegend] == ["Majority-class baseline", "Dense", "SMP-S"]
    assert {trace.xaxis for trace in figure.data} == {"x", "x2"}
    assert figure.layout.xaxis.type is None
    assert all(trace.error_y.array is None for trace in figure.data)


def test_both_scales_hold_every_point():
    figure = plot_curves(runs(), mean_curves(runs()), published("mnli", "accuracy_matched"))
    low, high = (10**end for end in figure.layout.xaxis.range)
    assert low < 100 * published("mnli", "accuracy_matched")["remaining"].min()
    assert high > 100


def test_a_log_scale_of_high_fractions_alone_still_has_ticks():
    points = published("rte", "accuracy")
    assert 100 * points["remaining"].min() > 50
    axis = plot_curves(runs()[:0], runs()[:0], points[~points["read_off"]]).layout.xaxis
    shown = [tick for tick in axis.tickvals if axis.range[0] <= np.log10(tick) <= axis.range[1]]
    assert shown == [10, 30, 50, 100]


def test_a_mask_that_keeps_nothing_spoils_no_log_scale():
    table = runs().assign(remaining=[1, 1, 0.5, 0.5, 0.0])
    axis = plot_curves(table, mean_curves(table), POINTS[:0]).layout.xaxis
    assert 10 ** axis.range[0] == pytest.approx(8.5)
    assert plot_curves(table[-1:], mean_curves(table[-1:]), POINTS[:0]).layout.xaxis.range == axis.range


@pytest.mark.parametrize(("scale", "first"), [("log", 0.5), (LINEAR, 0)])
def test_a_level_reaches_as_far_as_the_runs(scale, first):
    table = runs().assign(remaining=[1, 1, 0.5, 0.5, 0.005])
    tables = difference_to_dense(table), difference_to_dense(mean_curves(table), table, "mean")
    for figure in (
        plot_curves(table, mean_curves(table), POINTS[:0], scale=scale),
        plot_difference(*tables, POINTS[:0], scale=scale),
    ):
        levels = [trace for trace in figure.data if str(trace.line.dash).startswith("dash")]
        assert levels
        assert {tuple(level.x) for level in levels} == {(first, 100)}


@pytest.mark.parametrize("color_by", ["task", METHOD])
def test_differences_of_all_tasks_in_one_figure(color_by):
    both = pd.concat([runs("rte"), runs("sst2")], ignore_index=True)
    tables = difference_to_dense(both), difference_to_dense(mean_curves(both), both, "mean")
    figure = plot_difference(*tables, published("rte", "accuracy", differences=True), color_by=color_by)
    lines = [trace for trace in measured(figure) if trace.mode == "lines"]
    assert [trace.name for trace in lines] == ["RTE · SMP-S", "SST-2 · SMP-S", "Dense fine-tuning"]
    assert list(lines.pop().y) == [0, 0]
    for trace, task in zip(lines, ("rte", "sst2"), strict=True):
        assert list(trace.y) == pytest.approx([-6, -2])
        assert trace.line.color == (METHOD_COLORS["smp_s"] if color_by == METHOD else TASK_COLORS[task])
    legend = [trace.name for trace in figure.data if trace.showlegend]
    assert len(legend) == len(set(legend))
    assert figure.layout.yaxis.title.text == "Difference to dense (points)"


def test_published_differences_are_to_the_published_dense_value_of_the_same_encoder():
    table = published("rte", "accuracy", differences=True)
    rows = table[(table["method"] == "smp") & (table["base_model"] == "roberta-base")]
    source = published("rte", "accuracy")
    roberta = source[source["base_model"] == "roberta-base"].set_index("method")["value"]
    assert rows["difference"].tolist() == pytest.approx([roberta["smp"] - roberta["dense"]])


def test_encoders_stand_in_one_order_in_every_row():
    rows = [runs(task).assign(encoder=encoder) for task, encoder in TURNED]
    every = pd.concat(rows, ignore_index=True)
    every = every.assign(settings=every["settings"] + every["encoder"], base_model_sha256=every["encoder"])
    figure = plot_curves(every, mean_curves(every), POINTS[:0])
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles == ["CoLA, large", "CoLA, small", "RTE, large", "RTE, small"]


def test_two_encoders_of_a_task_stand_side_by_side_before_the_other_tasks():
    one, other = runs().assign(encoder="small"), runs().assign(encoder="large", value=0.5)
    cola = runs("cola").assign(encoder="small")
    every = pd.concat([cola, one, other], ignore_index=True)
    every = every.assign(settings=every["settings"] + every["encoder"], base_model_sha256=every["encoder"])
    figure = plot_curves(every, mean_curves(every), published("rte", "accuracy"))
    titles = [annotation.text for annotation in figure.layout.annotations]
    assert titles == ["RTE, small", "RTE, large", "CoLA, small"]
    low, high = (next(figure.select_yaxes(row=1, col=place)).domain for place in (1, 2))
    assert low == high != next(figure.select_yaxes(row=2, col=1)).domain
    dots = {trace.yaxis: trace for trace in measured(figure) if trace.mode == "markers" and trace.name == "SMP-S"}
    assert list(dots["y2"].y) == [50, 50, 50]
    # What was published stands beside each.
    hollow = [trace.yaxis for trace in drawn(figure) if "published" in trace.name]
    assert hollow.count("y") == hollow.count("y2") > 0
    assert sum(bool(trace.showlegend) and trace.name == "SMP-S" for trace in figure.data) == 1
    # A mask of one of the two stands in its panel alone.
    mask = published("rte", "accuracy").head(1).assign(encoder="large", name="a mask")
    figure = plot_curves(every, mean_curves(every), mask)
    assert [trace.yaxis for trace in drawn(figure) if trace.name.startswith("a mask")] == ["y2"]
    tables = difference_to_dense(every), difference_to_dense(mean_curves(every), every, "mean")
    found = plot_difference(*tables, POINTS[:0])
    assert [annotation.text for annotation in found.layout.annotations] == ["small", "large"]
    lines = [(trace.xaxis, trace.name) for trace in drawn(found) if trace.mode == "lines" and trace.name != "Dense"]
    assert ("x2", "RTE · SMP-S") in lines and ("x2", "CoLA · SMP-S") not in lines
