"""How, where and when a record was made."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import torch

from smp_lab import __version__
from smp_lab.paths import project_folder
from smp_lab.training.prepare import Prepared
from smp_lab.training.trainer import Log

_PACKAGES = ("torch", "transformers", "accelerate", "numpy", "pandas")


def provenance(
    prepared: Prepared, log: Log, command: str, code: Mapping[str, Any], notes: Sequence[str]
) -> dict[str, Any]:
    """How, where and when something was made of `prepared`.

    `code` is the `code_version` of its start, `notes` sentences on what is unusual about its encoder.
    """
    return {
        **made_here(log.seconds, command, code),
        "resumed": log.resumed,
        # Another commit or number of threads can make another mask.
        **({"processes": log.processes} if log.resumed else {}),
        "data_source": prepared.data.source,
        **({"class_balance": balance} if (balance := prepared.data.class_balance) else {}),
        **({"data_notes": " ".join(prepared.data.notes)} if prepared.data.notes else {}),
        "base_model_source": prepared.files.source,
        **({"base_model_notes": " ".join(notes)} if notes else {}),
        **({"teacher_source": prepared.teacher.source} if prepared.teacher else {}),
    }


def made_here(seconds: float, command: str, code: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a provenance that is true of whatever is made here and now, in so many seconds."""
    return {
        "created_utc": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "smp_lab_version": __version__,
        **code,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "packages": {package: version(package) for package in _PACKAGES},
        "wall_seconds": round(seconds, 1),
        "command": command,
    }


def code_version() -> dict[str, Any]:
    """git_commit of the clone, and git_dirty: whether the package differs from it; None where git cannot tell.

    An installed wheel may lie inside another project's clone, whose commit is not ours.
    """

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(project_folder()), *arguments], capture_output=True, text=True, check=True, timeout=10
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    commit = git("rev-parse", "HEAD") if (project_folder() / ".git").exists() else None
    changed = git("status", "--porcelain", "--untracked-files=normal", "--", "smp_lab") if commit else None
    return {"git_commit": commit, "git_dirty": None if changed is None else bool(changed)}


def processor() -> str:
    """What computes here, in words."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    capabilities = torch.cpu.get_capabilities()
    name = capabilities.get("cpu_name") or platform.processor() or platform.machine()
    return f"{name}, {os.cpu_count()} cores"
