"""The encoder families: where each keeps its prunable matrices, and how its configuration names their sizes.

A new family is one entry here. What of it needs torch, the transform of its masked-language-model head, is in
`smp_lab.training.families`. Names are those of ``transformers`` 5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from smp_lab.errors import EncoderError
from smp_lab.layout import MATRIX_TYPES, MatrixId

# The end of a name in the releases of Jiang et al. (2023), whatever their scores were.
MASK_SCORES = "mask_scores"


@dataclass(frozen=True, kw_only=True)
class EncoderFamily:
    """One family.

    Parameters
    ----------
    model_type, architecture
        As config.json has them: "bert", and what the names of the family's model classes begin with, "Bert".
    prefix
        Of the encoder's parameters in a larger model.
    layer
        Name of a layer's module, with ``{}`` for its number.
    modules
        Names in a layer of the modules of a query, key, value, attention_output, intermediate and output matrix.
    sizes
        Fields of the configuration: layers, width, width of the feed-forward part, heads.
    dropout
        Fields of the configuration that hold a dropout probability of the encoder.
    language_model_head
        Name in `smp_lab.training.families` of the head that its masked-language models have.
    first_position
        Number of the first token's position; None where positions begin behind the number of the padding token.
    token_types
        Whether its input says which of two texts a token belongs to.
    own_attention
        True where the library computes its attention in code of its own, with relative positions.
    """

    model_type: str
    architecture: str
    prefix: str
    layer: str = "encoder.layer.{}"
    modules: tuple[str, ...] = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
        "intermediate.dense",
        "output.dense",
    )
    sizes: tuple[str, ...] = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
    dropout: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    language_model_head: str = "bert"
    first_position: int | None = 0
    token_types: bool = True
    own_attention: bool = False

    def parameter_name(self, matrix: MatrixId, prefix: str = "", suffix: str = "weight") -> str:
        """Name of a matrix's parameter.

        Parameters
        ----------
        matrix
            Which matrix.
        prefix
            The family's own with a dot, where the encoder is part of a larger model.
        suffix
            ``"weight"``, or `MASK_SCORES` as in the authors' released masks.
        """
        module = self.modules[MATRIX_TYPES.index(matrix.matrix_type)]
        return f"{prefix}{self.layer.format(matrix.layer)}.{module}.{suffix}"

    def locate(self, name: str) -> tuple[MatrixId, str] | None:
        """Which prunable matrix the name of an array is about, whatever stands before it, and what its name ends with.

        ``"model.bert.encoder.layer.0.attention.self.query.weight_mask"`` is the query of layer 0, and "weight_mask";
        None where it is about none.
        """
        found = self._pattern.fullmatch(name)
        if not found:
            return None
        return MatrixId(int(found["layer"]), MATRIX_TYPES[self.modules.index(found["module"])]), found["rest"] or ""

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        layer = re.escape(self.layer).replace(re.escape("{}"), r"(?P<layer>0|[1-9]\d{0,3})")
        module = rf"(?P<module>{'|'.join(map(re.escape, self.modules))})"
        return re.compile(rf"(?:.*\.)?{layer}\.{module}(?:\.(?P<rest>.+))?")

    def n_tokens(self, n_positions: int, padding: int) -> int:
        """Tokens that a model of so many positions takes at most; `padding` is the number of its padding token."""
        return n_positions - (padding + 1 if self.first_position is None else self.first_position)


_ROBERTA: Mapping[str, Any] = {"prefix": "roberta", "language_model_head": "roberta", "first_position": None}

FAMILIES: Mapping[str, EncoderFamily] = {
    family.model_type: family
    for family in (
        EncoderFamily(model_type="bert", architecture="Bert", prefix="bert"),
        EncoderFamily(model_type="roberta", architecture="Roberta", **_ROBERTA),
        EncoderFamily(model_type="xlm-roberta", architecture="XLMRoberta", **_ROBERTA),
        EncoderFamily(model_type="camembert", architecture="Camembert", **_ROBERTA),
        EncoderFamily(model_type="electra", architecture="Electra", prefix="electra", language_model_head="electra"),
        EncoderFamily(
            model_type="distilbert",
            architecture="DistilBert",
            prefix="distilbert",
            layer="transformer.layer.{}",
            modules=(
                "attention.q_lin",
                "attention.k_lin",
                "attention.v_lin",
                "attention.out_lin",
                "ffn.lin1",
                "ffn.lin2",
            ),
            sizes=("n_layers", "dim", "hidden_dim", "n_heads"),
            dropout=("dropout", "attention_dropout"),
            language_model_head="distilbert",
            token_types=False,
        ),
        EncoderFamily(
            model_type="mpnet",
            architecture="MPNet",
            prefix="mpnet",
            modules=(
                "attention.attn.q",
                "attention.attn.k",
                "attention.attn.v",
                "attention.attn.o",
                "intermediate.dense",
                "output.dense",
            ),
            language_model_head="roberta",
            first_position=2,
            token_types=False,
            own_attention=True,
        ),
        EncoderFamily(
            model_type="deberta-v2",
            architecture="DebertaV2",
            prefix="deberta",
            modules=(
                "attention.self.query_proj",
                "attention.self.key_proj",
                "attention.self.value_proj",
                "attention.output.dense",
                "intermediate.dense",
                "output.dense",
            ),
            own_attention=True,
        ),
    )
}

BERT = FAMILIES["bert"]

# Why some that people ask for are not here.
REFUSED: Mapping[str, str] = {
    "albert": "it shares one set of matrices among its layers, so layers have no masks of their own and the share rule "
    "has nothing to share",
    "modernbert": "it has query, key and value in one matrix and two up projections in another, so its matrices are "
    "not the six that masks are made for here",
}


def family_of(config: Mapping[str, Any]) -> EncoderFamily:
    """Family of an encoder.

    Parameters
    ----------
    config
        Content of its config.json. Where there is no ``model_type``, the name of its model class tells.

    Raises
    ------
    EncoderError
        If there is none here; starts with "is", for a sentence about an encoder.
    """
    classes = config.get("architectures")
    name = str(config.get("model_type") or (classes[0] if isinstance(classes, list) and classes else "none"))
    for family in FAMILIES.values():
        if name == family.model_type or re.match(rf"{family.architecture}(For|Model|PreTrained)", name):
            return family
    known = ", ".join(FAMILIES)
    if name in REFUSED:
        raise EncoderError(f"is of type {name!r}: {REFUSED[name]}. Use one of: {known}.")
    raise EncoderError(
        f"is of type {name!r}; its matrices are not known here. Use one of: {known} (MiniLM and many others are of "
        "type bert). Decoders are not pruned here."
    )
