"""What a session keeps from one rerun of a page to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

Result = TypeVar("Result")


def last(name: str, asked: object, compute: Callable[[], Result]) -> Result:
    """What `compute` gave when the same was asked last; it is called again where something else is asked.

    It is kept under `name`, but for an error. `asked` is all that it follows from, compared by value.
    """
    kept: tuple[object, Result] | None = st.session_state.get(name)
    if kept is None or kept[0] != asked:
        kept = asked, compute()
        st.session_state[name] = kept
    return kept[1]
