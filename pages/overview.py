"""What the method is, what the runs at hand say, and the table from which runs are chosen."""

from __future__ import annotations

import json

import pandas as pd
import streamlit as st

from smp_lab.analysis.overview import common_level, means_beside, metric_left, widest_setting
from smp_lab.analysis.run_card import card_markdown, run_card
from smp_lab.analysis.sampling import wilson_interval
from smp_lab.figures.overview import draw_method
from smp_lab.figures.style import METRIC_TITLES
from smp_lab.storage.runs import RunIndex
from smp_lab.tasks import TASKS
from smp_lab.ui import cache, columns, controls, links, messages

_TABLE = "run_table"
_CARD = "card"
_WHAT_IT_IS = """
A pre-trained encoder stays as it is: none of its weights is trained. What is learned for a task is which weights to
keep, from one score per weight that grows while the loss wants that weight further from zero. After training only the
mask remains, one bit a weight, so that many tasks share one encoder.
"""
_SOURCE = "Jiang, Wang, Zhuang, Xie, Xia (2023), [Pruning Pre-trained Language Models Without Fine-Tuning]"
_PAPER = "(https://arxiv.org/abs/2210.06210)"
_COLUMNS = [
    "task",
    "method",
    "variant",
    "level",
    "remaining",
    "metric",
    "value",
    "n_examples",
    "base_model",
    "seed",
    "source",
    "run_id",
]


def main() -> None:
    index = cache.run_index()
    st.title("Pruning without fine-tuning")
    words, picture = st.columns([2, 3], gap="large", vertical_alignment="center")
    with words:
        st.markdown(_WHAT_IT_IS)
        st.caption(f"It saves storage, not time: {messages.NOT_FASTER}.")
        st.caption(_SOURCE + _PAPER)
    picture.image(
        draw_method(controls.theme()),
        width="stretch",
        alt="The largest scores S give the binary mask M; the mask times the frozen weights W is what the layer uses; "
        "the gradient passes the mask unchanged and moves S alone.",
    )
    if index.runs:
        table = cache.run_table()
        _answer(table)
        _choose(table)
        _card(index)
    else:
        st.subheader("Runs")
        controls.no_runs()
    _problems(index)


def _answer(table: pd.DataFrame) -> None:
    """How much of the main metric is left at the fraction that most tasks were pruned to."""
    level = common_level(table)
    if level is None:
        return
    every = metric_left(table, level)
    left = widest_setting(every)
    st.subheader(f"How much is left at {controls.percent(level)} of the weights?")
    with st.container(horizontal=True):
        for row in left.itertuples():
            several = f", mean of {row.n_seeds} seeds" if row.n_seeds > 1 else ""
            name = controls.method_name(row.method)
            compared = pd.notna(row.change)
            made = ", ".join(filter(None, (name, row.variant)))
            st.metric(
                f"**{TASKS[row.task].title}** {METRIC_TITLES[row.metric]} · {made}",
                f"{100 * row.value:.1f}",
                f"{100 * row.change:+.1f} against {controls.percent(row.reference_level)} kept" if compared else None,
                delta_color="off",
                delta_arrow="off",
                help=f"{row.method}, {row.base_model}; {row.n_examples:,} development examples{several}.",
                width=200,
            )
    _beside(means_beside(every, left), left)
    st.caption(
        "Main metric x 100 on the development set, beside the run of the same task and encoder that keeps most. "
        f"Fractions are of the encoder's prunable weights. {_noise(left)}"
    )
    links.page_link(links.CURVES, "How far these values can be trusted")


def _beside(means: pd.Series[float], left: pd.DataFrame) -> None:
    """What other methods have left on the same tasks at the same fraction."""
    if len(means) < 2:
        return
    values = [f"{100 * value:.1f} by {controls.method_name(str(method))}" for method, value in means.items()]
    references = left["reference_level"].unique()
    if len(references) == 1 and pd.notna(references[0]):
        values.append(f"{100 * left['reference_value'].mean():.1f} with {controls.percent(references[0])} kept")
    st.markdown(f"Mean over {'this task' if len(left) == 1 else f'these {len(left)} tasks'}: {', '.join(values)}.")


