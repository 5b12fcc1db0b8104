"""Each form is opened by the lines of its own README.md."""

import json
import re
import resource
import sys

import numpy as np
import pytest
import torch
from conftest import foreign_mask
from safetensors.torch import load_file
from typer.testing import CliRunner

from smp_lab.cli import commands
from smp_lab.errors import MissingDependencyError, RunWriteError
from smp_lab.inference.compact import cut_rows
from smp_lab.inference.export import FORMS, export, masked_encoder
from smp_lab.inference.export_report import export_with_report
from smp_lab.inference.pruned import Pruned
from smp_lab.inference.scoring import predict, score_table
from smp_lab.masks import MaskSet
from smp_lab.storage.measurements import FORM, KINDS, MEASUREMENTS, TIME
from smp_lab.training.run import train

TEXT = "the cat sat on unreal"


def mask_record(pruned):
    files = pruned.encoder.files
    return foreign_mask(pruned.masks, label="M", encoder=files.name, encoder_sha256=files.sha256, task="sst2")


@pytest.fixture
def used(tmp_path, monkeypatch, capsys):
    """Run the lines of a folder's README.md: what they define, and the numbers that they print."""

    def use(folder):
        usage = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
        monkeypatch.chdir(folder)
        names = {}
        exec(usage.replace("A great film.", TEXT), names)
        return names, [float(number) for number in re.findall(r"-?\d+\.\d*(?:e-?\d+)?", capsys.readouterr().out)]

    return use


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("form", "pruned"),
    [
        ("masked", "bert_folder"),
        ("masked", "bert_with_head_folder"),
        ("masked", "roberta_folder"),
        ("compact", "bert_folder"),
        ("onnx", "bert_folder"),
        pytest.param("onnx-masked", "bert_folder", marks=pytest.mark.exhaustive),
    ],
    indirect=["pruned"],
)
def test_a_form_answers_as_the_mask_does(form, pruned, tmp_path, used):
    if form.startswith("onnx"):
        pytest.importorskip("onnxscript")
    folder = export(pruned, tmp_path / "out", form)
    _, printed = used(folder)
    scores = pruned.scores([TEXT])[0]
    want = scores if form.startswith("onnx") else scores.softmax(-1)
    np.testing.assert_allclose(printed, want, atol=1e-4)  # four digits are printed


def test_a_compact_form_of_a_layer_without_heads_opens(pruned, tmp_path, used):
    empty = {m: pruned.masks.dense(m) & ((m.layer, m.matrix_type) != (0, "value")) for m in pruned.masks}
    headless = pruned.with_masks(MaskSet.from_dense(pruned.masks.layout, empty))
    _, printed = used(export(headless, tmp_path / "out", "compact"))
    np.testing.assert_allclose(printed, headless.scores([TEXT])[0].softmax(-1), atol=1e-4)


def test_the_lines_of_a_form_take_the_texts_and_the_answer_of_its_task(prepared, pruned, tmp_path, used):
    made = prepared(task="stsb", regression_head="mse", label_words=("yes",))
    scores = Pruned(made.config, pruned.encoder, pruned.masks)
    _, printed = used(export(scores, tmp_path / "out", "masked"))
    np.testing.assert_allclose(printed, scores.scores([TEXT], ["A good film."])[0], atol=1e-4)


def test_the_names_of_torch_prune_make_the_masked_encoder(pruned, tmp_path, used):
    model = used(export(pruned, tmp_path / "prune", "prune"))[0]["model"]
    want = dict(masked_encoder(pruned).named_parameters())
    for name, _ in pruned.encoder.matrix_parameters().values():
        module = model.get_submodule(name.removesuffix(".weight"))
        assert torch.equal(module.weight_orig * module.weight_mask, want[name])
    assert torch.equal(model.embeddings.word_embeddings.weight, want["embeddings.word_embeddings.weight"])


def test_a_dictionary_is_the_mask(pruned, tmp_path, used):
    masks = used(export(pruned, tmp_path / "dictionary", "dictionary"))[0]["masks"]
    for matrix, (name, _) in pruned.encoder.matrix_parameters().items():
        np.testing.assert_array_equal(masks[name], pruned.masks.dense(matrix))


def test_bits_are_the_mask(pruned, tmp_path, used):
    names, _ = used(export(pruned, tmp_path / "bits", "bits"))
    for matrix, (name, _) in pruned.encoder.matrix_parameters().items():
        np.testing.assert_array_equal(names["mask"](name), pruned.masks.dense(matrix))
    before = {name: parameter.clone() for name, parameter in pruned.encoder.model.named_parameters()}
    names["apply"](pruned.encoder.model)
    for matrix, (name, parameter) in pruned.encoder.matrix_parameters().items():
        kept = torch.from_numpy(pruned.masks.dense(matrix).copy())
        torch.testing.assert_close(parameter.detach(), before[name].detach() * kept, rtol=0, atol=0)
    facts = json.loads((tmp_path / "bits" / "mask.json").read_text())
    assert (facts["kept"], facts["base_model_sha256"]) == (pruned.masks.kept_total, pruned.encoder.files.sha256)


