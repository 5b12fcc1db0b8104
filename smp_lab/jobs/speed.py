"""How long a run would take on this machine, asked of a process that makes some of its steps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smp_lab.errors import JobError, first_line
from smp_lab.jobs.runners import answer_of

# Three seconds of steps, and before them packages, data and encoder.
SECONDS_AT_MOST = 300
COMMAND = (sys.executable, "-m", "smp_lab.training.speed")


@dataclass(frozen=True)
class Speed:
    """What a run would take.

    Parameters
    ----------
    steps
        Updates.
    seconds
        Wall time of its steps and evaluations.
    """

    steps: int
    seconds: float


def measure(settings: Mapping[str, Any], threads: int, command: Sequence[str] = COMMAND) -> Speed:
    """Measure a run with these arguments of `smp_lab.recipes.draft` on so many CPU threads.

    Raises
    ------
    JobError
        If its process says why it cannot, fails, or takes too long.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    try:
        return Speed(**answer_of([*command, json.dumps(settings)], SECONDS_AT_MOST, env=environment))
    except subprocess.TimeoutExpired:
        raise JobError(f"The run was not measured: its data and encoder took over {SECONDS_AT_MOST} s.") from None
    except (JobError, OSError, ValueError, TypeError) as error:
        raise JobError(f"The run was not measured: {first_line(error)}.") from None
