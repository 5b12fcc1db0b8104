import numpy as np
import pytest
import torch

from smp_lab.errors import ConfigError
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.heads import Classes, LabelWordHead, LinearHead, Poles, SquaredError, label_word_id


def load(folder):
    return load_encoder(find_encoder(str(folder)))


def test_scores_are_products_with_the_words_embeddings(bert_folder):
    encoder = load(bert_folder)
    head = LabelWordHead(encoder, ("yes", "no"))
    embeddings = encoder.model.get_input_embeddings().weight.detach()
    vocabulary = encoder.tokenizer.get_vocab()
    h = torch.randn(3, 16)
    scores = head(h)
    for i in range(3):
        for column, word in enumerate(("yes", "no")):
            want = sum(float(h[i, j]) * float(embeddings[vocabulary[word], j]) for j in range(16))
            assert float(scores[i, column]) == pytest.approx(want, abs=1e-5)
    assert not list(head.parameters())


@pytest.mark.parametrize("folder", ["bert_with_head_folder", "roberta_folder"])
def test_with_a_language_model_head_scores_are_the_whole_models(folder, request):
    """The word's column of the checkpoint's own masked-language-model output."""
    from transformers import AutoModelForMaskedLM

    path = request.getfixturevalue(folder)
    encoder = load(path)
    whole = AutoModelForMaskedLM.from_pretrained(path).eval()
    with torch.no_grad():
        torch.nn.init.normal_(encoder.language_model_head.bias)
        bias = whole.get_output_embeddings().bias
        bias.copy_(encoder.language_model_head.bias)
    head = LabelWordHead(encoder, ("yes", "no")).eval()
    inputs = encoder.tokenizer(["the cat sat", "a dog"], padding=True, return_tensors="pt")
    with torch.no_grad():
        logits = whole(**inputs).logits[:, 0]
        hidden = encoder.model.eval()(**inputs).last_hidden_state[:, 0]
        numbers = [label_word_id(encoder.tokenizer, word) for word in ("yes", "no")]
        torch.testing.assert_close(head(hidden), logits[:, numbers], atol=1e-5, rtol=1e-5)
    assert not any(parameter.requires_grad for parameter in head.parameters())


def test_byte_level_words_are_looked_up_as_they_stand_in_a_sentence(roberta_folder):
    tokenizer = load(roberta_folder).tokenizer
    assert tokenizer.convert_ids_to_tokens(label_word_id(tokenizer, "yes")) == "Ġyes"


def test_a_label_word_of_several_tokens_is_refused(bert_folder):
    with pytest.raises(ConfigError, match="Label word 'unreal' is 2 tokens for this tokenizer: un, ##real"):
        LabelWordHead(load(bert_folder), ("yes", "unreal"))


def test_a_label_word_out_of_vocabulary_is_refused(bert_folder):
    with pytest.raises(ConfigError, match="'zebra' is unknown to this tokenizer"):
        LabelWordHead(load(bert_folder), ("yes", "zebra"))


def test_head_computes_in_float32_under_autocast(bert_folder):
    head = LabelWordHead(load(bert_folder), ("yes", "no"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = head(torch.randn(2, 16).bfloat16())
    assert scores.dtype == torch.float32


def test_linear_head_is_trained():
    head = LinearHead(16, 3, 0.02)
    assert head(torch.randn(2, 16)).shape == (2, 3)
    assert all(parameter.requires_grad for parameter in head.parameters())


def test_classes():
    scores = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    want = -np.mean([np.log(np.exp(2) / (np.exp(2) + 1)), np.log(1 / (1 + np.e))])
    assert Classes().loss(scores, torch.tensor([0, 0])).item() == pytest.approx(want)
    assert Classes().predict(scores).tolist() == [0, 1]


def test_poles():
    """Score 5 p(yes); cross-entropy against (1 - y/5, y/5)."""
    scores, target = torch.tensor([[0.0, np.log(3.0)]]), torch.tensor([2.0])
    poles = Poles(0.0, 5.0)
    assert poles.predict(scores).item() == pytest.approx(5 * 0.75)
    assert poles.loss(scores, target).item() == pytest.approx(-(0.6 * np.log(0.25) + 0.4 * np.log(0.75)))


def test_squared_error():
    assert SquaredError().loss(torch.tensor([[1.0], [4.0]]), torch.tensor([3.0, 4.0])).item() == pytest.approx(2.0)
    assert SquaredError().predict(torch.tensor([[1.0], [4.0]])).tolist() == [1, 4]
