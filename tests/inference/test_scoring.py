import pytest
from training.conftest import tiny_data

from smp_lab.errors import ConfigError
from smp_lab.inference.pruned import Pruned
from smp_lab.inference.scoring import predict, score_table


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
