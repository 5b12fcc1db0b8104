import pytest
from training.conftest import tiny_data

from smp_lab.errors import ConfigError
from smp_lab.inference.export import Classifier, compact_encoder
from smp_lab.inference.pruned import Pruned
from smp_lab.inference.scoring import predict, score_table
from smp_lab.training.encoders import load_encoder
from smp_lab.training.run import train


@pytest.mark.parametrize("task", ["cola", "stsb"])
def test_a_mask_scores_what_its_run_did(prepared, tmp_path, task):
    made = prepared(task=task, epochs=1)
    record = train(made, tmp_path, command="smp-lab train")
    pruned = Pruned.load(record, encoder=load_encoder(made.files))
    said = predict(pruned, made.data)
    assert (said["prediction"] - record.predictions["prediction"]).abs().max() < 1e-4
    table = score_table(said, made.data).set_index("metric")
    assert table["value"].to_dict() == pytest.approx(dict(record.results["metrics"]), abs=1e-4)
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()
    smaller = Classifier(compact_encoder(pruned), pruned.model.head)
    assert (predict(pruned, made.data, smaller)["prediction"] - said["prediction"]).abs().max() < 1e-4


def test_every_split_has_its_metric(prepared, pruned):
    made = prepared(task="mnli")
    data = tiny_data("mnli")
    said = predict(Pruned(made.config, pruned.encoder, pruned.masks), data)
    table = score_table(said, data).set_index("metric")
    assert list(table.index) == ["accuracy_matched", "accuracy_mismatched"]
    assert list(table["value"]) == list(said.groupby("split")["correct"].mean())


def test_examples_of_another_task_are_refused(pruned):
    with pytest.raises(ConfigError, match="answers task 'sst2'; the examples are of 'rte'"):
        predict(pruned, tiny_data("rte"))
