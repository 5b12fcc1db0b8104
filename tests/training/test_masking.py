import numpy as np
import pytest
import torch

from smp_lab.errors import TrainingError
from smp_lab.layout import MATRIX_TYPES, EncoderLayout
from smp_lab.masks import kept_count, top_k
from smp_lab.schedule import Schedule
from smp_lab.training.masking import Prunable, global_, local, share, threshold
from smp_lab.training.masking.share import kept_counts, share_among_layers, whole_counts

LAYOUT = EncoderLayout(n_layers=3, hidden_size=8, intermediate_size=20, n_heads=2, n_parameters=5000)


def random_scores(seed, spread=2.0):
    rng = np.random.default_rng(seed)
    return [
        torch.from_numpy((rng.normal(rng.normal() * spread, 1, LAYOUT.shape(m.matrix_type))).astype(np.float32))
        for m in LAYOUT.matrices
    ]


def masks_of(function, scores, level):
    masks = [torch.empty_like(score, dtype=torch.bool) for score in scores]
    function(Prunable(LAYOUT, [], Schedule(1, 0, level, final_threshold=level)), scores, 0, masks)
    return masks


@pytest.mark.parametrize("remaining", [1.0, 0.999, 0.5, 0.1, 0.003])
def test_local_keeps_the_top_of_every_matrix(remaining):
    scores = random_scores(0)
    for score, mask in zip(scores, masks_of(local, scores, remaining), strict=True):
        np.testing.assert_array_equal(mask, top_k(score.numpy(), int(np.floor(remaining * score.numel()))))


@pytest.mark.parametrize("remaining", [1.0, 0.97, 0.5, 0.1, 0.003])
@pytest.mark.parametrize("spread", [0.0, 2.0])
def test_share_keeps_exactly_its_fraction_of_every_type(remaining, spread):
    scores = random_scores(1, spread)
    masks = masks_of(share, scores, remaining)
    for matrix_type in MATRIX_TYPES:
        of_type = [i for i, matrix in enumerate(LAYOUT.matrices) if matrix.matrix_type == matrix_type]
        kept = sum(int(masks[i].sum()) for i in of_type)
        assert kept == kept_count(remaining, 3 * LAYOUT.size(matrix_type))
        for i in of_type:
            np.testing.assert_array_equal(masks[i], top_k(scores[i].numpy(), int(masks[i].sum())))


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


def test_share_is_the_formula_where_nothing_is_cut_off():
    means = tensor([[0.2, 0.5], [0.4, 0.5], [0.3, 0.5]])
    v = 0.3
    for layer in range(3):
        for kind in range(2):
            want = v * 3 * means[layer, kind] / sum(means[other, kind] for other in range(3))
            assert share_among_layers(means, v)[layer, kind] == pytest.approx(want)


@pytest.mark.parametrize("p", [1.0, 4.0])
def test_a_share_temperature_divides_the_scores_of_the_share_rule(p):
    scores = random_scores(5, spread=0.5)
    part = Prunable(LAYOUT, [], Schedule(1, 0, 0.2), share_temperature=p)
    counts = kept_counts(part, scores, 0.2).tolist()
    means = [np.mean(1 / (1 + np.exp(-score.numpy().astype(np.float64) / p))) for score in scores]
    for place, matrix in enumerate(LAYOUT.matrices):
        same_type = [i for i, other in enumerate(LAYOUT.matrices) if other.matrix_type == matrix.matrix_type]
        share = 0.2 * 3 * means[place] / sum(means[i] for i in same_type)
        assert abs(counts[place] - share * LAYOUT.size(matrix.matrix_type)) < 1


