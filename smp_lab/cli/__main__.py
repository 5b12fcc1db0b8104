"""`python -m smp_lab.cli`: the command where no script of it is installed, such as in child processes."""

from smp_lab.cli import main

main()
