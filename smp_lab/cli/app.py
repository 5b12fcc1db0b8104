"""`smp-lab app`: open the app in a browser."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from smp_lab.cli.options import existing
from smp_lab.errors import MissingDependencyError
from smp_lab.paths import RUNS_VARIABLE, own_runs_folder, pages_folder, project_folder

EXAMPLES = ("smp-lab app", "smp-lab app --port 8600", "smp-lab app --runs /data/my-runs")


def command(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="N", help="TCP port to listen on.  [default: 8501, or the next free one]"
        ),
    ] = None,
    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help=f"Folder of your own runs.  [default: {RUNS_VARIABLE}, else runs/ in the clone]"
        ),
    ] = None,
) -> None:
    """Open the app in a browser.

    It shows your own runs and those in cached_runs/, and prints its address. Ctrl-C stops it. Only this machine reaches
    it, unless the variable STREAMLIT_SERVER_ADDRESS names another address to listen on, such as 0.0.0.0.
    """
    if not pages_folder().is_dir():
        raise MissingDependencyError(
            f"The app's pages are not in {pages_folder()}. SMP Lab runs from its clone: install it there with "
            "`pip install -e .`"
        )
    folder = own_runs_folder() if runs is None else existing(runs)
    command = [sys.executable, "-m", "streamlit", "run", str(project_folder() / "smp_lab" / "app.py")]
    if port is not None:
        command += ["--server.port", str(port)]
    environment = {
        # By itself Streamlit listens to the whole network,
        "STREAMLIT_SERVER_ADDRESS": "localhost",
        # and on its first start asks for an e-mail address and waits.
        "STREAMLIT_SERVER_SHOW_EMAIL_PROMPT": "false",
        **os.environ,
        RUNS_VARIABLE: str(folder.absolute()),
    }
    # Streamlit takes the theme from the folder it is started in.
    os.chdir(project_folder())
    # In place of this process, so that signals reach the server.
    os.execve(sys.executable, command, environment)
