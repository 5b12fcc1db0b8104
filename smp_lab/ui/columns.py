"""How columns of tables are headed and written on screen; in a table and in a file a fraction is a fraction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from smp_lab.analysis.labels import method_name
from smp_lab.figures.style import METRIC_TITLES
from smp_lab.methods import METHODS
from smp_lab.tasks import TASKS
from smp_lab.ui.glossary import explain


def percent(label: str, help: str | None = None) -> Any:  # Streamlit's own name for it
    """A column of fractions, written in percent with two decimals at most."""
    # With a step Streamlit cuts decimals off instead of rounding.
    return st.column_config.NumberColumn(label, format="percent", help=help)


def count(label: str, help: str | None = None) -> Any:
    """A column of whole numbers."""
    return st.column_config.NumberColumn(label, format="localized", help=help)


# Columns that tables of several pages have, by name.
SHARED: dict[str, Any] = {
    "run": "Run",
    "task": "Task",
    "method": "Method",
    "variant": st.column_config.TextColumn(
        "Differs in",
        help="From the usual run of this task, method and encoder among all runs here; empty for a usual one.",
    ),
    "level": percent("Asked to keep", explain("asked to keep")),
    "remaining": percent("Kept", explain("kept")),
    "metric": "Metric",
    "value": percent("Value"),
    "n_examples": count("Dev examples"),
    "base_model": "Encoder",
    "seed": st.column_config.NumberColumn("Seed", format="%d"),
    "source": "Source",
    "run_id": st.column_config.TextColumn("Run id", help="Names the folder of the record."),
}


def show(table: pd.DataFrame, **settings: Any) -> None:
    """A table as all pages show it; settings are those of ``st.dataframe``."""
    st.dataframe(table, hide_index=True, placeholder="-", **settings)


def method_title(method: str, published: Mapping[str, str]) -> str:
    """A method in short; of those that are published alone by the titles there."""
    return method_name(method) if method in METHODS else published[method]


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """A table with tasks, methods, metrics and changes as people write them."""
    words = {
        "task": lambda task: TASKS[task].title,
        "method": method_name,
        "metric": lambda metric: METRIC_TITLES.get(metric, metric),
        # As many decimals as `percent` shows: a smaller change is 0, without a sign.
        "change": lambda change: round(change, 4) + 0.0,
    }
    return table.assign(**{name: table[name].map(write) for name, write in words.items() if name in table})
