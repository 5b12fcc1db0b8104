"""Axes of a run that trains: they stand still while it does."""

import pandas as pd
import pytest

from smp_lab.figures.live import FLIPS, LOSS, METRIC, REMAINING, plot_kept_by_matrix, plot_progress
from smp_lab.layout import MATRIX_TYPES

MARKS = {"run": "this run", "task": "rte", "method": "smp_s", "level": 0.5}


def rows(kind, high):
    values = {
        LOSS: {"step": [1, 2], "loss": [high, 0.3]},
        REMAINING: {"step": [1, 2], "remaining": [1.0, high], "nominal": [1.0, high]},
        METRIC: {"step": [1, 2], "metric": "matthews_correlation", "value": [high, 0.0], "n_examples": float("nan")}
        | {"remaining": [1.0, 0.5]},
        FLIPS: {"step": [1, 2], "forced": [100 * high, 1], "swaps": [3, 0]},
    }
    return pd.DataFrame(values[kind]).assign(**MARKS)


@pytest.mark.parametrize(
    ("kind", "ends"), [(LOSS, (0, 1)), (REMAINING, (0, 102)), (METRIC, (-102, 102)), (FLIPS, (0, 2))]
)
def test_axes_do_not_move_while_a_run_goes_down_its_way(kind, ends):
    for high in (0.7, 0.6, 0.51):
        figure = plot_progress(rows(kind, high), kind, total_steps=50)
        assert figure.layout.xaxis.range == (0, 50) and figure.layout.yaxis.range == ends
        assert figure.layout.yaxis.autorange is False


@pytest.mark.parametrize(("loss", "end"), [(0.1, 0.5), (1.01, 2), (3.9, 4), (float("inf"), 2**20)])
def test_a_higher_loss_doubles_its_axis(loss, end):
    assert plot_progress(rows(LOSS, loss), LOSS, total_steps=50).layout.yaxis.range == (0, end)


def test_each_matrix_has_its_share_and_its_counts():
    cells = [(layer, kind) for kind in MATRIX_TYPES for layer in range(2)]
    table = pd.DataFrame(cells, columns=["layer", "matrix_type"]).assign(kept=range(12), n_weights=32)
    figure = plot_kept_by_matrix(table.assign(remaining=table["kept"] / 32), 1200)
    (drawn,) = figure.data
    assert drawn.z.tolist() == [[6.25 * kind + layer for kind in range(6)] for layer in (0, 3.125)]
    assert drawn.customdata[1, 3].tolist() == [7, 32]
    assert "step 1,200" in figure.layout.title.subtitle.text
