"""Each form is opened by the lines of its README.md in an environment that has not this project."""

import re
import subprocess
import venv
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from conftest import HANGS
from packaging.requirements import Requirement

from smp_lab.inference.export import export, masked_encoder

TEXT = "the cat sat on unreal"
# What must not be there.
_ABSENT = "import importlib.util\nfor name in {names}:\n    assert importlib.util.find_spec(name) is None, name\n"


def with_requirements(names):
    """Distributions of this environment, and all that they need."""
    found, open_names = {}, list(names)
    while open_names:
        name = open_names.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        needs = [Requirement(line) for line in found[name].requires or ()]
        open_names += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return found.values()


@pytest.fixture
def elsewhere(tmp_path):
    """``elsewhere(packages, folder, lines)``: what lines print in a folder, with some packages alone installed."""

    def run(packages, folder, lines):
        environment = tmp_path / "environment"
        venv.create(environment, symlinks=True)
        (site,) = environment.glob("lib/python*/site-packages")
        for one in with_requirements(packages):
            for top in {file.parts[0] for file in one.files or () if file.parts[0] not in ("..", "__pycache__")}:
                if not (site / top).exists():
                    (site / top).symlink_to(Path(str(one.locate_file(top))))
        command = [environment / "bin" / "python", "-I", "-W", "ignore", "-c", lines]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HANGS)
        assert done.returncode == 0, done.stderr
        return [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", done.stdout)]

    return run


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("form", "packages", "pruned"),
    [
        ("masked", ("transformers", "torch"), "bert_folder"),
        ("masked", ("transformers", "torch"), "bert_with_head_folder"),
        ("compact", ("transformers", "torch"), "bert_folder"),
        ("onnx", ("transformers", "onnxruntime"), "bert_folder"),
        ("bits", ("numpy",), "bert_folder"),
        ("dictionary", ("numpy",), "bert_folder"),
        ("prune", ("transformers", "torch"), "bert_folder"),
    ],
    indirect=["pruned"],
)
def test_a_form_opens_without_this_project(form, packages, pruned, tmp_path, elsewhere):
    if form == "onnx":
        pytest.importorskip("onnxscript")
    folder = export(pruned, tmp_path / "out", form)
    lines = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0].replace("A great film.", TEXT)
    absent = {"smp_lab", "pytest", *({"torch"} - set(packages))}
    name = next(iter(pruned.encoder.matrix_parameters().values()))[0]
    kept = {"bits": f"mask({name!r})", "dictionary": f"masks[{name!r}]"}.get(form)
    if kept:
        lines += f"\nprint(float({kept}.sum()), *map(float, {kept}.sum(0)))"
    printed = elsewhere(packages, folder, _ABSENT.format(names=absent) + lines)
    if kept:
        dense = next(pruned.masks.dense(matrix) for matrix in pruned.masks)
        want = [dense.sum(), *dense.sum(0)]
    elif form == "prune":
        want = masked_encoder(pruned)(**pruned.batch([TEXT])).last_hidden_state[0, 0, :3].detach()
    else:
        scores = pruned.scores([TEXT])[0]
        want = scores if form == "onnx" else scores.softmax(-1)
    np.testing.assert_allclose(printed, want, atol=1e-4)
