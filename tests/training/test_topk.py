import numpy as np
import pytest
import torch

from smp_lab.errors import TrainingError
from smp_lab.masks import top_k
from smp_lab.training.topk import _select_by_sorting, select_top_k


def slow_top_k(scores, k):
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return [i in set(order[:k]) for i in range(len(scores))]


@pytest.mark.parametrize("k", [0, 1, 5, 12])
def test_equal_scores_are_kept_by_position(k):
    mask = torch.empty(3, 4, dtype=torch.bool)
    select_top_k(torch.zeros(3, 4), k, mask)
    assert mask.reshape(-1).tolist() == [True] * k + [False] * (12 - k)


def test_follows_scores_that_move_like_trained_ones():
    rng = np.random.default_rng(0)
    scores = torch.zeros(40, 50)
    mask = torch.empty_like(scores, dtype=torch.bool)
    for step in range(200):
        # Steps of one size make ties, as Adam's first steps do.
        scores += torch.from_numpy(rng.choice([-0.02, 0, 0.02], scores.shape).astype(np.float32))
        k = max(2000 - 12 * step, 30)
        select_top_k(scores, k, mask)
        np.testing.assert_array_equal(mask.numpy(), top_k(scores.numpy(), k))
        assert mask.sum() == k


def test_sorting_way_gives_the_same_mask():
    rng = np.random.default_rng(1)
    scores = torch.from_numpy(rng.integers(0, 5, 60).astype(np.float32))
    for k in range(61):
        mask = torch.empty(60, dtype=torch.bool)
        _select_by_sorting(scores, k, mask)
        assert mask.tolist() == slow_top_k(scores.tolist(), k)
        select_top_k(scores, k, mask)
        assert mask.tolist() == slow_top_k(scores.tolist(), k)


def test_infinite_scores_have_a_rank():
    scores = torch.tensor([-torch.inf, torch.inf, 0.0, -torch.inf, torch.inf])
    mask = torch.empty(5, dtype=torch.bool)
    for k in (1, 2, 3, 4):
        select_top_k(scores, k, mask)
        assert mask.tolist() == slow_top_k(scores.tolist(), k)


def test_nan_is_refused():
    scores = torch.full((8,), torch.nan)
    with pytest.raises(TrainingError, match="Scores hold NaN"):
        select_top_k(scores, 3, torch.empty(8, dtype=torch.bool))


@pytest.mark.parametrize("share_of_ties", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("fraction", [0.001, 0.05, 0.1, 0.5, 0.95, 0.999])
def test_many_equal_scores_take_the_other_way_to_the_same_mask(share_of_ties, fraction):
    rng = np.random.default_rng(2)
    scores = rng.normal(size=30_000).astype(np.float32)
    scores[rng.random(scores.size) < share_of_ties] = 0.25
    k = int(fraction * scores.size)
    mask = torch.empty(scores.size, dtype=torch.bool)
    select_top_k(torch.from_numpy(scores), k, mask)
    np.testing.assert_array_equal(mask.numpy(), top_k(scores, k))
    _select_by_sorting(torch.from_numpy(scores), torch.tensor(k), mask)
    np.testing.assert_array_equal(mask.numpy(), top_k(scores, k))
