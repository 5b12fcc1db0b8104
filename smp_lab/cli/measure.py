"""`smp-lab measure`: how long the forms of masks take on this machine."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from smp_lab.cli.options import MOST, AsJson, MeasurementFolder, extras_for, named_run, print_json
from smp_lab.paths import own_runs_folder

EXAMPLES = ("smp-lab measure sst2-smp_s-r0.03-s0-0123abcd --cut 5 --cut 10 --cut 20",)


def command(
    names: Annotated[list[str], typer.Argument(metavar="RUN", help="Ids or folders of runs.", show_default=False)],
    cut: Annotated[
        list[int] | None,
        typer.Option(
            metavar="K",
            min=0,
            max=MOST,
            help="Also the compact form without rows that keep fewer than K weights; can be repeated.",
        ),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(metavar="NAME", help="Folder or hub name of the encoder.  [default: the run's]")
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(metavar="N", min=1, max=1024, help="Threads; can be repeated.  [default: 1, and one a core]"),
    ] = None,
    seconds: Annotated[
        float,
        typer.Option(metavar="S", min=0.0, help="Time for each size: at least 5 rounds are run, at most 50."),
    ] = 5.0,
    runs: MeasurementFolder = None,
    as_json: AsJson = False,
) -> None:
    """Time the forms of masks on this machine, and keep the measurement beside them.

    The forms are the encoder with masked weights (whose zeros take as long as any number), compact ones, the exact
    compact one in ONNX Runtime, and masked weights as torch's sparse rows. They take turns, for one thread and all, at
    16, 32 and 128 tokens and batches of 1 and 32. Run it on an idle machine. What was measured here before is read.
    """
    folder = own_runs_folder() if runs is None else runs
    records = [named_run(name, folder) for name in names]
    with extras_for("Timing a model"):
        from smp_lab.inference.pruned import Pruned
        from smp_lab.inference.timing import time_mask
        from smp_lab.training.encoders import find_encoder, load_encoder
    measured, loaded, of = {}, None, None
    for record in records:
        if (name := encoder or record.config.base_model) != of:
            of, loaded = name, load_encoder(find_encoder(name))
        pruned = Pruned.load(record, encoder=loaded)
        timed = time_mask(
            record.mask_record,
            pruned,
            folder,
            command=shlex.join(["smp-lab", *sys.argv[1:]]),
            cuts=cut or (),
            threads=threads or (),
            seconds=seconds,
        )
        measured[timed.measurement_id] = timed.table
        if as_json:
            continue
        typer.echo(f"{record.run_id}, kept as {timed.path.name} in {timed.path.parent}")
        for row in timed.table.to_dict("records"):
            typer.echo(
                f"{row['form']} {row['cut']}, threads {row['threads']}, {row['batch']} x {row['length']} tokens: "
                f"{row['milliseconds']:.1f} ms ({row['low']:.1f} to {row['high']:.1f}), {row['faster']:.2f} times as "
                f"fast as masked ({row['faster_low']:.2f} to {row['faster_high']:.2f})"
            )
    if as_json:
        print_json(measured)
