"""The metric against remaining weights, and how far it can be trusted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from smp_lab.analysis import curves as analysis
from smp_lab.analysis import overview
from smp_lab.figures import curves as figures
from smp_lab.figures import style
from smp_lab.storage.published import SOURCE
from smp_lab.storage.runs import RunRecord
from smp_lab.tasks import TASKS
from smp_lab.ui import cache, columns, controls, links, messages
from smp_lab.ui import curve_sections as sections
from smp_lab.ui.glossary import explain

_EVERY = "all"
_, _BEST = _EVALUATIONS = ("last", "best at the final density")
_METRIC, _DIFFERENCE = _VIEWS = ("metric", "difference to dense")
_TABLES, _FIGURE, _DISTILLED = _PUBLISHED = ("tables", "figure 1", "with distillation")


def main() -> None:
    st.title("What does a task score with fewer weights?")
    answer = messages.answer_slot()
    runs = controls.chosen_runs(cache.run_index())
    table = controls.rows_of(runs)
    with messages.slot():
        shown, means, said = _curves(runs, table)
        if words := cache.computed(overview.answer, cache.computed(overview.over_tasks, shown)):
            answer.markdown(f"{words}{said}", help=explain("remaining weights", "kept"))
        sections.spread(means)
        if len(shown) and shown["low"].notna().all():
            sections.paper_tables(shown)
    labels = controls.run_labels(runs)
    sections.pair(runs, labels)
    sections.when_opened("What the paper claims, and what these runs say", sections.claims, runs)
    sections.when_opened("Tables 1 to 5 and 7 of the paper", sections.published_tables, runs, table)


def _curves(runs: list[RunRecord], table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """The figure and its controls; the runs and means that it draws, and of which values, if not the usual ones."""
    opened = sections.imported_points(None)
    measured = [task for task in TASKS if task in {*table["task"], *opened.get("task", [])}]
    published = cache.published()
    others = [task for task in published["task"].unique() if task not in measured]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = controls.one_of("Quantity", _VIEWS, key="quantity")
        task = st.selectbox(
            "Task",
            [_EVERY, *measured, *others],
            format_func=lambda name: "All measured" if name == _EVERY else TASKS[name].title,
            key="task",
            bind="query-params",
            width=180,
        )
        evaluation = controls.one_of(
            "Evaluation",
            _EVALUATIONS,
            key="evaluation",
            help="Published numbers are the best evaluation among those at the final density. It is chosen on the "
            "development set that it is measured on, so it has no interval here.",
        )
        metric = sections.pick_metric(task) if task != _EVERY and view == _METRIC else None
        scale = controls.one_of("Horizontal axis", figures.SCALES, key="scale")
        parts = st.pills(
            "Published numbers",
            _PUBLISHED,
            selection_mode="multi",
            default=[_TABLES],
            key="published",
            bind="query-params",
            help=f"{SOURCE}, BERT-base and RoBERTa-base: of another encoder the level is not comparable, the shape is. "
            "Values of figure 1 are read from the picture, to about 0.1.",
        )
        intervals = st.toggle(
            "Dev-set intervals",
            True,
            disabled=view == _DIFFERENCE or evaluation == _BEST,
            key="intervals",
            bind="query-params",
            help="95 % interval of each run over development sets of its size.",
        )
    methods, unusual = _lines(table, published)
    tasks = measured if task == _EVERY else [task]
    wanted = table["task"].isin(tasks) & table["method"].isin(methods) & (unusual | (table["variant"] == ""))
    drawn_runs = [run for run, row in zip(runs, wanted, strict=True) if row]
    shown = sections.with_intervals(drawn_runs, table[wanted], metric)
    if evaluation == _BEST:
        best = {run.run_id: run.best_at_final_density(metric or run.main_metric) for run in drawn_runs}
        shown = shown.assign(value=shown["run_id"].map(best), low=np.nan, high=np.nan)
    means = cache.computed(analysis.mean_curves, shown)
    kinds = published["read_off"].map({True: _FIGURE, False: _TABLES})
    published = published[kinds.isin(parts) & (~published["distilled"] | (_DISTILLED in parts))]
    points = analysis.published_lines(published, tasks, methods, metric)
    opened = sections.imported_points(metric)
    if len(opened):
        points = pd.concat([points, opened[opened["task"].isin(tasks)]], ignore_index=True).fillna(
            {"how": figures.PUBLISHED}
        )
    drawn = (shown, means, points)
    names = ", ".join(TASKS[name].title for name in tasks)
    if view == _METRIC:
        figure = controls.drawn(figures.plot_curves, *drawn, scale=scale, intervals=intervals)
        alt = f"Metric against remaining weights in percent for {names}."
    else:
        drawn = analysis.differences(*drawn)
        if drawn[0].empty:
            st.info(
                "None of the measured runs has a dense run of the same task, encoder and data beside it; "
                "only published differences can be drawn."
            )
        figure = controls.drawn(figures.plot_difference, *drawn, scale=scale, color_by=controls.pick_color())
        alt = f"Difference of the main metric to dense fine-tuning against remaining weights in percent for {names}."
    sources = [drawn[0].assign(source="measured"), drawn[1].assign(source="measured, mean over seeds"), drawn[2]]
    data = pd.concat([part.drop(columns="settings", errors="ignore") for part in sources], ignore_index=True)
    panels = len({axis.domain for axis in figure.select_xaxes()})
    # Names at the ends of lines are where a page's width has room for them.
    controls.show_figure(figure, data, key="curves", alt=alt, min_width=max(280 * panels, style.PAGE_PIXELS))
    sections.parts_of_data(drawn_runs)
    said = ""
    if metric is not None and metric != TASKS[task].main_metric:
        said += f" The values are of {style.METRIC_TITLES[metric]}."
    if evaluation == _BEST:
        said += " The values are of the best evaluation at the final density."
    return shown, means, said


def _lines(table: pd.DataFrame, published: pd.DataFrame) -> tuple[list[str], bool]:
    """Which methods are drawn, and whether runs of unusual settings are: of chosen runs all of them."""
    chosen = bool(st.session_state.get(links.RUNS))
    titles = dict(zip(published["method"], published["method_title"], strict=True))
    titles = {name: columns.method_title(name, titles) for name in dict.fromkeys([*table["method"], *titles])}
    first = [name for name in titles if chosen or name in overview.COMPARED] or list(titles)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        methods = controls.pick_several("Methods", titles, key="methods", first=first, most=len(titles))
        unusual = chosen or st.toggle(
            "Unusual settings",
            not (table["variant"] == "").any(),
            key="unusual",
            bind="query-params",
            help="Runs that differ from the usual ones of their task and method.",
        )
    return methods, unusual


main()
