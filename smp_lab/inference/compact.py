"""Smaller matrices that compute the same: what a mask left empty is taken out, exactly.

The rules, per layer, with U and D the feed-forward matrices and Q, K, V, O those of one attention head. Rows of O and D
stay, because the residual stream has its width from them.

- A row of U is empty: its unit is a constant, gelu(bias), and D's column times it goes into D's bias.
- A column of D is empty: nobody reads the unit.
- A row of V is empty: attention weights sum to 1, so bias times O's column goes into O's bias.
- A column of O is empty: nobody reads the value.
- The bias of K, and its empty rows, shift all logits of a query alike, which softmax ignores.
- Empty rows of Q are constants: all of a head merge into ONE dimension, q = 1, k = the sum of bias times K's rows.
- A head without a value goes whole.

Some of what is empty stays, so that hidden units and the width of each head are multiples of `WIDTH_STEP`: a product of
odd sizes takes longer than one that is a little larger. A head has one width, the larger of what its logits and its
values need, because each group of heads costs time of its own.

No rule empties a row that another rule looks at, but for a head that goes whole; so one pass reaches the fixed point.
Jiang et al. (2023), section 8, take out rows only; `cut_rows` is their lossy step.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from smp_lab.errors import EncoderError
from smp_lab.layout import INTERMEDIATE, KEY, QUERY, VALUE
from smp_lab.masks import MaskSet

# Numbers of float32 in a vector register of AVX2. 1535 hidden units took 1.6 times as long as 1536.
WIDTH_STEP = 8


class CompactSelfAttention(nn.Module):
    """Self-attention with heads of several widths, in place of a BERT layer's own.

    Parameters
    ----------
    query, key, value
        ``(n_out, hidden)``: the heads of the first group, then those of the next.
    groups
        Number of heads and width of a head of each group, in that order.
    scale
        Of the logits: 1 / sqrt(width of a head before anything was taken out).
    """

    def __init__(
        self, query: nn.Linear, key: nn.Linear, value: nn.Linear, groups: Sequence[tuple[int, int]], scale: float
    ) -> None:
        super().__init__()
        self.query, self.key, self.value = query, key, value
        self.groups = tuple(groups)
        self.scale = scale

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **_: object
    ) -> tuple[Tensor, Tensor | None]:
        """``(batch, tokens, hidden)`` to the heads' values, ``(batch, tokens, n_out of V)``."""
        if not self.groups:
            # A split into nothing can be exported and not be read back.
            return hidden_states[..., :0], None
        widths = [n_heads * width for n_heads, width in self.groups]
        projected = (part(hidden_states).split(widths, -1) for part in (self.query, self.key, self.value))
        values = [
            scaled_dot_product_attention(
                *(part.unflatten(-1, group).transpose(1, 2) for part in parts),
                attn_mask=attention_mask,
                scale=self.scale,
            )
            .transpose(1, 2)
            .flatten(2)
            for group, *parts in zip(self.groups, *projected, strict=True)
        ]
        return torch.cat(values, -1), None


def has_compact_form(model: nn.Module) -> bool:
    """Whether the layers of an encoder are built as BERT's, by which rows and heads are known here."""
    layers = getattr(getattr(model, "encoder", None), "layer", ())
    return bool(layers) and all(hasattr(getattr(layer.attention, "self", None), "query") for layer in layers)


def compact(model: nn.Module, n_heads: int) -> nn.Module:
    """A copy of a masked encoder without what is empty: the same function to rounding, with fewer weights.

    Parameters
    ----------
    model
        A ``transformers`` encoder of BERT's layout whose weights are W * M. It is left as it is.
    n_heads
        Attention heads of each layer.

    Raises
    ------
    EncoderError
        If its layers are built in another way.
    """
    if not has_compact_form(model):
        raise EncoderError(
            f"{type(model).__name__} has no compact form here. Export it masked, or as onnx-masked: encoders of BERT's "
            "layout can be made compact."
        )
    smaller = copy.deepcopy(model).eval()
    for layer in smaller.encoder.layer:
        _compact_attention(layer.attention, n_heads)
        _compact_feed_forward(layer)
    return smaller