def test_zeros_of_the_masked_form_are_the_mask(pruned, tmp_path):
    weights = load_file(export(pruned, tmp_path / "masked", "masked") / "model.safetensors")
    for matrix, (name, _) in pruned.encoder.matrix_parameters().items():
        np.testing.assert_array_equal(weights[name].numpy() != 0, pruned.masks.dense(matrix))


@pytest.mark.parametrize("package", ["onnxscript", "onnxruntime"])
def test_a_package_that_is_missing_is_named(package, pruned, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingDependencyError, match=f"'{package}', which is not installed"):
        export(pruned, tmp_path / "out", "onnx")


def test_nothing_is_written_over_or_left_behind(pruned, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(RunWriteError, match="is there already"):
        export(pruned, tmp_path / "there", "bits")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunWriteError, match="cannot be written"):
        export(pruned, tmp_path / "file" / "below", "bits")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "there"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("form", ["masked", "compact", "bits"])
def test_a_disk_that_is_full_is_said(form, pruned, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # No file gets longer, as on a disk without room.
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        with pytest.raises(RunWriteError, match="out cannot be written .* Free space"):
            export(pruned, tmp_path / "out", form)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.glob("*out*"))


def test_the_command_line_exports(prepared, bert_folder, tmp_path):
    record = train(prepared(task="sst2", epochs=1), tmp_path / "runs", command="smp-lab train")
    cli = CliRunner()
    options = ["export", str(record.path), str(tmp_path / "cut"), "--encoder", str(bert_folder)]
    done = cli.invoke(commands, [*options, "--form", "masked", "--cut", "9", "--no-report"])
    assert done.exit_code == 0, done.output
    assert not (tmp_path / "cut" / "report.json").exists()
    assert "- Rows that keep fewer than 9 weights are emptied" in (tmp_path / "cut" / "README.md").read_text()
    weights = load_file(tmp_path / "cut" / "model.safetensors")
    cut = cut_rows(record.masks, 9)
    assert 0 < cut.kept_total < record.masks.kept_total
    matrices = [weight for name, weight in weights.items() if name.startswith("encoder.layer.") and weight.ndim == 2]
    assert sum(int(weight.count_nonzero()) for weight in matrices) == cut.kept_total
    for wrong, sentence in (
        (["--form", "zip"], f"Choose one of: release, {', '.join(FORMS)}"),
        (["--cut", "3"], "takes no --cut"),
    ):
        failed = cli.invoke(commands, ["export", str(record.path), str(tmp_path / "x.npy"), *wrong])
        assert failed.exit_code == 1
        assert sentence in str(failed.exception)
    assert not (tmp_path / "x.npy").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("form", ["masked", "compact"])
def test_a_report_says_what_the_folder_answers(form, pruned, prepared, tmp_path):
    masks, data = cut_rows(pruned.masks, 5), prepared(task="sst2").data
    cut = pruned.with_masks(masks)
    record = mask_record(pruned)
    runs = tmp_path / "runs"
    said = export_with_report(record, cut, tmp_path / form, form, runs, command="a test", cut=5, data=data)
    facts = json.loads((tmp_path / form / "report.json").read_text())
    score = score_table(predict(cut, data), data).set_index("metric").loc["accuracy"]
    assert (facts["value"], facts["n_examples"]) == (pytest.approx(score["value"]), score["n_examples"])
    assert facts["n_compared"] == score["n_examples"] and 0 <= facts["difference"] < 1e-5
    files = [file for file in (tmp_path / form).rglob("*") if file.name not in ("README.md", "report.json")]
    assert facts["folder_bytes"] == sum(file.stat().st_size for file in files)
    assert (facts["parameters"] < facts["published"]) == (form == "compact")
    assert "from those of the mask without rows of fewer than 5 weights, on" in " ".join(said)
    assert set(said) <= set(re.findall("(?m)^- (.*)$", (tmp_path / form / "README.md").read_text()))
    kept = {each.settings.kind: each for each in MEASUREMENTS.list([runs]).records.values()}
    assert kept.keys() == {FORM, TIME}
    assert kept[FORM].table.to_dict("records") == [{name: facts[name] for name in KINDS[FORM]}]
    assert kept[TIME].table.to_dict("records") == facts["times"]
    sparse = next(row for row in facts["times"] if (row["form"], row["threads"]) == ("csr", 1))
    assert f"(torch CSR) the weights are {sparse['faster']:.2g} times as fast" in " ".join(said)


def test_a_report_without_examples_compares_scores_alone(pruned, tmp_path):
    (tmp_path / "file").write_text("")
    below = tmp_path / "file"
    said = export_with_report(mask_record(pruned), pruned, tmp_path / "out", "masked", below, command="a test")
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (facts["value"], facts["n_examples"], facts["n_compared"]) == (None, 0, 64)
    # Nothing can be kept below a file; the export stands.
    assert "lies in the folder alone" in said[-1]
