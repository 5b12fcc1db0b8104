"""The metric against remaining weights, how far it can be trusted, and what a task costs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from smp_lab.analysis import curves as analysis
from smp_lab.analysis import overview
from smp_lab.analysis.sampling import Reliability
from smp_lab.figures import curves as figures
from smp_lab.figures.style import METRIC_TITLES
from smp_lab.storage.published import SOURCE
from smp_lab.storage.runs import RunRecord
from smp_lab.tasks import TASKS
from smp_lab.ui import cache, columns, controls, links, messages
from smp_lab.ui import curve_sections as sections

_EVERY = "all"
_METRIC, _DIFFERENCE = _VIEWS = ("metric", "difference to dense")
_TABLES, _FIGURE, _DISTILLED = _PUBLISHED = ("tables", "figure 1", "with distillation")
# To resample the development sets of more takes a minute.
_MOST_INTERVALS = 400


def main() -> None:
    st.title("What does a task score with fewer weights?")
    answer = messages.slot()
    runs = controls.chosen_runs(cache.run_index())
    table = controls.rows_of(runs)
    with answer:
        st.markdown(overview.answer(overview.over_tasks(table)))
    with messages.slot():
        shown, means = _curves(runs, table)
        sections.spread(means)
        if len(shown) and shown["low"].notna().all():
            sections.paper_tables(shown)
    labels = controls.run_labels(runs)
    sections.costs(runs, labels)
    sections.pair(runs, labels)
    sections.ablations()


def _curves(runs: list[RunRecord], table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The figure and its controls; the runs and means that it draws."""
    measured = [task for task in TASKS if (table["task"] == task).any()]
    published = cache.published()
    others = [task for task in published["task"].unique() if task not in measured]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        view = st.segmented_control(
            "Quantity", _VIEWS, default=_METRIC, required=True, key="quantity", bind="query-params"
        )
        task = st.selectbox(
            "Task",
            [_EVERY, *measured, *others],
            format_func=lambda name: "All measured" if name == _EVERY else columns.task_title(name),
            key="task",
            bind="query-params",
            width=180,
        )
        metric = _metric(published, task) if task != _EVERY and view == _METRIC else None
        scale = st.segmented_control(
            "Horizontal axis", figures.SCALES, default=figures.LOG, required=True, key="scale", bind="query-params"
        )
        parts = st.pills(
            "Published numbers",
            _PUBLISHED,
            selection_mode="multi",
            default=[_TABLES],
            key="published",
            bind="query-params",
            help=f"{SOURCE}, BERT-base and RoBERTa-base: other encoders than the measured ones, so their level is not "
            "comparable, their shape is. Figure 1 was read off to about 0.1.",
        )
        intervals = st.toggle(
            "Dev-set intervals",
            True,
            disabled=view == _DIFFERENCE,
            key="intervals",
            bind="query-params",
            help="95 % interval of each run over development sets of its size.",
        )
    methods, unusual = _lines(table, published)
    tasks = measured if task == _EVERY else [task]
    wanted = table["task"].isin(tasks) & table["method"].isin(methods) & (unusual | (table["variant"] == ""))
    shown = _with_intervals([run for run, row in zip(runs, wanted, strict=True) if row], table[wanted], metric)
    means = analysis.mean_curves(shown)
    kinds = published["read_off"].map({True: _FIGURE, False: _TABLES})
    published = published[kinds.isin(parts) & (~published["distilled"] | (_DISTILLED in parts))]
    drawn = (shown, means, analysis.published_lines(published, tasks, methods, metric))
    names = ", ".join(map(columns.task_title, tasks))
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
    dots, lines, points = drawn
    sources = [dots.assign(source="measured"), lines.assign(source="measured, mean over seeds"), points]
    data = pd.concat([part.drop(columns="settings", errors="ignore") for part in sources], ignore_index=True)
    panels = figures.panels_per_row(len(tasks)) if view == _METRIC else 1
    controls.show_figure(figure, data, key="curves", alt=alt, min_width=280 * panels if panels > 1 else None)
    return shown, means


def _lines(table: pd.DataFrame, published: pd.DataFrame) -> tuple[list[str], bool]:
    """Which methods are drawn, and whether runs of unusual settings are: of chosen runs all of them."""
    chosen = bool(st.session_state.get(links.RUNS))
    titles = dict(zip(published["method"], published["method_title"], strict=True))
    titles = {name: columns.method_title(name, titles) for name in dict.fromkeys([*table["method"], *titles])}
    first = [name for name in titles if chosen or name in overview.COMPARED] or list(titles)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        methods = controls.pick_several("Methods", titles, key="methods", first=first, most=len(titles))
        unusual = st.toggle(
            "Unusual settings",
            chosen or not (table["variant"] == "").any(),
            key="unusual",
            bind="query-params",
            help="Runs that differ from the usual ones of their task and method.",
        )
    return methods, unusual


