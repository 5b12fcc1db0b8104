"""Who may change something through the app. Decided on the server, here and nowhere else.

A page only asks; `smp_lab.ui.actions` refuses whatever a page, or a message that no page sent, asks for.
"""

from __future__ import annotations

import os
import shlex

import streamlit as st

from smp_lab.errors import JobError
from smp_lab.paths import ALLOW_TRAINING_VARIABLE, CLUSTER_VARIABLE, READ_ONLY_VARIABLE
from smp_lab.recipes import PACKAGED_ENCODER

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")


def is_local() -> bool:
    """Whether this machine alone reaches the app."""
    return st.get_option("server.address") in _LOOPBACK


def refusal() -> str | None:
    """Why nothing can be changed through this app; None where it can."""
    if _is_set(READ_ONLY_VARIABLE):
        return "This app only shows: it was started read-only."
    if not is_local() and not _is_set(ALLOW_TRAINING_VARIABLE):
        return (
            "This app listens to other machines, so it only shows. Whoever runs it can allow training with "
            "`smp-lab app --allow-training`."
        )
    return None


def require_change_allowed() -> None:
    """Raise `JobError` if nothing can be changed through this app."""
    if (sentence := refusal()) is not None:
        raise JobError(sentence)


def encoders() -> tuple[str, ...] | None:
    """Encoders that may be named; None for any folder and any model of the hub, where this machine alone asks."""
    return None if is_local() else (PACKAGED_ENCODER,)


def cluster() -> list[str]:
    """Options of ``smp-lab train`` for the cluster that whoever started the app has named; empty where none is."""
    return shlex.split(os.environ.get(CLUSTER_VARIABLE, ""))
