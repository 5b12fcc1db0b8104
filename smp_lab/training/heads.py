"""From the encoder's tokens to scores, a loss and predictions. Source: Jiang et al. (2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, mse_loss, normalize
from transformers import PreTrainedTokenizerBase

from smp_lab.errors import ConfigError
from smp_lab.training.encoders import Encoder
from smp_lab.training.families import LanguageModelHead

# Words that are one token, named where one is not.
_SUGGESTED, _LOOKED_AT = 6, 200


def label_word_id(tokenizer: PreTrainedTokenizerBase, word: str, embeddings: Tensor | None = None) -> int:
    """Number of the one token that a label word is.

    Parameters
    ----------
    tokenizer
        A byte-level one marks the blank before a word, so the word is looked up with it, as it stands in a sentence.
    word
        Which.
    embeddings
        ``(n_tokens, width)`` of its tokens: where the word is several of them, words near them are suggested.

    Raises
    ------
    ConfigError
        If the word is several tokens, or unknown to the tokenizer.
    """
    pieces = _pieces(tokenizer, word)
    if len(pieces) != 1:
        near = "" if embeddings is None else ", ".join(_words_near(tokenizer, pieces, embeddings))
        raise ConfigError(
            f"Label word {word!r} is {len(pieces)} tokens for this tokenizer: {', '.join(pieces[:20])}. Choose a word "
            f"that is one token{', such as ' if near else ''}{near}."
        )
    number = tokenizer.convert_tokens_to_ids(pieces[0])
    if number == tokenizer.unk_token_id:
        raise ConfigError(f"Label word {word!r} is unknown to this tokenizer. Choose a word of its vocabulary.")
    return number


def _pieces(tokenizer: PreTrainedTokenizerBase, word: str) -> list[str]:
    byte_level = tokenizer.tokenize(" x")[0].startswith("Ġ")
    return tokenizer.tokenize(f" {word}" if byte_level else word)


def _words_near(tokenizer: PreTrainedTokenizerBase, pieces: list[str], embeddings: Tensor) -> list[str]:
    """Whole words whose embeddings are nearest, by their cosine, to the mean of the pieces of another word."""
    rows = normalize(embeddings.detach().float(), dim=1)
    near = rows @ rows[tokenizer.convert_tokens_to_ids(pieces)].mean(dim=0)
    found: dict[str, None] = {}
    for token in tokenizer.convert_ids_to_tokens(near.topk(min(_LOOKED_AT, len(near))).indices.tolist()):
        word = tokenizer.convert_tokens_to_string([token]).strip()
        if len(word) > 1 and word.isalpha() and _pieces(tokenizer, word) == [token]:
            found[word] = None
    return list(found)[:_SUGGESTED]


class LabelWordHead(nn.Module):
    """Score of a word = h . e_word (+ bias), h a token, e the input embedding of the word; frozen.

    Where the checkpoint has a masked-language-model head, h first goes through its transform and its output bias is
    added. There is one word per class; of a span one for its start and one for its end.
    """

    def __init__(self, encoder: Encoder, words: tuple[str, ...]) -> None:
        super().__init__()
        embeddings = encoder.model.get_input_embeddings().weight
        if encoder.language_model_head is None and embeddings.shape[1] != encoder.layout.hidden_size:
            raise ConfigError(
                f"Encoder {encoder.files.name!r} has embeddings of {embeddings.shape[1]} numbers and a width of "
                f"{encoder.layout.hidden_size}, and no masked-language-model head that leads from one to the other: "
                "label words have no score. To train a mask, take --head linear."
            )
        numbers = [label_word_id(encoder.tokenizer, word, embeddings) for word in words]
        if len(set(numbers)) < len(numbers):
            raise ConfigError(
                f"Two of the label words {', '.join(words)[:200]} are one token for this tokenizer. Choose others."
            )
        self.register_buffer("words", embeddings[numbers].detach().clone(), persistent=False)
        self.language_model_head: LanguageModelHead | None = encoder.language_model_head
        bias = None
        if self.language_model_head is not None:
            self.language_model_head.requires_grad_(False)
            bias = self.language_model_head.bias[numbers].clone()
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores ``(..., n_words)`` from ``(..., hidden)``, in float32."""
        with torch.autocast(tokens.device.type, enabled=False):
            hidden = tokens.float()
            if self.language_model_head is not None:
                hidden = self.language_model_head.transform(hidden)
            return linear(hidden, self.words, self.bias)


