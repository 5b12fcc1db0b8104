"""Dropout on a CPU at a fifth of the library's cost: a fine-tuning step spends a quarter of its time in it.

torch draws one random number of 32 bits or more for each activation, on one core. Here each draw of 64 bits decides
four activations. Elsewhere than on a CPU the library's own functions are used.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "smp_lab"

_BITS = 16
_DRAWS_PER_WORD = 64 // _BITS


def apply_dropout(values: Tensor, probability: float) -> Tensor:
    """Zero each value with `probability` and scale the others so that the expectation stays.

    Parameters
    ----------
    values
        Any shape, on a CPU.
    probability
        In [0, 1); rounded to a multiple of 2 ** -16 below 1, the scale being that of the rounded one.
    """
    n_dropped = min(round(probability * 2**_BITS), 2**_BITS - 1)
    n_words = -(-values.numel() // _DRAWS_PER_WORD)
    # All 64 bits: without bounds the sign bit would always be 0.
    words = torch.empty(n_words, dtype=torch.int64).random_(-(2**63), None)
    draws = words.view(torch.int16)[: values.numel()].view(values.shape)
    # 0 and 1 as numbers: a product with booleans converts them one by one.
    keep = torch.ge(draws, n_dropped - 2 ** (_BITS - 1), out=torch.empty_like(values, requires_grad=False))
    return values * keep.mul_(2**_BITS / (2**_BITS - n_dropped))


class Dropout(nn.Dropout):
    """`nn.Dropout` by `apply_dropout` on a CPU."""

    def forward(self, values: Tensor) -> Tensor:
        """Values with some of them zeroed while training."""
        if not self.training or not self.p or values.device.type != "cpu":
            return super().forward(values)
        return apply_dropout(values, self.p)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **arguments: Any,
) -> tuple[Tensor, None]:
    """Scaled dot-product attention with `apply_dropout` on its probabilities.

    The library's own where there is nothing to drop.

    Parameters
    ----------
    module
        The attention module.
    query, key, value
        ``(batch, heads, tokens, head size)``.
    attention_mask
        bool, True where a token may be looked at, broadcast to ``(batch, heads, tokens, tokens)``; None for everywhere.
    dropout
        Probability.
    scaling
        Of the products of query and key.

    Returns
    -------
    Tensor, None
        ``(batch, tokens, heads, head size)``, and no attention weights.
    """
    if not dropout or query.device.type != "cpu":
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **arguments
        )
    products = torch.matmul(query * scaling, key.transpose(2, 3))
    if attention_mask is not None:
        products = products.masked_fill(~attention_mask, torch.finfo(products.dtype).min)
    # The softmax of 16-bit numbers takes twice the time of one in 32 bits.
    probabilities = products.softmax(dim=-1, dtype=torch.float32).to(value.dtype)
    probabilities = apply_dropout(probabilities, dropout)
    return torch.matmul(probabilities, value).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)


def use_cheap_dropout(model: nn.Module, *, attention: bool = True) -> None:
    """Put `Dropout`, and with `attention` also that function, in the place of the library's in its encoder.

    An encoder whose attention is code of its own must keep it: it would be given another kind of mask.
    """
    for module in list(model.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p).train(child.training))
    if attention:
        model.set_attn_implementation(ATTENTION)
