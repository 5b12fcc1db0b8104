"""The authors' own numbers: schedules and two trajectories of mask training on a toy encoder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import gelu, linear, mse_loss

from smp_lab.layout import MATRIX_TYPES, EncoderLayout
from smp_lab.masks import kept_count
from smp_lab.schedule import Schedule
from smp_lab.training.masking import Prunable
from smp_lab.training.masking.base import keep_top
from smp_lab.training.masking.local import local
from smp_lab.training.masking.share import share, share_among_layers
from smp_lab.training.pruned_weights import MaskedWeights

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
STEPS = 60
LAYOUT = EncoderLayout(n_layers=3, hidden_size=16, intermediate_size=32, n_heads=1, n_parameters=10_000)


def test_schedules_are_the_authors():
    rows = json.loads((GOLDEN / "schedule.json").read_text())
    assert len(rows) > 20
    for row in rows:
        schedule = Schedule(row["total_steps"], row["schedule_steps"], row["final_remaining"], regularizer=400)
        assert schedule.remaining(row["step"]) == pytest.approx(row["remaining"], abs=1e-12)
        assert schedule.regularizer_weight(row["step"]) == pytest.approx(row["regularizer_weight"], abs=1e-9)


class AuthorsShare:
    """The share rule as the authors' code has it: what a share above 1 cuts off is lost. Notes the means it used."""

    def __init__(self):
        self.means = []

    def __call__(self, part, scores, step, masks):
        means = np.array([float(torch.sigmoid(score).mean()) for score in scores], np.float64).reshape(-1, 6)
        self.means.append(torch.from_numpy(means))
        shares = (part.schedule.remaining(step) * len(means) * means / means.sum(axis=0)).reshape(-1)
        counts = [kept_count(each, score.numel()) for each, score in zip(shares, scores, strict=True)]
        keep_top(scores, counts, masks)


def train_toy_encoder(golden, masking_function):
    """Train the scores of the three-layer encoder that golden/README.md gives; a row per step."""
    names = [str(name) for name in golden["matrix_names"]]
    parameters = [torch.nn.Parameter(torch.from_numpy(golden[f"weight/{name}"])) for name in names]
    schedule = Schedule(STEPS, 40, 0.3, regularizer=400)
    masked = MaskedWeights(Prunable(LAYOUT, parameters, schedule), masking=masking_function)
    biases = [torch.from_numpy(golden[f"bias/{name}"]) for name in names]
    with torch.no_grad():
        for score, name in zip(masked.scores, names, strict=True):
            score.copy_(torch.from_numpy(golden[f"scores0/{name}"]))
    inputs, targets = torch.from_numpy(golden["X"]), torch.from_numpy(golden["Y"])
    optimizer = torch.optim.AdamW(masked.parameters(), lr=2e-2, eps=1e-8, weight_decay=0)
    rows = []
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = 2e-2 * (1 - step / STEPS)
        masked.update(step)
        loss = mse_loss(toy_encoder(inputs, masked(), biases), targets)
        kept = [int(mask.sum()) for mask in masked.masks]
        rows.append((loss.item(), masked.regularizer(), masked.schedule.remaining(step), kept))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return names, masked, rows


def toy_encoder(x, weights, biases):
    for layer in range(LAYOUT.n_layers):
        query, key, value, out, up, down = (
            lambda x, i=i: linear(x, weights[i], biases[i]) for i in range(6 * layer, 6 * layer + 6)
        )
        x = x + out(torch.tanh(query(x)) * torch.tanh(key(x)) + value(x))
        x = x + down(gelu(up(x)))
    return x


@pytest.mark.parametrize(("file", "masking_function"), [("local", local), ("share", AuthorsShare())])
def test_trajectory_is_the_authors(file, masking_function):
    golden = np.load(GOLDEN / f"trajectory_{file}.npz")
    names, masked, rows = train_toy_encoder(golden, masking_function)
    losses, regularizers, remaining, kept = zip(*rows, strict=True)
    np.testing.assert_allclose(losses, golden["loss"], atol=1e-4)
    np.testing.assert_allclose(regularizers, golden["regularizer"], atol=1e-6)
    np.testing.assert_allclose(remaining, golden["remaining"], atol=1e-12)
    sizes = [score.numel() for score in masked.scores]
    fractions = np.minimum(golden["keep_fraction"], 1)
    assert np.abs(np.array(kept) - fractions * sizes).max() < 1
    for name, score, mask in zip(names, masked.scores, masked.masks, strict=True):
        np.testing.assert_allclose(score.detach(), golden[f"scoresT/{name}"], atol=1e-4)
        np.testing.assert_array_equal(mask, golden[f"last_mask/{name}"])


def test_shares_are_the_authors_where_none_is_above_a_whole_matrix():
    golden = np.load(GOLDEN / "trajectory_share.npz")
    authors = AuthorsShare()
    train_toy_encoder(golden, authors)
    wanted = golden["keep_fraction"].reshape(STEPS, LAYOUT.n_layers, -1)
    n_compared = 0
    for means, remaining, want in zip(authors.means, golden["remaining"], wanted, strict=True):
        within = want.max(axis=0) <= 1
        got = share_among_layers(means, float(remaining)).numpy()
        np.testing.assert_allclose(got[:, within], want[:, within], atol=1e-5)
        n_compared += within.sum()
    assert n_compared > STEPS * len(MATRIX_TYPES) / 2


def test_redistributed_share_keeps_what_the_authors_lose():
    golden = np.load(GOLDEN / "trajectory_share.npz")
    assert golden["keep_fraction"][0].max() > 1  # the first step asks for more than whole matrices
    _, _, rows = train_toy_encoder(golden, share)
    for _, _, remaining, kept in rows:
        per_type = np.array(kept).reshape(3, 6).sum(axis=0)
        assert per_type.tolist() == [kept_count(remaining, 3 * LAYOUT.size(kind)) for kind in MATRIX_TYPES]
