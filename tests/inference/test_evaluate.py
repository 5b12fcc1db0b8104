"""Masks scored in the classifier of a task."""

import json
import shutil
from dataclasses import replace

import pytest
import torch
from training.conftest import tiny_data
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
from typer.testing import CliRunner

from smp_lab.cli import commands
from smp_lab.errors import ConfigError, TrainingError
from smp_lab.inference.evaluate import evaluate
from smp_lab.training.run import train
from smp_lab.training.transfer import is_transferred, transfer


def test_a_mask_that_says_nothing_by_itself_is_not_scored(prepared, pruned, tmp_path):
    ready = prepared(task="sst2", method="movement", epochs=1)
    moved = train(ready, tmp_path / "runs", command="smp-lab train").mask_record
    asked = {"encoder": str(ready.files.folder), "command": ""}
    with pytest.raises(TrainingError, match="trained the weights themselves, and its record does not hold them"):
        evaluate(moved, "sst2", tmp_path, **asked)
    alone = replace(moved, config=None)
    with pytest.raises(ConfigError, match="has no label words, and a mask by itself has no other head"):
        evaluate(alone, "sst2", tmp_path, head="linear", **asked)
    assert not list(tmp_path.glob("measurements/*"))


def test_a_mask_answers_by_the_words_that_it_was_learned_with(prepared, pruned, tmp_path, monkeypatch):
    ready = prepared(task="sst2", epochs=1, label_words=("yes", "no"), max_length=16)
    mask = train(ready, tmp_path / "runs", command="smp-lab train").mask_record
    asked = {"encoder": str(ready.files.folder), "command": ""}
    scored, sized = evaluate(mask, "sst2", tmp_path, **asked)
    assert (scored.settings.options["label_words"], scored.settings.options["max_length"]) == (["yes", "no"], 16)
    others, _ = evaluate(mask, "sst2", tmp_path, label_words=("no", "yes"), **asked)
    assert others.settings.options["label_words"] == ["no", "yes"]
    # Of an encoder that cannot be made smaller the score is kept all the same.
    monkeypatch.setattr("smp_lab.inference.evaluate.has_compact_form", lambda model: False)
    again, none = evaluate(mask, "sst2", tmp_path / "other", **asked)
    assert none is None and sized is not None
    assert again.table.equals(scored.table)
    assert evaluate(mask, "sst2", tmp_path / "other", **asked)[0].path == again.path


def test_a_mask_that_keeps_nothing_is_scored_and_transferred(prepared, pruned, tmp_path):
    ready = prepared(task="sst2", method="smp_t", remaining=None, threshold=1.0, schedule_fraction=0.5, epochs=1)
    record = train(ready, tmp_path, command="smp-lab train")
    assert record.remaining == 0
    asked = {"encoder": str(ready.files.folder), "command": ""}
    scored, _ = evaluate(record.mask_record, "sst2", tmp_path, **asked)
    (moved,) = transfer([record], ["sst2"], tmp_path, **asked)
    assert scored.table["value"].tolist() == [moved.results["metrics"]["accuracy"]] == [record.main_value]
    assert is_transferred([record], "sst2", [moved])


def test_a_pruned_checkpoint_answers_by_its_own_head(pruned, bert_folder, tmp_path, monkeypatch):
    runs, data, folder = tmp_path / "runs", tiny_data("sst2"), tmp_path / "pruned-bert"
    monkeypatch.setattr("smp_lab.training.prepare.load_task_data", lambda *_, **__: data)
    shutil.copytree(bert_folder, folder)
    torch.manual_seed(3)
    names = {0: "positive", 1: "negative"}
    config = BertConfig.from_pretrained(folder, id2label=names, label2id={name: i for i, name in names.items()})
    model = BertForSequenceClassification(config).eval()
    torch.nn.init.normal_(model.classifier.weight, std=2.0)
    (folder / "model.safetensors").unlink()
    for name, weight in model.named_parameters():
        if "encoder.layer" in name and weight.ndim == 2:
            weight.data *= torch.rand(weight.shape) < 0.5
    model.save_pretrained(folder)
    asked = ["import", str(folder), "--base", str(bert_folder), "--task", "sst2", "--runs", str(runs), "--json"]
    invoke = CliRunner().invoke
    mask_id = json.loads(invoke(commands, asked, catch_exceptions=False).stdout)["mask_id"]
    words = ["evaluate", mask_id, "--encoder", str(folder), "--own-head", "--json", "--runs", str(runs)]
    told = json.loads(invoke(commands, words, catch_exceptions=False).stdout)
    value = next(rows[0]["value"] for key, rows in told.items() if "-score-" in key)
    texts = data.development["validation"]
    inputs = AutoTokenizer.from_pretrained(folder)(texts.texts[0], padding=True, return_tensors="pt")
    with torch.no_grad():
        # Its first class is the task's second.
        said = 1 - model(**inputs).logits.argmax(-1).numpy()
    assert value == pytest.approx((said == texts.targets).mean())
