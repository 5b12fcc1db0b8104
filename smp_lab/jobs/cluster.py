"""Runs on a Ray cluster: a task for each, which starts ``smp-lab`` on whatever machine has room.

All machines see the folder of runs. A run's own process checks that it is what the driver asked for: see
`smp_lab.training.environment`. Should its machine be lost, the run resumes elsewhere; that two never write one is the
business of `smp_lab.lease`.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import platform
import secrets
import signal
import socket
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from smp_lab.errors import ConfigError, MissingDependencyError, first_line
from smp_lab.jobs.queue import JOB_VARIABLE, NO_JOB
from smp_lab.jobs.runners import DONE, FAILED, LOST, SMP_LAB, STOPPED, start_process
from smp_lab.paths import LOGS_FOLDER

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of linux/prctl.h
_POLL_SECONDS = 0.1
_ANSWER_SECONDS = 10.0
_LOOK_SECONDS = 60.0
_PROBE = "shared-"
# Where encoders and data lie that the driver has fetched; no token goes over the network.
_HUB = ("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE")


class RayRunner:
    """Tasks of a Ray cluster; the handle is the id of a task's result. It knows those alone that it has started.

    Parameters
    ----------
    address
        As ``ray start`` prints it, HOST:PORT; empty for the cluster of this machine (RAY_ADDRESS).
    shared
        A folder that every machine must see: the runs', since Ray carries no files between machines.
    cpus, gpus, memory
        What a run is given: cores, accelerators or a fraction of one, bytes.

    Raises
    ------
    MissingDependencyError
        If Ray is not installed.
    ConfigError
        If there is no cluster, or a machine of it does not see the folder.
    """

    attempts = 3
    is_far = True

    def __init__(self, address: str, shared: Path, *, cpus: int = 1, gpus: float = 0, memory: int = 0) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Else no machine without an accelerator would be told that it has none to use.
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ModuleNotFoundError:
            raise MissingDependencyError(
                "A Ray cluster needs the package 'ray', which is not installed. Install it on each machine with: pip "
                "install -e '.[train,encoder,cluster]'"
            ) from None
        self._ray = ray
        self._wants = {"CPU": float(cpus), "GPU": float(gpus), "memory": float(memory)}
        self._wants = {name: amount for name, amount in self._wants.items() if amount}
        try:
            if not ray.is_initialized():
                if address:
                    # Ray itself asks for a minute and more.
                    host, _, port = address.rpartition(":")
                    socket.create_connection((host, int(port)), timeout=_ANSWER_SECONDS).close()
                ray.init(address or "auto", log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            raise ConfigError(
                f"No Ray cluster answers at {address or 'this machine'} ({first_line(error)[:200]}). Start one with "
                "`ray start --head`, and name the address that it prints: --on ray://HOST:PORT"
            ) from None
        self._task = ray.remote(max_retries=0, num_cpus=cpus, num_gpus=gpus, memory=memory)(work)
        self._tasks: dict[str, tuple[Any, str]] = {}
        # Log of a run -> machines on which it failed; tasks that must not go there.
        self._failed_on: defaultdict[str, set[str]] = defaultdict(set)
        self._choosy: set[str] = set()
        # A folder of the same name may be another one; of a file that was not there before this is not so.
        self._probe = shared.absolute() / LOGS_FOLDER / f"{_PROBE}{secrets.token_hex(8)}"
        self._probe.parent.mkdir(parents=True, exist_ok=True)
        self._probe.touch()
        atexit.register(self._probe.unlink, missing_ok=True)
        self._require_shared()

    def _require_shared(self) -> None:
        look = self._ray.remote(num_cpus=0, max_retries=0)(unseen)
        asked = [
            look.options(label_selector={"ray.io/node-id": node}).remote([str(self._probe)])
            for node in self._machines()
        ]
        # One that does not answer in time, or joins later, is asked again by each task.
        for answer in self._ray.wait(asked, num_returns=len(asked), timeout=_LOOK_SECONDS)[0] if asked else ():
            with suppress(self._ray.exceptions.RayError):
                if sentence := self._ray.get(answer):
                    raise ConfigError(sentence)

    @property
    def slots(self) -> int:
        """Runs for which the machines that are there now have room."""
        return sum(self._room_on(node) for node in self._ray.nodes() if node["Alive"])

    def _machines(self) -> set[str]:
        """Ids of the machines that are there and could hold a run."""
        return {node["NodeID"] for node in self._ray.nodes() if node["Alive"] and self._room_on(node)}

    def _room_on(self, node: Mapping[str, Any]) -> int:
        return int(min(node["Resources"].get(name, 0.0) / amount for name, amount in self._wants.items()))

    def start(self, words: Sequence[str], cwd: Path, environment: Mapping[str, str], log: Path) -> str:
        """As in `Runner`."""
        ours = {name: value for name, value in os.environ.items() if name.startswith("SMP_LAB_") or name in _HUB}
        pinned = {**ours, **environment, JOB_VARIABLE: NO_JOB}
        if "GPU" not in self._wants:
            pinned["CUDA_VISIBLE_DEVICES"] = ""
        # A machine whose disk is full would take every run, and fail it, before another one has room.
        there, failed = self._machines(), self._failed_on[str(log)]
        task, choosy = self._task, bool(there & failed and there - failed)
        if choosy:
            task = task.options(label_selector={"ray.io/node-id": f"!in({','.join(sorted(failed))})"})
        result = task.remote(list(words), str(cwd), pinned, str(log), str(self._probe))
        self._tasks[result.hex()] = result, str(log)
        if choosy:
            self._choosy.add(result.hex())
        return result.hex()

    def is_alive(self, handle: str) -> bool:
        """As in `Runner`; a task that waits for a machine counts."""
        task, log = self._tasks[handle]
        if handle in self._choosy and not self._machines() - self._failed_on[log]:
            # It would wait for ever: the machines that it may go to are gone.
            self.stop(handle)
        return not self._ray.wait([task], timeout=0)[0]

    def stop(self, handle: str) -> None:
        """As in `Runner`."""
        self._ray.cancel(self._tasks[handle][0], force=False)

    def outcome(self, handle: str) -> tuple[str, str]:
        """As in `Runner`."""
        errors = self._ray.exceptions
        try:
            task, log = self._tasks[handle]
            status, node, node_id, said = self._ray.get(task)
        except errors.TaskCancelledError:
            if handle in self._choosy:
                return LOST, "The machines on which it has not failed are gone."
            return STOPPED, "It was stopped."
        except (errors.RayTaskError, errors.OutOfMemoryError, errors.RuntimeEnvSetupError) as error:
            return FAILED, str(error).strip().splitlines()[-1]
        except errors.RayError as error:
            return LOST, f"Its machine or its worker is gone ({type(error).__name__})."
        if status == 0:
            return DONE, f"on {node}"
        self._failed_on[log].add(node_id)
        return FAILED, said or f"on {node}, with exit status {status}"


def unseen(places: Sequence[str]) -> str:
    """A sentence about the first place that this machine does not see; empty where it sees all."""
    for place in map(Path, places):
        if not place.exists():
            folder = place.parents[1] if place.name.startswith(_PROBE) else place
            return (
                f"Machine {platform.node()} does not share the folder {folder}. All machines must see it under this "
                "name: checkpoints and records lie there, and Ray carries no files."
            )
    return ""


def work(words: list[str], cwd: str, environment: dict[str, str], log: str, probe: str) -> tuple[int, str, str, str]:
    """What a task does: exit status of the run's process, the machine's name and id, and why it could not start.

    When the task is stopped the run leaves a checkpoint; when its worker dies the process dies with it.
    """
    import ray

    node, node_id = platform.node(), ray.get_runtime_context().get_node_id()
    if sentence := unseen([cwd, probe]):
        return 1, node, node_id, sentence
    child = start_process([*SMP_LAB, *words], Path(cwd), environment, Path(log), _die_with_parent)
    while child.poll() is None:
        try:
            time.sleep(_POLL_SECONDS)
        except KeyboardInterrupt:
            child.terminate()
            # One that stands still cannot hear.
            child.send_signal(signal.SIGCONT)
    return child.returncode, node, node_id, ""


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
