"""The benchmark's textbook implementation does the same as the engine, or its factor would mean nothing."""

from __future__ import annotations

import torch

from smp_lab.training.encoders import PACKAGED_ENCODER
from tests.training.benchmark import Setting, Steps, TextbookSteps, make_batches


def test_textbook_and_engine_find_the_same_masks() -> None:
    setting = Setting(PACKAGED_ENCODER, "toy-sentiment")
    plain = {"precision": "fp32", "dropout": 0.0}
    engine = Steps(setting, "smp_l", None, **plain)
    textbook = TextbookSteps(setting, None, **plain)
    apart = []
    for batch in make_batches(setting, None, 2):
        engine(batch)
        textbook(batch)
        ours = torch.cat([mask.flatten() for mask in engine.model.pruned.masks])
        theirs = torch.cat([layer.mask.flatten() > 0 for layer in textbook.layers])
        assert 0 < ours.sum() < ours.numel()
        apart.append((ours != theirs).double().mean().item())
    # Padding changes the order of sums. Adam's first steps are signs, so that a rounding error near 0 soon moves a
    # score by a whole learning rate, and from the third step on the two go ways of their own.
    assert apart[0] == 0
    assert apart[1] < 5e-3
