from itertools import pairwise

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra: pip install -e '.[train]'")

from transformers import BertConfig, BertModel, DistilBertConfig, DistilBertModel  # noqa: E402 - after the check

from smp_lab.encoder_families import BERT  # noqa: E402
from smp_lab.errors import EncoderError  # noqa: E402
from smp_lab.inference.compact import CompactSelfAttention, compact, cut_rows  # noqa: E402
from smp_lab.layout import (  # noqa: E402
    ATTENTION_OUTPUT,
    INTERMEDIATE,
    KEY,
    OUTPUT,
    QUERY,
    VALUE,
    EncoderLayout,
    MatrixId,
)
from smp_lab.masks import MaskSet  # noqa: E402

LAYOUT = EncoderLayout(n_layers=2, hidden_size=24, intermediate_size=20, n_heads=3, n_parameters=10_000)


def encoder(dense):
    """A BERT of `LAYOUT` with weights W * M, all biases drawn, in float64."""
    torch.manual_seed(0)
    config = BertConfig(vocab_size=30, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=20)
    model = BertModel(config, add_pooling_layer=False).double().eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        parameter.normal_()
        matrix, ending = BERT.locate(name) or (None, "")
        if ending == "weight":
            parameter.mul_(torch.from_numpy(dense[matrix]))
    return model


def hidden(model):
    torch.manual_seed(1)
    tokens, attention = torch.randint(30, (4, 7)), torch.ones(4, 7, dtype=torch.long)
    attention[1, 3:] = attention[2, 1:] = 0
    with torch.no_grad():
        return model(input_ids=tokens, attention_mask=attention).last_hidden_state


def n_weights(model):
    return sum(parameter.numel() for parameter in model.encoder.parameters())


def full():
    return {matrix: np.ones(LAYOUT.shape(matrix.matrix_type), bool) for matrix in LAYOUT.matrices}


def with_empty_rows(seed):
    """Masks many of whose rows and columns are empty, now and then all of a head or of a matrix."""
    rng = np.random.default_rng(seed)
    dense = {}
    for matrix in LAYOUT.matrices:
        n_out, n_in = LAYOUT.shape(matrix.matrix_type)
        rows, columns = (
            rng.random((n_out, 1)) < rng.choice([0, 0.3, 0.9], p=[0.1, 0.4, 0.5]),
            rng.random(n_in) < rng.choice([0.3, 1]),
        )
        if matrix.matrix_type in (QUERY, KEY, VALUE):
            rows[:8] &= rng.random() < 0.5
        dense[matrix] = rows & columns & (rng.random((n_out, n_in)) < 0.6)
    return dense


@pytest.mark.parametrize("seed", range(30))
def test_random_masks_compute_the_same(seed, monkeypatch):
    # Heads of 8 have several widths where a step is smaller.
    monkeypatch.setattr("smp_lab.inference.compact.WIDTH_STEP", (1, 3, 8)[seed % 3])
    masked = encoder(with_empty_rows(seed))
    before = hidden(masked)
    smaller = compact(masked, LAYOUT.n_heads)
    torch.testing.assert_close(hidden(smaller), before, rtol=0, atol=1e-11)
    torch.testing.assert_close(hidden(masked), before, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("matrix_type", "empty", "lost"),
    [
        # Four of 20 units of U go with their biases and columns of D, and so they do where nobody reads them.
        (INTERMEDIATE, np.s_[[3, 5, 7, 8]], 4 * (24 + 1 + 24)),
        (OUTPUT, np.s_[:, [3, 5, 7, 8]], 4 * (24 + 1 + 24)),
        # The widths of 18 units and of a head of 5 would not be multiples of 8.
        (INTERMEDIATE, np.s_[[3, 5]], 0),
        (VALUE, np.s_[8:11], 0),
        # A head of 8 with no values or no readers goes whole: rows and biases of Q, K and V, columns of O.
        (VALUE, np.s_[8:16], 3 * 8 * (24 + 1) + 8 * 24),
        (ATTENTION_OUTPUT, np.s_[:, 8:16], 3 * 8 * (24 + 1) + 8 * 24),
    ],
)
def test_what_is_empty_is_taken_out(matrix_type, empty, lost):
    dense = full()
    dense[MatrixId(1, matrix_type)][empty] = False
    masked = encoder(dense)
    smaller = compact(masked, LAYOUT.n_heads)
    torch.testing.assert_close(hidden(smaller), hidden(masked), rtol=0, atol=1e-11)
    layer, whole = smaller.encoder.layer[1], masked.encoder.layer[1]
    assert sum(p.numel() for p in whole.parameters()) - sum(p.numel() for p in layer.parameters()) == lost


def test_empty_queries_of_a_head_become_one_dimension():
    dense = full()
    dense[MatrixId(0, QUERY)][:8] = False
    masked = encoder(dense)
    smaller = compact(masked, LAYOUT.n_heads)
    attention = smaller.encoder.layer[0].attention.self
    assert isinstance(attention, CompactSelfAttention)
    assert attention.query.weight.any(1).sum() == 16
    assert (attention.query.bias == 1).sum() == 1
    torch.testing.assert_close(hidden(smaller), hidden(masked), rtol=0, atol=1e-11)


def test_an_empty_mask_leaves_biases_alone():
    masked = encoder({matrix: np.zeros_like(mask) for matrix, mask in full().items()})
    smaller = compact(masked, LAYOUT.n_heads)
    torch.testing.assert_close(hidden(smaller), hidden(masked), rtol=0, atol=1e-11)
    assert n_weights(smaller) == 2 * (24 + 24 + 4 * 24)  # biases of O and D, and two LayerNorms


def test_another_architecture_is_refused():
    model = DistilBertModel(DistilBertConfig(vocab_size=30, dim=24, hidden_dim=20, n_layers=1, n_heads=3))
    with pytest.raises(EncoderError, match="no compact form"):
        compact(model, 3)


@pytest.mark.parametrize("kind", [QUERY, KEY, VALUE, INTERMEDIATE])
def test_nearly_empty_rows_are_cut(kind):
    dense = full()
    dense[MatrixId(0, kind)][2, 3:] = False
    dense[MatrixId(1, OUTPUT)][5:, 7] = False
    masks = MaskSet.from_dense(LAYOUT, dense)
    sizes = [cut_rows(masks, k).kept_total for k in (0, 3, 4, 5, 6, 25)]
    assert sizes[:2] == [masks.kept_total] * 2
    assert np.diff(sizes[1:5]).tolist() == [-3, 0, -5]
    assert all(more >= fewer for more, fewer in pairwise(sizes))
    assert cut_rows(masks, 25).kept(MatrixId(0, OUTPUT)) == 0  # its columns have 24 weights
