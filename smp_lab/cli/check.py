"""`smp-lab check`: verify every file of every run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from smp_lab.cli.options import existing
from smp_lab.errors import RunFormatError, SmpLabError
from smp_lab.paths import RECORD_FILE, SHARED_MASKS_FOLDER
from smp_lab.storage.runs import load_run, run_folders, unused_shared_masks
from smp_lab.storage.transfers import load_transfer, transfer_files

EXAMPLES = ("smp-lab check cached_runs", "smp-lab check runs/rte-smp_s-r0.1-s0-0123abcd")


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of runs, or one run.", show_default=False)],
) -> None:
    """Read and verify every file of every run in DIR, and what its masks score on other tasks.

    A line per run and per transfer, then their number and size, and the shared masks that no run names. The
    exit status is 1 where one is broken, or where there is no run.
    """
    folder = existing(folder).resolve()
    # A folder that holds such a file, or anything by its name, is meant as a run.
    paths = [folder] if os.path.lexists(folder / RECORD_FILE) else run_folders(folder)
    if not paths:
        raise RunFormatError(f"Folder {folder} holds no runs.")
    transfers = [] if folder in paths else transfer_files(folder)
    broken_transfers = _check_each(transfers, _check_transfer)
    if transfers:
        typer.echo(f"transfers: {len(transfers)}, broken: {broken_transfers}, size: {_megabytes(transfers)}")
    broken_runs = _check_each(paths, lambda path: load_run(path).verify())
    shared = [folder / SHARED_MASKS_FOLDER] if (folder / SHARED_MASKS_FOLDER).is_dir() else []
    typer.echo(f"runs: {len(paths)}, broken: {broken_runs}, size: {_megabytes([*paths, *shared])}")
    if broken_runs + broken_transfers:
        raise typer.Exit(1)
    for file in unused_shared_masks(folder):
        typer.echo(f"unused: {file.relative_to(folder)}, which no run here names, may be deleted")


def _check_each(paths: Iterable[Path], verify: Callable[[Path], None]) -> int:
    """A line for each; returns how many are broken."""
    n_broken = 0
    for path in paths:
        try:
            verify(path)
        except SmpLabError as error:
            n_broken += 1
            typer.echo(f"BROKEN  {error}")
        else:
            typer.echo(f"ok      {path.name}  {_megabytes([path])}")
    return n_broken


def _check_transfer(file: Path) -> None:
    transfer = load_transfer(file)
    run_id = transfer.settings.mask_run
    # The run may lie in another folder, or nowhere any more.
    if run_id is not None and (run := file.parents[1] / run_id).is_dir():
        transfer.check_mask(load_run(run))


def _megabytes(paths: Iterable[Path]) -> str:
    return f"{sum(map(_size, paths)) / 1e6:.2f} MB"


def _size(path: Path) -> int:
    try:
        files = path.iterdir() if path.is_dir() else [path]
        return sum(file.lstat().st_size for file in files if file.is_file())
    except OSError:
        # What cannot be read is named where it is checked.
        return 0
