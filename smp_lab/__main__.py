"""The command `smp-lab`, and ``python -m smp_lab`` where no script of it is installed, such as in child processes."""

import signal


def main() -> None:
    """Entry point: Ctrl-C is no traceback while packages are imported either."""
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        # An exception in the middle of an import may come out as another one, or not at all.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from smp_lab import cli

    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    cli.main()


if __name__ == "__main__":
    main()
