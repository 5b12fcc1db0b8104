"""What a part does: the same text with tokens hidden, and with heads or matrices of the mask emptied, in one pass.

To empty a head in the mask, its rows of Q, K and V and its columns of O, is to take it out of what O reads; to empty a
matrix leaves its bias alone. So one batch can hold many masks that differ in a few parts: each example carries gates.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from smp_lab.analysis.sampling import of_metric, paired_change
from smp_lab.errors import ConfigError
from smp_lab.inference.pruned import Pruned
from smp_lab.inference.scoring import predict, score_table
from smp_lab.layout import ATTENTION_OUTPUT, MatrixId
from smp_lab.storage.measurements import HEADS, KINDS
from smp_lab.training.data import TaskData

# Tokens of one pass: a longer list of variants takes several.
MOST_TOKENS = 4096


@dataclass(frozen=True)
class Variant:
    """What is taken out.

    Parameters
    ----------
    heads
        (layer, head) of each head that is emptied.
    matrices
        Each matrix that is emptied.
    tokens
        Places of tokens that no other token sees.
    """

    heads: tuple[tuple[int, int], ...] = ()
    matrices: tuple[MatrixId, ...] = ()
    tokens: tuple[int, ...] = ()


@torch.inference_mode()
def knock_out(pruned: Pruned, texts: Sequence[str], variants: Sequence[Variant]) -> Tensor:
    """Scores of the label words of one example with each variant, ``(n_variants, n_words)``.

    Parameters
    ----------
    pruned
        Whose mask it is.
    texts
        One for each text field of its task.
    variants
        What is taken out in each.

    Raises
    ------
    ConfigError
        If a head, matrix or token is not there, or the task has another number of text fields.
    """
    batch = pruned.batch(*([text] for text in texts))
    n_tokens = batch["input_ids"].shape[1]
    heads, matrices, tokens = _gates(pruned, n_tokens, variants)
    scores = []
    for rows in torch.arange(len(variants)).split(max(1, MOST_TOKENS // n_tokens)):
        with _gated(pruned, heads[rows], matrices[rows]):
            inputs = {name: values.expand(len(rows), -1) for name, values in batch.items()}
            scores.append(pruned.forward(**{**inputs, "attention_mask": tokens[rows]}))
    return torch.cat(scores)


def head_changes(pruned: Pruned, data: TaskData) -> pd.DataFrame:
    """The main metric on a task's development examples with each head emptied in turn.

    Returns
    -------
    DataFrame
        Columns of the measurement kind "heads".
    """
    task, metric = data.task, data.task.main_metric
    whole, name = of_metric(predict(pruned, data), task, metric)
    layout, rows = pruned.encoder.layout, []
    for layer, head in itertools.product(range(layout.n_layers), range(layout.n_heads)):
        heads, matrices, _ = _gates(pruned, 1, [Variant(heads=((layer, head),))])
        with _gated(pruned, heads, matrices):
            said = predict(pruned, data)
        change, interval = paired_change(whole, of_metric(said, task, metric)[0], name)
        value = score_table(said, data).set_index("metric").loc[metric, "value"]
        rows.append((layer, head, metric, value, change, *interval, len(whole)))
    return pd.DataFrame(rows, columns=list(KINDS[HEADS]))


def _gates(pruned: Pruned, n_tokens: int, variants: Sequence[Variant]) -> tuple[Tensor, Tensor, Tensor]:
    """Gates of heads ``(n_variants, layers, heads)`` and matrices ``(.., matrices)``, and what tokens are seen."""
    layout = pruned.encoder.layout
    heads = torch.ones(len(variants), layout.n_layers, layout.n_heads)
    matrices = torch.ones(len(variants), len(layout.matrices))
    tokens = torch.ones(len(variants), n_tokens, dtype=torch.long)
    try:
        for row, variant in enumerate(variants):
            for layer, head in variant.heads:
                heads[row, layer, head] = 0
            for matrix in variant.matrices:
                matrices[row, layout.matrices.index(matrix)] = 0
            tokens[row, list(variant.tokens)] = 0
    except (IndexError, ValueError):
        raise ConfigError(
            f"{variant} names a part that is not there: the encoder has {layout.n_layers} layers of {layout.n_heads} "
            f"heads, the text {n_tokens} tokens."
        ) from None
    return heads, matrices, tokens


@contextmanager
def _gated(pruned: Pruned, heads: Tensor, matrices: Tensor) -> Iterator[None]:
    hooks = []
    for place, (matrix, (name, _)) in enumerate(pruned.encoder.matrix_parameters().items()):
        module = pruned.encoder.model.get_submodule(name.removesuffix(".weight"))
        hooks.append(module.register_forward_hook(_matrix_hook(matrices[:, place])))
        if matrix.matrix_type == ATTENTION_OUTPUT:
            hooks.append(module.register_forward_pre_hook(_heads_hook(heads[:, matrix.layer])))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _matrix_hook(gate: Tensor):
    def hook(module: nn.Linear, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        if gate.all():
            return None
        return torch.where(gate[:, None, None] > 0, output, 0 if module.bias is None else module.bias)

    return hook


def _heads_hook(gate: Tensor):
    def hook(module: nn.Linear, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if gate.all():
            return None
        (values,) = inputs
        return (values.unflatten(-1, (gate.shape[1], -1)).mul(gate[:, None, :, None]).flatten(2),)

    return hook