def _metric(published: pd.DataFrame, task: str) -> str:
    """Of one task any of its metrics can be drawn; the main one first."""
    names = list(TASKS[task].metrics) if task in TASKS else []
    names += [name for name in published.loc[published["task"] == task, "metric"].unique() if name not in names]
    return st.selectbox(
        "Metric",
        names,
        format_func=lambda name: METRIC_TITLES.get(name, name.replace("_", " ")),
        key="metric",
        bind="query-params",
        width=180,
    )


def _with_intervals(runs: list[RunRecord], table: pd.DataFrame, metric: str | None) -> pd.DataFrame:
    """The rows of runs for one metric, with `Reliability`, and the name of each line."""
    if len(runs) > _MOST_INTERVALS:
        st.caption(
            f"Development-set intervals are left out: {len(runs):,} runs are shown, and {_MOST_INTERVALS} is most."
        )
<<<<<<< HEAD
        st.caption(f"{SOURCE}, Tables 3 to 5, BERT-base. Of another encoder than the measured runs.")
        controls.data_downloads(table, "published-ablations")


def _spread(means: pd.DataFrame) -> None:
    if means.empty:
        return
    st.subheader("How far the values can be trusted")
    st.markdown(
        "Three spreads, of three questions. **Over seeds**: would the same settings, trained again, give the same "
        "value? **Dev set**: would another development set of this size? Half the width of its 95 % interval; Wilson's "
        "for accuracy, resampled examples for other metrics. **Paired** (below): do two runs differ on the same "
        "examples? It is the sharpest, because what is hard for both does not count."
    )
    st.dataframe(
        columns.in_words(means),
        column_order=["task", "name", "remaining", "metric", "mean", "n_seeds", "sd", "n_examples", "sampling"],
        column_config=columns.SHARED
        | {
            "name": "Line",
            "mean": columns.percent("Mean"),
            "n_seeds": st.column_config.NumberColumn("Seeds"),
            "sd": columns.percent("Over seeds, sd", help="In points; none where there is one seed."),
            "sampling": columns.percent("Dev set, 95 % (±)", help="In points; mean over seeds."),
        },
        hide_index=True,
        alt="Mean over seeds of the metric with its spread over seeds and over development sets",
    )
    controls.data_downloads(means, "spread")


def _costs(runs: list[RunRecord]) -> None:
    """Table 1 of the paper for the runs at hand, and what many tasks take."""
    st.subheader("What a task costs")
    with_masks = [run for run in runs if run.has_masks]
    sizes = {run.run_id: size for run, size in messages.readable(with_masks, lambda run: run.mask_bytes)}
    table = pd.DataFrame(
        {
            "task": run.config.task_info.title,
            "method": controls.method_name(run.config.method),
            "trainable": int(run.results["trainable_parameters"]),
            "new": float(run.results["new_parameters"]),
            "encoder": run.remaining,
            "model": analysis.model_remaining(run.layout, int(run.kept.sum())),
            "packed": analysis.plain_mask_bytes(run.layout) if run.has_masks else None,
            "stored": sizes.get(run.run_id),
            "base_model": run.config.base_model,
            "run_id": run.run_id,
        }
        for run in runs
    )
    megabytes = st.column_config.NumberColumn
    st.dataframe(
        table.assign(
            packed=table["packed"] / _MEGABYTE,
            stored=table["stored"] / _MEGABYTE,
        ),
        column_config={
            "task": "Task",
            "method": "Method",
            "trainable": st.column_config.NumberColumn("Trainable parameters", format="localized"),
            "new": st.column_config.NumberColumn(
                "New parameters",
                format="localized",
                help="Per task, beside the shared encoder, as in Table 1 of the paper: a mask counts its 1-bit entries "
                "in 32-bit parameters.",
            ),
            "encoder": columns.percent("Kept, encoder", "Of the prunable weights."),
            "model": columns.percent(
                "Kept, model",
                "With embeddings, biases, LayerNorm and pooler, which are never pruned.",
            ),
            "packed": megabytes("Mask at 1 bit a weight (MB)", format="%.3f"),
            "stored": megabytes("Mask as stored (MB)", format="%.3f", help="Compressed."),
            "base_model": "Encoder",
            "run_id": "Run",
        },
        hide_index=True,
        alt="Trainable and new parameters, remaining fractions and bytes of a mask for each run",
    )
    controls.data_downloads(table, "costs")
    st.caption(
        "Embeddings, biases, LayerNorm and pooler are never pruned: BERT-base at 10 % of its encoder keeps 30.2 % of "
        "the model. A mask saves storage, not time: an empty row or column could be cut out; "
        f"{messages.ZEROS_SAVE_NO_TIME}. With its empty rows cut out, the paper's mask for MNLI at 3 % runs 1.37 times "
        f"as fast (published: {SOURCE}, section 8)."
    )
    _many_tasks([run for run in runs if run.run_id in sizes], sizes)


