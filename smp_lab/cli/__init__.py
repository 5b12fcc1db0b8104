"""The command line, `smp-lab`. A command is a file with `command` and `EXAMPLES`, and a place in the list here."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from smp_lab import __version__
from smp_lab.cli import (
    app,
    check,
    evaluate,
    export,
    import_mask,
    jobs,
    measure,
    report,
    runs,
    summary,
    sweep,
    train,
    transfer,
)
from smp_lab.errors import sentence_of

commands = typer.Typer(
    help="Learn binary masks over frozen pre-trained encoders, keep them, look at them.",
    no_args_is_help=True,
    add_completion=False,
    # Plain text wraps the same in a terminal, a pipe and a log.
    rich_markup_mode=None,
    # An error that is not ours is a defect, and its whole traceback is what a report of it needs.
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Entry point: an error that a person can mend is one sentence on stderr and exit status 1.

    A polite kill ends a command as Ctrl-C does: nothing half-written stays.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        commands()
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        typer.echo(f"smp-lab: {sentence}", err=True)
        sys.exit(1)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"smp-lab {__version__}")
        raise typer.Exit


@commands.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


# In the order of the help.
for module in (app, train, jobs, transfer, sweep, runs, summary, report, check, import_mask, evaluate, measure, export):
    commands.command(
        # `import` is no name of a module.
        module.__name__.rpartition(".")[2].removesuffix("_mask"),
        # The backspace keeps the lines from being filled into one paragraph.
        epilog="\n".join(("\b", "Examples:", *(f"  {line}" for line in module.EXAMPLES))),
    )(module.command)
# Its name until 0.1.
commands.command("corpus", hidden=True)(sweep.command)
