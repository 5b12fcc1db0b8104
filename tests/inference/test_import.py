"""Masks written by the tools that write them, imported by the command line, equal to the bit."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
import torch
from torch.nn.utils import prune
from training.conftest import tiny_data
from transformers import AutoModel, AutoModelForSequenceClassification
from typer.testing import CliRunner

from smp_lab.cli import commands
from smp_lab.errors import ConfigError, EncoderError, MaskFormatError, RunWriteError
from smp_lab.inference.compact import cut_rows
from smp_lab.inference.export import export
from smp_lab.inference.scoring import predict, score_table
from smp_lab.inference.torch_files import torch_file
from smp_lab.storage.formats import Base, Opened
from smp_lab.storage.formats.tables import read_table
from smp_lab.storage.imported import IMPORTED_MASKS, save_imported
from smp_lab.storage.measurements import MEASUREMENTS, SCORE, SIZE
from smp_lab.storage.release import write_release


@pytest.fixture
def imported(tmp_path, pruned):
    """``imported(path)``: the mask that `smp-lab import` makes of it, of the encoder of `pruned`."""

    def run(path, *options):
        folder = tmp_path / "runs"
        base = ("--base", str(pruned.encoder.files.folder))
        found = CliRunner().invoke(
            commands, ["import", str(path), *base, "--runs", str(folder), "--json", *options], catch_exceptions=False
        )
        assert found.exit_code == 0, found.output
        facts = json.loads(found.stdout)
        return facts, IMPORTED_MASKS.list([folder]).records[facts["mask_id"]].mask_record

    return run


def modules_of(pruned, model):
    prefix = f"{model.base_model_prefix}." if model is not model.base_model else ""
    return {
        model.get_submodule(f"{prefix}{name.removesuffix('.weight')}"): torch.from_numpy(pruned.masks.dense(matrix))
        for matrix, (name, _) in pruned.encoder.matrix_parameters().items()
    }


def with_zeros(pruned):
    model = AutoModelForSequenceClassification.from_pretrained(pruned.encoder.files.folder)
    for module, mask in modules_of(pruned, model).items():
        module.weight.data *= mask
    return model


def as_shards(pruned, folder):
    with_zeros(pruned).save_pretrained(folder, max_shard_size="20KB")
    assert (folder / "model.safetensors.index.json").is_file()
    return folder


def as_bin(pruned, folder):
    folder.mkdir()
    model = with_zeros(pruned)
    model.config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def as_bfloat16(pruned, folder):
    with_zeros(pruned).to(torch.bfloat16).save_pretrained(folder)
    return folder


def as_prune(pruned, folder):
    model = AutoModel.from_pretrained(pruned.encoder.files.folder)
    for module, mask in modules_of(pruned, model).items():
        prune.custom_from_mask(module, "weight", mask)
    file = folder.with_suffix(".pt")
    torch.save(model.state_dict(), file)
    return file


def as_nested_dictionary(pruned, folder):
    file = folder.with_suffix(".pt")
    names = {name.removesuffix(".weight"): matrix for matrix, (name, _) in pruned.encoder.matrix_parameters().items()}
    dense = {name: {"weight": torch.from_numpy(pruned.masks.dense(matrix)).int()} for name, matrix in names.items()}
    torch.save(dense, file)
    return file


def as_release(pruned, folder):
    write_release(pruned.masks, folder.with_suffix(".npy"))
    return folder.with_suffix(".npy")


def as_export(form):
    def write(pruned, folder):
        return export(pruned, folder, form)

    write.__name__ = f"as_{form}_export"
    return write


WRITERS = [as_shards, as_bin, as_bfloat16, as_prune, as_nested_dictionary, as_release]
WRITERS += [as_export(form) for form in ("masked", "bits", "prune", "dictionary")]


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_what_a_tool_writes_is_imported_to_the_bit(write, pruned, tmp_path, imported):
    facts, mask = imported(write(pruned, tmp_path / "theirs"), "--label", "Theirs", "--task", "rte")
    assert mask.masks.sha256 == pruned.masks.sha256
    assert mask.encoder_sha256 == pruned.encoder.files.sha256
    assert (mask.label, mask.task) == ("Theirs", "rte")
    assert len(facts["assumed"]) == 2


def test_the_authors_mask_of_mnli_is_scored_by_their_order_of_classes(pruned, tmp_path, imported, monkeypatch):
    said = "scores entailment by 'maybe', neutral by 'no' and contradiction by 'yes'"
    # Theirs are of BERT-base: a file of other shapes was written here, of a mask that is trained with the task's words.
    own, _ = imported(as_release(pruned, tmp_path / "own"), "--task", "mnli", "--label", "own")
    assert not any(said in each for each in own["assumed"])
    widths = pruned.masks.layout.widths
    for module in ("smp_lab.storage.formats", "smp_lab.cli.evaluate"):
        monkeypatch.setattr(f"{module}.RELEASED_WIDTHS", widths)
    facts, _ = imported(as_release(pruned, tmp_path / "theirs"), "--task", "mnli")
    assert said in facts["assumed"][-1]
    monkeypatch.setattr("smp_lab.training.prepare.load_task_data", lambda *_, **__: tiny_data("mnli"))
    arguments = ["evaluate", facts["mask_id"], "--encoder", str(pruned.encoder.files.folder), "--json"]
    arguments += ["--runs", str(tmp_path / "runs")]
    for options, words in (([], ["maybe", "no", "yes"]), (["--label-words", "yes, maybe, no"], ["yes", "maybe", "no"])):
        told = CliRunner().invoke(commands, [*arguments, *options], catch_exceptions=False)
        kept = MEASUREMENTS.list([tmp_path / "runs"]).records
        scored, _ = (kept[name].settings.options for name in json.loads(told.stdout))
        assert scored["label_words"] == words


def test_a_file_that_would_run_code_is_refused_and_does_not(tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    torch.save({"a": Bomb()}, tmp_path / "m.pt", pickle_module=pickle)
    with pytest.raises(MaskFormatError, match="holds more than weights"):
        torch_file(tmp_path / "m.pt")
    assert not (tmp_path / "ran").exists()


def test_numbers_that_are_0_for_being_small_are_no_mask(tmp_path):
    torch.save({"a": torch.ones(4).to(torch.float8_e4m3fn)}, tmp_path / "m.pt")
    with pytest.raises(MaskFormatError, match="its numbers are float8_e4m3fn, which is not read here"):
        torch_file(tmp_path / "m.pt")["a"].read()


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (torch.eye(4).to_sparse(), "sparse, quantised or empty"),
        (torch.ones(4, device="meta"), "sparse, quantised or empty"),
        (torch.ones(1).expand(2**15, 2**16), "a declares 2,147,483,648 numbers, and its file holds fewer"),
    ],
)
def test_tensors_that_are_no_plain_arrays_are_refused(tmp_path, tensor, words):
    torch.save({"a": tensor}, tmp_path / "m.pt")
    with pytest.raises(MaskFormatError, match=words):
        torch_file(tmp_path / "m.pt")


@pytest.mark.parametrize("size", [10, 2000])
def test_a_file_of_torch_that_is_cut_off(tmp_path, size):
    torch.save({"a": torch.ones(1000)}, tmp_path / "whole.pt")
    (tmp_path / "m.pt").write_bytes((tmp_path / "whole.pt").read_bytes()[:size])
    with pytest.raises(MaskFormatError, match=r"cut off|more than weights"):
        read_table(tmp_path / "m.pt", torch_file)


def test_an_imported_mask_is_scored_and_the_score_kept_beside_it(pruned, bert_folder, tmp_path, monkeypatch, capsys):
    runs, data = tmp_path / "runs", tiny_data("sst2")
    monkeypatch.setattr("smp_lab.training.prepare.load_task_data", lambda *_, **__: data)
    invoke = CliRunner().invoke
    base = Base(bert_folder.name, pruned.encoder.files.sha256, pruned.encoder.layout)
    opened = Opened(masks=pruned.masks, format="mask", base=base, assumed=())
    record = save_imported(runs, opened, source="m", label="Theirs", task="sst2")
    arguments = ["evaluate", record.mask_id, "--encoder", str(bert_folder), "--runs", str(runs)]
    told = json.loads(invoke(commands, [*arguments, "--cut", "9", "--json"], catch_exceptions=False).stdout)
    kept = MEASUREMENTS.list([runs]).records
    assert set(told) == set(kept) and {each.settings.mask_id for each in kept.values()} == {record.mask_id}
    scored, sized = (next(each.table for each in kept.values() if each.settings.kind == kind) for kind in (SCORE, SIZE))
    assert scored["cut"].tolist() == sized["cut"].tolist() == [0, 9]
    for masks, value in zip((pruned.masks, cut_rows(pruned.masks, 9)), scored["value"], strict=True):
        assert value == pytest.approx(score_table(predict(pruned.with_masks(masks), data), data)["value"][0])
    assert sized["parameters"].is_monotonic_decreasing and sized["parameters"][0] <= sized["published"][0]
    heads = json.loads(invoke(commands, [*arguments, "--heads", "--json"], catch_exceptions=False).stdout)
    assert [len(rows) for rows in heads.values()] == [pruned.encoder.layout.n_layers * pruned.encoder.layout.n_heads]
    # What was measured before is read.
    monkeypatch.setattr("smp_lab.inference.evaluate.predict", None)
    monkeypatch.setattr("smp_lab.inference.evaluate.head_changes", None)
    for options, before in (("--cut=9", told), ("--heads", heads)):
        again = invoke(commands, [*arguments, options, "--json"], catch_exceptions=False)
        assert json.loads(again.stdout) == before
    # A folder that cannot be written to is told of before the work.
    (kept_folder,) = {each.path.parent for each in kept.values()}
    with monkeypatch.context() as locked, pytest.raises(RunWriteError, match="no measurement could be kept"):
        locked.setattr("os.access", lambda place, _: place != kept_folder)
        invoke(commands, [*arguments, "--cut", "3"], catch_exceptions=False)
    # Another encoder is not scored by mistake.
    other = save_imported(runs, replace(opened, base=Base("other", "c" * 64, base.layout)), source="m", label="Other")
    with pytest.raises(EncoderError, match="is a mask for other"):
        invoke(commands, ["evaluate", other.mask_id, "--task", "sst2", *arguments[2:]], catch_exceptions=False)
    with pytest.raises(ConfigError, match="no task is known"):
        invoke(commands, ["evaluate", other.mask_id, *arguments[2:]], catch_exceptions=False)
