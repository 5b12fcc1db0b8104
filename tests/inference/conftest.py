"""Masks over a tiny encoder: see the fixtures of tests/training."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra: pip install -e '.[train]'")

from training.conftest import bert_folder, bert_with_head_folder, prepared, roberta_folder  # noqa: F401 - fixtures

from smp_lab.inference.pruned import Pruned
from smp_lab.masks import MaskSet
from smp_lab.training.encoders import load_encoder


@pytest.fixture
def pruned(prepared, request):  # noqa: F811
    """A classifier of sst2 with a random mask of 40 %; the parameter names the fixture of its encoder."""
    encoder = request.getfixturevalue(getattr(request, "param", "bert_folder"))
    made = prepared(task="sst2", encoder=str(encoder))
    loaded, rng = load_encoder(made.files), np.random.default_rng(0)
    layout = loaded.layout
    kept = {matrix: rng.random(layout.shape(matrix.matrix_type)) < 0.4 for matrix in layout.matrices}
    return Pruned(made.config, loaded, MaskSet.from_dense(layout, kept))
