"""The prunable weights of an encoder as the model uses them: masked, gated or whole.

The encoder itself is not touched: `PrunedWeights` hands out W' under the names of the encoder's own parameters, and the
model runs with those in their place.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from smp_lab.errors import TrainingError
from smp_lab.masks import MaskSet
from smp_lab.training.masking import MaskingFunction, Prunable


class PrunedWeights(nn.Module):
    """What every method does to the prunable weights of one encoder. Lists are in the order of ``layout.matrices``.

    Parameters
    ----------
    part
        The weights, and the settings that matter.

    Attributes
    ----------
    step
        The step that the present masks belong to; -1 before the first.
    masks
        bool per matrix; empty where the method has none.
    scores
        Trained float32 scores per matrix; empty where the method has none.
    """

    def __init__(self, part: Prunable) -> None:
        super().__init__()
        self.part = part
        self.layout = part.layout
        self.schedule = part.schedule
        self.dtype = part.dtype
        self.step = -1
        self.masks: list[Tensor] = []
        self.scores = nn.ParameterList()
        # A plain list: the parameters stay the encoder's.
        self.weights = list(part.weights)
        self._flips = (0, 0)
        self._cached: list[Tensor] | None = None

    def importance(self) -> Iterable[Tensor]:
        """What the masks are made from, float32 per matrix: the scores, unless the method has something else."""
        return self.scores

    def make_masks(self, masks: list[Tensor]) -> None:
        """Write the masks of `step`."""
        raise NotImplementedError

    def effective(self) -> list[Tensor]:
        """W' of each matrix, tied to what is trained where gradients are on."""
        raise NotImplementedError

    def regularizer(self) -> float:
        """R of the present scores; NaN where the method has none."""
        return float("nan")

    @torch.no_grad()
    def update(self, step: int, *, count_flips: bool = False) -> None:
        """Make the masks of `step`: those after so many updates. Calling it again for the same step changes nothing.

        Parameters
        ----------
        step
            Of the schedule.
        count_flips
            Whether `flips` is wanted; masks are then held twice for a while.

        Raises
        ------
        TrainingError
            If the masks cannot be made of what is trained.
        """
        if step == self.step:
            return
        self.step = step
        self._cached = None
        before = [mask.clone() for mask in self.masks] if count_flips else []
        self.masks = self.masks or [torch.empty_like(weight, dtype=torch.bool) for weight in self.weights]
        try:
            self.make_masks(self.masks)
        except TrainingError as error:
            raise TrainingError(f"There is no mask for step {step}: {error}") from None
        flips_in = sum(_count(mask & ~old) for mask, old in zip(self.masks, before, strict=False))
        flips_out = sum(_count(old & ~mask) for mask, old in zip(self.masks, before, strict=False))
        self._flips = (flips_in, flips_out)

    def forward(self) -> list[Tensor]:
        """W' of each matrix; without gradients they are made once a step."""
        if torch.is_grad_enabled():
            self._cached = None
            return self.effective()
        if self._cached is None:
            self._cached = self.effective()
        return self._cached

    def pull(self, n_weights: int) -> float:
        """Factor of the regulariser's gradient at the present step, for the scores of a matrix of `n_weights`."""
        return self.schedule.regularizer_weight(self.step) / len(self.weights) / n_weights

    def kept(self) -> int:
        """Weights kept at the present step."""
        return sum(_count(mask) for mask in self.masks)

    def flips(self) -> tuple[int, int]:
        """Weights that came into the mask, and that left it, at the last update; 0 and 0 if it did not count them."""
        return self._flips

    def mask_set(self) -> MaskSet | None:
        """The present masks, packed; None for a method that has none."""
        if not self.masks:
            return None
        return MaskSet.from_dense(
            self.layout,
            {matrix: mask.cpu().numpy() for matrix, mask in zip(self.layout.matrices, self.masks, strict=True)},
        )

    def score_arrays(self) -> list[np.ndarray]:
        """Scores of each matrix, float32 ``(n_out, n_in)``, not to be written to."""
        return [score.detach().cpu().numpy() for score in self.scores]

    def weight_arrays(self) -> list[np.ndarray]:
        """Weights of each matrix, float32 ``(n_out, n_in)``, not to be written to."""
        return [weight.detach().float().cpu().numpy() for weight in self.weights]


