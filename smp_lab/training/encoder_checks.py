"""What can be wrong with an encoder that its library loads without a word: a sentence each, of an `EncoderError`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from smp_lab.encoder_families import MASK_SCORES, EncoderFamily
from smp_lab.errors import EncoderError
from smp_lab.storage.store import cut

# Above this share of unknown tokens a run learns from what is left; below one percent nothing needs to be said.
MOST_UNKNOWN = 0.2
_FEW = 0.01


def check_places(name: str, family: EncoderFamily, model: nn.Module, unexpected: Iterable[str]) -> str | None:
    """Refuse weights that an encoder's architecture has no place for, and give a sentence on those of other heads.

    `unexpected` are names of tensors in its file that went nowhere; a pooler's go without a word. The `EncoderError` is
    for matrices and embeddings: without them it would be another model.
    """
    parts = {part for part, _ in model.named_children()} - {"pooler"}
    places = {key: key.removeprefix(f"{family.prefix}.").partition(".")[0] for key in sorted(unexpected)}
    # Older versions of the library kept the positions' numbers with the weights.
    lost = [key for key, part in places.items() if part in parts and not key.endswith("position_ids")]
    left = [key for key, part in places.items() if part not in {*parts, "pooler"}]
    if any(key.endswith((MASK_SCORES, "weight_mask")) for key in lost):
        raise EncoderError(
            f"Encoder {name!r} holds a mask beside its weights. smp-lab import reads it; to train, name the encoder "
            "that it is a mask of."
        )
    if lost:
        raise EncoderError(
            f"Encoder {name!r} holds {len(lost)} weights that its architecture has no place for, first {lost[0]}: "
            "without them it would be another model. See whether its config.json belongs to it (number of layers, kind "
            "of positions)."
        )
    return f"{len(left)} weights of the checkpoint have no use here, first {left[0]}." if left else None


def check_shapes(name: str, mismatched: Sequence[Sequence], cut_out: Mapping[str, Sequence[int]]) -> None:
    """Refuse tensors of other shapes than the configuration gives: heads were cut out, or it is another model's.

    `mismatched` are names of tensors, each with its shape in the file and the expected one; `cut_out` are the heads of
    each layer that its configuration says are gone.
    """
    if mismatched:
        key, got, expected = mismatched[0]
        heads = "; ".join(f"layer {layer}: {', '.join(map(str, gone))}" for layer, gone in cut_out.items())
        why = (
            f"Its config.json says which attention heads were cut out ({cut(heads)})."
            if heads
            else "Its attention heads were cut out, or its config.json belongs to another model."
        )
        raise EncoderError(
            f"Encoder {name!r} has {key} of shape {tuple(got)}; expected {tuple(expected)}. {why} A mask needs the "
            "whole matrices: name the checkpoint that it was made of."
        )


def check_numbers(name: str, model: nn.Module) -> None:
    """Refuse NaN and infinite weights."""
    for key, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise EncoderError(f"Encoder {name!r} holds NaN or infinite numbers in {key}. Fetch or save it once more.")


def sparsity_note(weights: Collection[torch.Tensor]) -> str | None:
    """Sentence on prunable weights that are zero before any mask; None where next to none is."""
    n_weights = sum(weight.numel() for weight in weights)
    zeros = n_weights - sum(int(weight.count_nonzero()) for weight in weights)
    if zeros < _FEW * n_weights:
        return None
    return (
        f"{100 * zeros / n_weights:.1f} % of the encoder's prunable weights are zero before any mask; the remaining "
        "fraction counts them like all others."
    )


def check_vocabulary(name: str, tokenizer: PreTrainedTokenizerBase, n_embeddings: int) -> None:
    """Refuse a tokenizer whose numbers the embedding does not have."""
    highest = max(tokenizer.get_vocab().values(), default=0)
    if highest >= n_embeddings:
        raise EncoderError(
            f"Encoder {name!r} has an embedding of {n_embeddings:,} tokens and a tokenizer with numbers up to "
            f"{highest:,}: they are not of one model. Put the tokenizer's files of the model it was made of in its "
            "folder."
        )


def check_tokens(
    name: str,
    tokenizer: PreTrainedTokenizerBase,
    n_token_types: int,
    columns: Sequence[dict[str, Sequence[Sequence[int]]]],
    *,
    allow_unknown: bool = False,
) -> str | None:
    """Refuse token types that an encoder does not have, and tell in a sentence how many tokens are unknown to it.

    `columns` are the tokenised examples of each split. More than a fifth of unknown tokens is an `EncoderError`, unless
    `allow_unknown`; of few there is no sentence.
    """
    types = [row for split in columns for row in split.get("token_type_ids", ())]
    if any(max(row, default=0) >= n_token_types for row in types):
        raise EncoderError(
            f"Encoder {name!r} has {n_token_types} token type, and its tokenizer gives the second text of a pair "
            "another one. It takes single sentences alone, or needs the tokenizer of the model that it was made of."
        )
    special = {number for number in tokenizer.all_special_ids if number != tokenizer.unk_token_id}
    tokens = [number for split in columns for row in split["input_ids"] for number in row if number not in special]
    share = tokens.count(tokenizer.unk_token_id) / max(len(tokens), 1)
    if share > MOST_UNKNOWN and not allow_unknown:
        raise EncoderError(
            f"Encoder {name!r} does not know {100 * share:.0f} % of the tokens of this task: its vocabulary has other "
            "words, or other letters (upper and lower case). See whether its tokenizer's files are all there; "
            "--allow-unknown-tokens trains all the same."
        )
    return f"The tokenizer does not know {100 * share:.1f} % of the tokens." if share >= _FEW else None
