"""A finished mask in use: a frozen encoder, a mask over it and a task's label words are a whole classifier.

Many tasks share one encoder in memory: `Pruned.load` takes one that is loaded already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchEncoding, PreTrainedTokenizerBase

from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError, EncoderError
from smp_lab.masks import MaskSet
from smp_lab.storage.runs import RunRecord
from smp_lab.tasks.spans import Span
from smp_lab.training.data import Examples
from smp_lab.training.encoders import Encoder, find_encoder, load_encoder
from smp_lab.training.examples import DevelopmentSplit
from smp_lab.training.heads import PADDING_SCORE, Target
from smp_lab.training.kinds import trained_kind
from smp_lab.training.model import PruningModel, build_model
from smp_lab.training.squad import column
from smp_lab.training.transfer import require_mask_alone
from smp_lab.training.windows import question_split

BATCH_SIZE = 64

Model = Callable[..., Tensor]


@dataclass(frozen=True)
class Answer:
    """What a pruned model says of one example.

    Parameters
    ----------
    prediction
        Class number, the predicted target of a regression task, or the character at which a span begins.
    label
        Name of the class, or the words of the span; None for a regression task.
    probabilities
        Label word -> softmax over the words' scores; empty for a span, and where one word alone is scored.
    n_tokens
        Tokens that were read.
    cut
        Whether the text was longer than the model reads.
    """

    prediction: float
    label: str | None
    probabilities: dict[str, float]
    n_tokens: int
    cut: bool


class Pruned:
    """The classifier that a run's mask makes of its encoder.

    Parameters
    ----------
    config
        Settings of the run. Products are taken in float32 whatever its precision, so that every machine answers alike.
    encoder
        Loaded; not changed, and shared by as many masks as there are.
    masks
        Over its weights.

    Examples
    --------
    >>> Pruned.load(load_run(folder))("A great film.")  # doctest: +SKIP
    """

    def __init__(self, config: RunConfig, encoder: Encoder, masks: MaskSet) -> None:
        self.config = config
        self.encoder = encoder
        self.masks = masks
        self.model: PruningModel = build_model(replace(config, precision="fp32"), encoder, masks=masks).eval()

    @classmethod
    def load(cls, run: RunRecord, *, encoder: Encoder | None = None) -> Pruned:
        """The classifier of a finished run.

        Parameters
        ----------
        run
            With a mask over frozen weights, and label words.
        encoder
            Loaded before; None finds and loads the run's own.

        Raises
        ------
        TrainingError
            If the run's mask says nothing without what was trained beside it.
        EncoderError
            If the encoder is not the one that the mask is for.
        """
        require_mask_alone(run.run_id, run.config)
        config = run.config
        encoder = encoder or load_encoder(find_encoder(config.base_model))
        if encoder.files.sha256 != config.base_model_sha256:
            raise EncoderError(
                f"Run {run.run_id} has a mask over {config.base_model} ({config.base_model_sha256[:8]}); the encoder "
                f"here is {encoder.files.name} ({encoder.files.sha256[:8]}). Name the encoder that it was made for."
            )
        return cls(config, encoder, run.masks)

    def with_masks(self, masks: MaskSet) -> Pruned:
        """The same classifier with another mask."""
        return Pruned(self.config, self.encoder, masks)

    @torch.inference_mode()
    def scores(self, *columns: Sequence[str]) -> Tensor:
        """Scores of the label words, ``(n, n_words)``.

        Parameters
        ----------
        *columns
            ``n`` texts for each text field of the task.

        Raises
        ------
        ConfigError
            If the task has another number of text fields.
        """
        return self.forward(**self.batch(*columns))

    def batch(self, *columns: Sequence[str]) -> BatchEncoding:
        """Token numbers by name, ``(n, tokens)`` each, of texts as `scores` takes them; raises what it raises."""
        self._require_fields(len(columns))
        return self.encoder.tokenizer(
            *map(list, columns), truncation=True, max_length=self.config.max_length, padding=True, return_tensors="pt"
        )

    @torch.inference_mode()
    def forward(self, **batch: Tensor) -> Tensor:
        """Scores of the label words from token numbers by name, ``(n, tokens)`` each.

        They are ``(n, n_words)``, and of a task that asks for spans ``(n, tokens, n_words)``.
        """
        self.model.pruned.update(0)
        return self.model(**batch)["logits"]

    def predict(self, scores: Tensor) -> Tensor:
        """Class number, or target, of each example, ``(n,)``, from `scores`."""
        return self.model.target.predict(scores)

    def __call__(self, *texts: str) -> Answer:
        """Answer one example, a text for each text field of the task; raises what `scores` raises."""
        self._require_fields(len(texts))
        if trained_kind(self.config.task_info).by_token:
            return self._span(*texts)
        scores = self.scores(*([text] for text in texts))
        n_tokens = len(self.encoder.tokenizer(*texts)["input_ids"])
        return answer_from(self.config, scores, self.model.target, self.config.label_words or (), n_tokens)

    def _span(self, question: str, context: str) -> Answer:
        """The best span of all of a text, which is read in windows; a long question is cut."""
        tokenizer, most = self.encoder.tokenizer, self.config.max_length
        if not tokenizer.tokenize(context):
            raise ConfigError(f"Task {self.config.task!r} finds its answer in the second text, which is empty.")
        asked = Examples(([question], [context]), column([(Span("", 0),)]))
        split = question_split("", asked, tokenizer, most)
        (said,) = split.predictions(scores_of(split, tokenizer, self.forward), self.model.target)
        n_cut = max(0, len(tokenizer.tokenize(question)) - most // 3)
        return Answer(said.start, said.text, {}, len(tokenizer(question, context)["input_ids"]) - n_cut, n_cut > 0)

    def _require_fields(self, n_texts: int) -> None:
        fields = self.config.task_info.text_fields
        if n_texts != len(fields):
            raise ConfigError(f"Task {self.config.task!r} reads {' and '.join(fields)}; got {n_texts} texts.")


def scores_of(split: DevelopmentSplit, tokenizer: PreTrainedTokenizerBase, model: Model) -> npt.NDArray[np.float32]:
    """Scores of the examples of a split, in its order, as `DevelopmentSplit.predictions` takes them.

    `model` makes them of token numbers by name.
    """
    columns, n = split.examples.columns, len(split.examples)
    batches = (
        {name: column[start : start + BATCH_SIZE] for name, column in columns.items()}
        for start in range(0, n, BATCH_SIZE)
    )
    scores = [each for batch in batches for each in model(**tokenizer.pad(batch, return_tensors="pt"))]
    # Of tokens there are as many as in the longest text of a batch.
    return pad_sequence(scores, batch_first=True, padding_value=PADDING_SCORE).numpy()


def answer_from(config: RunConfig, scores: Tensor, target: Target, names: Sequence[str], n_tokens: int) -> Answer:
    """What scores ``(1, n_names)`` of a model with this target say of a text of so many tokens."""
    task, prediction = config.task_info, target.predict(scores).item()
    return Answer(
        prediction,
        task.classes[int(prediction)] if task.classes else None,
        dict(zip(names, scores[0].softmax(-1).tolist(), strict=True)) if len(names) > 1 else {},
        min(n_tokens, config.max_length),
        n_tokens > config.max_length,
    )