def _many_tasks(runs: list[RunRecord], sizes: dict[str, int]) -> None:
    if not runs:
        return
    n_tasks = int(
        st.number_input("Tasks on one shared encoder", 1, 1000, 8, key="n_tasks", bind="query-params", width=220)
    )
    first = runs[0]
    same = [run for run in runs if run.layout == first.layout]
    stored = sum(sizes[run.run_id] for run in same) / len(same)
    table = analysis.storage_of_tasks(first.layout, n_tasks, stored)
    with st.container(horizontal=True):
        for row in table.itertuples():
            st.metric(
                row.way.capitalize(),
                f"{row.bytes / _MEGABYTE:,.1f} MB",
                None if row.Index == 0 else f"{row.times:.2f} times less" if row.times >= 1 else "more than fine-tuned",
                delta_color="off",
                delta_arrow="off",
                width=240,
            )
    several = f", the mean of {len(same)} runs" if len(same) > 1 else ""
    st.caption(
        f"{n_tasks} task{'s' * (n_tasks > 1)} on {first.config.base_model} with weights in 32 bits, heads left out: "
        f"{n_tasks} fine-tuned model{'s' * (n_tasks > 1)} against one encoder and a mask each "
        f"({stored / _MEGABYTE:.3f} MB as stored{several})."
    )
    controls.data_downloads(table, "storage-of-tasks")


@st.fragment
def _pair(runs: list[RunRecord]) -> None:
    st.subheader("Two runs on the same examples")
    groups = {run.run_id: _partners(run, runs) for run in runs}
    firsts = [run for run in runs if groups[run.run_id]]
    if not firsts:
        st.caption("No two of the runs share a task, so there is no pair to compare.")
        return
    labels = controls.run_labels(runs)
    left, right = st.columns(2)
    by_id = {run.run_id: run for run in runs}
    with left:
        a = by_id[controls.pick("Run a", {run.run_id: labels[run.run_id] for run in firsts}, key="compared")]
    with right:
        partners = {run.run_id: labels[run.run_id] for run in groups[a.run_id]}
        b = by_id[controls.pick("Run b", partners, key="compared_with")]
    if a.config.data_sha256 != b.config.data_sha256:
        st.warning(
            "These two runs were measured on different data, by their fingerprints: their examples cannot be paired."
        )
        return
    with messages.sentence_on_error():
        found = cache.comparison(a, b, a.main_metric)
    st.markdown(f"a: {messages.plain(labels[a.run_id])}; b: {messages.plain(labels[b.run_id])}. {_verdict(found)}")
    if found.outcomes:
        counts = found.outcomes
        st.dataframe(
            pd.DataFrame(
                {"b right": [counts.both, counts.only_b], "b wrong": [counts.only_a, counts.neither]},
                index=["a right", "a wrong"],
            ),
            width=320,
            alt="Examples by whether run a and run b predict them right",
        )
    st.caption(
        "This is about these two trained runs and these examples. To tell methods apart takes several seeds of each."
    )


def _partners(run: RunRecord, runs: list[RunRecord]) -> list[RunRecord]:
    """Other runs of its task; those of other methods first, because two seeds of one say less."""
    others = [other for other in runs if other is not run and other.config.task == run.config.task]
    return sorted(others, key=lambda other: other.config.method == run.config.method)


def _verdict(found: Comparison) -> str:
    name = METRIC_TITLES[found.metric]
    words = "distinguishable" if found.distinguishable else "not distinguishable"
    facts = f"b minus a: **{100 * found.difference:+z.1f}** points of {name} on {found.n_examples:,} examples"
    if found.p_value is not None and found.outcomes:
        unlike = found.outcomes.only_a + found.outcomes.only_b
        facts += (
            f"; {unlike:,} examples are right in one of the two alone, {found.outcomes.only_b:,} of them in b "
            f"(McNemar's exact test, two-sided: p = {found.p_value:.2g})"
        )
    elif found.interval:
        low, high = found.interval
        facts += f", 95 % interval {100 * low:+z.1f} to {100 * high:+z.1f} (paired bootstrap over the examples)"
    return f"The two runs are **{words}** on these examples. {facts}."
=======
        spread = table.assign(low=np.nan, high=np.nan, majority_baseline=np.nan)
    else:
        with st.spinner("Resampling the development sets", show_time=True):
            found = messages.readable(runs, lambda run: cache.reliability(run, metric or run.main_metric))
        table = table.set_index("run_id", drop=False).loc[[run.run_id for run, _ in found]]
        if metric is not None:
            table = table.assign(metric=metric, value=[float(run.results["metrics"][metric]) for run, _ in found])
        known = pd.DataFrame([known for _, known in found], columns=Reliability._fields, index=table.index)
        spread = table.assign(**dict(known.items()))
    return spread.assign(name=analysis.line_names(spread)).reset_index(drop=True)
>>>>>>> f3015aa (Curves asks and answers: main methods of usual settings first, tables for a paper; its costs, spreads and pairs lie below the page)


main()
