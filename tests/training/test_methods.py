"""Each method: what it trains, what it keeps, and its formula against a slow way."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from training.conftest import tiny_data
from transformers import BertConfig, BertModel

from smp_lab.layout import MATRIX_TYPES, EncoderLayout
from smp_lab.masks import kept_count, top_k
from smp_lab.methods import LOCAL, METHODS
from smp_lab.schedule import Schedule
from smp_lab.training import prepare as prepare_module
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.masking import Prunable
from smp_lab.training.methods import prune
from smp_lab.training.methods.l0 import BETA, GAMMA, ZETA, p_open, sampled_gate
from smp_lab.training.model import build_model
from smp_lab.training.prepare import prepare
from smp_lab.training.results import parameter_counts
from smp_lab.training.run import train

LAYOUT = EncoderLayout(n_layers=2, hidden_size=8, intermediate_size=12, n_heads=2, n_parameters=2000)
SET = [name for name, method in METHODS.items() if method.remaining == "set"]


def prunable(remaining=0.3, seed=0, trained=True, **schedule):
    generator = torch.Generator().manual_seed(7)
    weights = [
        torch.nn.Parameter(torch.randn(LAYOUT.shape(m.matrix_type), generator=generator), requires_grad=trained)
        for m in LAYOUT.matrices
    ]
    return Prunable(LAYOUT, weights, Schedule(10, 0, remaining, **schedule), torch.float32, seed)


def kept_in_all(method, remaining, layout):
    """Weights that a method with a set fraction keeps: of all matrices, of those of a type, or of each."""
    if method == "smp_g":
        return kept_count(remaining, layout.n_weights)
    if method == "smp_s":
        return sum(kept_count(remaining, layout.n_layers * layout.size(kind)) for kind in MATRIX_TYPES)
    return sum(kept_count(remaining, layout.size(matrix.matrix_type)) for matrix in layout.matrices)


def backward(pruned, seed=1):
    """Gradient of one product with the first matrix, and dL/dW' of it by hand for L = sum(tanh(x W'^T))."""
    pruned.update(0)
    x = torch.randn(5, 8, generator=torch.Generator().manual_seed(seed))
    effective = pruned()[0]
    torch.tanh(x @ effective.T).sum().backward()
    out = x @ effective.detach().T
    return (1 - torch.tanh(out) ** 2).T @ x


@pytest.mark.parametrize("method", SET)
@pytest.mark.parametrize("remaining", [1.0, 0.37, 0.004])
def test_a_set_fraction_is_kept_to_the_weight(method, remaining):
    pruned = prune(METHODS[method], prunable(remaining))
    pruned.update(0)
    assert pruned.kept() == kept_in_all(method, remaining, LAYOUT)
    if METHODS[method].masking == LOCAL:
        sizes = [weight.numel() for weight in pruned.weights]
        assert [int(mask.sum()) for mask in pruned.masks] == [kept_count(remaining, size) for size in sizes]


def test_magnitude_keeps_the_largest_present_weights_and_moves_only_those():
    pruned = prune(METHODS["magnitude"], prunable(0.3))
    gradient = backward(pruned)
    weight, mask = pruned.weights[0], pruned.masks[0].clone()
    np.testing.assert_array_equal(mask, top_k(np.abs(weight.detach().numpy()), kept_count(0.3, 64)))
    torch.testing.assert_close(weight.grad, gradient * mask)
    assert not list(pruned.scores)
    with torch.no_grad():
        weight.copy_(weight.flip(0))
    pruned.update(1)
    np.testing.assert_array_equal(pruned.masks[0], mask.flip(0))


def test_movement_moves_scores_of_all_weights_and_the_kept_weights():
    pruned = prune(METHODS["movement"], prunable(0.3))
    gradient = backward(pruned)
    weight, mask = pruned.weights[0], pruned.masks[0]
    torch.testing.assert_close(pruned.scores[0].grad, gradient * weight.detach())
    torch.testing.assert_close(weight.grad, gradient * mask)


@pytest.mark.parametrize("method", ["smp_l", "smp_s", "smp_g"])
def test_smp_moves_scores_alone(method):
    part = prunable(0.3, trained=False)
    pruned = prune(METHODS[method], part)
    gradient = backward(pruned)
    torch.testing.assert_close(pruned.scores[0].grad, gradient * part.weights[0])
    assert part.weights[0].grad is None


def test_soft_movement_keeps_what_is_above_a_growing_threshold():
    part = prunable(1.0, final_threshold=0.4)
    part = Prunable(LAYOUT, part.weights, Schedule(10, 8, 1.0, final_threshold=0.4), torch.float32, 0)
    pruned = prune(METHODS["soft_movement"], part)
    with torch.no_grad():
        pruned.scores[0].fill_(math.log(0.3 / 0.7))
    kept = []
    for step in range(11):
        pruned.update(step)
        kept.append(bool(pruned.masks[0].all()))
        assert kept[-1] == (0.4 * (1 - max(1 - step / 8, 0) ** 3) < 0.3)
    assert kept[0] and not kept[-1]


def test_random_masks_come_from_the_seed():
    one, same, other = (prune(METHODS["random"], prunable(0.3, seed=seed)) for seed in (0, 0, 1))
    for pruned in (one, same, other):
        pruned.update(0)
    assert torch.equal(one.masks[3], same.masks[3])
    assert not torch.equal(one.masks[3], other.masks[3])
    assert not list(one.parameters())


def test_dense_hands_out_the_weights_themselves():
    part = prunable(1.0)
    pruned = prune(METHODS["dense"], part)
    pruned.update(0)
    assert all(given is own for given, own in zip(pruned(), part.weights, strict=True))
    assert pruned.mask_set() is None
    assert pruned.kept() == LAYOUT.n_weights


def test_hard_concrete_gates_against_their_sampled_expectation():
    """Mean gate and share of open gates over many draws, for closed, undecided and open gates."""
    generator = torch.Generator().manual_seed(0)
    for log_alpha in (-2.0, 0.0, 1.5):
        gates = sampled_gate(torch.full((200_000,), log_alpha), torch.rand(200_000, generator=generator))
        assert ((gates >= 0) & (gates <= 1)).all()
        want_open = p_open(torch.tensor(log_alpha)).item()
        assert (gates > 0).float().mean().item() == pytest.approx(want_open, abs=4 * 0.5 / math.sqrt(200_000))
        # The expectation by integrating the distribution function of the stretched variable.
        grid = np.linspace(0, 1, 2001)[1:-1]
        s = (grid - GAMMA) / (ZETA - GAMMA)
        below = 1 / (1 + np.exp(-(BETA * np.log(s / (1 - s)) - log_alpha)))
        want_mean = np.trapezoid(1 - below, grid)
        assert gates.mean().item() == pytest.approx(want_mean, abs=0.005)


def test_l0_gradient_is_autograds_with_the_regulariser():
    pruned = prune(METHODS["l0"], prunable(1.0, regularizer=5.0))
    pruned.update(4)
    torch.manual_seed(0)
    sum((effective**2).sum() for effective in pruned()).backward()
    got = [score.grad.clone() for score in pruned.scores]
    pruned.zero_grad()
    torch.manual_seed(0)
    loss = 0.0
    for score, weight in zip(pruned.scores, pruned.weights, strict=True):
        loss = loss + ((weight * sampled_gate(score, torch.rand_like(score))) ** 2).sum()
    expected_open = torch.stack([p_open(score).mean() for score in pruned.scores]).mean()
    (loss + pruned.schedule.regularizer_weight(4) * expected_open).backward()
    for score, gradient in zip(pruned.scores, got, strict=True):
        torch.testing.assert_close(gradient, score.grad)
    assert pruned.regularizer() == pytest.approx(expected_open.item(), rel=1e-6)


def test_l0_without_gradients_has_no_noise_and_keeps_what_is_open():
    pruned = prune(METHODS["l0"], prunable(1.0))
    with torch.no_grad():
        pruned.scores[0].normal_(0, 3)
    pruned.update(0)
    with torch.no_grad():
        assert torch.equal(pruned()[0], pruned()[0])
        np.testing.assert_array_equal(pruned()[0] != 0, pruned.masks[0])


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_and_trains_what_it_says(method, bert_folder, runs, monkeypatch, built):
    monkeypatch.setattr(prepare_module, "load_task_data", lambda *_, **__: tiny_data("rte", 16))
    info = METHODS[method]
    ready = prepare(
        "rte",
        method,
        remaining=0.4 if info.remaining == "set" else None,
        encoder=str(bert_folder),
        batch_size=8,
        precision="fp32",
        max_length=40,
        epochs=None if info.is_control else 3,
    )
    before = {
        name: p.detach().clone() for name, p in load_encoder(find_encoder(str(bert_folder))).model.named_parameters()
    }
    record = train(ready, runs, command="")
    record.verify()
    encoder = built[0].encoder
    moved = {name for name, parameter in encoder.named_parameters() if not torch.equal(parameter, before[name])}
    # Pruned models keep the embeddings of the pre-trained encoder; ordinary fine-tuning moves all there is.
    free = set(before) if method == "dense" else {name for name in before if not name.startswith("embeddings.")}
    assert moved == (free if info.trains_weights else set())
    assert record.has_masks == (method != "dense")
    assert record.has_scores == info.trains_scores
    results = record.results
    layout = record.layout
    trained = layout.n_weights * info.trains_scores
    if info.trains_weights:
        trained += sum(before[name].numel() for name in free) + 16 * 2 + 2
    assert results["trainable_parameters"] == trained
    if not info.trains_weights:
        assert results["new_parameters"] == layout.n_weights / 32
    if info.remaining == "set":
        assert record.kept.sum() == kept_in_all(method, 0.4, layout)
        planned = record.history["remaining"]
        assert record.history["kept"].tolist() == [kept_in_all(method, level, layout) for level in planned]
    elif info.remaining == "measured":
        assert record.history["remaining"].isna().all()
    else:
        assert (record.history["kept"] == layout.n_weights).all()
    if not info.is_control:
        assert record.history["step"].tolist() == list(range(1, 7))
    if record.has_masks and not info.is_control:
        assert record.history["kept"].iloc[-1] == record.kept.sum()


@pytest.mark.parametrize(
    ("method", "regularizers"), [("smp_t", (0, 0.1, 10)), ("soft_movement", (0, 0.1, 10)), ("l0", (0, 3, 400))]
)
def test_a_measured_fraction_is_the_one_that_came_out(method, regularizers, prepared, runs):
    """It falls as the regulariser's weight grows, and is counted from the mask."""
    kept = []
    for regularizer in regularizers:
        settings = {"remaining": None, "score_learning_rate": 0.3, "regularizer": regularizer}
        record = train(prepared(method=method, **settings), runs, command="")
        assert record.config.remaining is None
        assert record.remaining == record.masks.kept_total / record.layout.n_weights
        assert record.results["evaluations"][-1]["remaining"] == record.remaining
        assert record.history["kept"].iloc[-1] == record.masks.kept_total
        assert record.history["regularizer"].between(0, 1).all()
        kept.append(record.remaining)
    assert 1 >= kept[0] > kept[1] > kept[2]


