"""Each form is opened by the lines of its README.md where neither this project nor its other packages are found."""

import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import HANGS

from smp_lab.inference.export import export, masked_encoder

TEXT = "the cat sat on unreal"
ABSENT = {"smp_lab", "pandas", "pydantic", "datasets", "accelerate", "scipy", "sklearn", "pytest"}


def elsewhere(absent, folder, lines):
    """Numbers that lines print in a folder, in a Python that does not find some packages."""
    hide = f"import sys\nsys.modules.update(dict.fromkeys({sorted(absent)}))\n"
    command = [sys.executable, "-I", "-W", "ignore", "-c", hide + lines]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    return [float(number) for number in re.findall(r"-?\d+\.\d+(?:e-?\d+)?", done.stdout)]


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    ("form", "absent", "pruned"),
    [
        ("masked", set(), "bert_folder"),
        ("masked", set(), "bert_with_head_folder"),
        ("compact", set(), "bert_folder"),
        ("onnx", {"torch"}, "bert_folder"),
        ("bits", {"torch", "transformers"}, "bert_folder"),
        ("dictionary", {"torch", "transformers"}, "bert_folder"),
        ("prune", set(), "bert_folder"),
    ],
    indirect=["pruned"],
)
def test_a_form_opens_without_this_project(form, absent, pruned, tmp_path):
    if form == "onnx":
        pytest.importorskip("onnxscript")
    folder = export(pruned, tmp_path / "out", form)
    lines = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0].replace("A great film.", TEXT)
    name = next(iter(pruned.encoder.matrix_parameters().values()))[0]
    kept = {"bits": f"mask({name!r})", "dictionary": f"masks[{name!r}]"}.get(form)
    if kept:
        lines += f"\nprint(float({kept}.sum()), *map(float, {kept}.sum(0)))"
    printed = elsewhere(ABSENT | absent, folder, lines)
    if kept:
        dense = next(pruned.masks.dense(matrix) for matrix in pruned.masks)
        want = [dense.sum(), *dense.sum(0)]
    elif form == "prune":
        want = masked_encoder(pruned)(**pruned.batch([TEXT])).last_hidden_state[0, 0, :3].detach()
    else:
        scores = pruned.scores([TEXT])[0]
        want = scores if form == "onnx" else scores.softmax(-1)
    np.testing.assert_allclose(printed, want, atol=1e-4)
