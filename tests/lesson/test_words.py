"""The fixed sentences of the lesson, each against what the small networks and the cached runs do."""

from dataclasses import replace

import numpy as np
import pytest

from smp_lab import paths
from smp_lab.analysis.sparsity import remaining_per_head
from smp_lab.layout import QUERY, VALUE
from smp_lab.lesson.neuron import MOST_INPUTS, RISES, a_neuron, direction
from smp_lab.lesson.shares import N_WEIGHTS, kept_counts, two_layers
from smp_lab.lesson.slopes import N_WEIGHTS as N_BENCH
from smp_lab.lesson.slopes import bench
from smp_lab.lesson.training import MAGNITUDE, Settings, score_gradients, train
from smp_lab.storage.runs import load_run
from smp_lab.ui.lesson import one_weight, real, records, regulariser, shares, slopes


def recorded(run_id):
    return load_run(paths.cached_runs_folder() / run_id)


@pytest.mark.parametrize("n_inputs", [2, MOST_INPUTS])
def test_a_removed_weight_adds_nothing_and_its_score_learns_as_if_it_were_kept(n_inputs):
    assert "A removed weight adds nothing to the output" in one_weight.WORDS
    outputs = {a_neuron(n_inputs, weight, kept=False, up=True).output for weight in (-1.5, 0.0, 0.9)}
    assert len(outputs) == 1
    for weight in (-0.9, 0.9):
        for up in (True, False):
            both = [a_neuron(n_inputs, weight, kept=kept, up=up).score_gradients[0] for kept in (True, False)]
            assert both[0] == pytest.approx(both[1])
            # The sign table: the score rises where the weight would move y the way that is wanted.
            assert (direction(-both[0]) == RISES) == ((weight > 0) == up)


def test_the_loss_is_a_staircase_with_one_jump_at_the_cut():
    assert "flat, but for one jump where the weight passes the cut" in slopes.WORDS
    here = bench()
    for weight in range(0, N_BENCH, 7):
        cut = here.cut(weight)
        below, above = (
            {here.loss_at_score(weight, score) for score in scores}
            for scores in (np.linspace(-1, cut - 1e-6, 5), np.linspace(cut + 1e-6, 1, 5))
        )
        assert len(below) == len(above) == 1
        assert below.isdisjoint(above) or here.loss_at_mask(weight, 0) == here.loss_at_mask(weight, 1)


def test_magnitude_pruning_never_looks_at_a_score():
    settings = Settings(method=MAGNITUDE, remaining=0.1, width=16, steps=60)
    seen, blind = train(settings), train(replace(settings, straight_through=False))
    assert np.ptp(seen.snapshots[-1].scores) > 0
    assert np.ptp(blind.snapshots[-1].scores) == 0
    for one, other in zip(seen.snapshots, blind.snapshots, strict=True):
        np.testing.assert_array_equal(one.masks, other.masks)


def test_the_regulariser_pulls_every_score_down_and_hardest_at_zero():
    assert (
        "it pulls every score down, and hardest where the slope of the sigmoid is steepest, at 0" in regulariser.WORDS
    )
    scores = np.linspace(-6, 6, 25)
    (pull,) = score_gradients([np.zeros(25)], [np.ones(25)], [scores], 400.0)
    assert (pull > 0).all()
    assert scores[pull.argmax()] == 0


@pytest.mark.parametrize("strength", regulariser.STRENGTHS)
def test_final_scores_are_lower_with_the_regulariser(strength):
    plain, pulled = (
        np.concatenate([score.ravel() for score in train(settings).snapshots[-1].scores])
        for settings in (Settings(remaining=0.1), Settings(remaining=0.1, regularizer=float(strength)))
    )
    assert pulled.mean() < plain.mean()


def test_with_the_regulariser_some_heads_of_minilm_keep_far_more_than_others():
    without, with_it = (
        remaining_per_head(run.kept_per_head, run.layout, (QUERY, VALUE))["remaining"]
        for run in map(recorded, (records.SST2_UNREGULARISED, records.SST2))
    )
    assert with_it.std() > 4 * without.std()


@pytest.mark.parametrize("means", [(1.5, -1.0), (3.0, -3.0), (-2.0, 2.0), (0.5, 0.5)])
@pytest.mark.parametrize("v", [0.01, 0.5, 0.8, 0.99])
def test_v_of_all_weights_are_kept_and_by_smp_l_of_each_layer(means, v):
    assert "v of all weights are kept. SMP-L keeps v of each layer" in shares.WORDS
    counts = kept_counts(two_layers(means), v)
    assert counts["local"] == [int(v * N_WEIGHTS)] * 2
    for pair in counts.values():
        assert abs(sum(pair) - 2 * v * N_WEIGHTS) <= 2
        assert max(pair) <= N_WEIGHTS


def test_the_real_run_is_what_the_last_screen_says():
    assert "10.6 million frozen weights, one score each, 10 % kept for SST-2" in real.WORDS
    assert "21 snapshots" in real.WORDS
    run = recorded(records.SST2)
    assert round(run.layout.n_weights / 1e6, 1) == 10.6
    assert run.config.task == "sst2"
    assert not run.config.method_info.trains_weights
    assert run.config.remaining == 0.1
    assert len(run.scores.steps) == 21
    assert run.config.method == "smp_s"
