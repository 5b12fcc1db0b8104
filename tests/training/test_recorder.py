"""What a record says of scores beside the weights of the encoder that it started from."""

import numpy as np
import pytest
from training.conftest import stop_at

from smp_lab.masks import top_k
from smp_lab.training import recorder
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.run import train


@pytest.mark.parametrize("method", ["smp_l", "movement"])
def test_scores_are_recorded_against_the_pretrained_weights(prepared, runs, bert_folder, method):
    changes = {"weight_learning_rate": 0.05} if method == "movement" else {}

    def ready():
        return prepared(method=method, **changes)

    # The process that ends the run starts from weights that have moved already.
    stop_at(11, ready(), runs)
    record = train(ready(), runs, command="")
    assert record.provenance["resumed"] == 1
    scores = record.scores
    encoder = load_encoder(find_encoder(str(bert_folder)))
    for i, (matrix, (_, weight)) in enumerate(encoder.matrix_parameters().items()):
        size = np.abs(weight.detach().numpy())
        counts = np.histogram(np.log10(size), bins=scores.weight_edges.astype(np.float64))[0]
        np.testing.assert_array_equal(scores.weight_score_histogram[i].sum(axis=1), counts)
        mask = record.masks.dense(matrix)
        assert scores.kept_by_magnitude[i] == (top_k(size, mask.sum()) & mask).sum()


def test_a_magnitude_mask_is_told_by_what_differs_from_that_of_the_pretrained_weights(prepared, runs, bert_folder):
    def ready(**changes):
        return prepared(method="magnitude", weight_learning_rate=0.05, **changes)

    stop_at(11, ready(), runs)
    record = train(ready(), runs, command="")
    assert record.provenance["resumed"] == 1
    control = train(prepared(method="magnitude_frozen", epochs=None), runs, command="")
    assert record.files["masks.npz"].base == control.files["masks.npz"].sha256
    assert record.masks.sha256 != control.masks.sha256
    assert list(control.masks_file.parent.iterdir()) == [control.masks_file]
    record.verify()


def test_a_run_keeps_the_bins_that_it_began_with(prepared, runs, monkeypatch):
    began = np.array([-np.inf, 0, np.inf], np.float32)
    monkeypatch.setattr(recorder, "SCORE_EDGES", began)
    stop_at(11, prepared(method="smp_l"), runs)
    monkeypatch.undo()
    record = train(prepared(method="smp_l"), runs, command="")
    assert record.provenance["resumed"] == 1
    np.testing.assert_array_equal(record.scores.edges, began)
