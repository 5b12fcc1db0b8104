"""Scores and masks over the frozen weights of an encoder, and the straight-through gradient that joins them.

The encoder itself is not touched: `MaskedWeights` hands out W * M under the names of the encoder's own parameters, and
the model runs with those in their place.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from smp_lab.bert_layout import EncoderLayout
from smp_lab.masks import MaskSet
from smp_lab.training.masking import MaskingFunction
from smp_lab.training.schedule import Schedule


class _StraightThrough(torch.autograd.Function):
    """W * M forward; dL/dS := dL/dW' * W backward, plus the regulariser's own gradient."""

    @staticmethod
    def forward(ctx, scores: Tensor, weight: Tensor, mask: Tensor, dtype: torch.dtype, pull: float) -> Tensor:
        ctx.save_for_backward(scores, weight)
        ctx.pull = pull
        return torch.mul(weight, mask, out=torch.empty_like(weight, dtype=dtype))

    @staticmethod
    def backward(ctx, gradient: Tensor):
        scores, weight = ctx.saved_tensors
        score_gradient = torch.mul(gradient, weight)
        if ctx.pull:
            # d sigmoid(S) / dS = s - s^2, in closed form: autograd would keep one more buffer of all scores.
            sigmoid = torch.sigmoid(scores)
            score_gradient.add_(torch.addcmul(sigmoid, sigmoid, sigmoid, value=-1, out=sigmoid), alpha=ctx.pull)
        return score_gradient, None, None, None, None


class MaskedWeights(nn.Module):
    """All prunable weights of one encoder as W * M, with M from trained scores.

    The objective's regulariser lambda(t) * R, R = mean over matrices of mean(sigmoid(S)), enters through its gradient
    in the backward pass of the weights; it is in no loss value. Source: METHOD.md section 1.

    Parameters
    ----------
    layout
        Shapes of the matrices.
    weights
        The encoder's own prunable parameters, ``(n_out, n_in)`` each, in the order of ``layout.matrices``; frozen here.
    masking
        Masking function.
    schedule
        Remaining fraction and regulariser weight by step.
    dtype
        Of the masked weights: the precision of the matrix products.
    """

    def __init__(
        self,
        layout: EncoderLayout,
        weights: Sequence[nn.Parameter],
        masking: MaskingFunction,
        schedule: Schedule,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.layout = layout
        self.schedule = schedule
        self.dtype = dtype
        self.step = -1
        # How many backward passes make one update: each carries its part of the regulariser.
        self.passes_per_update = 1
        self.scores = nn.ParameterList(nn.Parameter(torch.zeros_like(weight)) for weight in weights)
        self._weights = [weight.requires_grad_(False) for weight in weights]
        self._masking = masking
        self.masks: list[Tensor] = []
        self._previous_masks: list[Tensor] = []
        self._applied: list[Tensor] | None = None

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Make the masks of `step`: from the scores after so many updates, at the schedule's remaining fraction.

        Calling it again for the same step changes nothing.
        """
        if step == self.step:
            return
        new = self._previous_masks or [torch.empty_like(score, dtype=torch.bool) for score in self.scores]
        self._previous_masks, self.masks = self.masks, new
        self._masking(list(self.scores), self.schedule.remaining(step), self.masks)
        self.step = step
        self._applied = None

    def forward(self) -> list[Tensor]:
        """W * M of each matrix, in the order of ``layout.matrices``; tied to the scores where gradients are on."""
        if not torch.is_grad_enabled():
            if self._applied is None:
                self._applied = self._apply_masks()
            return self._applied
        self._applied = None
        return self._apply_masks()

    def _apply_masks(self) -> list[Tensor]:
        pull = self.schedule.regularizer_weight(self.step) / len(self.scores) / self.passes_per_update
        return [
            _StraightThrough.apply(score, weight, mask, self.dtype, pull / score.numel())
            for score, weight, mask in zip(self.scores, self._weights, self.masks, strict=True)
        ]

    @torch.no_grad()
    def regularizer(self) -> float:
        """R = mean over matrices of mean(sigmoid(S))."""
        return float(torch.stack([torch.sigmoid(score).mean() for score in self.scores]).double().mean())

    def kept(self) -> int:
        """Weights kept at the present step."""
        return sum(_count(mask) for mask in self.masks)

    def flips(self) -> tuple[int, int]:
        """Weights that came into the mask, and that left it, from the step before to the present one."""
        flips_in = sum(_count(mask & ~before) for mask, before in zip(self.masks, self._previous_masks, strict=False))
        kept_before = sum(_count(mask) for mask in self._previous_masks) if self._previous_masks else self.kept()
        return flips_in, kept_before + flips_in - self.kept()

    def mask_set(self) -> MaskSet:
        """The present masks, packed."""
        return MaskSet.from_dense(
            self.layout,
            {matrix: mask.cpu().numpy() for matrix, mask in zip(self.layout.matrices, self.masks, strict=True)},
        )

    def score_arrays(self) -> list[np.ndarray]:
        """Scores of each matrix, float32 ``(n_out, n_in)``, not to be written to."""
        return [score.detach().cpu().numpy() for score in self.scores]

    def weight_arrays(self) -> list[np.ndarray]:
        """Frozen weights of each matrix, float32 ``(n_out, n_in)``, not to be written to."""
        return [weight.detach().float().cpu().numpy() for weight in self._weights]


def _count(mask: Tensor) -> int:
    return int(np.count_nonzero(mask.numpy())) if mask.device.type == "cpu" else int(mask.sum())
