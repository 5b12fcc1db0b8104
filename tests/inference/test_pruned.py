import dataclasses

import numpy as np
import pandas as pd
import pytest

from smp_lab.errors import ConfigError, EncoderError, TrainingError
from smp_lab.inference.export import Classifier, compact_encoder, export
from smp_lab.inference.pruned import Pruned
from smp_lab.inference.scoring import predict, score_table
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.run import train


@pytest.mark.parametrize("task", ["mrpc", "stsb"])
def test_a_mask_answers_and_scores_as_its_run_did(prepared, tmp_path, task):
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
    ((_, split),) = made.data.task.splits
    answers = [pruned(*texts) for texts in zip(*made.data.development[split].texts, strict=True)]
    np.testing.assert_allclose([answer.prediction for answer in answers], record.predictions["prediction"], rtol=1e-5)
    for answer in answers:
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert list(answer.probabilities) == list(record.config.label_words)
        assert answer.label == (made.data.task.classes[int(answer.prediction)] if task == "mrpc" else None)


def test_a_question_is_answered_from_all_of_a_text(prepared, tmp_path):
    made = prepared(task="toy-span", epochs=1)
    record = train(made, tmp_path, command="smp-lab train")
    pruned = Pruned.load(record, encoder=load_encoder(made.files))
    questions, contexts = made.data.development["validation"].texts
    answers = [pruned(*texts) for texts in zip(questions, contexts, strict=True)]
    spans = record.predictions[["start", "end"]].itertuples(index=False)
    for answer, context, (start, end) in zip(answers, contexts, spans, strict=True):
        assert (answer.prediction, answer.label) == (start, context[start:end])
    said = predict(pruned, made.data)
    pd.testing.assert_frame_equal(said, record.predictions)
    scored = score_table(said, made.data).set_index("metric")["value"]
    assert scored.to_dict() == pytest.approx(record.results["metrics"])
    # Far more than a window.
    long = pruned(questions[0], f"{contexts[0]} " * 40)
    assert long.n_tokens > 40 and not long.cut and long.label
    assert pruned("who " * 30, contexts[0]).cut
    with pytest.raises(ConfigError, match="second text, which is empty"):
        pruned(questions[0], " ")
    with pytest.raises(ConfigError, match="asks for a span of tokens. Choose one of: bits"):
        export(pruned, tmp_path / "compact", "compact")
    assert export(pruned, tmp_path / "bits", "bits").is_dir()


def test_one_encoder_serves_many_masks(pruned):
    alone = pruned.scores(["the cat"])
    empty = dataclasses.replace(pruned.masks, bits={matrix: bits & 0 for matrix, bits in pruned.masks.bits.items()})
    other = pruned.with_masks(empty)
    assert not np.allclose(other.scores(["the cat"]), alone)
    np.testing.assert_array_equal(pruned.scores(["the cat"]), alone)
    assert other.encoder.model is pruned.encoder.model


def test_any_text_is_answered_and_a_long_one_cut(pruned):
    # Two special tokens are read beside them.
    for repeats, cut in ((19, False), (20, True), (50_000, True)):
        answer = pruned("the cat " * repeats)
        assert (answer.n_tokens, answer.cut) == (40, cut)
    for text in ("", "\N{GRINNING FACE}", "\u202eabc", "zzz qqq"):
        assert not pruned(text).cut


def test_another_number_of_texts_is_refused(pruned):
    with pytest.raises(ConfigError, match="reads sentence; got 2"):
        pruned("one", "two")


def test_what_cannot_answer_is_refused(prepared, tmp_path, bert_with_head_folder):
    record = train(prepared(epochs=1), tmp_path, command="smp-lab train")
    with pytest.raises(EncoderError, match="has a mask over"):
        Pruned.load(record, encoder=load_encoder(find_encoder(str(bert_with_head_folder))))
    dense = train(prepared(method="dense", remaining=None, epochs=1), tmp_path, command="smp-lab train")
    with pytest.raises(TrainingError, match="trained the weights themselves"):
        Pruned.load(dense)
