"""The process that runs models for the app, one encoder and some masks in memory: a line of JSON in, one out.

Started by `smp_lab.jobs.model_process`, which asks one thing at a time. It ends with its starter, or when nothing was
asked for `IDLE_SECONDS`. What is asked is written nowhere.
"""

from __future__ import annotations

import json
import os
import select
import sys
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from smp_lab.errors import sentence_of
from smp_lab.inference.fine_tuned import FineTuned
from smp_lab.inference.knock_out import Variant, knock_out
from smp_lab.inference.pruned import BATCH_SIZE, Pruned
from smp_lab.layout import MatrixId
from smp_lab.masks import random_like, whole
from smp_lab.storage.runs import RunRecord, load_run
from smp_lab.training.data import load_task_data, require_data_of
from smp_lab.training.encoders import Encoder, find_encoder, load_encoder

IDLE_SECONDS = 600
# Of masked weights in memory; those that were used last stay. Of MiniLM one mask takes 53 MB, of BERT-base 425 MB.
MOST_BYTES = 2**29
_BYTES_PER_WEIGHT = 5  # W * M in float32, and M

MASK, NONE, RANDOM = AS = ("mask", "none", "random")
DENSE = "dense"
_MOST_DENSE = 2


class Models:
    """One encoder, and the masks over it that were asked for last."""

    def __init__(self) -> None:
        self._encoder: Encoder | None = None
        self._masks: OrderedDict[tuple[str, str], Pruned] = OrderedDict()
        self._fine_tuned = lru_cache(_MOST_DENSE)(self._load_fine_tuned)

    def answers(self, masks: Sequence[tuple[str, str]], texts: Sequence[str]) -> dict[str, Any]:
        """What masks say of one example.

        Parameters
        ----------
        masks
            Folder of a run, and one of `AS`: its mask, no mask, or a random one of its size; or `DENSE`: the weights
            of a dense run.
        texts
            For each text field of a task; a task of one field reads the first.

        Returns
        -------
        dict
            ``answers``: an `Answer` each, or a sentence on why there is none; ``encoder_bytes``.
        """
        said = []
        for folder, kind in masks:
            try:
                model = self._fine_tuned(folder) if kind == DENSE else self._pruned(folder, kind)
                said.append(asdict(model(*texts[: len(model.config.task_info.text_fields)])))
            except Exception as error:
                if (sentence := sentence_of(error)) is None:
                    raise
                said.append(sentence)
        n_parameters = self._encoder.model.num_parameters() if self._encoder else 0
        return {"answers": said, "encoder_bytes": 4 * n_parameters}

    def outcomes(
        self, folder: str, texts: Sequence[str], variants: Sequence[Mapping[str, Any]] | None
    ) -> dict[str, Any]:
        """What the mask of a run says with parts taken out.

        Parameters
        ----------
        folder, texts
            As in `answers`.
        variants
            Fields of `Variant`; None hides each token in turn, after a first variant with nothing hidden.

        Returns
        -------
        dict
            ``outcomes``: probabilities of the label words, or the score alone, of each variant; ``tokens``.
        """
        pruned = self._pruned(folder, MASK)
        texts = texts[: len(pruned.config.task_info.text_fields)]
        numbers = pruned.batch(*([text] for text in texts))["input_ids"][0].tolist()
        if variants is None:
            wanted = [Variant(), *(Variant(tokens=(place,)) for place in range(len(numbers)))]
        else:
            wanted = [_variant(variant) for variant in variants]
        scores = knock_out(pruned, texts, wanted)
        outcomes = scores.softmax(-1) if pruned.config.task_info.classes else pruned.predict(scores)[:, None]
        return {"outcomes": outcomes.tolist(), "tokens": pruned.encoder.tokenizer.convert_ids_to_tokens(numbers)}

    def examples(self, folders: Sequence[str], split: int, places: Sequence[int]) -> dict[str, Any]:
        """Texts of a task's development examples, and how sure the masks of some runs are of their answers.

        Parameters
        ----------
        folders
            Of runs of one task.
        split, places
            Number of the development split, and of the examples in it.

        Returns
        -------
        dict
            ``texts``: one for each text field of each example; ``confidences``: probability of the answer of each
            run to each example; empty where the task has no classes.
        """
        run = load_run(Path(folders[0]))
        texts = _development_texts(run, split, places)
        columns = list(zip(*texts, strict=True))
        confidences = []
        for folder in folders if run.config.task_info.classes and places else ():
            pruned = self._pruned(folder, MASK)
            starts = range(0, len(places), BATCH_SIZE)
            parts = [pruned.scores(*(column[at : at + BATCH_SIZE] for column in columns)) for at in starts]
            confidences.append(torch.cat(parts).softmax(-1).amax(-1).tolist())
        return {"texts": texts, "confidences": confidences}

    def _encoder_of(self, run: RunRecord) -> Encoder:
        if self._encoder is None or self._encoder.files.sha256 != run.config.base_model_sha256:
            # Another one takes its place: one is in memory at a time.
            self._masks.clear()
            self._fine_tuned.cache_clear()
            self._encoder = None
            self._encoder = load_encoder(find_encoder(run.config.base_model))
        return self._encoder

    def _load_fine_tuned(self, folder: str) -> FineTuned:
        run = load_run(Path(folder))
        return FineTuned(run, self._encoder_of(run))

    def _pruned(self, folder: str, kind: str) -> Pruned:
        found = self._masks.pop((folder, kind), None)
        if found is None:
            run = load_run(Path(folder))
            found = Pruned.load(run, encoder=self._encoder_of(run))
            if kind != MASK:
                found = found.with_masks(random_like(found.masks) if kind == RANDOM else whole(found.masks.layout))
        self._masks[folder, kind] = found
        size = _BYTES_PER_WEIGHT * found.masks.layout.n_weights
        while len(self._masks) > max(1, MOST_BYTES // size):
            self._masks.popitem(last=False)
        return found


def _variant(fields: Mapping[str, Any]) -> Variant:
    return Variant(
        heads=tuple((layer, head) for layer, head in fields.get("heads", ())),
        matrices=tuple(MatrixId(layer, kind) for layer, kind in fields.get("matrices", ())),
    )


def _development_texts(run: RunRecord, split: int, places: Sequence[int]) -> list[list[str]]:
    data = load_task_data(run.config.task, train_examples=run.config.train_examples)
    require_data_of(run, data)
    columns = data.development[data.task.splits[split][1]].texts
    return [[column[place] for column in columns] for place in places]


def reply(models: Models, line: str) -> dict[str, Any]:
    """The answer to one line: ``{"call": name, ...}`` gives ``{"result": ...}`` or ``{"error": sentence}``.

    Of a defect only the places in the code are told, as ``{"defect": text}``: its message may hold what was typed.
    """
    calls: Mapping[str, Callable[..., Any]] = {
        call.__name__: call for call in (models.answers, models.outcomes, models.examples)
    }
    try:
        asked = json.loads(line)
        return {"result": calls[asked.pop("call")](**asked)}
    except Exception as error:
        if sentence := sentence_of(error):
            return {"error": sentence}
        return {"defect": f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"}


def main() -> None:
    """``python -m smp_lab.inference.serve``."""
    answers = os.fdopen(os.dup(1), "w")
    # What libraries print must not stand between the answers.
    os.dup2(2, 1)
    # A short text is answered no faster by several threads, and the app beside it needs the others.
    torch.set_num_threads(1)
    models = Models()
    while select.select([sys.stdin], [], [], IDLE_SECONDS)[0] and (line := sys.stdin.readline()):
        answers.write(json.dumps(reply(models, line)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
