"""Whether this process is the one that was asked for: what decides about a mask is never left to the machine.

A driver says what it expects in a variable; the process that trains compares it with what it is. Where they differ it
says so and trains nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from smp_lab.config import RunConfig
from smp_lab.errors import TrainingError
from smp_lab.lease import ITEM_VARIABLE, held
from smp_lab.paths import unfinished_folder
from smp_lab.training.checkpoints import conditions

EXPECTED_VARIABLE = "SMP_LAB_EXPECTED"
_PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "numpy", "scikit-learn", "scipy")


def facts(config: RunConfig | None = None) -> dict[str, Any]:
    """What this process is: code, versions, threads and device; of a run also its id and precision."""
    return {
        **({} if config is None else {"run": config.run_id}),
        "code": code_sha256(),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        **conditions(config),
        # Products in bf16 take other instructions where there are some.
        "instructions": _instructions(),
    }


def code_sha256() -> str:
    """Digest of the library's own files: a commit would not tell what was changed since."""
    package = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for file in sorted(package.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(package)} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def pinned(expected: Mapping[str, Any]) -> dict[str, str]:
    """Variables for the process that is to be what is expected."""
    kind = str(expected["device"]).lower().partition("cpu ")[2]
    return {
        EXPECTED_VARIABLE: json.dumps(dict(expected)),
        "OMP_NUM_THREADS": str(expected["threads"]),
        # A newer processor would take other instructions than the driver's.
        **({"ATEN_CPU_CAPABILITY": kind} if kind in ("default", "avx2", "avx512") else {}),
    }


def require_expected(config: RunConfig | None = None) -> None:
    """Compare this process with what a driver expects, if one does; a `TrainingError` says where they differ."""
    if not (said := os.environ.get(EXPECTED_VARIABLE)):
        return
    expected, found = json.loads(said), facts(config)
    if differing := [name for name in expected if expected[name] != found.get(name)]:
        changes = ", ".join(f"{name} {found.get(name)} here, {expected[name]} there" for name in differing)
        raise TrainingError(
            f"Machine {platform.node()} is not as the one that asked for this: {changes}. The result could be "
            "another one. Install the same clone and versions on both, or take that machine out of the cluster."
        )


@contextmanager
def made_for_sweep(runs: Path) -> Iterator[None]:
    """Be what a sweep expects of this process, and hold what it measures for it; nothing where none asks.

    Raises `TrainingError` as `require_expected`, and `RunExistsError` if another process measures the same.
    """
    require_expected()
    name = os.environ.get(ITEM_VARIABLE)
    with held(unfinished_folder(runs, name)) if name else nullcontext():
        yield


def _instructions() -> str:
    if torch.cuda.is_available():
        return "-"
    return " ".join(sorted(name for name, there in torch.cpu.get_capabilities().items() if there is True))
