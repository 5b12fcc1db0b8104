"""The overlap page in every state that its runs can be in."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import TINY, make_run, make_transfer

from smp_lab.analysis.overlap import MEASURES, measure_overlap, pairwise_overlap
from smp_lab.figures.overlap import SCALES
from smp_lab.layout import EncoderLayout
from smp_lab.paths import MASKS_FILE
from smp_lab.ui import cache, overlap_words

from .conftest import charts, figures, sentences, titles

PAGE = "overlap.py"
OTHER = EncoderLayout(n_layers=1, hidden_size=16, intermediate_size=32, n_heads=2, n_parameters=6000)


@pytest.fixture
def three(runs):
    """Two seeds of one task and another task, all with other masks."""
    return [
        make_run(runs, task="rte", seed=0, mask_seed=1),
        make_run(runs, task="rte", seed=1, mask_seed=2),
        make_run(runs, task="cola", remaining=0.1, mask_seed=3),
    ]


def pair_table(app):
    return app.table[0].value.set_index("Measure")


def test_one_run_is_too_few(open_page, write_run):
    app = open_page(PAGE, write_run().run_id)
    assert "needs two runs with masks" in sentences(app.info)
    assert not charts(app)


def test_two_runs_have_no_intersections(open_page, three):
    app = open_page(PAGE, three[0].run_id, three[1].run_id)
    assert titles(app) == [
        "Pairs by what the two runs share",
        "Overlap of every two runs",
        "Kept by one or by both",
        "Overlap of a pair, matrix by matrix",
        "Overlap of a pair, head by head",
    ]
    assert "need three runs or more" in sentences(app.info)
    assert not app.warning


def test_all_runs_are_shown_where_none_is_chosen(open_page, three):
    app = open_page(PAGE)
    assert "all 3 are" in sentences(app.caption)
    assert titles(app)[-1] == "Weights kept by exactly these runs"
    assert app.multiselect(key="sets").value == sorted(run.run_id for run in three)
    assert not app.error


@pytest.mark.parametrize("measure", MEASURES)
def test_measure_in_the_address(open_page, three, measure):
    app = open_page(PAGE, measure=measure)
    assert app.selectbox(key="measure").value == measure
    assert MEASURES[measure].answers in sentences(app.markdown)
    (asked,) = (words for words in app.markdown if words.value == MEASURES[measure].answers)
    assert MEASURES[measure].formula in asked.proto.help
    assert len(charts(app)) == 6
    assert all(chart.proto.alt.endswith(".") for chart in charts(app))


def test_unequal_densities_are_said(open_page, three):
    words = sentences(open_page(PAGE).expander[0].markdown)
    assert "in 2 of 3 pairs Phi within matrices cannot come near 1, and in one of them it is at most 0.33." in words
    assert "Containment" in words
    assert not open_page(PAGE, measure="containment").expander
    assert not open_page(PAGE, three[0].run_id, three[1].run_id).expander


def test_a_pair_whose_value_is_not_known_is_in_no_warning():
    pairs = pd.DataFrame(
        {
            "phi_magnitude": [np.nan, 0.2, 0.3],
            "phi_magnitude_max": [np.nan, 0.7, 0.6],
            "capped": [True, True, False],
        }
    )
    words = overlap_words.caution(pairs, "phi_magnitude")
    assert "in 1 of 2 pairs" in words and "it is at most 0.70." in words
    unknown = overlap_words.caution(pairs[:1], "phi_magnitude")
    assert "cannot come near 1" not in unknown and "is unknown for all of these pairs" in unknown


def test_the_page_asks_and_answers_from_what_it_shows(open_page, three):
    app = open_page(PAGE)
    assert app.title[0].value == "How much do masks agree?"
    pairs = pairwise_overlap({run.run_id: run.masks for run in three})
    phi = measure_overlap(pairs, ["run_a", "run_b"]).set_index(["run_a", "run_b"])["phi_within"]
    seeds = phi[phi.index.isin([(three[0].run_id, three[1].run_id), (three[1].run_id, three[0].run_id)])]
    others = phi.drop(seeds.index)
    assert app.markdown[0].value == (
        f"Phi within matrices, median: two seeds of one task **{seeds.iloc[0]:z.2f}** (1 pair); two tasks "
        f"**{others.median():z.2f}** (2 pairs). 0 is chance."
    )


def test_seeds_are_the_ceiling_or_missed(open_page, three):
    assert "Two seeds of one task set the ceiling" in sentences(open_page(PAGE).caption)
    apart = open_page(PAGE, three[0].run_id, three[2].run_id)
    assert "Train one of the tasks with another seed" in sentences(apart.caption)


def test_pair_is_that_of_the_records_either_way_round(open_page, three):
    a, b = three[0], three[2]
    direct = measure_overlap(pairwise_overlap({"a": a.masks, "b": b.masks}), ["run_a", "run_b"]).iloc[0]
    for one, other in ((a, b), (b, a)):
        app = open_page(PAGE, pair_a=one.run_id, pair_b=other.run_id)
        words = sentences(app.markdown)
        assert f"A keeps {one.masks.kept_total:,} of {TINY.n_weights:,} weights, B {other.masks.kept_total:,}." in words
        assert f"Both keep **{direct['n_both']:,}**, {direct['lift']:.2f} times the" in words
        assert app.metric[0].value == f"{direct['phi_within']:z.2f}"
        table = pair_table(app)["Value"].map(lambda text: None if text == r"\-" else float(text))
        for name in ("phi_within", "lift", "odds_ratio"):
            assert table[SCALES[name].title] == pytest.approx(direct[name], abs=1e-4)
        for column, name, wanted in (("At most", "phi_within", "max"), ("By chance", "jaccard", "chance")):
            shown = float(pair_table(app).loc[SCALES[name].title, column])
            assert shown == pytest.approx(direct[f"{name}_{wanted}"], abs=1e-4)


def test_a_run_with_itself_is_no_pair(open_page, three):
    run_id = three[0].run_id
    app = open_page(PAGE, pair_a=run_id, pair_b=run_id)
    assert "are the same run" in sentences(app.info)
    assert len(charts(app)) == 3


def test_a_pair_that_is_no_longer_chosen_gives_way(open_page, three):
    ids = [run.run_id for run in three]
    app = open_page(PAGE, *ids, pair_a=ids[2], pair_b=ids[1])
    app.multiselect(key="runs").set_value(ids[:2]).run()
    assert not app.exception
    assert len(charts(app)) == 5
    assert {app.selectbox(key=key).value for key in ("pair_a", "pair_b")} == set(ids[:2])


def test_partial_phi_needs_equal_counts(open_page, write_run, three):
    app = open_page(PAGE, three[0].run_id, three[2].run_id, measure="phi_partial")
    assert "Partial phi given magnitude is unknown for all of these pairs" in sentences(app.expander[0].markdown)
    equal = open_page(PAGE, three[0].run_id, three[1].run_id, measure="phi_partial")
    assert not equal.expander
    assert float(pair_table(equal).loc["Partial phi given magnitude", "Value"])


def test_what_rests_on_scores_is_unknown_without_them(open_page, write_run):
    one = write_run(method="random", mask_seed=1)
    other = write_run(method="random", seed=1, mask_seed=2)
    for name in ("phi_partial", "phi_magnitude"):
        app = open_page(PAGE, one.run_id, other.run_id, measure=name)
        words = sentences(app.expander[0].markdown)
        assert f"{SCALES[name].title} is unknown for all of these pairs" in words


def test_intersections_of_too_few(open_page, three):
    app = open_page(PAGE)
    app.multiselect(key="sets").set_value([three[0].run_id]).run()
    assert "Choose three runs or more" in sentences(app.info)
    assert len(charts(app)) == 5


def test_union_and_intersection_have_their_density(open_page, three):
    table = open_page(PAGE).dataframe[0].value.set_index("rule")
    dense = [[run.masks.dense(matrix) for matrix in TINY.matrices] for run in three]
    votes = [sum(masks.astype(int) for masks in matrices) for matrices in zip(*dense, strict=True)]
    for rule, least in (("union", 1), ("majority", 2), ("intersection", 3)):
        kept = sum(int((matrix >= least).sum()) for matrix in votes)
        assert table.loc[rule, "kept"] == kept
        assert table.loc[rule, "remaining"] == pytest.approx(kept / TINY.n_weights, abs=5e-6)


def test_dense_runs_are_left_out(open_page, three, write_run):
    dense = write_run(method="dense", remaining=1, score_learning_rate=None, weight_learning_rate=3e-5)
    app = open_page(PAGE)
    assert "Without a mask, and so left out: RTE · Dense fine-tuning" in sentences(app.caption)
    assert len(charts(app)) == 6
    alone = open_page(PAGE, dense.run_id, three[0].run_id)
    assert "needs two runs with masks" in sentences(alone.info)


def test_a_control_has_its_own_column(open_page, three, write_run):
    write_run(method="random", mask_seed=9)
    spec = figures(open_page(PAGE))[0]
    assert [text.split("<br>n = ") for text in spec["layout"]["xaxis"]["ticktext"]] == [
        ["same task,<br>other seed", "1"],
        ["other task", "2"],
        ["with a random mask", "3"],
    ]


def test_runs_of_two_encoders(open_page, three, runs):
    others = [
        make_run(runs, layout=OTHER, base_model="another", base_model_sha256="f" * 64, seed=seed, mask_seed=seed)
        for seed in (0, 1)
    ]
    app = open_page(PAGE)
    assert app.selectbox(key="encoder").value == "tiny-test-encoder (aaaaaaaa)"
    assert len(app.selectbox(key="pair_a").options) == 3
    app.selectbox(key="encoder").set_value("another (ffffffff)").run()
    assert app.selectbox(key="pair_a").value == min(run.run_id for run in others)
    assert not app.exception
    chosen = open_page(PAGE, three[0].run_id, others[0].run_id)
    (error,) = chosen.error
    assert three[0].run_id in sentences([error])
    assert others[0].run_id in sentences([error])
    assert "choose runs of one encoder" in error.value
    assert not charts(chosen)


def test_a_run_whose_mask_is_damaged_is_left_out(open_page, three):
    (three[0].path / MASKS_FILE).write_bytes(b"PK")
    # A mask that was read under its digest is not read again.
    cache.masks.clear()
    app = open_page(PAGE)
    assert "masks.npz is cut off or was altered" in sentences(app.error)
    assert app.multiselect(key="runs").options
    assert {app.selectbox(key=key).value for key in ("pair_a", "pair_b")} == {run.run_id for run in three[1:]}


@pytest.fixture
def transferred(runs, three):
    """Masks of two tasks at 50 %, scored on both, and one at 10 % that was scored on its own task alone."""
    rte, cola = three[0], make_run(runs, task="cola", mask_seed=4)
    return [
        *(make_transfer(runs, run, task, accuracy=0.55) for run in (rte, cola) for task in ("rte", "cola")),
        make_transfer(runs, None, "rte", accuracy=0.5),
        make_transfer(runs, None, "rte", accuracy=0.5, base_model_sha256="f" * 64),
        make_transfer(runs, three[2], "cola"),
    ]


def matrix(app):
    (figure,) = [figure for figure in figures(app) if "each mask scores" in figure["layout"]["title"]["text"]]
    return figure


def test_where_nothing_was_transferred_the_command_is_named(open_page, runs, three):
    # Controls come along with every command.
    controls = [make_run(runs, method="random", seed=seed, mask_seed=seed) for seed in (0, 1)]
    assert not open_page(PAGE, *(run.run_id for run in controls)).code
    app = open_page(PAGE)
    assert "Not every mask was scored" in sentences(app.caption)
    assert app.code[-1].value == f"smp-lab transfer {' '.join(sorted(run.run_id for run in three))} --runs {runs}"
    assert len(charts(app)) == 6


def test_masks_on_one_anothers_tasks(open_page, transferred):
    own, other = (transferred[0].settings.mask_run, transferred[2].settings.mask_run)
    app = open_page(PAGE, own, other)
    spec = matrix(app)
    assert spec["layout"]["yaxis"]["ticktext"][-1] == "Random mask, draw 0"
    assert len(spec["layout"]["yaxis"]["ticktext"]) == 3
    assert len(spec["layout"]["shapes"]) == 4
    assert "Curves compares two runs on the same examples" in sentences(app.caption)
    assert not app.code
    assert not app.warning


def test_densities_of_transfers_are_chosen_in_the_address(open_page, transferred):
    assert open_page(PAGE).selectbox(key="transfer_level").options == ["10 %", "50 %"]
    app = open_page(PAGE, transfer_level="50 %")
    assert len(matrix(app)["layout"]["yaxis"]["ticktext"]) == 3
    assert "smp-lab transfer" in app.code[-1].value


def test_a_transfer_of_another_mask_is_left_out(open_page, runs, three):
    make_transfer(runs, three[0], "rte", mask_sha256="0" * 64)
    app = open_page(PAGE)
    assert "Measured with another mask than the run holds now, and left out: RTE · SMP-S" in sentences(app.warning)
    assert len(charts(app)) == 6


def test_a_broken_transfer_is_told(open_page, transferred):
    transferred[0].path.write_text("{")
    app = open_page(PAGE)
    assert "is cut off or is not JSON" in sentences(app.error)
    assert len(charts(app)) == 7
