"""Each form is opened by the lines of its own README.md."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from smp_lab.cli import commands
from smp_lab.errors import RunWriteError
from smp_lab.inference.compact import cut_rows
from smp_lab.inference.export import FORMS, export, masked_encoder
from smp_lab.training.run import train

TEXT = "the cat sat on unreal"


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
        ("compact", "bert_folder"),
        ("onnx", "bert_folder"),
    ],
    indirect=["pruned"],
)
def test_a_form_answers_as_the_mask_does(form, pruned, tmp_path, used):
    if form == "onnx":
        pytest.importorskip("onnxscript")
    folder = export(pruned, tmp_path / "out", form)
    _, printed = used(folder)
    scores = pruned.scores([TEXT])[0]
    want = scores if form == "onnx" else scores.softmax(-1)
    np.testing.assert_allclose(printed, want, atol=1e-4)  # four digits are printed


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


def test_nothing_is_written_over_or_left_behind(pruned, tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(RunWriteError, match="is there already"):
        export(pruned, tmp_path / "there", "bits")
    (tmp_path / "file").write_text("")
    with pytest.raises(RunWriteError, match="cannot be written"):
        export(pruned, tmp_path / "file" / "below", "bits")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "there"]


def test_the_command_line_exports(prepared, bert_folder, tmp_path):
    record = train(prepared(task="sst2", epochs=1), tmp_path / "runs", command="smp-lab train")
    cli = CliRunner()
    options = ["export", str(record.path), str(tmp_path / "cut"), "--encoder", str(bert_folder)]
    done = cli.invoke(commands, [*options, "--form", "masked", "--cut", "9"])
    assert done.exit_code == 0, done.output
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
