"""What a mask learns from a dense teacher's class probabilities, beside the task. Source: Jiang et al. (2023)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import kl_div, log_softmax

from smp_lab.config import RunConfig


@dataclass(frozen=True)
class Distillation:
    """(1 - w) * task loss + w * T^2 * KL, between class probabilities p = softmax(logits / T).

    Parameters
    ----------
    direction
        "teacher_student": KL(teacher || student), as the authors' code has it. "student_teacher": KL(student ||
        teacher), as their paper writes it.
    temperature
        T.
    weight
        w.
    """

    direction: str
    temperature: float
    weight: float

    @classmethod
    def from_config(cls, config: RunConfig) -> Distillation | None:
        """Distillation of a run; None where it has no teacher."""
        if config.teacher is None:
            return None
        return cls(config.kl_direction, config.distillation_temperature, config.distillation_weight)

    def loss(self, task_loss: Tensor, logits: Tensor, teacher_logits: Tensor) -> Tensor:
        """Loss of a batch from its mean task loss and both models' logits, ``(n_distributions, n_classes)`` float32.

        KL is the mean over the distributions: one an example, or one for the start and one for the end of a span.
        """
        student = log_softmax(logits / self.temperature, dim=-1)
        teacher = log_softmax(teacher_logits / self.temperature, dim=-1)
        # The library's first argument is the second of the formula: kl_div(q, p) is KL(p || q).
        pair = (student, teacher) if self.direction == "teacher_student" else (teacher, student)
        divergence = kl_div(*pair, reduction="batchmean", log_target=True)
        return (1 - self.weight) * task_loss + self.weight * self.temperature**2 * divergence
