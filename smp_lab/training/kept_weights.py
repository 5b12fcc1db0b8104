"""The trained weights that a dense run leaves beside its record, so that it can teach another run later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from smp_lab.lease import Lease
from smp_lab.paths import weights_file
from smp_lab.storage.sealed import sync_file, sync_folder
from smp_lab.training.checkpoints import writing


def keep_weights(runs: Path, run_id: str, state: Mapping[str, Tensor], lease: Lease) -> Path:
    """Write the trained weights of a run whole or not at all, and return their file, in a hidden folder of `runs`.

    Raises
    ------
    LeaseLostError
        If the run was taken over by another process.
    RunWriteError
        If the folder cannot be written or the disk is full. Nothing is left behind once the lease is released.
    """
    file = weights_file(runs, run_id)
    temporary = lease.staging / file.name
    with writing(f"The weights of run {run_id}, {file},"):
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(state), temporary)
        sync_file(temporary)
        lease.publish(temporary, file)
        sync_folder(file.parent)
    return file
