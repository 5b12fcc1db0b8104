"""Errors that a person can mend, as sentences on the page. Everything else stays loud.

Sentences hold words of others: from records, folders and the address. They go out as text, through `plain`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from smp_lab.analysis.labels import plain as plain
from smp_lab.analysis.labels import visible
from smp_lab.errors import SmpLabError

# Said wherever somebody may look for a gain in time.
NOT_FASTER = "zeros make no matrix product faster on common hardware"

_warnings: ContextVar[DeltaGenerator | None] = ContextVar("warnings", default=None)

Run = TypeVar("Run")
Content = TypeVar("Content")


def error(text: str) -> None:
    """A sentence about what went wrong, as text."""
    st.error(plain(text))


def warning(text: str) -> None:
    """A sentence of warning, as text."""
    st.warning(plain(text))


def slot() -> DeltaGenerator:
    """A place for sentences that come and go.

    Whether it is full or empty, what follows keeps its place on the page. Without it, widgets in columns below would be
    made anew, and Streamlit then no longer writes what they are set to into the URL.
    """
    return st.container()


def answer_slot() -> DeltaGenerator:
    """The place of a page's answer, below its title. What the frame has to warn of comes after it."""
    answer = slot()
    warn_here(slot())
    return answer


def warn_here(place: DeltaGenerator | None) -> None:
    """Where `not_taken` is said; None for where the script is then."""
    _warnings.set(place)


@contextmanager
def sentence_instead() -> Iterator[None]:
    """Show an `SmpLabError` as its sentence in place of what is left of the block."""
    try:
        yield
    except SmpLabError as problem:
        error(str(problem))


@contextmanager
def sentence_on_error() -> Iterator[None]:
    """Show an `SmpLabError` as its sentence and end the page there."""
    try:
        yield
    except SmpLabError as problem:
        error(str(problem))
        st.stop()


def not_taken(settings: Mapping[str, Sequence[str]]) -> None:
    """Say which settings of the URL stand for nothing here, instead of passing over them."""
    if settings:
        named = ", ".join(f"{key}={value}" for key, values in settings.items() for value in values)
        with _warnings.get() or slot():
            warning(
                f"The address asks for {named}, which this page does not have with these runs. It shows what the "
                "controls say, and its address now says the same."
            )


def readable(runs: Iterable[Run], read: Callable[[Run], Content]) -> list[tuple[Run, Content]]:
    """Read something of each run; one that cannot be read gets its sentence, and the others are read."""
    found = []
    with slot():
        for run in runs:
            with sentence_instead():
                found.append((run, read(run)))
    return found


def unreadable(problems: Sequence[tuple[Path, str]]) -> None:
    """Folders that are no runs, each with the sentence that says why, folded."""
    if problems:
        n = len(problems)
        with st.expander(f"{n} folder{'s' * (n > 1)} could not be read as {'runs' if n > 1 else 'a run'}"):
            for folder, sentence in problems:
                st.text(visible(folder.name))
                st.text(sentence)
