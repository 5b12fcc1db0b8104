"""A dense run in use, where its trained weights are kept: what stands beside masks."""

from __future__ import annotations

import torch

from smp_lab.errors import ConfigError
from smp_lab.inference.pruned import Answer, answer_from
from smp_lab.storage.runs import RunRecord
from smp_lab.training.encoders import Encoder
from smp_lab.training.kinds import trained_kind
from smp_lab.training.teachers import find_teacher, load_teacher


class FineTuned:
    """The classifier that a dense run trained.

    Parameters
    ----------
    run
        Of method dense.
    encoder
        That it started from, loaded; not changed.

    Raises
    ------
    ConfigError
        If its weights are not kept, it is no dense run, or its task asks for spans.
    TrainingError
        If they cannot be read.
    """

    def __init__(self, run: RunRecord, encoder: Encoder) -> None:
        if trained_kind(run.config.task_info).by_token:
            raise ConfigError("Fine-tuned weights answer by a class or a number here, not by a span of a text.")
        self.config = run.config
        found = find_teacher(str(run.path), run.config.task_info, runs=[run.path.parent], encoder=encoder.files)
        self.model = load_teacher(found, run.config, encoder)
        self.target = trained_kind(run.config.task_info).target(run.config)

    @torch.inference_mode()
    def __call__(self, *texts: str) -> Answer:
        """Answer one example, a text for each text field of the task."""
        tokenizer, most = self.model.tokenizer, self.config.max_length
        batch = tokenizer(*([text] for text in texts), truncation=True, max_length=most, return_tensors="pt")
        n_tokens = len(tokenizer(*texts)["input_ids"])
        # Its own head scores classes, and no words.
        names = self.config.task_info.classes
        return answer_from(self.config, self.model(**batch), self.target, names, n_tokens)
