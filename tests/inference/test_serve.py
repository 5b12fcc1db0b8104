"""The process that runs models: what it answers to a line, what it keeps, and what it never says."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from smp_lab.errors import ConfigError
from smp_lab.inference import serve
from smp_lab.inference.fine_tuned import FineTuned
from smp_lab.inference.pruned import Answer, Pruned
from smp_lab.masks import random_like, whole
from smp_lab.paths import weights_file
from smp_lab.training.encoders import load_encoder
from smp_lab.training.run import train

TEXT = "the cat sat on unreal"


@pytest.fixture
def models(pruned, monkeypatch):
    run = SimpleNamespace(config=pruned.config)
    monkeypatch.setattr(serve, "load_run", lambda path: run)
    monkeypatch.setattr(serve, "find_encoder", lambda name: None)
    monkeypatch.setattr(serve, "load_encoder", lambda files: pruned.encoder)
    monkeypatch.setattr(Pruned, "load", lambda run, encoder: pruned)
    return serve.Models()


def asked(models, **line):
    return serve.reply(models, json.dumps(line))


def test_every_mask_answers_as_it_does_by_itself(models, pruned):
    masks = [["a", kind] for kind in serve.AS]
    result = asked(models, call="answers", masks=masks, texts=[TEXT, "not read"])["result"]
    alone = [pruned, pruned.with_masks(whole(pruned.masks.layout)), pruned.with_masks(random_like(pruned.masks))]
    assert [each["probabilities"] for each in result["answers"]] == [each(TEXT).probabilities for each in alone]
    assert result["encoder_bytes"] == 4 * sum(p.numel() for p in pruned.encoder.model.parameters())


def test_each_token_is_hidden_in_turn_and_parts_are_emptied(models, pruned):
    hidden = asked(models, call="outcomes", folder="a", texts=[TEXT], variants=None)["result"]
    assert len(hidden["outcomes"]) == 1 + len(hidden["tokens"])
    assert hidden["outcomes"][0] == pytest.approx(list(pruned(TEXT).probabilities.values()), abs=1e-6)
    variants = [{}, {"heads": [[0, 1]]}, {"matrices": [[0, "output"]]}]
    emptied = asked(models, call="outcomes", folder="a", texts=[TEXT], variants=variants)["result"]["outcomes"]
    assert emptied[0] == pytest.approx(hidden["outcomes"][0], abs=1e-6)
    assert len({tuple(outcome) for outcome in emptied}) == 3


def test_masks_in_memory_are_bounded(models, monkeypatch):
    monkeypatch.setattr(serve, "MOST_BYTES", 1)
    asked(models, call="answers", masks=[["a", "mask"], ["b", "mask"]], texts=[TEXT])
    assert len(models._masks) == 1


@pytest.mark.parametrize("task", ["sst2", "stsb"])
def test_a_dense_run_answers_by_the_weights_that_it_left(prepared, tmp_path, task):
    made = prepared(task=task, method="dense", remaining=None, epochs=1)
    run = train(made, tmp_path, command="smp-lab train")
    model = FineTuned(run, load_encoder(made.files))
    (examples,) = made.data.development.values()
    for place, said in enumerate(run.predictions["prediction"][:3]):
        answer = model(*(column[place] for column in examples.texts))
        assert answer.prediction == pytest.approx(said, abs=1e-4)
    assert list(answer.probabilities) == list(run.config.task_info.classes or ())
    weights_file(tmp_path, run.run_id).unlink()
    with pytest.raises(ConfigError, match="are not kept in"):
        FineTuned(run, load_encoder(made.files))


def test_fine_tuned_weights_are_asked_and_bounded(models, monkeypatch):
    answer = Answer(1.0, "positive", {"negative": 0.5, "positive": 0.5}, 3, False)

    class Dense:
        def __init__(self, run, encoder):
            self.config = run.config

        __call__ = staticmethod(lambda *texts: answer)

    monkeypatch.setattr(serve, "FineTuned", Dense)
    result = asked(models, call="answers", masks=[[name, "dense"] for name in "abc"], texts=[TEXT])["result"]
    assert result["answers"] == [asdict(answer)] * 3
    assert models._fine_tuned.cache_info().currsize == 2


def test_what_was_wrong_is_a_sentence_and_a_defect_does_not_tell_the_text(models):
    sentence = asked(models, call="outcomes", folder="a", texts=[TEXT], variants=[{"heads": [[9, 9]]}])["error"]
    assert "names a part that is not there" in sentence
    defect = asked(models, call="nothing", texts=["a secret"])["defect"]
    assert "KeyError" in defect and "secret" not in defect
