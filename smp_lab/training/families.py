"""What of an encoder family needs torch: the transform of its masked-language-model head.

A new kind of head is one function here. Families without torch are in `smp_lab.encoder_families`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import nn

from smp_lab.encoder_families import EncoderFamily


class LanguageModelHead(nn.Module):
    """What a masked-language-model head does to one token before words are scored: dense, activation, LayerNorm.

    Parameters
    ----------
    transform
        From ``(batch, hidden)`` to ``(batch, width of the embeddings)``.
    bias
        ``(vocabulary,)`` output bias.
    """

    def __init__(self, transform: nn.Module, bias: torch.Tensor) -> None:
        super().__init__()
        self.transform = transform
        self.register_buffer("bias", bias.detach().clone(), persistent=False)


def _bert(model: nn.Module) -> LanguageModelHead:
    return LanguageModelHead(model.cls.predictions.transform, model.cls.predictions.bias)


def _roberta(model: nn.Module) -> LanguageModelHead:
    head = model.lm_head
    return LanguageModelHead(nn.Sequential(head.dense, nn.GELU(), head.layer_norm), head.bias)


def _electra(model: nn.Module) -> LanguageModelHead:
    return LanguageModelHead(model.generator_predictions, model.generator_lm_head.bias)


def _distilbert(model: nn.Module) -> LanguageModelHead:
    transform = nn.Sequential(model.vocab_transform, model.activation, model.vocab_layer_norm)
    return LanguageModelHead(transform, model.vocab_projector.bias)


_HEADS: Mapping[str, Callable[[nn.Module], LanguageModelHead]] = {
    "bert": _bert,
    "roberta": _roberta,
    "electra": _electra,
    "distilbert": _distilbert,
}


def language_model_head(family: EncoderFamily, model: nn.Module) -> LanguageModelHead:
    """Head of a masked-language model of the family."""
    return _HEADS[family.language_model_head](model)
