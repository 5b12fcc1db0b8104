import numpy as np
import pytest
import torch

from smp_lab.masks import top_k
from smp_lab.training.topk import TopK, _select_by_sorting


def slow_top_k(scores, k):
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    return [i in set(order[:k]) for i in range(len(scores))]


@pytest.mark.parametrize("k", [0, 1, 5, 12])
def test_equal_scores_are_kept_by_position(k):
    mask = torch.empty(3, 4, dtype=torch.bool)
    TopK().select(torch.zeros(3, 4), k, mask)
    assert mask.reshape(-1).tolist() == [True] * k + [False] * (12 - k)


def test_follows_scores_that_move_like_trained_ones():
    rng = np.random.default_rng(0)
    selector = TopK()
    scores = torch.zeros(40, 50)
    mask = torch.empty_like(scores, dtype=torch.bool)
    for step in range(200):
        # Steps of one size make ties, as Adam's first steps do; a jump now and then leaves the bracket.
        scores += torch.from_numpy(rng.choice([-0.02, 0, 0.02], scores.shape).astype(np.float32))
        if step % 37 == 36:
            scores += float(rng.normal() * 5)
        k = max(2000 - 12 * step, 30)
        selector.select(scores, k, mask)
        np.testing.assert_array_equal(mask.numpy(), top_k(scores.numpy(), k))
        assert mask.sum() == k


def test_bracket_is_really_used():
    selector = TopK()
    scores = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    mask = torch.empty_like(scores, dtype=torch.bool)
    for _ in range(2):
        selector.select(scores, 3000, mask)
    scores = scores + 1e-7
    assert selector._cut_in_bracket(scores.numpy().reshape(-1), 3000, mask.numpy().reshape(-1)) is not None


def test_sorting_way_gives_the_same_mask():
    rng = np.random.default_rng(1)
    scores = torch.from_numpy(rng.integers(0, 5, 60).astype(np.float32))
    for k in range(61):
        mask = torch.empty(60, dtype=torch.bool)
        _select_by_sorting(scores, k, mask)
        assert mask.tolist() == slow_top_k(scores.tolist(), k)
        TopK().select(scores, k, mask)
        assert mask.tolist() == slow_top_k(scores.tolist(), k)


def test_infinite_scores_have_a_rank():
    scores = torch.tensor([-torch.inf, torch.inf, 0.0, -torch.inf, torch.inf])
    mask = torch.empty(5, dtype=torch.bool)
    selector = TopK()
    for k in (1, 2, 3, 4):
        selector.select(scores, k, mask)
        assert mask.tolist() == slow_top_k(scores.tolist(), k)


def test_nan_is_refused():
    scores = torch.full((8,), torch.nan)
    with pytest.raises(FloatingPointError, match="NaN"):
        TopK().select(scores, 3, torch.empty(8, dtype=torch.bool))
