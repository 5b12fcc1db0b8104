"""The scores page in every state that its runs can be in."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import TINY, make_run, random_masks, tiny_scores

from smp_lab.paths import SCORES_FILE

from .conftest import charts, figures, sentences, titles
from .test_curves import DENSE

PAGE = "scores.py"
CHARTS = {"distribution": 1, "over training": 1, "score and weight": 2, "when decided": 4}


def subtitles(app):
    return [figure["layout"]["title"]["subtitle"]["text"] for figure in figures(app)]


def test_a_run_without_scores_gets_a_sentence(open_page, runs):
    app = open_page(PAGE, make_run(runs, **DENSE).run_id)
    assert "None of these runs has scores" in sentences(app.info)
    assert not charts(app)


def test_runs_without_scores_stand_in_nobodys_way(open_page, runs):
    for seed in range(5):
        make_run(runs, seed=seed, **DENSE)
    run = make_run(runs)
    app = open_page(PAGE)
    assert app.selectbox(key="score_run").value == run.run_id
    assert len(charts(app)) == 1


@pytest.mark.parametrize("view", CHARTS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_view_of_one_run(open_page, write_run, view, theme):
    app = open_page(PAGE, write_run().run_id, view=view)
    app.context = {"theme": theme}
    app.run()
    assert not app.exception
    assert not app.error
    assert len(charts(app)) == CHARTS[view]
    assert all(chart.proto.alt.endswith(".") for chart in charts(app)) and all(titles(app))


@pytest.mark.parametrize("view", CHARTS)
def test_two_runs_stand_side_by_side(open_page, write_run, view):
    a, b = write_run(remaining=0.5), write_run(task="cola", remaining=0.1)
    app = open_page(PAGE, a.run_id, b.run_id, view=view, beside=b.run_id)
    assert len(charts(app)) == (6 if view == "when decided" else 2 * CHARTS[view])
    text = " ".join(subtitles(app))
    assert view == "when decided" or ("RTE" in text and "CoLA" in text)


@pytest.mark.parametrize("view", CHARTS)
@pytest.mark.parametrize(("kind", "layer"), [("all", "all"), ("output", "1"), ("all", "0")])
def test_every_choice_of_matrices(open_page, write_run, view, kind, layer):
    app = open_page(PAGE, write_run().run_id, view=view, score_type=kind, score_layer=layer)
    assert len(charts(app)) == CHARTS[view]
    if view != "when decided":
        assert app.selectbox(key="score_layer").value == layer


def test_snapshot_comes_from_the_address(open_page, write_run):
    app = open_page(PAGE, write_run().run_id, snapshot="30")
    assert app.slider(key="snapshot").value == 30
    # Of the snapshots 0, 10, 20 and 30 the one nearest to step 9.
    assert "step 10 of 30" in subtitles(app)[0]


def test_one_snapshot_is_said_to_be_one(open_page, runs, monkeypatch):
    monkeypatch.setitem(make_run.__globals__, "tiny_scores", lambda masks: tiny_scores(masks, n_snapshots=1))
    run = make_run(runs, masks=random_masks(TINY, 1.0), remaining=1.0)
    for view in CHARTS:
        app = open_page(PAGE, run.run_id, view=view)
        assert not app.slider
        assert len(charts(app)) >= 1
    assert "One snapshot of training was recorded" in sentences(open_page(PAGE, run.run_id).caption)


def test_altered_scores_get_their_sentence(open_page, write_run):
    whole, broken = write_run(), write_run(task="cola")
    (broken.path / SCORES_FILE).write_bytes(b"PK")
    app = open_page(PAGE, whole.run_id, broken.run_id, score_run=whole.run_id, beside=broken.run_id)
    assert "scores.npz is cut off or was altered" in sentences(app.error)
    assert len(charts(app)) == 1
    alone = open_page(PAGE, broken.run_id)
    assert "scores.npz is cut off" in sentences(alone.error)
    assert not charts(alone)


def test_share_of_magnitude_is_counted_over_the_chosen_matrices(open_page, write_run):
    run = write_run(remaining=0.5)
    both = int((run.kept.ravel() // 2).sum())
    app = open_page(PAGE, run.run_id, view="score and weight", score_type="all")
    assert f"({both:,} of {run.kept.sum():,})" in sentences(app.markdown)
    app = open_page(PAGE, run.run_id, view="score and weight", score_type="query", score_layer="1")
    assert "**50 %** of the mask too (64 of 128); chance would give 50 %" in sentences(app.markdown)


def test_weights_beyond_the_axis_are_counted_not_hidden(open_page, write_run):
    app = open_page(PAGE, write_run().run_id, score_type="query")
    # Records of tests hold every kept score in a bin without an end.
    assert "Weights beyond the axis: 256." in sentences(app.caption)


@pytest.mark.parametrize("measure", ["Recall", "Precision", "Jaccard", "Phi"])
def test_every_similarity(open_page, write_run, measure):
    app = open_page(PAGE, write_run().run_id, view="when decided", similarity=measure)
    assert len(charts(app)) == 4
    assert np.all(["phi" in text.lower() for text in subtitles(app)[:1]]) == (measure == "Phi")


def test_play_is_in_every_figure_over_snapshots(open_page, write_run):
    run = write_run().run_id
    for view, plays in (("distribution", [4]), ("over training", [4]), ("when decided", [0, 4, 0, 3])):
        shown = figures(open_page(PAGE, run, view=view))
        assert [len(figure.get("frames", [])) for figure in shown] == plays


def test_a_mask_of_no_weight_holds_no_part_of_itself(open_page, write_run):
    app = open_page(PAGE, write_run(remaining=0.0005).run_id, view="when decided")
    assert "in the end no weight is kept." in sentences(app.markdown)
    assert "nan" not in sentences(app.markdown)


@pytest.mark.parametrize("view", CHARTS)
def test_each_view_asks_and_answers(open_page, write_run, view):
    app = open_page(PAGE, write_run().run_id, view=view)
    assert app.title[0].value.endswith("?")
    assert "RTE · SMP-S · 50 %" in sentences(app.markdown[:1])


def test_it_opens_with_the_run_farthest_above_its_baseline(open_page, write_run):
    write_run(task="cola", remaining=0.1, accuracy=0.4)
    clear = write_run(task="rte", remaining=0.1, accuracy=0.9)
    write_run(task="rte", method="movement", remaining=0.03, accuracy=0.95)
    assert open_page(PAGE).selectbox(key="score_run").value == clear.run_id


def test_a_task_without_a_baseline_is_not_the_clearest_for_that(open_page, write_run):
    write_run(task="stsb", accuracy=0.1, regression_head="poles")
    clear = write_run(task="wnli", accuracy=0.95)
    assert open_page(PAGE).selectbox(key="score_run").value == clear.run_id


def test_both_cuts_are_named(open_page, write_run):
    app = open_page(PAGE, write_run().run_id, view="score and weight")
    names = [trace["name"] for trace in figures(app)[0]["data"] if trace.get("showlegend", False)]
    assert [name.split(":")[0] for name in names] == ["cut of the scores", "cut of magnitude pruning"]
