import numpy as np
import pytest
import torch

from smp_lab.layout import EncoderLayout
from smp_lab.schedule import Schedule
from smp_lab.training.masking import Prunable, local
from smp_lab.training.pruned_weights import MaskedWeights

LAYOUT = EncoderLayout(n_layers=1, hidden_size=4, intermediate_size=6, n_heads=1, n_parameters=500)


def masked_weights(regularizer=0.0, remaining=0.5, schedule_steps=0, total_steps=10):
    generator = torch.Generator().manual_seed(0)
    weights = [
        torch.nn.Parameter(torch.randn(LAYOUT.shape(m.matrix_type), generator=generator), requires_grad=False)
        for m in LAYOUT.matrices
    ]
    schedule = Schedule(total_steps, schedule_steps, remaining, regularizer=regularizer)
    masked = MaskedWeights(Prunable(LAYOUT, weights, schedule), masking=local)
    with torch.no_grad():
        for score in masked.scores:
            score.copy_(torch.randn(score.shape, generator=generator))
    return weights, masked


def test_straight_through_gradient_against_a_slow_loop():
    weights, masked = masked_weights()
    masked.update(0)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    torch.tanh(x @ masked()[0].T).sum().backward()
    w, mask = weights[0].detach().numpy(), masked.masks[0].numpy()
    want = np.zeros((4, 4))
    for row in x.numpy():
        out = [sum(w[i, j] * mask[i, j] * row[j] for j in range(4)) for i in range(4)]
        for i in range(4):
            for j in range(4):
                # dL/dW'_ij, times W_ij, for kept and removed weights alike.
                want[i, j] += (1 - np.tanh(out[i]) ** 2) * row[j] * w[i, j]
    assert 0 < mask.sum() < 16
    np.testing.assert_allclose(masked.scores[0].grad, want, rtol=1e-5)
    assert weights[0].grad is None


def test_regularizer_gradient_is_autograds():
    _, masked = masked_weights(regularizer=7.0)
    masked.update(4)
    sum(weight.sum() * 0 for weight in masked()).backward()
    got = [score.grad.clone() for score in masked.scores]
    masked.zero_grad()
    regularizer = torch.stack([torch.sigmoid(score).mean() for score in masked.scores]).mean()
    assert masked.regularizer() == pytest.approx(regularizer.item(), rel=1e-6)
    (masked.schedule.regularizer_weight(4) * regularizer).backward()
    for score, gradient in zip(masked.scores, got, strict=True):
        torch.testing.assert_close(gradient, score.grad)


def test_frozen_weights_do_not_change_by_a_bit_and_kept_counts_are_exact_at_every_step():
    weights, masked = masked_weights(regularizer=400, remaining=0.3, schedule_steps=6)
    before = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.AdamW(masked.parameters(), lr=2e-2)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    for step in range(10):
        masked.update(step)
        assert [int(mask.sum()) for mask in masked.masks] == [
            int(np.floor(masked.schedule.remaining(step) * weight.numel())) for weight in weights
        ]
        optimizer.zero_grad()
        torch.tanh(x @ masked()[0].T).sum().backward()
        optimizer.step()
    for weight, old in zip(weights, before, strict=True):
        assert torch.equal(weight, old)


def test_flips_are_those_between_two_steps():
    _, masked = masked_weights(remaining=0.5, schedule_steps=0)
    masked.update(0)
    before = [mask.clone() for mask in masked.masks]
    with torch.no_grad():
        masked.scores[0].neg_()
    masked.update(1, count_flips=True)
    want_in = sum(int((new & ~old).sum()) for new, old in zip(masked.masks, before, strict=True))
    want_out = sum(int((old & ~new).sum()) for new, old in zip(masked.masks, before, strict=True))
    assert masked.flips() == (want_in, want_out)
    assert want_in == want_out > 0


def test_update_twice_for_one_step_keeps_the_step_before():
    _, masked = masked_weights()
    masked.update(0)
    with torch.no_grad():
        masked.scores[0].neg_()
    masked.update(1, count_flips=True)
    flips = masked.flips()
    masked.update(1)
    assert masked.flips() == flips != (0, 0)


def test_masks_are_applied_once_without_gradients():
    weights, masked = masked_weights()
    masked.update(0)
    with torch.no_grad():
        first = masked()
        assert masked()[0] is first[0]
        masked.update(1)
        assert masked()[0] is not first[0]
    for applied, weight, mask in zip(first, weights, masked.masks, strict=True):
        assert torch.equal(applied, weight * mask)


def test_bfloat16_weights_are_the_rounded_ones():
    weights, masked = masked_weights()
    masked.dtype = torch.bfloat16
    masked.update(0)
    assert torch.equal(masked()[2], (weights[2] * masked.masks[2]).to(torch.bfloat16))
