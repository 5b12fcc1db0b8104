"""Examples as token numbers, and development splits in the order that evaluates them fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from smp_lab.training.data import Examples
from smp_lab.training.heads import Target


class TokenizedExamples(Dataset):
    """Examples as token numbers, one dict each; the shape of batches is the collator's affair."""

    def __init__(self, encoded: Mapping[str, Sequence[list[int]]], targets: np.ndarray) -> None:
        self.columns = dict(encoded)
        self.targets = targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**{name: column[index] for name, column in self.columns.items()}, "labels": self.targets[index]}

    @property
    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [len(tokens) for tokens in self.columns["input_ids"]]

    def by_length(self) -> np.ndarray:
        """Numbers of the examples, shortest first: batches in this order waste no padding."""
        return np.argsort(self.lengths, kind="stable")

    def taken(self, order: np.ndarray) -> TokenizedExamples:
        """Examples by their numbers."""
        columns = {name: [column[i] for i in order] for name, column in self.columns.items()}
        return TokenizedExamples(columns, self.targets[order])


@dataclass(frozen=True)
class DevelopmentSplit:
    """One development split, sorted by length so that batches waste no padding.

    Parameters
    ----------
    suffix
        Of its metrics.
    examples
        Shortest first.
    order
        ``order[i]`` is the place in the file of example i.
    """

    suffix: str
    examples: TokenizedExamples
    order: np.ndarray

    def in_file_order(self, values: np.ndarray) -> np.ndarray:
        """Values of the sorted examples, back in the order of the file."""
        ordered = np.empty_like(values)
        ordered[self.order] = values
        return ordered

    @property
    def targets(self) -> np.ndarray:
        """In the order of the file."""
        return self.in_file_order(self.examples.targets)

    def predictions(self, scores: np.ndarray, target: Target) -> np.ndarray:
        """What scores of the sorted examples predict, in the order of the file."""
        return self.in_file_order(target.predict(torch.from_numpy(scores)).numpy())


def tokenize(examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int) -> TokenizedExamples:
    """Examples as token numbers, cut to `max_length` tokens."""
    encoded = tokenizer(*examples.texts, truncation=True, max_length=max_length)
    return TokenizedExamples({name: encoded[name] for name in encoded}, examples.targets)


def development_split(
    suffix: str, examples: Examples, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> DevelopmentSplit:
    """A development split of whole examples."""
    tokenized = tokenize(examples, tokenizer, max_length)
    order = tokenized.by_length()
    return DevelopmentSplit(suffix, tokenized.taken(order), order)
