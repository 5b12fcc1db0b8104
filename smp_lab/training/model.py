"""The model that is trained: an untouched encoder, pruned weights in its matrices' place, and a head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from smp_lab.config import RunConfig
from smp_lab.masks import MaskSet
from smp_lab.methods import Method
from smp_lab.schedule import Schedule
from smp_lab.training.distillation import Distillation
from smp_lab.training.encoders import Encoder
from smp_lab.training.heads import LabelWordHead, LinearHead, Target
from smp_lab.training.kinds import trained_kind
from smp_lab.training.masking import Prunable, given
from smp_lab.training.methods import prune
from smp_lab.training.pruned_weights import MaskedWeights, PrunedWeights


class PruningModel(nn.Module):
    """Encoder, pruned weights, head and target; the method says which of the encoder's own parameters are trained."""

    def __init__(
        self,
        encoder: Encoder,
        pruned: PrunedWeights,
        head: nn.Module,
        target: Target,
        *,
        method: Method,
        distillation: Distillation | None = None,
    ) -> None:
        super().__init__()
        self.encoder = encoder.model.requires_grad_(method.trains_weights)
        self.encoder.embeddings.requires_grad_(method.trains_embeddings)
        self.pruned = pruned
        self.head = head
        self.target = target
        self.distillation = distillation
        self._own_attention = encoder.family.own_attention
        self._names = [name for name, _ in encoder.matrix_parameters().values()]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        labels: Tensor | None = None,
        teacher_logits: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Scores, of shape ``(batch, n_outputs)`` or one for each token; with `labels` the mean task loss.

        With `teacher_logits`, scores of a teacher's and of the longest example's length, the loss of distillation.
        """
        tokens = attention_mask
        if attention_mask.device.type != "cpu" and not self._own_attention:
            attention_mask = full_attention_mask(attention_mask)
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask}
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        weights = dict(zip(self._names, self.pruned(), strict=True))
        hidden = functional_call(self.encoder, weights, kwargs=inputs).last_hidden_state
        scores = self.target.scores(self.head, hidden, tokens)
        if labels is None:
            return {"logits": scores}
        loss = self.target.loss(scores, labels)
        if self.distillation is not None and teacher_logits is not None:
            taught = teacher_logits[:, : scores.shape[1]]
            loss = self.distillation.loss(loss, self.target.logits(scores), self.target.logits(taught))
        return {"loss": loss, "logits": scores}

    def trained_state(self) -> dict[str, Tensor]:
        """What is trained, by name: all that a checkpoint needs beside the pre-trained encoder."""
        wanted = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        return {name: tensor for name, tensor in self.state_dict().items() if name in wanted}


def full_attention_mask(attention_mask: Tensor) -> Tensor:
    """The mask that the library makes of ``(batch, tokens)``: bool, ``(batch, 1, tokens, tokens)``.

    Of the short one the library first asks whether it masks anything, and an accelerator would be waited for.
    """
    n_tokens = attention_mask.shape[1]
    return attention_mask.bool()[:, None, None, :].expand(-1, 1, n_tokens, n_tokens)


def build_model(
    config: RunConfig, encoder: Encoder, total_steps: int = 0, *, masks: MaskSet | None = None
) -> PruningModel:
    """Model of a run before its first step, or with a finished mask, which nothing trains."""
    part = Prunable(
        layout=encoder.layout,
        weights=[parameter for _, parameter in encoder.matrix_parameters().values()],
        schedule=Schedule.from_config(config, total_steps),
        dtype=matrix_dtype(config.precision),
        seed=config.seed,
        share_temperature=config.share_temperature,
    )
    finished = None if masks is None else MaskedWeights(part, masking=given(masks), with_scores=False)
    return PruningModel(
        encoder,
        finished or prune(config.method_info, part),
        make_head(config, encoder),
        trained_kind(config.task_info).target(config),
        method=config.method_info,
        distillation=Distillation.from_config(config),
    )


def make_head(config: RunConfig, encoder: Encoder) -> nn.Module:
    """Head that the config asks for."""
    if config.head == "label_words":
        return LabelWordHead(encoder, config.label_words or ())
    n_outputs = trained_kind(config.task_info).n_outputs(config.task_info)
    return LinearHead(encoder.layout.hidden_size, n_outputs, encoder.model.config.initializer_range)


def matrix_dtype(precision: str) -> torch.dtype:
    """Type of the masked weights for a config's precision."""
    return {"bf16": torch.bfloat16, "fp32": torch.float32}[precision]
