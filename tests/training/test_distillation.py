import math

import pytest
import torch
from conftest import tiny_config

from smp_lab.training.distillation import Distillation

# p = softmax((0, 2 ln 3) / 2) = (1/4, 3/4) and softmax((1, 1) / 2) = (1/2, 1/2).
SURE, UNSURE = [0.0, 2 * math.log(3)], [1.0, 1.0]
SURE_FROM_UNSURE = math.log(1 / 2) / 4 + 3 * math.log(3 / 2) / 4
UNSURE_FROM_SURE = math.log(2) / 2 + math.log(2 / 3) / 2


@pytest.mark.parametrize(
    ("direction", "divergence"), [("teacher_student", SURE_FROM_UNSURE), ("student_teacher", UNSURE_FROM_SURE)]
)
def test_loss_is_the_hand_worked_one_in_both_directions(direction, divergence):
    # The second example agrees with its teacher, and halves the mean.
    student, teacher = torch.tensor([UNSURE, SURE]), torch.tensor([SURE, SURE])
    distillation = Distillation(direction, temperature=2.0, weight=0.5)
    assert distillation.loss(torch.tensor(0.8), student, teacher).item() == pytest.approx(
        0.5 * 0.8 + 0.5 * 4 * divergence / 2, abs=1e-6
    )
    lighter = Distillation(direction, temperature=2.0, weight=0.25)
    assert lighter.loss(torch.tensor(0.8), student, teacher).item() == pytest.approx(
        0.75 * 0.8 + 0.25 * 4 * divergence / 2, abs=1e-6
    )


def test_the_temperature_divides_the_logits_of_both():
    student, teacher = torch.tensor([[0.3, -1.2, 0.5]]), torch.tensor([[2.0, 0.1, -0.4]])
    task_loss = torch.tensor(0.0)
    hot = Distillation("teacher_student", 4.0, 1.0).loss(task_loss, 4 * student, 4 * teacher)
    assert hot.item() == pytest.approx(
        16 * Distillation("teacher_student", 1.0, 1.0).loss(task_loss, student, teacher).item(), rel=1e-5
    )


def test_the_gradient_of_one_example_is_the_difference_of_probabilities():
    student = torch.tensor([[0.3, -1.2, 0.5]], requires_grad=True)
    teacher = torch.tensor([[2.0, 0.1, -0.4]])
    Distillation("teacher_student", 2.0, 1.0).loss(torch.tensor(0.0), student, teacher).backward()
    expected = 2 * ((student / 2).softmax(-1) - (teacher / 2).softmax(-1))
    torch.testing.assert_close(student.grad, expected.detach())


def test_a_run_without_a_teacher_has_none():
    assert Distillation.from_config(tiny_config()) is None
    config = tiny_config(
        teacher="x@0", kl_direction="student_teacher", distillation_temperature=3, distillation_weight=0.1
    )
    assert Distillation.from_config(config) == Distillation("student_teacher", 3.0, 0.1)
