"""l0: W and a hard-concrete gate per weight, both trained (Louizos, Welling, Kingma 2018, section 2)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from smp_lab.training.masking import Prunable
from smp_lab.training.pruned_weights import PrunedWeights

BETA, GAMMA, ZETA = 2 / 3, -0.1, 1.1
# Gates start open: sigmoid(2.197) = 0.9, as Sanh et al. (2020) start theirs.
START = math.log(0.9 / 0.1)


class GatedWeights(PrunedWeights):
    """W * z with z a hard-concrete gate; the trained scores are its log alpha.

    R = mean over matrices of the mean of P(z > 0) = sigmoid(log alpha - beta log(-gamma / zeta)).
    """

    def __init__(self, part: Prunable) -> None:
        super().__init__(part)
        self.scores.extend(nn.Parameter(torch.full_like(weight, START)) for weight in part.weights)

    def make_masks(self, masks: list[Tensor]) -> None:
        """Kept is what the gate without noise lets through."""
        for score, mask in zip(self.scores, masks, strict=True):
            torch.gt(_stretch(torch.sigmoid(score)), 0, out=mask)

    def effective(self) -> list[Tensor]:
        """W * z of each matrix: z with noise where gradients are on, without elsewhere."""
        applied = []
        for score, weight in zip(self.scores, self.weights, strict=True):
            if torch.is_grad_enabled():
                gate = sampled_gate(score, torch.rand_like(score))
                open_gate = _Pull.apply(gate, score, self.pull(weight.numel()))
                applied.append((weight * open_gate).to(self.dtype))
            else:
                applied.append((weight * _stretch(torch.sigmoid(score)).clamp(0, 1)).to(self.dtype))
        return applied

    @torch.no_grad()
    def regularizer(self) -> float:
        """Expected share of open gates, mean over matrices."""
        return float(torch.stack([p_open(score).mean() for score in self.scores]).double().mean())


class _Pull(torch.autograd.Function):
    """The gate itself; backward adds the gradient of the regulariser to that of log alpha."""

    @staticmethod
    def forward(ctx, gate: Tensor, score: Tensor, pull: float) -> Tensor:
        ctx.save_for_backward(score)
        ctx.pull = pull
        return gate.view_as(gate)

    @staticmethod
    def backward(ctx, gradient: Tensor):
        (score,) = ctx.saved_tensors
        p = p_open(score)
        return gradient, ctx.pull * p * (1 - p), None


def sampled_gate(log_alpha: Tensor, uniform: Tensor) -> Tensor:
    """Gate in [0, 1] for noise `uniform` in (0, 1): clamp(s (zeta - gamma) + gamma), s a binary concrete sample."""
    noise = torch.special.logit(uniform, eps=1e-6)
    return _stretch(torch.sigmoid((noise + log_alpha) / BETA)).clamp(0, 1)


def p_open(log_alpha: Tensor) -> Tensor:
    """Probability that a gate is above 0."""
    return torch.sigmoid(log_alpha - BETA * math.log(-GAMMA / ZETA))


def _stretch(s: Tensor) -> Tensor:
    return s * (ZETA - GAMMA) + GAMMA