class LinearHead(nn.Linear):
    """A new layer, trained at its own learning rate (an ablation)."""

    def __init__(self, hidden_size: int, n_outputs: int, initializer_range: float) -> None:
        super().__init__(hidden_size, n_outputs)
        nn.init.normal_(self.weight, std=initializer_range)
        nn.init.zeros_(self.bias)

    def forward(self, tokens: Tensor) -> Tensor:
        """Scores ``(..., n_outputs)`` from ``(..., hidden)``, in float32."""
        with torch.autocast(tokens.device.type, enabled=False):
            return super().forward(tokens.float())


class Target:
    """What is scored, what scores are trained towards, and what they predict."""

    def scores(self, head: nn.Module, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Scores ``(batch, n_outputs)`` of the first token, from ``(batch, n_tokens, hidden)``."""
        return head(hidden[:, 0])

    def logits(self, scores: Tensor) -> Tensor:
        """The same as rows whose softmax is one distribution each; a teacher teaches them."""
        return scores

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of a batch."""
        raise NotImplementedError

    def predict(self, scores: Tensor) -> Tensor:
        """Class number, or target, of each example, ``(batch,)``."""
        raise NotImplementedError


class Classes(Target):
    """Cross-entropy over the classes; the highest score is the prediction."""

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy."""
        return cross_entropy(scores, targets)

    def predict(self, scores: Tensor) -> Tensor:
        """Class number of each example."""
        return scores.argmax(dim=-1)


class Poles(Target):
    """A target between two poles, low end first: p = softmax of their scores (Gao et al. 2021, section 4.2)."""

    def __init__(self, lowest: float, highest: float) -> None:
        self.lowest, self.highest = lowest, highest

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy against ``(1 - y', y')``, y' the target scaled to [0, 1]."""
        share = (targets.float() - self.lowest) / (self.highest - self.lowest)
        return cross_entropy(scores, torch.stack([1 - share, share], dim=-1))

    def predict(self, scores: Tensor) -> Tensor:
        """Expected target: lowest + range * p(high pole)."""
        return self.lowest + (self.highest - self.lowest) * scores.softmax(dim=-1)[:, 1]


class SquaredError(Target):
    """One score, compared with the target itself, as the authors' code does."""

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error."""
        return mse_loss(scores[:, 0], targets.float())

    def predict(self, scores: Tensor) -> Tensor:
        """The score."""
        return scores[:, 0]


# Of padding: no logit of a token is as low, and the softmax of it is 0.
PADDING_SCORE = -1e4


class StartEnd(Target):
    """Each token is scored as the first and as the last of a span.

    What scores predict depends on where the tokens lie in the text: see `smp_lab.training.windows`.
    """

    def scores(self, head: nn.Module, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        """Scores ``(batch, n_tokens, 2)``, start and end; `PADDING_SCORE` of padding."""
        return head(hidden).masked_fill(~attention_mask.bool()[:, :, None], PADDING_SCORE)

    def logits(self, scores: Tensor) -> Tensor:
        """A row of all tokens for each start and each end, ``(2 * batch, n_tokens)``."""
        return scores.transpose(1, 2).flatten(0, 1)

    def loss(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Mean of the cross-entropies of starts and of ends over the tokens; targets ``(batch, 2)``."""
        return cross_entropy(self.logits(scores), targets.flatten())