@torch.no_grad()
def _compact_feed_forward(layer: nn.Module) -> None:
    up, down = layer.intermediate.dense, layer.output.dense
    stays = up.weight.any(1) & down.weight.any(0)
    stays[(~stays).nonzero()[: -int(stays.sum()) % WIDTH_STEP]] = True
    constant = layer.intermediate.intermediate_act_fn(up.bias.double()) * ~stays
    layer.output.dense = _linear(down.weight[:, stays], down.bias + down.weight.double() @ constant)
    layer.intermediate.dense = _linear(up.weight[stays], up.bias[stays])


@torch.no_grad()
def _compact_attention(attention: nn.Module, n_heads: int) -> None:
    own, out = attention.self, attention.output.dense
    value_bias = own.value.bias.double() * ~own.value.weight.any(1)
    out_bias = out.bias + out.weight.double() @ value_bias
    heads = []
    for rows in torch.arange(own.query.out_features).chunk(n_heads):
        alive = rows[own.value.weight[rows].any(1) & out.weight[:, rows].any(0)]
        if len(alive):
            logits = _logit_rows(own.query.weight[rows], own.query.bias[rows], own.key.weight[rows])
            parts = (*logits, own.value.weight[alive], own.value.bias[alive], out.weight[:, alive].T)
            widest = max(len(part) for part in parts)
            width = min(len(rows), widest + -widest % WIDTH_STEP)
            heads.append([torch.cat([part, part.new_zeros(width - len(part), *part.shape[1:])]) for part in parts])

    def width_of(head: list[Tensor]) -> int:
        return len(head[0])

    heads.sort(key=width_of)
    groups = [(len(list(same)), width) for width, same in itertools.groupby(heads, width_of)]
    hidden = own.query.in_features
    empty = out.weight.new_zeros
    query, query_bias, key, value, value_bias, columns = (
        (torch.cat(parts) for parts in zip(*heads, strict=True))
        if heads
        else (empty(0, hidden), empty(0), empty(0, hidden), empty(0, hidden), empty(0), empty(0, out.out_features))
    )
    attention.self = CompactSelfAttention(
        _linear(query, query_bias),
        _linear(key, torch.zeros_like(query_bias)),
        _linear(value, value_bias),
        groups,
        (own.query.out_features // n_heads) ** -0.5,
    )
    attention.output.dense = _linear(columns.T, out_bias)


def _logit_rows(query: Tensor, bias: Tensor, key: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of Q with their biases, and of K, that still tell one key from another."""
    told = key.any(1)
    moving = told & query.any(1)
    constant = told & ~query.any(1)
    merged = bias[constant].double() @ key[constant].double()
    if not merged.any():
        return query[moving], bias[moving], key[moving]
    return (
        torch.cat([query[moving], torch.zeros_like(query[:1])]),
        torch.cat([bias[moving], torch.ones_like(bias[:1])]),
        torch.cat([key[moving], merged.to(key.dtype)[None]]),
    )


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(1, 1, device="meta")
    layer.out_features, layer.in_features = weight.shape
    layer.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    layer.bias = nn.Parameter(bias.to(weight.dtype), requires_grad=False)
    return layer


def cut_rows(masks: MaskSet, fewer_than: int) -> MaskSet:
    """Masks whose nearly empty rows are emptied: lossy (Jiang et al. 2023, section 8).

    A row is what one hidden unit, query, key or value is computed from, and the column of D or O is what is read of
    it; rows of D and O feed the residual stream and stay.

    Parameters
    ----------
    masks
        Of one encoder.
    fewer_than
        Rows with fewer kept weights than this lose them; 0 and 1 change nothing.
    """
    cut = {}
    for matrix in masks:
        kept = masks.dense(matrix).copy()
        if matrix.matrix_type in (QUERY, KEY, VALUE, INTERMEDIATE):
            kept[kept.sum(axis=1) < fewer_than] = False
        else:
            kept[:, kept.sum(axis=0) < fewer_than] = False
        cut[matrix] = kept
    return MaskSet.from_dense(masks.layout, cut)
