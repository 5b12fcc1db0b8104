import numpy as np
import pandas as pd
import pytest
from conftest import TINY, random_masks

from smp_lab.analysis.sparsity import block_fractions, remaining_per_head, remaining_per_layer
from smp_lab.figures.sparsity import plot_matrix, plot_remaining_per_head, plot_remaining_per_layer
from smp_lab.figures.style import TASK_COLORS
from smp_lab.layout import MATRIX_TYPES, MatrixId

MASKS = random_masks(TINY, 0.3)
KEPT = np.array([[MASKS.kept(MatrixId(layer, kind)) for kind in MATRIX_TYPES] for layer in range(TINY.n_layers)])
PER_HEAD = np.array(
    [[MASKS.kept_per_head(MatrixId(layer, kind)) for kind in MATRIX_TYPES[:4]] for layer in range(TINY.n_layers)]
)


def of_runs(table, *tasks):
    return pd.concat(
        [table.assign(run=task.upper(), task=task, method="smp_s", level=0.3) for task in tasks], ignore_index=True
    )


def panel_titles(figure):
    return [note.text for note in figure.layout.annotations]


def test_remaining_per_layer_draws_the_table():
    table = of_runs(remaining_per_layer(KEPT, TINY), "rte", "sst2")
    figure = plot_remaining_per_layer(table)
    assert panel_titles(figure) == [
        "All six types",
        "Query",
        "Key",
        "Value",
        "Attention output",
        "Intermediate (up)",
        "Output (down)",
    ]
    assert len(figure.data) == 2 * 7
    assert [trace.name for trace in figure.data if trace.showlegend] == ["RTE", "SST2"]
    for trace in figure.data:
        assert trace.line.color == TASK_COLORS[trace.name.lower()]
    overall = figure.data[0]
    assert overall.x.tolist() == [0, 1]
    assert overall.y == pytest.approx(100 * KEPT.sum(axis=1) / 2048)
    assert overall.customdata[1].tolist() == [KEPT[1].sum(), 2048]
    assert figure.layout.yaxis.title.text == "Remaining weights (%)"
    assert "encoder" in figure.layout.title.subtitle.text


def test_each_line_is_in_the_panel_of_its_type():
    figure = plot_remaining_per_layer(of_runs(remaining_per_layer(KEPT, TINY), "rte"))
    drawn = {trace.xaxis: np.asarray(trace.y) for trace in figure.data}
    # The panels are numbered row by row: overall, then the types in order.
    for place, kind in enumerate(MATRIX_TYPES):
        assert drawn[f"x{place + 2}"] == pytest.approx(100 * KEPT[:, place] / TINY.size(kind))


def test_remaining_per_head_draws_layer_by_head():
    table = of_runs(remaining_per_head(PER_HEAD, TINY), "rte", "sst2", "cola", "mrpc", "qqp")
    figure = plot_remaining_per_head(table, "query, key, value and attention output")
    assert panel_titles(figure) == ["RTE", "SST2", "COLA", "MRPC", "QQP"]
    first = figure.data[0]
    assert first.z == pytest.approx(100 * PER_HEAD.sum(axis=1) / (4 * TINY.head_size * TINY.hidden_size))
    assert first.customdata[1][0].tolist() == [PER_HEAD[1, :, 0].sum(), 4 * TINY.head_size * TINY.hidden_size]
    assert {trace.coloraxis for trace in figure.data} == {"coloraxis"}
    # Dark is empty, not the emptiest that there is.
    assert figure.layout.coloraxis.cmin == 0
    assert figure.layout.coloraxis.cmax == pytest.approx(100 * table["remaining"].max())
    titled = [axis for axis in range(1, 6) if figure.layout[f"xaxis{axis if axis > 1 else ''}"].title.text == "Head"]
    assert titled == [2, 3, 4, 5]
    # Layer 0 at the bottom.
    assert figure.layout.yaxis.autorange is None
    assert first.y.tolist() == [0, 1]
    assert [word for row in first.hovertext for word in row] == [f"{value:.0f}" for value in first.z.ravel()]


@pytest.mark.parametrize(("n_runs", "columns", "numbered"), [(1, 1, True), (4, 2, True), (8, 2, True), (9, 4, False)])
def test_maps_of_many_heads_leave_room_for_numbers_until_there_are_many_maps(n_runs, columns, numbered):
    one = pd.DataFrame(
        [{"layer": layer, "head": head, "kept": 1, "n_weights": 2} for layer in range(12) for head in range(12)]
    ).assign(remaining=0.5)
    figure = plot_remaining_per_head(of_runs(one, *map(str, range(n_runs))), "query")
    assert len({axis.domain for axis in figure.select_xaxes()}) == columns
    assert {trace.hovertext is not None for trace in figure.data} == {numbered}


def test_long_names_above_maps_side_by_side_do_not_meet():
    table = of_runs(remaining_per_head(PER_HEAD, TINY), "rte", "sst2", "cola", "mrpc")
    long = table.assign(run=table["run"] + " · SMP-S · 10 % · teacher sst2-dense-r1-s0 · minilm-l6 · seed 0")
    figure = plot_remaining_per_head(long, "query")
    first, second = panel_titles(figure)[0].split("<br>")
    assert first == "RTE · SMP-S"
    assert len(second) < 26 and second.startswith("10 %") and second.endswith("seed 0")
    # A pointer has all of it.
    assert figure.data[0].name == long["run"][0]
    assert "<extra>" not in figure.data[0].hovertemplate


def test_matrix_draws_blocks_at_their_place():
    mask = MASKS.dense(MatrixId(1, "intermediate"))
    figure = plot_matrix(block_fractions(mask, max_side=16), "RTE, layer 1 intermediate", (8, 0, 4), 0.8)
    (heat,) = figure.data
    assert heat.z == pytest.approx(100 * mask.reshape(16, 2, 16).mean(axis=1))
    assert heat.z.dtype == np.float32
    assert heat.y[:2].tolist() == [0.5, 2.5]
    assert heat.x[:2].tolist() == [0, 1]
    assert (figure.layout.coloraxis.cmin, figure.layout.coloraxis.cmax) == (0, 80)
    # Row 0 at the top, as a matrix is written.
    assert figure.layout.yaxis.autorange == "reversed"
    assert "2 x 1 weights" in figure.layout.title.subtitle.text
    frame = figure.layout.shapes[0]
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (-0.5, 3.5, 7.5, 11.5)
