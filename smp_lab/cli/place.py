"""Where commands make runs: the options, and the runner that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from smp_lab.cli.options import MOST
from smp_lab.config import RunConfig
from smp_lab.errors import ConfigError
from smp_lab.jobs.cluster import RayRunner
from smp_lab.jobs.runners import LocalRunner, Runner
from smp_lab.processes import usable_cores

On = Annotated[
    str,
    typer.Option(
        metavar="local|ray[://HOST:PORT]",
        help="Where to train: here, or on a Ray cluster (extra: cluster) whose machines share the folder of runs.",
    ),
]
Cpus = Annotated[int, typer.Option(min=1, max=MOST, metavar="N", help="On a cluster: cores of a run, and its threads.")]
Gpus = Annotated[
    float, typer.Option(min=0, max=MOST, metavar="X", help="On a cluster: accelerators of a run, or a fraction of one.")
]
Memory = Annotated[float, typer.Option(min=0, max=MOST, metavar="GIB", help="On a cluster: memory that a run needs.")]
Device = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="On a cluster: accelerator that runs are meant for, as its driver names it."),
]


def the_place(
    on: str, runs: Path, jobs: int = 1, *, cpus: int, gpus: float, memory: float, device: str | None
) -> tuple[Runner, Callable[[RunConfig | None], Mapping[str, str]]]:
    """What was asked for, and the variables of the process of a run there.

    Raises
    ------
    ConfigError
        If there is no such place, or the accelerator is not named.
    """
    if on == "local":
        # They share the cores evenly.
        threads = {"OMP_NUM_THREADS": str(max(usable_cores() // jobs, 1))} if jobs > 1 else {}
        return LocalRunner(slots=jobs), lambda config: threads
    name, _, address = on.partition("://")
    if name != "ray":
        raise ConfigError(f"Unknown place {on!r}. Choose local, ray, or ray://HOST:PORT.")
    if gpus and device is None:
        raise ConfigError("Say with --device which accelerator the runs are meant for: another one makes other masks.")
    from smp_lab.training.environment import facts, pinned

    runner = RayRunner(address, runs, cpus=cpus, gpus=gpus, memory=int(memory * 2**30))

    def environment(config: RunConfig | None) -> Mapping[str, str]:
        expected = facts(config) | {"threads": cpus}
        return pinned(expected | ({"device": device, "instructions": "-"} if gpus else {}))

    return runner, environment
