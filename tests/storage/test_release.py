import errno
import hashlib
import io
import json
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY, random_masks

from smp_lab.encoder_families import BERT
from smp_lab.errors import MaskFormatError, RunWriteError
from smp_lab.layout import EncoderLayout, MatrixId
from smp_lab.masks import MaskSet
from smp_lab.storage.archives import from_npy
from smp_lab.storage.release import release_masks, write_release
from smp_lab.storage.sealed import write_new

GOLDEN = json.loads((Path(__file__).resolve().parents[1] / "golden" / "packed_release.json").read_text())
BERT_BASE = EncoderLayout(n_layers=12, hidden_size=768, intermediate_size=3072, n_heads=12, n_parameters=109_482_240)
TWELVE_LAYERS = EncoderLayout(n_layers=12, hidden_size=8, intermediate_size=16, n_heads=2, n_parameters=10_000)


def golden_masks():
    def mask(matrix):
        key = BERT.parameter_name(matrix, "bert.", "mask_scores")
        rng = np.random.default_rng([GOLDEN["seed"], zlib.crc32(key.encode())])
        return rng.random(BERT_BASE.shape(matrix.matrix_type)) < 0.1

    return MaskSet.from_dense(BERT_BASE, {matrix: mask(matrix) for matrix in BERT_BASE.matrices})


def test_the_file_is_the_authors_byte_for_byte(tmp_path):
    masks = golden_masks()
    kept = {BERT.parameter_name(matrix, "bert.", "mask_scores"): masks.kept(matrix) for matrix in masks}
    assert kept == GOLDEN["kept_per_key"]
    file = tmp_path / "masks.npy"
    write_release(masks, file)
    content = file.read_bytes()
    assert len(content) == GOLDEN["npy_bytes"]
    assert BERT_BASE.n_weights // 8 == GOLDEN["payload_bytes"]
    assert hashlib.sha256(content).hexdigest() == GOLDEN["npy_sha256"]
    back = release_masks(from_npy(file.read_bytes()), BERT_BASE, file.name)
    assert back.layout == BERT_BASE and back.sha256 == masks.sha256


def test_layers_lie_in_the_order_of_their_names_and_the_first_weight_in_the_highest_bit(tmp_path):
    masks = {matrix: np.zeros(TWELVE_LAYERS.shape(matrix.matrix_type), bool) for matrix in TWELVE_LAYERS.matrices}
    # attention.output is the first of a layer's modules by name, and layer 10 the third of the layers.
    masks[MatrixId(10, "attention_output")][0, 0] = True
    write_release(MaskSet.from_dense(TWELVE_LAYERS, masks), tmp_path / "masks.npy")
    packed = np.load(tmp_path / "masks.npy")
    bytes_a_layer = (4 * 8 * 8 + 2 * 8 * 16) // 8
    assert np.flatnonzero(packed).tolist() == [2 * bytes_a_layer]
    assert packed[2 * bytes_a_layer] == 0b1000_0000


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros(511, np.uint8), r"holds \(511,\) of uint8; expected \(512,\) of uint8, the bits of 4,096 weights"),
        (np.zeros(512, np.int8), r"holds \(512,\) of int8; expected \(512,\) of uint8"),
        (np.zeros((2, 256), np.uint8), r"holds \(2, 256\) of uint8; expected \(512,\) of uint8"),
        (np.zeros(4096, bool), r"holds \(4096,\) of bool; expected \(512,\) of uint8"),
    ],
)
def test_another_array_is_refused(array, words):
    assert TINY.n_weights == 4096
    with pytest.raises(MaskFormatError, match=words):
        release_masks(array, TINY, "masks.npy")


def test_what_is_no_array_of_numbers_is_refused(tmp_path):
    file = tmp_path / "masks.npy"
    write_release(random_masks(TINY, 0.5), file)
    with pytest.raises(ValueError, match=r"1,212 bytes for an array of shape \(512,\)"):
        from_npy(file.read_bytes() + bytes(700))
    np.save(file, np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds object"):
        from_npy(file.read_bytes())
    for content in (b"", b"text", b"PK\x03\x04", b"\x93NUMPY\x01\x00"):
        with pytest.raises(ValueError, match="magic|EOF|expected"):
            from_npy(content)


def test_matrices_that_are_not_whole_bytes_are_refused(tmp_path):
    layout = EncoderLayout(n_layers=1, hidden_size=2, intermediate_size=4, n_heads=1, n_parameters=100)
    with pytest.raises(MaskFormatError, match="is not whole bytes"):
        write_release(random_masks(layout, 0.5), tmp_path / "masks.npy")


def test_a_file_that_is_there_is_not_overwritten(tmp_path):
    file = tmp_path / "masks.npy"
    file.write_text("mine")
    with pytest.raises(RunWriteError, match=r"cannot be written \(File exists\)"):
        write_release(random_masks(TINY, 0.5), file)
    assert file.read_text() == "mine"
    with pytest.raises(RunWriteError, match="No such file or directory"):
        write_release(random_masks(TINY, 0.5), tmp_path / "none" / "masks.npy")


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()])
def test_a_new_file_is_whole_or_not_there(tmp_path, monkeypatch, fault):
    class Full(io.FileIO):
        def write(self, content):
            super().write(content[:3])
            raise fault

    file = tmp_path / "report.html"
    with monkeypatch.context() as full:
        full.setattr(Path, "open", lambda self, mode: Full(self, mode))
        with pytest.raises((RunWriteError, KeyboardInterrupt)) as raised:
            write_new(file, b"a report")
    assert isinstance(fault, KeyboardInterrupt) or "Free space, or name another folder" in str(raised.value)
    assert not file.exists()
    write_new(file, b"a report")
    assert file.read_bytes() == b"a report"
