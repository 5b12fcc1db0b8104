"""The command `smp-lab`, and ``python -m smp_lab`` where no script of it is installed, such as in child processes."""

import sys


def main() -> None:
    """Entry point: Ctrl-C is no traceback while packages are imported either."""
    try:
        from smp_lab import cli
    except KeyboardInterrupt:
        sys.exit(130)
    cli.main()


if __name__ == "__main__":
    main()
