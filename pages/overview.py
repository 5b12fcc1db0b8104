"""The question and its answer, what the method is, and the table from which runs are chosen."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from smp_lab.analysis import overview as analysis
from smp_lab.analysis.run_table import search
from smp_lab.figures import style
from smp_lab.figures.overview import draw_method, plot_answer
from smp_lab.report import opened, report
from smp_lab.storage.runs import RunRecord, load_run
from smp_lab.storage.store import Listing
from smp_lab.ui import cache, columns, controls, links, messages, run_card
from smp_lab.ui.glossary import explain

_TABLE = "run_table"
_WHAT_IT_IS = """
A pre-trained encoder stays as it is: none of its weights is trained. What is learned for a task is which weights to
keep, from one score per weight that grows while the loss wants that weight further from zero. After training only the
mask remains, one bit a weight, so that many tasks share one encoder.
"""
_SOURCE = "Jiang, Wang, Zhuang, Xie, Xia (2023), [Pruning Pre-trained Language Models Without Fine-Tuning]"
_PAPER = "(https://arxiv.org/abs/2210.06210)"
# Title, words, page, and what its link says.
_DOORS = (
    ("Learn", "How a mask is learned, with small networks to play with.", links.LEARN, "Open the lesson"),
    ("Explore", "Task by task, and how far the values can be trusted.", links.CURVES, "Open the curves"),
    ("Run", "Train a mask of your own and watch it form.", links.TRAIN, "Train a mask"),
)
_COLUMNS = ["task", "method", "level", "variant", "value", "metric", "remaining", "seed", "n_examples", "base_model"]
_FILTERS = {"task": "Task", "method": "Method", "base_model": "Encoder", "source": "Source"}


def main() -> None:
    index = cache.run_index()
    st.title("How much of a language model does a task need?")
    answer = messages.answer_slot()
    if index.records:
        _answer(answer, cache.run_table())
    _method()
    st.header("Runs", anchor="runs")
    controls.warn_of_missing(st.session_state[links.RUNS], index)
    if index.records:
        _choose(index, cache.run_table())
        run_card.show(index)
    else:
        controls.no_runs()
    messages.unreadable(index.problems)


def _answer(place: DeltaGenerator, runs: pd.DataFrame) -> None:
    table = cache.computed(analysis.over_tasks, runs)
    if words := cache.computed(analysis.answer, table):
        place.markdown(words, help=explain("remaining weights", "kept"))
    figure = controls.drawn(plot_answer, table)
    controls.show_figure(
        figure,
        table,
        key="answer",
        alt="Mean of the main metric over tasks against remaining weights in percent, for SMP-S, magnitude pruning and "
        "random masks, with dense fine-tuning as a level.",
        # The names at the ends of lines have to stand in each panel.
        min_width=520 if len(list(figure.select_xaxes())) == 1 else style.PAGE_PIXELS,
    )
    doors = st.columns(3)
    for place, (title, words, page, label) in zip(doors, _DOORS, strict=True):
        with place.container(border=True):
            st.markdown(f"**{title}**\n\n{words}")
            links.page_link(page, label)


def _method() -> None:
    times = controls.scale()
    # Side by side where there is room for both.
    both = st.container(horizontal=True, gap="large", vertical_alignment="center")
    with both.container(width=int(370 * times)):
        st.markdown(_WHAT_IT_IS)
        st.caption(f"It saves storage, not time: {messages.NOT_FASTER}.")
        st.caption(_SOURCE + _PAPER)
    both.image(
        draw_method(controls.theme()),
        width=int(540 * times),
        alt="The largest scores S give the binary mask M; the mask times the frozen weights W is what the layer uses; "
        "the gradient passes the mask unchanged and moves S alone.",
    )


def _choose(index: Listing[RunRecord], table: pd.DataFrame) -> None:
    """The runs as a table; selected rows are the choice that all pages share."""
    names = cache.run_labels()
    places = st.columns([2, 1, 1, 1, 1])
    words = places[0].text_input(
        "Search", key="search", bind="query-params", placeholder="Any words: cola 10 % regularizer"
    )
    shown = search(table, names, words)
    written = cache.computed(columns.in_words, table)
    for place, (column, label) in zip(places[1:], _FILTERS.items(), strict=True):
        names_of = dict(sorted(zip(table[column], written[column], strict=True)))
        with place:
            wanted = controls.pick_several(
                label, names_of, key=f"filter_{column}", first=[], most=len(names_of), placeholder="All"
            )
        if wanted:
            shown = shown[shown[column].isin(wanted)]
    shown = shown.reset_index(drop=True)
    chosen = st.session_state.get(links.RUNS, [])
    # The table follows the choice, whoever made it: a link, the sidebar, or a row of the table itself.
    rows = [place for place, run_id in enumerate(shown["run_id"]) if run_id in chosen]
    st.session_state[_TABLE] = {"selection": {"rows": rows, "columns": [], "cells": []}}
    columns.show(
        columns.in_words(shown),
        column_config=columns.SHARED,
        column_order=[*_COLUMNS, "source", "run_id"],
        key=_TABLE,
        # In the lecture view there is nothing to tick.
        on_select="ignore" if links.in_lecture() else lambda: _take_rows(shown["run_id"].tolist()),
        selection_mode="multi-row",
        alt="Runs with task, method, remaining weights and main metric",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        links.page_link(links.SPARSITY, "Where the chosen runs keep weights")
        links.page_link(links.OVERLAP, "What their masks share")
        links.page_link(links.HISTORY, "How they were trained")
        controls.data_downloads(shown.drop(columns="settings"), "runs")
        reported = [run_id for run_id in chosen if run_id in index.records] or shown["run_id"].tolist()
        controls.download(
            "Report (HTML)",
            lambda: _report(index, reported, table),
            "report.html",
            "text/html",
            key="report",
            disabled=not reported,
        )


def _report(index: Listing[RunRecord], names: Sequence[str], table: pd.DataFrame) -> str:
    # Of records of its own: those of the index stay as small as they are.
    records, problems = opened(names, lambda name: load_run(index.records[name].path))
    return report(records, table, problems)


def _take_rows(shown: list[str]) -> None:
    """Choose the selected rows, and keep what is chosen among the runs that the filters hide."""
    selected = [shown[row] for row in st.session_state[_TABLE]["selection"]["rows"]]
    hidden = [run_id for run_id in st.session_state.get(links.RUNS, []) if run_id not in shown]
    links.choose([*hidden, *selected])


main()
