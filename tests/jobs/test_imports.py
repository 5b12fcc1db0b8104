"""What an importing process may take, and what becomes of its words."""

import subprocess
import sys

import pytest

from smp_lab.errors import MaskFormatError
from smp_lab.jobs.imports import Imported, import_file

ECHO = """
import json, sys
print(json.dumps({"mask_id": sys.argv[1], "format": " ".join(sys.argv[2:]), "assumed": ["So."]}))
"""


def run(tmp_path, text, **limits):
    return import_file(tmp_path / "m.npz", tmp_path / "runs", ["--task=rte"], (sys.executable, "-c", text), **limits)


def test_file_folder_and_options_reach_the_process(tmp_path):
    found = run(tmp_path, ECHO)
    assert found == Imported(str(tmp_path / "m.npz"), f"--runs {tmp_path / 'runs'} --json --task=rte", ("So.",))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("import sys; sys.exit('smp-lab: m.npz is no mask.')", "^m.npz is no mask"),
        ("x = bytearray(2**40)", "MemoryError"),
        ("import os; os.abort()", r"^Its process was killed \(SIGABRT\)\.$"),
    ],
)
def test_what_it_says_is_the_sentence(tmp_path, text, sentence):
    with pytest.raises(MaskFormatError, match=sentence):
        run(tmp_path, text)


def test_a_lower_limit_of_the_app_itself_is_kept(tmp_path):
    program = f"""
import resource, sys
from pathlib import Path
from smp_lab.jobs.imports import import_file
resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
print(import_file(Path("m"), Path("runs"), [], (sys.executable, "-c", {ECHO!r})).assumed)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout == "('So.',)\n", done.stderr


def test_it_is_not_waited_for_without_end(tmp_path):
    with pytest.raises(MaskFormatError, match=r"m.npz was not read in 0.5 s"):
        run(tmp_path, "import time; time.sleep(60)", seconds=0.5)
