"""Imports only go down, and only training needs the packages that training needs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import HANGS

PROJECT = Path(__file__).parents[1]
GROUND = {
    *("errors", "layout", "encoder_families", "masks", "methods", "metrics", "tasks", "settings", "config", "recipes"),
    *("paper", "grid", "paths", "schedule", "processes", "lease"),
}
MIDDLE = {"storage", "analysis", "figures", "jobs", "lesson"}
TORCH = {"training", "inference"}
# Room -> the rooms it may import, besides itself and the ground floor. A new room needs a line here.
MAY_IMPORT = {
    **{room: set() for room in MIDDLE},
    "training": {"storage", "jobs"},
    "inference": {"storage", "analysis", "training"},
    "plots": MIDDLE,
    "report": MIDDLE,
    "ui": MIDDLE | {"plots"},
    "app": MIDDLE | {"plots", "ui"},
    "pages": MIDDLE | {"plots", "report", "ui"},
    "cli": MIDDLE | TORCH | {"report"},
    "__main__": {"cli"},
}
# Package -> the rooms that may import it.
RESERVED = {
    **{name: TORCH for name in ("torch", "transformers", "datasets", "accelerate", "sklearn", "scipy")},
    "ray": {"jobs"},
    "streamlit": {"ui", "app", "pages"},
    "plotly": {"figures", "plots", "report", "ui", "pages"},
}
FILES = sorted([*(PROJECT / "smp_lab").rglob("*.py"), *(PROJECT / "pages").rglob("*.py")])


def room_of(module: str) -> str:
    """``smp_lab.storage.runs`` -> ``storage``; the package itself is ground floor."""
    top, _, rest = module.partition(".")
    room = rest.partition(".")[0] if top == "smp_lab" else top
    return "ground" if not room or room in GROUND else room


def module_of(file: Path) -> str:
    return ".".join(file.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")


def imports(file: Path) -> Iterator[str]:
    """Full names of all a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_bytes(), str(file))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import does not say which room it goes to"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_imports_go_down_and_packages_stay_in_their_rooms(file):
    room = room_of(module_of(file))
    allowed = {"ground"} if room == "ground" else {"ground", room} | MAY_IMPORT[room]
    for name in imports(file):
        package = name.partition(".")[0]
        assert room in RESERVED.get(package, {room}), f"{module_of(file)} imports {name}"
        if package in ("smp_lab", "pages"):
            # `from smp_lab import __version__` names no module.
            target = "ground" if name == "smp_lab.__version__" else room_of(name)
            assert target in allowed, f"{module_of(file)} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=module_of)
def test_nothing_reads_pickles_or_runs_text(file):
    assert not {name.partition(".")[0] for name in imports(file)} & {"pickle", "marshal", "shelve", "joblib", "dill"}
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Call):
            assert not (isinstance(node.func, ast.Name) and node.func.id in ("eval", "exec", "compile"))
            for keyword in node.keywords:
                assert keyword.arg != "allow_pickle" or ast.unparse(keyword.value) == "False"


def test_the_walk_sees_every_kind_of_import(tmp_path):
    """The rules above hold nothing if imports() is blind."""
    file = tmp_path / "runs.py"
    file.write_text(
        "import torch.nn as nn\nfrom smp_lab import figures\n"
        "def late():\n    from smp_lab.training.trainer import train\n"
    )
    assert sorted(imports(file)) == ["smp_lab.figures", "smp_lab.training.trainer.train", "torch.nn"]
    assert [room_of(name) for name in ("smp_lab.figures", "smp_lab", "smp_lab.masks", "pages.overview")] == [
        "figures",
        "ground",
        "ground",
        "pages",
    ]


def test_no_module_hides_a_package():
    """`streamlit run smp_lab/app.py` puts smp_lab/ first on the path of imports."""
    taken = sys.stdlib_module_names | RESERVED.keys() | {"numpy", "pandas", "typer", "click", "rich", "PIL", "pytest"}
    assert not {path.stem for path in (PROJECT / "smp_lab").iterdir()} & taken


def test_all_but_training_works_without_the_packages_of_training():
    # A page draws when it is imported; what it imports is in the list all the same.
    modules = [name for name in map(module_of, FILES) if room_of(name) not in TORCH | {"pages"}]
    reserved = [name for name, rooms in RESERVED.items() if rooms == TORCH]
    code = (
        f"import importlib, sys\nfor name in {modules}: importlib.import_module(name)\n"
        f"sys.stdout.write(' '.join(['imported:', *(set({reserved}) & set(sys.modules))]))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANGS, check=False)
    assert (found.returncode, found.stdout) == (0, "imported:"), found.stderr


def test_what_somebody_else_saved_is_opened_without_its_code():
    """Where `trust_remote_code` is left out, transformers asks at a prompt and runs what is there after "y"."""
    calls = [
        call
        for file in FILES
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "from_pretrained"
    ]
    assert len(calls) > 5
    assert all("**LOCAL" in ast.unparse(call) for call in calls)
