"""`smp-lab export`: write a mask in the format of the released ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smp_lab.cli.options import named_run
from smp_lab.storage.release import write_release

EXAMPLES = ("smp-lab export rte-smp_s-r0.1-s0-0123abcd masks.npy", "smp-lab export runs/ID masks.npy")


def command(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id or folder of a run.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE.npy", help="Must not be there yet.", show_default=False)],
) -> None:
    """Write the mask of a run in the format of the released masks of Jiang et al. (2023).

    One array of bytes: the packed bits of every matrix, one after the other in the order of their names (layers 0, 1,
    10, 11, 2 and so on). Neither the run's settings nor the matrices' shapes are in it.
    """
    record = named_run(run)
    write_release(record.masks, file)
    typer.echo(f"{record.masks.kept_total:,} of {record.layout.n_weights:,} weights kept, in {file}")
