"""The fixed sentences of the lesson, each against what the small networks and the cached runs do."""

from dataclasses import replace

import numpy as np
import pytest

from smp_lab import paths
from smp_lab.analysis.sparsity import remaining_per_head
from smp_lab.layout import QUERY, VALUE
from smp_lab.lesson.network import backward, embed, forward, random_network
from smp_lab.lesson.neuron import MOST_INPUTS, RISES, a_neuron, direction
from smp_lab.lesson.shapes import draw_points
from smp_lab.lesson.shares import N_WEIGHTS, asked, kept_counts, two_layers
from smp_lab.lesson.slopes import N_WEIGHTS as N_BENCH
from smp_lab.lesson.slopes import bench
from smp_lab.lesson.training import MAGNITUDE, MOVEMENT, SMP, Settings, score_gradients, train, walk
from smp_lab.storage.runs import load_run
from smp_lab.ui.lesson import one_weight, plane, real, records, regulariser, shares, slopes


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


@pytest.mark.parametrize("n_inputs", [2, 4, MOST_INPUTS])
@pytest.mark.parametrize("weight", [-1.5, -0.4, 0.1, 0.9])
@pytest.mark.parametrize("up", [True, False])
def test_what_the_loss_is_said_to_want_of_a_weight_lowers_it(n_inputs, weight, up):
    def loss(neuron):
        return (neuron.output - neuron.target) ** 2 / 2

    kept, removed = (a_neuron(n_inputs, weight, kept=state, up=up) for state in (True, False))
    further = replace(kept, weights=kept.weights * np.array([1.01, *[1] * (n_inputs - 1)]))
    added = replace(removed, mask=np.ones(n_inputs, bool))
    wanted = (weight > 0) == up
    for neuron, changed, yes, no in (
        (kept, further, "further from 0", "nearer to 0"),
        (removed, added, "wants what this weight would add", "better left out"),
    ):
        said = one_weight.reason(weight, one_weight.Case(bool(neuron.mask[0]), up))
        assert (yes in said, no in said) == (wanted, not wanted)
        assert (loss(changed) < loss(neuron)) == wanted


def test_a_weight_of_nothing_has_no_reason_to_move():
    for kept in (True, False):
        assert "no reason to move" in one_weight.reason(0.0, one_weight.Case(kept, True))
        assert a_neuron(3, 0.0, kept=kept, up=True).score_gradients[0] == 0


@pytest.mark.parametrize("score", [-0.4, 0.4])
def test_the_slope_that_smp_takes_is_that_in_the_mask_as_if_it_could_be_any_number(score):
    assert "takes the slope in the mask instead, as if M could be any number" in slopes.WORDS
    here = bench()
    for weight in range(0, N_BENCH, 7):
        assert here.gradient(weight, score) == pytest.approx(here.difference(weight, score), rel=1e-3, abs=1e-6)
        # Of the network that has this score, whose other weights it may have brought over the cut.
        mask = float(score > here.cut(weight))
        assert here.loss_at_mask(weight, score, mask) == here.loss_at_score(weight, score)


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
        assert below.isdisjoint(above)


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


def test_a_score_stays_high_only_where_the_task_pushes_back():
    assert "A score stays high only where the task pushes back" in regulariser.WORDS
    settings = Settings(remaining=0.1, regularizer=20.0, width=8, steps=100)
    rng = np.random.default_rng(0)
    points, labels = draw_points("moons", 64, rng)
    network = random_network(8, rng)
    pushed = [np.zeros(weight.shape, bool) for weight in network.weights]
    for state, _ in walk(network, points, labels, settings, rng):
        z, hidden = forward(network, embed(network, points), state.masked)
        task = score_gradients(backward(network, state.masked, hidden, z, labels), state.weights, state.scores, 0)
        pushed = [before | (gradient < 0) for before, gradient in zip(pushed, task, strict=True)]
    scores = np.stack(state.scores)
    assert not np.stack(pushed).all()
    assert (scores[~np.stack(pushed)] < 0).all()
    assert (scores > 0).any()


def test_after_its_steps_the_schedule_asks_for_nothing_more():
    schedule = Settings(remaining=0.1).schedule
    asked = [schedule.remaining(step) for step in range(schedule.schedule_steps, schedule.total_steps + 1)]
    assert set(asked) == {0.1}
    assert schedule.remaining(schedule.schedule_steps - 1) > 0.1


def test_points_of_the_plane_move_as_is_said():
    assert "cuts by |W|, movement pruning and SMP by the score S" in plane.WORDS
    for method in (SMP, MOVEMENT, MAGNITUDE):
        last = train(Settings(method=method, remaining=0.1, width=16)).snapshots[-1]
        by = np.abs(last.weights) if method == MAGNITUDE else np.stack(last.scores)
        for importance, mask in zip(by, last.masks, strict=True):
            assert importance[mask].min() >= importance[~mask].max()
            assert mask.mean() == pytest.approx(0.1, abs=0.01)


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
    assert "v of all weights is kept. SMP-L keeps v of each layer" in shares.WORDS
    counts = kept_counts(two_layers(means), v)
    assert counts["local"] == [int(v * N_WEIGHTS)] * 2
    for pair in counts.values():
        assert abs(sum(pair) - 2 * v * N_WEIGHTS) <= 2
        assert max(pair) <= N_WEIGHTS


@pytest.mark.parametrize("means", [(1.5, -1.0), (-2.0, 2.0), (0.5, 0.25)])
def test_layers_compete_by_their_mean_sigmoids_and_smp_g_ranks_all_scores(means):
    assert "compete by the mean of sigmoid(S), and SMP-G ranks all scores together" in shares.WORDS
    scores = two_layers(means)
    r = [(1 / (1 + np.exp(-values))).mean() for values in scores]
    wanted = asked(scores, 0.3)
    assert wanted == pytest.approx([2 * 0.3 * part / sum(r) for part in r])
    # "The mean of the two is v."
    assert np.mean(wanted) == pytest.approx(0.3)
    kept = kept_counts(scores, 0.3)
    assert (kept["share"][0] > kept["share"][1]) == (r[0] > r[1])
    cut = np.sort(np.concatenate(scores), axis=None)[-sum(kept["global"])]
    assert kept["global"] == [int((values >= cut).sum()) for values in scores]


def test_fixed_numbers_of_the_last_screen_are_those_of_the_records():
    assert recorded(records.MRPC).layout.n_layers * recorded(records.MRPC).layout.n_heads == 72
    for run_id in (records.SST2_HALF, records.SST2_RANDOM_HALF):
        run = recorded(run_id)
        assert (run.n_examples, run.config.task, run.config.remaining) == (872, "sst2", 0.5)
    assert {recorded(run_id).config.seed for run_id in (records.MRPC, records.SST2)} == {0}
    assert recorded(records.MRPC_SEED_1).config.task == recorded(records.MRPC).config.task == "mrpc"
    assert [recorded(name).config.regularizer for name in (records.SST2_UNREGULARISED, records.SST2)] == [0, 400]


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
