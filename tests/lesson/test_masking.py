"""The masking functions of the lesson give the masks of the product on the same scores."""

import numpy as np
import pytest

from smp_lab.lesson import masking
from smp_lab.masks import kept_count

REMAINING = (0.9, 0.5, 0.31, 0.1, 0.03)


def random_scores(seed, n_layers=3):
    """Layers of unlike means, with ties."""
    rng = np.random.default_rng(seed)
    return [rng.normal(3 * layer - 3, 1, (8, 8)).round(1).astype(np.float32) for layer in range(n_layers)]


@pytest.mark.parametrize("remaining", REMAINING)
@pytest.mark.parametrize("name", masking.RANKED)
def test_exactly_so_many_are_kept(name, remaining):
    masks = masking.RANKED[name](random_scores(1), remaining)
    kept = sum(int(mask.sum()) for mask in masks)
    assert kept == (3 * kept_count(remaining, 64) if name == "local" else kept_count(remaining, 192))


@pytest.mark.parametrize(
    ("means", "remaining", "shares"),
    [
        # v L r / sum: 2 * 0.5 * (3/4, 1/4).
        ([0.3, 0.1], 0.5, [0.75, 0.25]),
        # It asks for 1.2 of the first: that is kept whole, and the second gets the rest of 1.6.
        ([0.9, 0.3], 0.8, [1.0, 0.6]),
        # 2.1 * (6, 2, 1) / 9 asks for 1.4; the other two share 1.1 as 2 to 1.
        ([0.6, 0.2, 0.1], 0.7, [1.0, 1.1 * 2 / 3, 1.1 / 3]),
        # The second is full once the first has handed on: 2.4 * (8, 3, 1) / 12 = 1.6, 0.6, 0.2, then 1.4 * 3/4 > 1.
        ([0.8, 0.3, 0.1], 0.8, [1.0, 1.0, 0.4]),
    ],
)
def test_shares_by_hand(means, remaining, shares):
    got = masking.share_fractions(np.array(means), remaining)
    np.testing.assert_allclose(got, shares)
    assert got.mean() == pytest.approx(remaining)


def test_masks_are_those_of_the_product():
    torch = pytest.importorskip("torch")
    from smp_lab.schedule import Schedule
    from smp_lab.training.masking import Prunable, global_, local, threshold
    from smp_lab.training.masking.share import share_among_layers, whole_counts

    for seed in range(5):
        scores = random_scores(seed, n_layers=6)
        tensors = [torch.from_numpy(score) for score in scores]
        for remaining in REMAINING:
            for name, function in (("local", local), ("global", global_)):
                masks = [torch.empty(8, 8, dtype=torch.bool) for _ in scores]
                function(Prunable(None, [], Schedule(1, 0, remaining)), tensors, 1, masks)
                for got, want in zip(masking.RANKED[name](scores, remaining), masks, strict=True):
                    np.testing.assert_array_equal(got, want)
            means = torch.stack([torch.sigmoid(tensor).mean() for tensor in tensors]).double()[:, None]
            fractions = share_among_layers(means, remaining)
            mine = masking.share_fractions(masking.mean_sigmoids(scores), remaining)
            # The mean of sigmoid(S) is a sum of float32 numbers in another order.
            np.testing.assert_allclose(mine, fractions[:, 0], rtol=1e-5)
            total = kept_count(remaining, 6 * 64)
            counts = whole_counts(fractions, torch.tensor([64.0]).double(), torch.tensor([total]))
            got = [int(mask.sum()) for mask in masking.share(scores, remaining)]
            assert got == counts[:, 0].tolist()
        masks = [torch.empty(8, 8, dtype=torch.bool) for _ in scores]
        threshold(Prunable(None, [], Schedule(1, 0, 1.0, final_threshold=0.3)), tensors, 1, masks)
        for got, want in zip(masking.threshold(scores, 0.3), masks, strict=True):
            np.testing.assert_array_equal(got, want)
