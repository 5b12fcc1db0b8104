"""`smp-lab app`: open the app in a browser."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from smp_lab.cli.options import existing, runs_option
from smp_lab.errors import ConfigError
from smp_lab.paths import (
    ALLOW_TRAINING_VARIABLE,
    CLUSTER_VARIABLE,
    DATA_VARIABLES,
    READ_ONLY_VARIABLE,
    RUNS_VARIABLE,
    app_file,
    named_path,
    own_runs_folder,
    project_folder,
)

EXAMPLES = ("smp-lab app", "smp-lab app --port 8600", "smp-lab app --runs /data/my-runs")


def command(
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, metavar="N", help="TCP port to listen on.  [default: 8501, or the next free one]"
        ),
    ] = None,
    runs: Annotated[Path | None, runs_option("Folder of your own runs.")] = None,
    read_only: Annotated[
        bool,
        typer.Option(
            "--read-only",
            help=f"Show only: nothing can be started, stopped or deleted through the app ({READ_ONLY_VARIABLE}=1).",
        ),
    ] = False,
    allow_training: Annotated[
        bool,
        typer.Option(
            "--allow-training",
            help="Let other machines start, stop and delete too, where the app listens to them.",
        ),
    ] = False,
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="OPTIONS",
            envvar=CLUSTER_VARIABLE,
            show_envvar=False,
            help="Let the page Train queue runs for a Ray cluster too: options of train that say where it is and what "
            f"a run gets there, such as '--on ray://HOST:PORT --cpus 4' ({CLUSTER_VARIABLE}).",
        ),
    ] = None,
) -> None:
    """Open the app in a browser.

    It shows your own runs and, in a clone, those in cached_runs/, and prints its address. Ctrl-C stops it. Only this
    machine reaches it, unless the variable STREAMLIT_SERVER_ADDRESS names another address, such as 0.0.0.0: then the
    app only shows, unless --allow-training is given.
    """
    folder = own_runs_folder() if runs is None else existing(runs)
    try:
        shlex.split(cluster or "")
    except ValueError as error:
        raise ConfigError(
            f"--cluster takes options of smp-lab train, such as '--on ray://HOST:PORT --cpus 4'; got {cluster!r}: "
            f"{error}."
        ) from None
    command = [sys.executable, "-m", "streamlit", "run", str(app_file())]
    if port is not None:
        command += ["--server.port", str(port)]
    environment = {
        # By itself Streamlit listens to the whole network,
        "STREAMLIT_SERVER_ADDRESS": "localhost",
        # and on its first start asks for an e-mail address and waits.
        "STREAMLIT_SERVER_SHOW_EMAIL_PROMPT": "false",
        **os.environ,
        # It runs in another folder.
        **{
            name: str(named_path(data).absolute()) for name in DATA_VARIABLES.values() if (data := os.environ.get(name))
        },
        RUNS_VARIABLE: str(folder.absolute()),
        **({READ_ONLY_VARIABLE: "1"} if read_only else {}),
        **({ALLOW_TRAINING_VARIABLE: "1"} if allow_training else {}),
        **({CLUSTER_VARIABLE: cluster} if cluster else {}),
    }
    # Streamlit takes the theme from the folder it is started in.
    os.chdir(project_folder())
    # In place of this process, so that signals reach the server.
    os.execve(sys.executable, command, environment)
