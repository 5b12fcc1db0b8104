"""Encoders as people have them: what loads, and what is refused in a sentence instead of being another model."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from training.conftest import bert_checkpoint, tiny_data
from transformers import BertForMaskedLM, BertModel

from smp_lab.errors import DataError, EncoderError
from smp_lab.training.encoder_checks import check_tokens
from smp_lab.training.encoders import find_encoder, load_encoder
from smp_lab.training.examples import tokenize

QUERY = "encoder.layer.0.attention.self.query.weight"


@pytest.fixture
def folder(bert_folder, tmp_path):
    return shutil.copytree(bert_folder, tmp_path / "tiny")


def load(folder):
    return load_encoder(find_encoder(str(folder)))


def rewrite(folder, change, **config):
    weights = load_file(folder / "model.safetensors")
    save_file({name: tensor.contiguous() for name, tensor in change(weights).items()}, folder / "model.safetensors")
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | config))


def same_weights(one, other):
    return all(
        torch.equal(left, right)
        for (_, left), (_, right) in zip(
            one.matrix_parameters().values(), other.matrix_parameters().values(), strict=True
        )
    )


@pytest.mark.parametrize("kind", ["torch file", "shards"])
def test_weights_in_other_files_are_the_same_weights(folder, kind):
    expected = load(folder)
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if kind == "torch file":
        torch.save(weights, folder / "pytorch_model.bin")
    else:
        model = BertModel(expected.model.config)
        model.load_state_dict(weights)
        model.save_pretrained(folder, max_shard_size="10KB")
        assert len(list(folder.glob("*.safetensors"))) > 1
    found = load(folder)
    assert same_weights(found, expected)
    assert found.files.sha256 != expected.files.sha256


def test_every_shard_is_part_of_the_fingerprint_and_none_may_be_missing(folder):
    load(folder).model.save_pretrained(folder, max_shard_size="10KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    before = find_encoder(str(folder)).sha256
    shard = sorted(folder.glob("*.safetensors"))[0]
    shard.write_bytes(shard.read_bytes()[:-1])
    assert find_encoder(str(folder)).sha256 != before
    shard.unlink()
    with pytest.raises(EncoderError, match=f"'tiny' has no {shard.name} in its folder"):
        find_encoder(str(folder))


@pytest.mark.parametrize("content", ["{", '{"weight_map": {"a": "../../etc/passwd"}}', '{"weight_map": []}', "[]"])
def test_an_index_that_is_none_is_refused(folder, content):
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(content)
    with pytest.raises(EncoderError, match=r"'tiny' (has no list of its weights|names '../../etc/passwd')"):
        find_encoder(str(folder))


def test_a_torch_file_that_is_more_than_weights_is_not_run(folder):
    class Harmful:
        def __reduce__(self):
            return (print, ("was run",))

    (folder / "model.safetensors").unlink()
    torch.save({"weight": Harmful()}, folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="'tiny' holds more than weights in pytorch_model.bin"):
        load(folder)


def test_the_weights_of_another_library_are_refused_with_the_way_out(folder):
    (folder / "model.safetensors").rename(folder / "tf_model.h5")
    with pytest.raises(EncoderError, match=r"has no model.safetensors.*Its tf_model.h5 .*from_tf"):
        find_encoder(str(folder))


def test_a_pointer_of_git_lfs_is_named(folder):
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(DataError, match="'tiny': model.safetensors is a pointer of Git LFS and not the file. Run "):
        find_encoder(str(folder))


def test_an_encoder_without_a_type_is_known_by_its_model_class(folder):
    expected = load(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["model_type"]
    (folder / "config.json").write_text(json.dumps(config))
    assert same_weights(load(folder), expected)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("encoder.layer.1.attention.self.distance_embedding.weight", "no place for, first encoder.layer.1.attention"),
        ("bert.encoder.layer.2.output.dense.weight", "holds 1 weights that its architecture has no place for"),
        ("embeddings.more.weight", "first embeddings.more.weight"),
        ("encoder.layer.0.output.dense.mask_scores", "holds a mask beside its weights. smp-lab import reads it"),
        ("encoder.layer.0.output.dense.weight_mask", "holds a mask beside its weights"),
    ],
)
def test_weights_without_a_place_are_refused(folder, name, sentence):
    rewrite(folder, lambda weights: {**weights, name: torch.ones(2, 2)})
    with pytest.raises(EncoderError, match=sentence):
        load(folder)


def test_weights_of_other_heads_are_named_and_a_pooler_is_not(folder):
    assert load(folder).notes == ()
    rewrite(folder, lambda weights: {**weights, "classifier.weight": torch.ones(2, 16)})
    assert load(folder).notes == ("1 weights of the checkpoint have no use here, first classifier.weight.",)


def test_heads_that_were_cut_out_are_told(folder):
    rewrite(folder, lambda weights: {**weights, QUERY: weights[QUERY][8:]}, pruned_heads={"0": [0]})
    with pytest.raises(EncoderError, match=r"of shape \(8, 16\); expected \(16, 16\)\. .* cut out \(layer 0: 0\)"):
        load(folder)


def test_weights_that_are_no_numbers_are_named(folder):
    rewrite(folder, lambda weights: {**weights, QUERY: weights[QUERY] * torch.nan})
    with pytest.raises(EncoderError, match=f"NaN or infinite numbers in {QUERY}. Fetch"):
        load(folder)


def test_zeros_before_any_mask_are_told(folder):
    """12 matrices: 8 of 256 and 4 of 512 weights, and one of the small ones is zero."""
    rewrite(folder, lambda weights: {**weights, QUERY: weights[QUERY] * 0})
    assert load(folder).notes[0].startswith("6.2 % of the encoder's prunable weights are zero before any mask")


def test_a_folder_without_a_vocabulary_is_refused(folder):
    for file in ("vocab.txt", "tokenizer.json"):
        (folder / file).unlink()
    with pytest.raises(EncoderError, match="has no vocabulary in its folder"):
        find_encoder(str(folder))


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(tmp_path):
    folder = bert_checkpoint(tmp_path / "tiny", BertModel)
    rewrite(
        folder,
        lambda weights: {
            name: tensor[:20] if name == "embeddings.word_embeddings.weight" else tensor
            for name, tensor in weights.items()
        },
        vocab_size=20,
    )
    with pytest.raises(EncoderError, match="an embedding of 20 tokens and a tokenizer with numbers up to 24"):
        load(folder)


def check(encoder, examples, **options):
    columns = [tokenize(examples, encoder.tokenizer, 30).columns]
    types = encoder.model.config.type_vocab_size
    return check_tokens(encoder.files.name, encoder.tokenizer, types, columns, **options)


def test_pairs_need_two_token_types(tmp_path):
    encoder = load(bert_checkpoint(tmp_path / "tiny", BertForMaskedLM, type_vocab_size=1))
    assert check(encoder, tiny_data("sst2").train) is None
    with pytest.raises(EncoderError, match="'tiny' has 1 token type, and its tokenizer gives the second text"):
        check(encoder, tiny_data("rte").train)


def test_the_share_of_unknown_tokens_is_told_and_too_large_a_one_refused(bert_folder):
    encoder, data = load(bert_folder), tiny_data("sst2", 40).train
    assert check(encoder, data) is None
    data.texts[0][0] = " ".join(["Zebra"] * 8)
    known = sum(len(text.split()) for text in data.texts[0][1:])
    assert check(encoder, data) == f"The tokenizer does not know {100 * 8 / (known + 8):.1f} % of the tokens."
    data.texts[0][:] = ["zebra lion"] * 10 + ["the cat"] * 30
    with pytest.raises(EncoderError, match="does not know 25 % of the tokens of this task: .*--allow-unknown-tokens"):
        check(encoder, data)
    assert "25.0 %" in check(encoder, data, allow_unknown=True)
