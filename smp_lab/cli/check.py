"""`smp-lab check`: verify every file of every run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from smp_lab.cli.options import AsJson, existing, print_json
from smp_lab.errors import RunFormatError, SmpLabError
from smp_lab.paths import MASK_RECORD_FILE, RECORD_FILE, SHARED_MASKS_FOLDER
from smp_lab.storage.imported import IMPORTED_MASKS
from smp_lab.storage.measurements import MEASUREMENTS
from smp_lab.storage.runs import RUNS, load_run, unused_shared_masks
from smp_lab.storage.transfers import TRANSFERS

EXAMPLES = ("smp-lab check cached_runs", "smp-lab check runs/rte-smp_s-r0.1-s0-0123abcd")


def command(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of runs, one run, or one imported mask.", show_default=False)
    ],
    as_json: AsJson = False,
) -> None:
    """Read and verify every file of every run in DIR, and the transfers, measurements and imported masks beside them.

    A line for each, then their number and size, and the shared masks that no run names. The exit status is 1 where one
    is broken, or where there is none.
    """
    folder = existing(folder).resolve()
    # A folder that holds such a file, or anything by its name, is meant as one record.
    alone = {kind: [folder] for kind, name in _RECORD_FILES.items() if os.path.lexists(folder / name)}
    found = {kind: alone.get(kind, []) if alone else find(folder) for kind, (find, _) in _KINDS.items()}
    if not any(found.values()):
        raise RunFormatError(f"Folder {folder} holds no runs.")
    show = (lambda line: None) if as_json else typer.echo
    checked = {kind: [_checked(path, verify, show) for path in found[kind]] for kind, (_, verify) in _KINDS.items()}
    n_broken = {kind: sum(fact["problem"] is not None for fact in facts) for kind, facts in checked.items()}
    shared = [folder / SHARED_MASKS_FOLDER] if (folder / SHARED_MASKS_FOLDER).is_dir() else []
    unused = [] if any(n_broken.values()) else [str(file.relative_to(folder)) for file in unused_shared_masks(folder)]
    if as_json:
        print_json({**checked, "unused": unused})
    else:
        for kind, places in {**found, "runs": [*found["runs"], *shared]}.items():
            if checked[kind]:
                typer.echo(f"{kind}: {len(checked[kind])}, broken: {n_broken[kind]}, size: {_megabytes(_size(places))}")
        for name in unused:
            typer.echo(f"unused: {name}, which no run here names, may be deleted")
    if any(n_broken.values()):
        raise typer.Exit(1)


def _checked(path: Path, verify: Callable[[Path], object], show: Callable[[str], None]) -> dict[str, Any]:
    """What `--json` says of a record, and a line as soon as it is known."""
    size, problem = _size([path]), None
    try:
        verify(path)
    except SmpLabError as error:
        problem = str(error)
    show(f"BROKEN  {problem}" if problem else f"ok      {path.name}  {_megabytes(size)}")
    return {"name": path.name, "bytes": size, "problem": problem}


def _check_transfer(file: Path) -> None:
    transfer = TRANSFERS.load(file)
    run_id = transfer.settings.mask_run
    # The run may lie in another folder, or nowhere any more.
    if run_id is not None and (run := file.parents[1] / run_id).is_dir():
        transfer.check_mask(load_run(run))


# Kind of record -> its paths in a folder of runs, and what verifies one.
_KINDS: Mapping[str, tuple[Callable[[Path], list[Path]], Callable[[Path], object]]] = {
    "transfers": (TRANSFERS.paths, _check_transfer),
    "measurements": (MEASUREMENTS.paths, MEASUREMENTS.load),
    "imported": (IMPORTED_MASKS.paths, lambda path: IMPORTED_MASKS.load(path).read()),
    "runs": (RUNS.paths, lambda path: load_run(path).verify()),
}
_RECORD_FILES: Mapping[str, str] = {"runs": RECORD_FILE, "imported": MASK_RECORD_FILE}


def _size(paths: Iterable[Path]) -> int:
    """Bytes of files, and of the files in folders."""
    size = 0
    for path in paths:
        # What cannot be read is named where it is checked.
        with suppress(OSError):
            files = path.iterdir() if path.is_dir() else [path]
            size += sum(file.lstat().st_size for file in files if file.is_file())
    return size


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"
