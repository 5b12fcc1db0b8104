"""A file of unknown origin, imported by a process of its own that may take only so much memory and time."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smp_lab.errors import JobError, MaskFormatError
from smp_lab.jobs.runners import SMP_LAB, answer_of

# BERT-base in 32 bits is 440 MB, and torch by itself maps some gigabytes.
MAX_MEMORY = 8 * 2**30
SECONDS_AT_MOST = 60
COMMAND = (*SMP_LAB, "import")


@dataclass(frozen=True)
class Imported:
    """What a file turned out to hold.

    Parameters
    ----------
    mask_id
        Of its record.
    format
        What it was read as, in words.
    assumed
        Sentences on what the file does not say.
    """

    mask_id: str
    format: str
    assumed: tuple[str, ...]


def import_file(
    path: Path, runs: Path, options: Sequence[str], command: Sequence[str] = COMMAND, seconds: float = SECONDS_AT_MOST
) -> Imported:
    """Import a mask into a folder of runs.

    Options are those of ``smp-lab import``; `seconds` is how long it may take.

    Raises
    ------
    MaskFormatError
        If it is no mask, or takes more memory or time than it may; with the sentence of the command.
    """
    words = [*command, str(path), "--runs", str(runs), "--json", *options]
    try:
        facts = answer_of(words, seconds, preexec_fn=_limit_memory)
    except JobError as error:
        raise MaskFormatError(str(error)) from None
    except subprocess.TimeoutExpired:
        raise MaskFormatError(
            f"{path.name} was not read in {seconds:g} s, and the reading was ended. From a terminal, smp-lab import "
            "takes as long as it needs."
        ) from None
    return Imported(facts["mask_id"], facts["format"], tuple(facts["assumed"]))


def _limit_memory() -> None:
    # Whoever started the app may have set a lower one, which cannot be raised.
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    memory = MAX_MEMORY if most == resource.RLIM_INFINITY else min(MAX_MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
