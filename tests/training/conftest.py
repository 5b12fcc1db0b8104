"""Checkpoints of tiny encoders, written by `transformers` itself, and data for them."""

from __future__ import annotations

import os
import signal
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
from smp_lab.tasks.kinds import NUMBER, SPAN  # noqa: E402
from smp_lab.tasks.spans import Span  # noqa: E402
from smp_lab.training import prepare as prepare_module  # noqa: E402
from smp_lab.training import run as training  # noqa: E402
from smp_lab.training import trainer as trainer_module  # noqa: E402
from smp_lab.training.data import Examples, TaskData  # noqa: E402
from smp_lab.training.run import Interrupted, train  # noqa: E402
from smp_lab.training.squad import column  # noqa: E402

WORDS = [
    *("yes", "no", "maybe", "terrible", "great", "incorrect", "correct", "the", "a", "cat", "dog", "sat", "ran", "saw"),
    *("big", "small", "red", "blue"),
]
SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
}


def bert_checkpoint(folder: Path, model_class: type, **sizes: int) -> Path:
    torch.manual_seed(0)
    folder.mkdir()
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, "un", "##real"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder)
    model_class(BertConfig(vocab_size=len(vocabulary), **(SIZES | sizes))).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory) -> Path:
    """BERT layout without a masked-language-model head."""
    return bert_checkpoint(tmp_path_factory.mktemp("encoders") / "tiny-bert", BertModel)


@pytest.fixture(scope="session")
def bert_with_head_folder(tmp_path_factory) -> Path:
    """BERT layout with a masked-language-model head."""
    return bert_checkpoint(tmp_path_factory.mktemp("encoders") / "tiny-bert-mlm", BertForMaskedLM)


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
    """Sentences of random words whose class is whether the first word is "the"; of a span task, the two behind it."""
    info = get_task(task)
    rng = np.random.default_rng(seed)

    def examples(n: int) -> Examples:
        targets = np.arange(n) % 2
        columns = tuple(
            [" ".join([("the", "a")[target], *rng.choice(WORDS[7:], rng.integers(2, 9))]) for target in targets]
            for _ in info.text_fields
        )
        if info.kind is SPAN:
            # The answer is the two words behind the first.
            parts = [(text.split()[0], text.split()[1:3]) for text in columns[1]]
            return Examples(columns, column([(Span(" ".join(words), len(first) + 1),) for first, words in parts]))
        if info.kind is NUMBER:
            return Examples(columns, (5.0 * targets).astype(np.float32))
        return Examples(columns, targets.astype(np.int64))

    return TaskData(
        info, examples(n_train), {name: examples(n_development) for _, name in info.splits}, "made for a test"
    )


@pytest.fixture(scope="module")
def strong_folder(tmp_path_factory):
    """Weights so large that masks flip while they are trained: a resume that went wrong shows."""
    return bert_checkpoint(tmp_path_factory.mktemp("encoders") / "strong-bert", BertModel, initializer_range=0.3)


@pytest.fixture
def glue(tmp_path):
    """A folder with a small RTE."""
    folder = tmp_path / "glue" / "RTE"
    folder.mkdir(parents=True)
    rows = [f"{i}\tthe cat sat\ta dog ran\t{('entailment', 'not_entailment')[i % 2]}" for i in range(20)]
    for name in ("train", "dev"):
        (folder / f"{name}.tsv").write_text("index\tsentence1\tsentence2\tlabel\n" + "\n".join(rows) + "\n")
    return folder.parent


@pytest.fixture
def prepared(bert_folder, monkeypatch):
    def make(task="rte", method="smp_s", remaining=0.4, n_train=64, **changes):
        data = tiny_data(task, n_train)
        monkeypatch.setattr(prepare_module, "load_task_data", lambda *_, **__: data)
        settings = {
            "encoder": str(bert_folder),
            "epochs": 5,
            "batch_size": 8,
            "max_length": 40,
            "precision": "fp32",
        } | changes
        return prepare_module.prepare(task, method, remaining=remaining, **settings)

    return make


@pytest.fixture
def built(monkeypatch):
    """The models that runs build."""
    models, build = [], training.build_model
    monkeypatch.setattr(training, "build_model", lambda *given: models.append(build(*given)) or models[-1])
    return models


def same_masks(one, other):
    return all(np.array_equal(one.masks.bits[matrix], other.masks.bits[matrix]) for matrix in one.masks)


def ask_at(step, monkeypatch):
    """Send this process the signal of Ctrl-C at a step."""
    begin = trainer_module._PruningSteps.on_step_begin

    def ask(self, args, state, control, **rest):
        begin(self, args, state, control, **rest)
        if state.global_step == step - 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(trainer_module._PruningSteps, "on_step_begin", ask)


def stop_at(step, ready, runs):
    """Train a run until Ctrl-C at a step."""
    sentence = f"Stopped at step {step} of .*; a checkpoint is kept"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Interrupted, match=sentence):
        ask_at(step, patch)
        train(ready, runs, command="")