def test_share_redistributes_what_a_full_matrix_cannot_take():
    # v L = 2.4 of 3; the first asks for 2.4 * 0.8 / 1.0 = 1.92, is full at 1, and leaves 1.4 for the others, 1 : 1.
    np.testing.assert_allclose(share_among_layers(tensor([[0.8], [0.1], [0.1]]), 0.8)[:, 0], [1, 0.7, 0.7])
    # Twice: after the first is full, the second asks for 1.4 * 0.19 / 0.2 = 1.33.
    np.testing.assert_allclose(share_among_layers(tensor([[0.8], [0.19], [0.01]]), 0.8)[:, 0], [1, 1, 0.4])


@pytest.mark.parametrize("n_layers", [1, 2, 3, 6, 12, 24])
@pytest.mark.parametrize("n_weights", [1000, 147_456, 250_000, 589_824, 1_000_000])
def test_equal_layers_share_exactly_at_any_level(n_layers, n_weights):
    levels = [*np.linspace(0.001, 1, 1000), *np.random.default_rng(0).uniform(0, 1, 200)]
    totals = torch.tensor([kept_count(v, n_layers * n_weights) for v in levels])
    # A column per level.
    shares = share_among_layers(torch.full((n_layers, len(levels)), 0.5, dtype=torch.float64), tensor(levels))
    counts = whole_counts(shares, torch.full((len(levels),), float(n_weights)), totals)
    assert torch.equal(counts.sum(dim=0), totals)
    assert counts.min() >= 0 and counts.max() <= n_weights
    assert np.ptp(counts.numpy(), axis=0).max() <= 1


@pytest.mark.parametrize("seed", range(20))
def test_shares_are_fractions_whose_mean_is_the_remaining_one(seed):
    rng = np.random.default_rng(seed)
    means, v = tensor(rng.uniform(0.001, 1, (6, 6)) ** 3), rng.uniform(0.01, 1)
    shares = share_among_layers(means, v)
    assert shares.min() > 0 and shares.max() <= 1
    np.testing.assert_allclose(shares.mean(axis=0), v)


def test_whole_counts_give_the_rest_to_the_largest_fractions():
    shares = tensor([[0.25, 1.0], [0.36, 0.55], [0.29, 0.55]])
    counts = whole_counts(shares, tensor([10, 10]), torch.tensor([9, 21]))
    assert counts.T.tolist() == [[2, 4, 3], [10, 6, 5]]


@pytest.mark.parametrize("function", [local, share, global_])
@pytest.mark.parametrize("others", ["ties", "random"])
def test_one_nan_is_refused(function, others):
    scores = random_scores(4) if others == "random" else [torch.zeros_like(score) for score in random_scores(4)]
    scores[7][1, 2] = torch.nan
    with pytest.raises(TrainingError, match="Scores hold NaN"):
        masks_of(function, scores, 0.4)


@pytest.mark.parametrize("remaining", [1.0, 0.5, 0.1, 0.003])
def test_global_ranks_all_scores_together(remaining):
    scores = random_scores(2)
    masks = masks_of(global_, scores, remaining)
    flat = np.concatenate([score.numpy().ravel() for score in scores])
    want = top_k(flat, kept_count(remaining, flat.size))
    np.testing.assert_array_equal(np.concatenate([mask.numpy().ravel() for mask in masks]), want)


def test_threshold_keeps_each_score_for_itself():
    scores = random_scores(3)
    for score, mask in zip(scores, masks_of(threshold, scores, 0.3), strict=True):
        np.testing.assert_array_equal(mask, 1 / (1 + np.exp(-score.numpy().astype(np.float64))) > 0.3)


@pytest.mark.parametrize("function", [local, share])
def test_threads_change_nothing(function):
    scores, threads = random_scores(3), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = masks_of(function, scores, 0.3)
        torch.set_num_threads(3)
        together = masks_of(function, scores, 0.3)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


def test_an_error_in_a_thread_is_not_lost():
    scores, threads = random_scores(3), torch.get_num_threads()
    scores[-1].fill_(torch.nan)
    try:
        torch.set_num_threads(2)
        with pytest.raises(TrainingError, match="Scores hold NaN"):
            masks_of(local, scores, 0.3)
    finally:
        torch.set_num_threads(threads)
