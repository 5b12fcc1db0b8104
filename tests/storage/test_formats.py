"""Masks as other tools write them, made by hand: which of them are read as what, and what is refused."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest
from conftest import TINY, random_masks
from safetensors.numpy import save_file

from smp_lab.encoder_families import BERT, FAMILIES
from smp_lab.errors import DataError, MaskFormatError
from smp_lab.layout import EncoderLayout, MatrixId
from smp_lab.masks import MaskSet, top_k
from smp_lab.storage.formats import FORMATS, Asked, Base, named_base, open_mask
from smp_lab.storage.release import write_release

BASE = named_base("tiny", TINY)
OTHER = named_base("other", EncoderLayout(2, 32, 64, 2, 100_000))
QUERY = MatrixId(0, "query")
FIRST = BERT.parameter_name(QUERY, "bert.")


@pytest.fixture
def masks():
    return random_masks(TINY, 0.3)


def no_torch(file):
    raise AssertionError(f"{file} was taken for a file of torch")


def opened(path, **settings):
    return open_mask(path, no_torch, **{"bases": [BASE, OTHER], **settings})


def named(masks, ending, *, prefix="bert.", family=BERT):
    return {family.parameter_name(matrix, prefix, ending).rstrip("."): masks.dense(matrix) for matrix in masks}


def weights_of(masks, dtype=np.float32, **names):
    rng = np.random.default_rng(1)
    kept = named(masks, "weight", **names)
    return {name: np.where(mask, rng.normal(size=mask.shape) + 9, 0).astype(dtype) for name, mask in kept.items()}


def of_folder(folder, arrays, bases=()):
    """The encoder that a checkpoint with BERT's configuration is said to be of."""
    folder.mkdir()
    save_file(arrays, folder / "model.safetensors")
    config = {"model_type": "bert", "num_attention_heads": TINY.n_heads}
    (folder / "config.json").write_text(json.dumps(config))
    return opened(folder, bases=list(bases)).base


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_exact_zeros_of_a_checkpoint_are_a_mask(tmp_path, masks, dtype):
    save_file({**weights_of(masks, dtype), "classifier.weight": np.ones((2, 16), dtype)}, tmp_path / "any.name")
    found = opened(tmp_path / "any.name")
    assert found.masks.sha256 == masks.sha256
    assert (found.format, found.base) == ("weights with exact zeros", BASE)
    assert "exactly 0" in found.assumed[0] and "tiny" in found.assumed[1]


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
@pytest.mark.parametrize("prefix", ["", "model.", "student.encoder_of."])
def test_names_of_every_family_whatever_stands_before_them(tmp_path, masks, family, prefix):
    np.savez(tmp_path / "m.npz", **named(masks, "weight", prefix=prefix, family=family))
    assert opened(tmp_path / "m.npz").masks.sha256 == masks.sha256