class WholeWeights(PrunedWeights):
    """Every weight as it is: for a method without a mask."""

    def update(self, step: int, *, count_flips: bool = False) -> None:
        """Note the step; there is no mask to make."""
        self.step = step

    def forward(self) -> list[Tensor]:
        """The weights themselves."""
        return list(self.weights)

    def kept(self) -> int:
        """All weights."""
        return self.layout.n_weights


class MaskedWeights(PrunedWeights):
    """W * M, with M made by a masking function.

    The objective's regulariser lambda(t) * R, R = mean over matrices of mean(sigmoid(S)), enters through its gradient
    in the backward pass of the weights; it is in no loss value. Source: Jiang et al. (2023).

    Parameters
    ----------
    part
        As in `PrunedWeights`.
    masking
        Masking function.
    with_scores
        Whether there are scores to train, all 0 at the start.
    """

    def __init__(self, part: Prunable, *, masking: MaskingFunction, with_scores: bool = True) -> None:
        super().__init__(part)
        self._masking = masking
        if with_scores:
            self.scores.extend(nn.Parameter(torch.zeros_like(weight)) for weight in part.weights)

    def make_masks(self, masks: list[Tensor]) -> None:
        """From `importance`, by the masking function."""
        self._masking(self.part, [values.detach() for values in self.importance()], self.step, masks)

    def effective(self) -> list[Tensor]:
        """W * M of each matrix."""
        scores = list(self.scores) or [None] * len(self.weights)
        return [
            _StraightThrough.apply(score, weight, mask, self.dtype, self.pull(weight.numel()) if self.scores else 0.0)
            for score, weight, mask in zip(scores, self.weights, self.masks, strict=True)
        ]

    @torch.no_grad()
    def regularizer(self) -> float:
        """R = mean over matrices of mean(sigmoid(S)); NaN without scores."""
        if not self.scores:
            return float("nan")
        return float(torch.stack([torch.sigmoid(score).mean() for score in self.scores]).double().mean())


class _StraightThrough(torch.autograd.Function):
    """W' = W * M forward. Backward dL/dS := dL/dW' * W, plus the regulariser's own gradient, and dL/dW = dL/dW' * M."""

    @staticmethod
    def forward(ctx, scores: Tensor | None, weight: Tensor, mask: Tensor, dtype: torch.dtype, pull: float) -> Tensor:
        ctx.save_for_backward(scores, weight, mask if ctx.needs_input_grad[1] else None)
        ctx.pull = pull
        # Bytes become numbers many at a time, booleans one by one.
        return mask.view(torch.uint8).to(weight.dtype).mul_(weight).to(dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        scores, weight, mask = ctx.saved_tensors
        score_gradient = weight_gradient = None
        if ctx.needs_input_grad[0]:
            score_gradient = gradient.to(weight.dtype, copy=True).mul_(weight)
            if ctx.pull:
                # d sigmoid(S) / dS = s - s^2, in closed form: autograd would keep one more buffer of all scores.
                sigmoid = torch.sigmoid(scores)
                score_gradient.add_(torch.addcmul(sigmoid, sigmoid, sigmoid, value=-1, out=sigmoid), alpha=ctx.pull)
        if ctx.needs_input_grad[1]:
            weight_gradient = mask.view(torch.uint8).to(weight.dtype).mul_(gradient)
        return score_gradient, weight_gradient, None, None, None


def _count(mask: Tensor) -> int:
    return int(np.count_nonzero(mask.numpy())) if mask.device.type == "cpu" else int(mask.sum())
