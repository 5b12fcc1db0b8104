"""Errors that a person can mend, as sentences on the page. Everything else stays loud."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import streamlit as st

from smp_lab.errors import SmpLabError

# Said wherever somebody may look for a gain in time.
ZEROS_SAVE_NO_TIME = (
    "zeros anywhere else save storage alone, because a matrix product does not get faster by them on common hardware"
)

Run = TypeVar("Run")
Content = TypeVar("Content")


@contextmanager
def sentence_on_error() -> Iterator[None]:
    """Show an `SmpLabError` as its sentence and end the page there."""
    try:
        yield
    except SmpLabError as error:
        st.error(str(error))
        st.stop()


def readable(runs: Iterable[Run], read: Callable[[Run], Content]) -> list[tuple[Run, Content]]:
    """Read something of each run; one that cannot be read gets its sentence, and the others go on."""
    found = []
    for run in runs:
        try:
            found.append((run, read(run)))
        except SmpLabError as error:
            st.error(str(error))
    return found