def _noise(left: pd.DataFrame) -> str:
    """What the smallest development set can tell apart."""
    fewest = left.loc[left["n_examples"].idxmin()]
    n = int(fewest["n_examples"])
    low, high = wilson_interval(n // 2, n)
    return (
        f"On the {n:,} examples of {TASKS[fewest['task']].title}, the fewest here, an accuracy near 50 % is known to "
        f"± {50 * (high - low):.1f} points (95 %)."
    )


def _choose(table: pd.DataFrame) -> None:
    """The runs as a table; selected rows are the choice that all pages share."""
    st.subheader("Runs")
    shown = table
    filters = st.columns(4)
    for place, column, label in (
        (0, "task", "Task"),
        (1, "method", "Method"),
        (2, "base_model", "Encoder"),
        (3, "source", "Source"),
    ):
        wanted = filters[place].multiselect(
            label, sorted(table[column].unique()), key=f"filter_{column}", bind="query-params", placeholder="All"
        )
        if wanted:
            shown = shown[shown[column].isin(wanted)]
    shown = shown.reset_index(drop=True)
    chosen = st.session_state.get(links.RUNS, [])
    # The table follows the choice, whoever made it: a link, the sidebar, or a row of the table itself.
    rows = [place for place, run_id in enumerate(shown["run_id"]) if run_id in chosen]
    st.session_state[_TABLE] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    st.dataframe(
        columns.in_words(shown),
        column_config=columns.SHARED,
        column_order=_COLUMNS,
        hide_index=True,
        key=_TABLE,
        on_select=lambda: _take_rows(shown["run_id"].tolist()),
        selection_mode="multi-row",
        alt="Runs with task, method, remaining weights and main metric",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        links.page_link(links.SPARSITY, "Where the chosen runs keep weights")
        links.page_link(links.OVERLAP, "What their masks share")
        links.page_link(links.TRAINING, "How they were trained")
        controls.data_downloads(shown.drop(columns="settings"), "runs")


def _take_rows(shown: list[str]) -> None:
    """Choose the selected rows, and keep what is chosen among the runs that the filters hide."""
    selected = [shown[row] for row in st.session_state[_TABLE]["selection"]["rows"]]
    hidden = [run_id for run_id in st.session_state.get(links.RUNS, []) if run_id not in shown]
    links.choose([*hidden, *selected])


def _card(index: RunIndex) -> None:
    """What the record of one run says about itself."""
    chosen = [run_id for run_id in st.session_state.get(links.RUNS, []) if run_id in index.runs]
    # Open where a link asks for one; later choices are not to fold it.
    asked_for = st.session_state.setdefault("card_in_link", _CARD in st.query_params)
    with st.expander("Run card: settings, provenance and the command that makes a run again", expanded=asked_for):
        run = index.runs[st.selectbox("Run", chosen or list(index.runs), key=_CARD, bind="query-params")]
        card = run_card(run.config, run.layout, run.provenance, run.results)
        st.markdown(card_markdown(card, level=4))
        with st.container(horizontal=True):
            controls.text_download(
                "Card (Markdown)", lambda: card_markdown(card), f"{run.run_id}.md", "text/markdown", key="card-md"
            )
            controls.text_download(
                "Card (JSON)",
                lambda: json.dumps(card, indent=1),
                f"{run.run_id}.json",
                "application/json",
                key="card-json",
            )


def _problems(index: RunIndex) -> None:
    if index.problems:
        n = len(index.problems)
        with st.expander(f"{n} folder{'s' * (n > 1)} could not be read as {'runs' if n > 1 else 'a run'}"):
            for folder, sentence in index.problems:
                st.markdown(f"`{folder.name}`")
                st.text(sentence)


main()
