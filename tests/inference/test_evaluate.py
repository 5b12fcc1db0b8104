"""Masks scored in the classifier of a task."""

import json
import shutil

import pytest
import torch
from training.conftest import tiny_data
from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification
from typer.testing import CliRunner

from smp_lab.cli import commands


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
