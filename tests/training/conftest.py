"""Checkpoints of tiny encoders, written by `transformers` itself, and data for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the extra: pip install -e '.[train]'")

from tokenizers import ByteLevelBPETokenizer  # noqa: E402 - after the check for torch
from transformers import (  # noqa: E402
    BertConfig,
    BertForMaskedLM,
    BertModel,
    BertTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizerFast,
)

from smp_lab.tasks import get_task  # noqa: E402
from smp_lab.training.data import Examples, TaskData  # noqa: E402

WORDS = [
    *[
        "yes",
        "no",
        "maybe",
        "terrible",
        "great",
        "incorrect",
        "correct",
        "the",
        "a",
        "cat",
        "dog",
        "sat",
        "ran",
        "saw",
        "big",
        "small",
        "red",
        "blue",
    ]
]
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}


def _bert(folder: Path, model_class: type) -> Path:
    torch.manual_seed(0)
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "un", "##real"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    model_class(BertConfig(vocab_size=len(vocabulary), **SIZES)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory) -> Path:
    """BERT layout without a masked-language-model head."""
    return _bert(tmp_path_factory.mktemp("encoders") / "tiny-bert", BertModel)


@pytest.fixture(scope="session")
def bert_with_head_folder(tmp_path_factory) -> Path:
    """BERT layout with a masked-language-model head."""
    return _bert(tmp_path_factory.mktemp("encoders") / "tiny-bert-mlm", BertForMaskedLM)


@pytest.fixture(scope="session")
def roberta_folder(tmp_path_factory) -> Path:
    """RoBERTa layout with its head and a byte-level tokenizer."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoders") / "tiny-roberta"
    folder.mkdir()
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator(
        [" " + " ".join(WORDS)] * 4,
        vocab_size=600,
        min_frequency=1,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        show_progress=False,
    )
    tokenizer.save_model(str(folder))
    tokenizer = RobertaTokenizerFast(vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"))
    tokenizer.save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(tokenizer), type_vocab_size=1, pad_token_id=1, bos_token_id=0, eos_token_id=2, **SIZES
    )
    RobertaForMaskedLM(config).save_pretrained(folder)
    return folder


def tiny_data(task: str = "rte", n_train: int = 64, n_development: int = 24, seed: int = 0) -> TaskData:
    """Sentences of random words whose class is whether the first word is "the"."""
    info = get_task(task)
    rng = np.random.default_rng(seed)

    def examples(n: int) -> Examples:
        targets = np.arange(n) % 2
        columns = tuple(
            [" ".join([("the", "a")[target], *rng.choice(WORDS[7:], rng.integers(2, 9))]) for target in targets]
            for _ in info.text_fields
        )
        if info.is_regression:
            return Examples(columns, (5.0 * targets).astype(np.float32))
        return Examples(columns, targets.astype(np.int64))

    return TaskData(
        info, examples(n_train), {name: examples(n_development) for _, name in info.splits}, "made for a test"
    )
