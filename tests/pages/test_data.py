"""CSV and JSON hold what is drawn: every number of every figure is in the table beside it."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import make_run, make_transfer

from smp_lab.ui import controls

from .test_curves import DENSE

# Page, what its address says, and how many figures that makes.
VIEWS = [
    ("sparsity.py", {}, 3),
    ("history.py", {}, 5),
    ("overlap.py", {"measure": "phi_within"}, 7),
    ("overlap.py", {"measure": "jaccard"}, 7),
    ("overlap.py", {"measure": "odds_ratio"}, 7),
    ("curves.py", {}, 1),
    ("curves.py", {"quantity": "difference to dense"}, 1),
    ("scores.py", {"view": "distribution"}, 1),
    ("scores.py", {"view": "over training", "score_type": "all"}, 1),
    ("scores.py", {"view": "score and weight"}, 2),
    ("scores.py", {"view": "when decided"}, 4),
]


@pytest.fixture
def shown(runs, open_page, monkeypatch):
    """``shown(page, **query)``: key, figure and table of every figure of a page."""
    rte = [make_run(runs, seed=seed, mask_seed=seed) for seed in (0, 1)]
    cola = make_run(runs, task="cola", remaining=0.1, mask_seed=3)
    for task in ("rte", "cola"):
        make_run(runs, task=task, accuracy=0.7, **DENSE)
        make_transfer(runs, cola, task)
        make_transfer(runs, rte[0], task)

    def shown(page, **query):
        found = []
        show = controls.show_figure
        monkeypatch.setattr(
            controls,
            "show_figure",
            lambda figure, table, *, key, **more: (
                found.append((key, figure, table)),
                show(figure, table, key=key, **more),
            ),
        )
        open_page(page, **query)
        return found

    return shown


def numbers(values):
    values = np.array([value for value in np.ravel(np.asarray(values, object)) if isinstance(value, (int, float))])
    return values[np.isfinite(values)] if len(values) else values


def drawn(trace):
    """What a trace says, on the axis that says it; nothing where it is scenery."""
    if trace.type == "heatmap":
        return numbers(np.asarray(trace.z).tolist())
    covers = trace.type == "scatter" and (trace.hoveron == "fills" or trace.marker.opacity == 0)
    if trace.hoverinfo == "skip" or covers:
        return ()
    # A cut or a level is a line across the panel: what it says is what stays the same along it.
    along = [numbers(np.asarray(axis).tolist()) for axis in (trace.x, trace.y)]
    for values in along:
        if len(values) == 2 and values[0] == values[1]:
            return values[:1]
    return along[1]


@pytest.mark.parametrize(("page", "query", "n_figures"), VIEWS)
def test_every_drawn_number_is_in_the_data(shown, page, query, n_figures):
    figures = shown(page, **query)[-n_figures:]
    assert len({key for key, _, _ in figures}) == n_figures
    for key, figure, table in figures:
        held = numbers(table.select_dtypes("number").to_numpy().tolist())
        with np.errstate(divide="ignore", invalid="ignore"):
            # Percent, and colours that follow a logarithm.
            held = np.concatenate([held, 100 * held, np.log2(held), np.log10(held)])
        held = np.sort(held[np.isfinite(held)])
        traces = [np.asarray(drawn(trace), float) for trace in figure.data]
        # Of circles the areas are the data, which tests of the figure measure.
        assert key == "shared-weights" or sum(map(len, traces))
        for trace, values in zip(figure.data, traces, strict=True):
            nearest = np.searchsorted(held, values).clip(1, len(held) - 1)
            gap = np.minimum(np.abs(held[nearest] - values), np.abs(held[nearest - 1] - values))
            assert (gap <= 1e-5 * (1 + np.abs(values))).all(), (key, trace.name, values[gap.argmax()])


def test_the_tree_over_the_pairs_is_in_their_data(shown):
    (_, figure, table), *_ = [found for found in shown("overlap.py") if found[0] == "all-pairs"]
    heights = [value for value in figure.data[0].y if value]
    assert len(set(heights)) == 2
    np.testing.assert_allclose(sorted(set(heights)), sorted(set(1 - table["phi_within_joined"])))