# Of BERT-base: an encoder layer has 12 x 768^2 weights, 9 x 768 biases, 4 x 768 of LayerNorm; a head of two classes.
_PRUNABLE = 12 * 12 * 768**2
_LAYERS = _PRUNABLE + 12 * 13 * 768
_EMBEDDINGS = (30522 + 512 + 2 + 2) * 768
_HEAD = 2 * 769
_MASK = _PRUNABLE / 32


@pytest.mark.parametrize(
    ("method", "remaining", "trainable", "new", "table_1"),
    [
        ("smp_s", 0.1, _PRUNABLE, _MASK, (85e6, 2.7e6)),
        ("movement", 0.1, _LAYERS + _PRUNABLE + _HEAD, None, (170e6, 8.5e6 + 2.7e6)),
        ("movement", 0.03, _LAYERS + _PRUNABLE + _HEAD, None, (170e6, 2.6e6 + 2.7e6)),
        ("soft_movement", 0.5, _LAYERS + _PRUNABLE + _HEAD, None, (170e6, 42.5e6 + 2.7e6)),
        ("dense", 1.0, _EMBEDDINGS + _LAYERS + _HEAD, _EMBEDDINGS + _LAYERS + _HEAD, (110e6, 110e6)),
        ("l0", 0.1, _LAYERS + _PRUNABLE + _HEAD, None, None),
        ("magnitude", 0.1, _LAYERS + _HEAD, None, None),
        ("random", 0.1, 0, _MASK, None),
    ],
)
def test_parameters_at_the_shape_of_bert_base_are_those_of_table_1(
    prepared, bert_folder, method, remaining, trainable, new, table_1
):
    tiny = load_encoder(find_encoder(str(bert_folder)))
    with torch.device("meta"):
        base = BertModel(BertConfig(), add_pooling_layer=False)
    layout = EncoderLayout(12, 768, 3072, 12, n_parameters=109_482_240)
    changes = {"epochs": None} if METHODS[method].is_control else {}
    config = prepared(
        method=method, remaining=remaining if METHODS[method].remaining == "set" else None, **changes
    ).config
    model = build_model(config, replace(tiny, model=base, layout=layout), total_steps=10)
    kept = round(remaining * _PRUNABLE)
    counts = parameter_counts(model, METHODS[method], kept)
    if new is None:
        new = kept + (_LAYERS - _PRUNABLE) + _HEAD + _MASK
    assert counts == {"trainable_parameters": trainable, "new_parameters": new}
    if table_1 is not None:
        assert tuple(counts.values()) == pytest.approx(table_1, rel=0.02)
