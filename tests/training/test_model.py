"""The model on an accelerator, as far as a machine without one can tell."""

from contextlib import nullcontext

import pytest
import torch
from conftest import tiny_config

from smp_lab.methods import METHODS
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.model import build_model, full_attention_mask

REMAINING = {"set": 0.4, "measured": None, "none": 1}
BATCH = {
    "input_ids": torch.tensor([[2, 5, 6, 7, 3], [2, 8, 3, 0, 0]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]),
    "labels": torch.tensor([0, 1]),
}


@pytest.mark.parametrize("folder", ["bert_with_head_folder", "roberta_folder"])
@pytest.mark.parametrize("method", [name for name, method in METHODS.items() if not method.is_control])
def test_no_step_waits_for_a_device(method, folder, request, monkeypatch):
    """The device "meta" computes shapes alone, and refuses to tell any value."""
    # The one thing it does not know.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    encoder = load_encoder(find_encoder(str(request.getfixturevalue(folder))))
    encoder.model.to("meta")
    config = tiny_config(method=method, remaining=REMAINING[METHODS[method].remaining])
    model = build_model(config, encoder, total_steps=10).to("meta").train()
    batch = {name: values.to("meta") for name, values in BATCH.items()}
    for step in range(3):
        model.pruned.update(step)
        model(**batch)["loss"].backward()
    with pytest.raises(RuntimeError, match="meta"):
        model(**batch)["loss"].item()


@pytest.mark.parametrize("folder", ["bert_folder", "roberta_folder"])
def test_the_mask_for_an_accelerator_hides_what_the_usual_one_hides(folder, request):
    encoder = load_encoder(find_encoder(str(request.getfixturevalue(folder)))).model.eval()
    tokens, mask = BATCH["input_ids"], BATCH["attention_mask"]
    with torch.no_grad():
        usual, full, none = (
            encoder(input_ids=tokens, attention_mask=given).last_hidden_state[mask.bool()]
            for given in (mask, full_attention_mask(mask), torch.ones_like(mask))
        )
    torch.testing.assert_close(full, usual)
    assert not torch.allclose(none, usual)