def test_shards_and_the_configuration_beside_them(tmp_path, masks):
    every = sorted(weights_of(masks).items())
    for name, part in (("a.safetensors", every[:5]), ("b.safetensors", every[5:])):
        save_file(dict(part), tmp_path / name)
    places = {name: "a.safetensors" if place < 5 else "b.safetensors" for place, (name, _) in enumerate(every)}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    config = {"model_type": "bert", "num_attention_heads": TINY.n_heads, "_name_or_path": "another"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert opened(tmp_path).base == BASE
    own = opened(tmp_path, bases=[])
    assert own.masks.sha256 == masks.sha256
    assert own.base.name == "another" and own.base.layout.n_heads == TINY.n_heads
    assert "not known here" in own.assumed[1]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "layoutlm"}, "holds weights of a model that is of type 'layoutlm'; its matrices"),
        (
            {"model_type": "bert", "num_attention_heads": None},
            "has no number as num_attention_heads in its config.json",
        ),
        ({"model_type": "bert", "num_attention_heads": "a"}, "has no number as num_attention_heads in its config.json"),
        ({"model_type": "bert", "num_attention_heads": math.inf}, "has no number as num_attention_heads in its config"),
        ({"model_type": "bert"}, "has no number as num_attention_heads in its config.json"),
    ],
)
def test_a_configuration_that_says_no_encoder_gets_a_sentence(tmp_path, masks, config, words):
    save_file(weights_of(masks), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(MaskFormatError, match=f"^{tmp_path.name} {words}"):
        opened(tmp_path, bases=[])


def test_an_encoder_has_as_many_parameters_whatever_its_mask_is_written_as(tmp_path, masks):
    weights = weights_of(masks)
    others = {"bert.embeddings.weight": np.ones((100, 16)), f"{FIRST.removesuffix('weight')}bias": np.ones(16)}
    for name, arrays in {
        "zeros": weights,
        "prune": {f"{name}_orig": array for name, array in weights.items()} | named(masks, "weight_mask"),
        "scores": weights | named(masks, "mask_scores"),
    }.items():
        (folder := tmp_path / name).mkdir()
        save_file({**arrays, **others, "classifier.weight": np.ones((2, 16))}, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps({"model_type": "bert", "num_attention_heads": 2}))
        assert opened(folder, bases=[]).base.layout.n_parameters == TINY.n_weights + 100 * 16 + 16


def test_a_head_is_no_part_of_an_encoder_whatever_stands_before_its_name(tmp_path, masks):
    arrays = weights_of(masks, prefix="module.bert.")
    arrays["module.bert.embeddings.position_ids"] = np.arange(40)
    arrays["module.cls.predictions.decoder.weight"] = np.ones((100, 16), np.float32)
    assert of_folder(tmp_path / "wrapped", arrays).layout.n_parameters == TINY.n_weights


def test_a_model_with_another_vocabulary_is_not_the_encoder_of_its_shapes(tmp_path, masks):
    known = replace(TINY, n_parameters=TINY.n_weights + 100 * 16)
    words = "bert.embeddings.word_embeddings.weight"
    for n_tokens, same in ((100, True), (3000, False)):
        arrays = {**weights_of(masks), words: np.ones((n_tokens, 16), np.float32)}
        found = of_folder(tmp_path / str(n_tokens), arrays, bases=[named_base("tiny", known)])
        assert (found.name == "tiny") is same


def test_two_encoders_in_a_file_are_refused(tmp_path, masks):
    np.savez(tmp_path / "m.npz", **named(masks, "mask", prefix="student."), **named(masks, "mask", prefix="teacher."))
    with pytest.raises(MaskFormatError, match=r"two encoders: its layer 0 query is student\..* and teacher\."):
        opened(tmp_path / "m.npz")


@pytest.mark.parametrize("ending", ["", "weight", "mask"])
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_dictionaries(tmp_path, masks, ending, dtype):
    np.savez(tmp_path / "m.npz", **{name: mask.astype(dtype) for name, mask in named(masks, ending).items()})
    found = opened(tmp_path / "m.npz")
    assert (found.masks.sha256, found.format) == (masks.sha256, "dictionary of masks")


def test_names_of_torch_prune(tmp_path, masks):
    dense = {f"{name}_orig": array for name, array in weights_of(random_masks(TINY, 0.9)).items()}
    save_file({**dense, **named(masks, "weight_mask")}, tmp_path / "m.safetensors")
    found = opened(tmp_path / "m.safetensors")
    assert (found.masks.sha256, found.format) == (masks.sha256, "torch.nn.utils.prune")


def test_a_mask_of_some_matrices_takes_the_others_from_their_weights(tmp_path, masks):
    arrays = weights_of(masks)
    del arrays[FIRST]
    save_file(
        {**arrays, f"{FIRST}_orig": 1.0 * masks.dense(QUERY), f"{FIRST}_mask": masks.dense(QUERY)}, tmp_path / "m"
    )
    found = opened(tmp_path / "m")
    assert (found.masks.sha256, found.format) == (masks.sha256, "torch.nn.utils.prune")
    assert "11 matrices have no mask of their own" in found.assumed[1]


def test_scores_become_a_mask_as_somebody_says(tmp_path):
    rng = np.random.default_rng(0)
    scores = {matrix: rng.normal(size=TINY.shape(matrix.matrix_type)).astype(np.float32) for matrix in TINY.matrices}
    file = tmp_path / "m.safetensors"
    save_file({BERT.parameter_name(matrix, "bert.", "mask_scores"): array for matrix, array in scores.items()}, file)
    with pytest.raises(MaskFormatError, match="--scores"):
        opened(file)
    for rule, mask in (
        ("topK=0.25", lambda array: top_k(array, array.size // 4)),
        ("threshold=0.5", lambda array: array > 0.5),
        ("sigmoied_threshold=0.6", lambda array: 1 / (1 + np.exp(-array)) > 0.6),
    ):
        found = opened(file, asked=Asked(scores=rule))
        expected = MaskSet.from_dense(TINY, {matrix: mask(array) for matrix, array in scores.items()})
        assert found.masks.sha256 == expected.sha256
        assert rule in found.assumed[0]
    for rule in ("topK", "topK=2", "topK=nan", "best=0.1"):
        with pytest.raises(MaskFormatError, match="none of topK"):
            opened(file, asked=Asked(scores=rule))


@pytest.mark.parametrize("rule", ["threshold=99", "sigmoied_threshold=0.9999"])
def test_a_threshold_leaves_half_a_percent_as_in_movement_pruning(tmp_path, rule):
    scores = {matrix: np.arange(TINY.size(matrix.matrix_type), dtype=np.float32) / 1e6 for matrix in TINY.matrices}
    named = {
        BERT.parameter_name(matrix, "bert.", "mask_scores"): array.reshape(TINY.shape(matrix.matrix_type))
        for matrix, array in scores.items()
    }
    save_file(named, tmp_path / "m.safetensors")
    found = opened(tmp_path / "m.safetensors", asked=Asked(scores=rule)).masks
    # Of 256 weights int(1.28) + 1, of 512 int(2.56) + 1.
    assert {TINY.size(m.matrix_type): int(found.dense(m).sum()) for m in TINY.matrices} == {256: 2, 512: 3}
    assert found.dense(QUERY).ravel()[-2:].all()


def test_boolean_scores_are_the_mask(tmp_path, masks):
    save_file(named(masks, "mask_scores"), tmp_path / "m.safetensors")
    assert opened(tmp_path / "m.safetensors").masks.sha256 == masks.sha256


def test_a_rule_for_scores_that_are_not_there_is_refused(tmp_path, masks):
    save_file(named(masks, "mask"), tmp_path / "m.safetensors")
    with pytest.raises(MaskFormatError, match="holds no mask_scores, so --scores says nothing of it"):
        opened(tmp_path / "m.safetensors", asked=Asked(scores="topK=0.1"))


def test_the_authors_release(tmp_path, masks):
    write_release(masks, tmp_path / "m.npy")
    found = opened(tmp_path / "m.npy")
    assert found.masks.sha256 == masks.sha256 and found.base == BASE
    with pytest.raises(MaskFormatError, match="none of the encoders known here have as many bits"):
        opened(tmp_path / "m.npy", bases=[OTHER])


def test_a_mask_that_fits_two_encoders_or_none_asks_for_its_base(tmp_path, masks):
    np.savez(tmp_path / "m.npz", **named(masks, ""))
    twin = Base("twin", "b" * 64, TINY)
    with pytest.raises(MaskFormatError, match="2 of the encoders known here have these shapes.*--base"):
        opened(tmp_path / "m.npz", bases=[BASE, twin])
    with pytest.raises(MaskFormatError, match="none of the encoders"):
        opened(tmp_path / "m.npz", bases=[])
    assert opened(tmp_path / "m.npz", bases=[BASE, twin], base=twin).base == twin
    with pytest.raises(MaskFormatError, match="other has other shapes"):
        opened(tmp_path / "m.npz", base=OTHER)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop(FIRST), "has no layer 0 query"),
        (lambda arrays: arrays.update({FIRST: arrays[FIRST][:8]}), "layer 0 query of shape .*rows were cut out"),
        (lambda arrays: arrays.update({FIRST: arrays[FIRST][0]}), "layer 0 query of shape"),
        (
            lambda arrays: arrays.update({name: 3 + 0 * a.astype(np.int8) for name, a in arrays.items()}),
            "quant",
        ),
        (lambda arrays: arrays.update({FIRST: np.full((16, 16), np.nan)}), "layer 0 query: its weights hold NaN"),
        (lambda arrays: arrays.update({name: 2.5 + 0 * array for name, array in arrays.items()}), "nothing is pruned"),
        (lambda arrays: arrays.clear(), "holds no matrices"),
        (
            lambda arrays: arrays.update({f"{name}_packed": arrays.pop(name) for name in list(arrays)}),
            "has weight_packed of its matrices.*quantised or compressed",
        ),
    ],
)
def test_what_is_no_mask_is_said(tmp_path, masks, change, words):
    arrays = named(masks, "weight")
    change(arrays)
    np.savez(tmp_path / "m.npz", **arrays, **{"classifier.weight": np.ones((2, 2))})
    with pytest.raises(MaskFormatError, match=words):
        opened(tmp_path / "m.npz")


