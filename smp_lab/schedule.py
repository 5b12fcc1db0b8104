"""How the remaining fraction falls and the regulariser's weight grows while a mask is trained."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smp_lab.config import RunConfig


def count_steps(config: RunConfig, n_examples: int) -> int:
    """T: updates of a run on so many examples, the last batch of an epoch smaller than others or not."""
    # Rounded first: 1.1 epochs of 50 steps are 55.00000000000001 in floating point.
    return math.ceil(round(config.epochs * math.ceil(n_examples / config.batch_size), 9))


def note_on_length(config: RunConfig, total_steps: int) -> str | None:
    """A sentence where a run ends before its schedule."""
    if config.schedule_steps is None or config.schedule_steps <= total_steps:
        return None
    return (
        f"The schedule has {config.schedule_steps:,} steps and the run {total_steps:,}: it is cut, and the final level "
        "is reached at the last step."
    )


@dataclass(frozen=True)
class Schedule:
    """Remaining fraction, threshold and regulariser weight at every step of one run.

    Parameters
    ----------
    total_steps
        T: updates in the whole run.
    schedule_steps
        N: the update from which the remaining fraction is the final one.
    final_remaining
        v: fraction of weights that remains at the end.
    shape
        "cubic" (Zhu and Gupta 2017) or "linear".
    regularizer
        lambda_max.
    regularizer_ramp
        "code": lambda_max (1 - (1 - t/T)^3), over all steps, as the authors' code. "paper": lambda_max times
        sparsity(t) / final sparsity, as the paper's text.
    final_threshold
        tau at the end, for methods that keep sigmoid(S) > tau.
    """

    total_steps: int
    schedule_steps: int
    final_remaining: float
    shape: str = "cubic"
    regularizer: float = 0.0
    regularizer_ramp: str = "code"
    final_threshold: float = 0.0

    @classmethod
    def from_config(cls, config: RunConfig, total_steps: int) -> Schedule:
        """Schedule of a run with `total_steps` updates; N is at most that."""
        if config.schedule_steps is not None:
            schedule_steps = min(config.schedule_steps, total_steps)
        else:
            # Rounded first: 0.29 of 100 steps are 28.999999999999996 in floating point.
            schedule_steps = math.floor(round((config.schedule_fraction or 0.0) * total_steps, 9))
        return cls(
            total_steps=total_steps,
            schedule_steps=schedule_steps,
            final_remaining=1.0 if config.remaining is None else config.remaining,
            shape=config.schedule or "cubic",
            regularizer=config.regularizer,
            regularizer_ramp=config.regularizer_ramp or "code",
            final_threshold=config.threshold or 0.0,
        )

    def _left(self, step: int) -> float:
        """What the shape leaves of the way at a step: 1 at the start, 0 from N on."""
        if step >= self.schedule_steps:
            return 0.0
        left = 1 - step / self.schedule_steps
        return left**3 if self.shape == "cubic" else left

    def remaining(self, step: int) -> float:
        """Fraction of weights that remains after `step` updates: v + (1 - v)(1 - t/N)^3 for t < N, then v.

        Without the power where the shape is linear.
        """
        return self.final_remaining + (1 - self.final_remaining) * self._left(step)

    def threshold(self, step: int) -> float:
        """tau(t), which grows from 0 as the remaining fraction falls: final tau * (1 - (1 - t/N)^3).

        Without the power where the shape is linear.
        """
        return self.final_threshold * (1 - self._left(step))

    def regularizer_weight(self, step: int) -> float:
        """Weight lambda(t) of the regulariser in update `step`."""
        if self.regularizer_ramp == "paper":
            # sparsity(t) / final sparsity; for a method without a set fraction, the way its threshold has gone.
            return self.regularizer * (1 - self._left(step))
        left = max(1 - step / self.total_steps, 0.0)
        return self.regularizer * (1 - left**3)
