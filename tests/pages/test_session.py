"""What a session keeps of what was asked last."""

from __future__ import annotations

import pytest
import streamlit as st

from smp_lab.ui import session


def test_the_same_is_computed_once_and_an_error_is_not_kept(monkeypatch):
    monkeypatch.setattr(st, "session_state", {})
    calls = []

    def compute():
        calls.append(1)
        return len(calls)

    assert [session.last("x", asked, compute) for asked in (["a"], ["a"], ["b"], ["b"], ["a"])] == [1, 1, 2, 2, 3]
    with pytest.raises(ZeroDivisionError):
        session.last("x", ["c"], lambda: 1 // 0)
    assert session.last("x", ["a"], compute) == 3