DAMAGES = {"half": lambda all: all[: len(all) // 2], "nearly all": lambda all: all[:9], "all": lambda all: b""}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
@pytest.mark.parametrize("kind", ["npz", "npy", "safetensors"])
def test_a_file_that_is_cut_off_is_said(tmp_path, masks, kind, damage):
    file = tmp_path / f"m.{kind}"
    if kind == "npz":
        np.savez(file, **named(masks, "weight"))
    elif kind == "npy":
        write_release(masks, file)
    else:
        save_file(named(masks, "weight"), file)
    file.write_bytes(damage(file.read_bytes()))

    def torch_file(path):
        raise MaskFormatError(f"{path.name} is cut off or no file of torch.")

    with pytest.raises(MaskFormatError, match=r"cut off|none of the files|bytes"):
        open_mask(file, torch_file, bases=[BASE])


def test_a_safetensors_file_that_declares_more_than_it_has(tmp_path):
    header = json.dumps({FIRST: {"dtype": "F32", "shape": [2**15, 2**16], "data_offsets": [0, 2**33]}}).encode()
    (tmp_path / "m").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(MaskFormatError, match="m is cut off or of another kind: SafetensorError"):
        opened(tmp_path / "m")


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m")
    with pytest.raises(MaskFormatError, match="m is no regular file"):
        opened(tmp_path / "m")


def test_a_pointer_of_git_lfs_is_told(tmp_path):
    (tmp_path / "m").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match="Run git lfs pull"):
        opened(tmp_path / "m")


def test_numbers_that_numpy_does_not_have_are_named(tmp_path, masks):
    header, end = {}, 0
    for name, mask in named(masks, "weight").items():
        header[name] = {"dtype": "F8_E4M3", "shape": mask.shape, "data_offsets": [end, end := end + mask.size]}
    text = json.dumps(header).encode()
    (tmp_path / "m").write_bytes(len(text).to_bytes(8, "little") + text + bytes(end))
    with pytest.raises(MaskFormatError, match="its numbers are F8_E4M3, which is not read here"):
        opened(tmp_path / "m")


def test_shards_that_are_paths_are_refused(tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../../secret"}}))
    with pytest.raises(MaskFormatError, match="names of files in its own folder"):
        opened(tmp_path)


def test_a_folder_without_weights(tmp_path):
    with pytest.raises(MaskFormatError, match=r"no model.safetensors and no pytorch_model.bin"):
        opened(tmp_path)


def test_no_two_formats_share_a_title():
    assert len({format.title for format in FORMATS}) == len(FORMATS)
