"""Dropout on the processor: its law, its gradient, and attention beside the library's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from smp_lab.training import dropout
from smp_lab.training.dropout import Dropout, apply_dropout, attention, use_cheap_dropout


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_drops_its_share_and_keeps_the_expectation(probability: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    n = 400_003
    dropped = apply_dropout(torch.ones(n, dtype=dtype), probability)
    share = (dropped == 0).double().mean().item()
    # Four standard deviations of a share over n draws.
    assert abs(share - probability) < 4 * (probability * (1 - probability) / n) ** 0.5
    zero, kept = dropped.float().unique().tolist()
    assert zero == 0
    # The probability is rounded to 16 bits, and the scale to those of its type.
    assert kept == pytest.approx(1 / (1 - probability), rel=1e-4 if dtype == torch.float32 else 4e-3)


def test_neighbours_that_share_a_random_word_are_independent() -> None:
    torch.manual_seed(0)
    kept = (apply_dropout(torch.ones(100_000, 4), 0.5) > 0).double()
    correlation = torch.corrcoef(kept.T) - torch.eye(4)
    assert correlation.abs().max() < 4 / 100_000**0.5


def test_gradient_flows_where_the_value_did() -> None:
    values = torch.full((50, 7), 3.0, requires_grad=True)
    dropped = apply_dropout(values, 0.4)
    dropped.sum().backward()
    torch.testing.assert_close(values.grad, dropped.detach() / 3)


def test_follows_the_global_generator() -> None:
    torch.manual_seed(3)
    first = apply_dropout(torch.ones(1000), 0.5)
    again = apply_dropout(torch.ones(1000), 0.5)
    torch.manual_seed(3)
    assert torch.equal(apply_dropout(torch.ones(1000), 0.5), first)
    assert not torch.equal(first, again)


def test_module_does_nothing_in_evaluation_or_at_zero() -> None:
    values = torch.randn(20)
    assert torch.equal(Dropout(0.5).eval()(values), values)
    assert torch.equal(Dropout(0.0).train()(values), values)


def test_attention_equals_the_librarys_but_for_what_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 5, 8)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)[:, None, None, :]
    seen = []

    def drop_nothing(probabilities: torch.Tensor, probability: float) -> torch.Tensor:
        seen.append(probability)
        return probabilities

    monkeypatch.setattr(dropout, "apply_dropout", drop_nothing)
    for attention_mask in (mask, None):
        arguments = (nn.Identity(), query, key, value, attention_mask)
        ours, _ = attention(*arguments, dropout=0.1, scaling=0.5)
        theirs, _ = attention(*arguments, dropout=0.0, scaling=0.5, is_causal=False)
        torch.testing.assert_close(ours, theirs)
    assert seen == [0.1, 0.1]


def test_encoder_trains_with_it_and_evaluates_as_before() -> None:
    config = BertConfig(vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
    torch.manual_seed(0)
    model = BertModel(config, add_pooling_layer=False).eval()
    tokens = {
        "input_ids": torch.randint(0, 50, (3, 6)),
        "attention_mask": torch.tensor([[1] * 6, [1] * 4 + [0] * 2, [1] * 5 + [0]]),
    }
    before = model(**tokens).last_hidden_state
    use_cheap_dropout(model)
    assert [type(m) for m in model.modules() if isinstance(m, nn.Dropout)] == [Dropout] * 7
    torch.testing.assert_close(model(**tokens).last_hidden_state, before)
    draws = torch.stack([model.train()(**tokens).last_hidden_state.detach() for _ in range(2)])
    assert not torch.equal(draws[0], draws[1])


def test_a_probability_next_to_one_leaves_finite_values() -> None:
    assert apply_dropout(torch.ones(1000), 0.9999999).isfinite().all()
