"""Sections of the page Curves below its figure: spreads, a pair of runs, the paper's claims and tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from smp_lab.analysis import claims as analysis_claims
from smp_lab.analysis import curves
from smp_lab.analysis.labels import without_tags
from smp_lab.analysis.paper_tables import table_1, table_2, tables_3_to_5
from smp_lab.analysis.run_card import part_of_the_data
from smp_lab.analysis.run_table import ENCODER
from smp_lab.analysis.sampling import Comparison, Reliability
from smp_lab.analysis.summary import as_latex, as_markdown, caption, summarize, summary_cells
from smp_lab.figures import curves as figures
from smp_lab.figures.style import METRIC_TITLES
from smp_lab.storage.measurements import SCORE
from smp_lab.storage.published import SOURCE
from smp_lab.storage.runs import RunRecord
from smp_lab.tasks import TASKS
from smp_lab.ui import cache, columns, controls, messages

# To resample the development sets of more takes a minute.
_MOST_INTERVALS = 400


def pick_metric(task: str) -> str:
    """Of one task any of its metrics can be drawn; the main one first."""
    names, title_of = TASKS[task].metrics, METRIC_TITLES.__getitem__
    return st.selectbox("Metric", names, format_func=title_of, key="metric", bind="query-params", width=180)


def with_intervals(runs: list[RunRecord], table: pd.DataFrame, metric: str | None) -> pd.DataFrame:
    """The rows of runs for one metric, with `Reliability`, and the name of each line."""
    if metric is not None:
        values = {run.run_id: float(run.results["metrics"][metric]) for run in runs}
        table = table.assign(metric=metric, value=table["run_id"].map(values).astype(float))
    if len(runs) > _MOST_INTERVALS:
        st.caption(
            f"Development-set intervals are left out: {len(runs):,} runs are shown, and {_MOST_INTERVALS} is most."
        )
        unknown = Reliability(np.nan, np.nan, 0, np.nan)
        return curves.with_reliability(table, [unknown._replace(n_examples=n) for n in table["n_examples"]])
    with st.spinner("Resampling the development sets", show_time=True):
        found = messages.readable(runs, lambda run: cache.reliability(run, metric or run.main_metric))
    table = table.set_index("run_id", drop=False).loc[[run.run_id for run, _ in found]]
    return curves.with_reliability(table, [known for _, known in found]).reset_index(drop=True)


def imported_points(metric: str | None) -> pd.DataFrame:
    """What imported masks score, as somebody said or as it was measured here: rows like those of published lines.

    By one metric, or where it is None by the main metric of each task.
    """
    masks = cache.imported_masks().records
    known = cache.run_table()[ENCODER].drop_duplicates()
    panels = dict(zip(known["base_model_sha256"], known["base_model"].map(without_tags), strict=True))
    rows = []
    for mask in masks.values():
        said = mask.settings
        if said.task is not None and said.value is not None:
            n = f", on {said.n_examples:,} examples" if said.n_examples else ""
            rows.append((mask, said.task, said.metric, said.value, figures.TOLD, f"as told by who imported it{n}"))
    for measured in cache.measurements().records.values():
        if measured.settings.kind == SCORE and measured.settings.mask_id in masks:
            for row in measured.table.query("cut == 0").to_dict("records"):
                words = f"measured here, on {row['n_examples']:,} examples"
                mask = masks[measured.settings.mask_id]
                rows.append((mask, measured.settings.task, row["metric"], row["value"], figures.IMPORTED, words))
    points = [
        {
            "source": words,
            "read_off": False,
            "method": figures.IMPORTED,
            "base_model": mask.settings.encoder,
            "encoder": panels.get(mask.settings.encoder_sha256, ""),
            "task": task,
            "metric": name,
            "distilled": False,
            "remaining": mask.mask_record.remaining,
            "value": value,
            "sd": np.nan,
            "name": without_tags(mask.settings.label),
            "how": how,
        }
        for mask, task, name, value, how, words in rows
        if name == (metric or TASKS[task].main_metric)
    ]
    return pd.DataFrame(points)


def parts_of_data(runs: list[RunRecord]) -> None:
    """Say which of the drawn values come from a part of a published data set."""
    learned = [run for run in runs if not run.config.method_info.is_control]
    for task, n in dict.fromkeys((run.config.task, run.results.get("n_train_examples")) for run in learned):
        for sentence in part_of_the_data(TASKS[task], n):
            st.caption(sentence)


def spread(means: pd.DataFrame) -> None:
    """The means with their spread over seeds and over development sets."""
    if means.empty:
        return
    st.header("How far the values can be trusted")
    st.markdown(
        "Three spreads, of three questions. **Over seeds**: would the same settings, trained again, give the same "
        "value? **Dev set**: would another development set of this size? Half the width of its 95 % interval; Wilson's "
        "for accuracy, resampled examples for other metrics. **Paired** (below): do two runs differ on the same "
        "examples? It is the sharpest, because what is hard for both does not count."
    )
    several = len(set(means["base_model"])) > 1
    columns.show(
        columns.in_words(means),
        column_order=[
            *("task", "name", "base_model")[: 2 + several],
            *("remaining", "metric", "mean", "n_seeds", "sd", "n_examples", "sampling"),
        ],
        column_config=columns.SHARED
        | {
            "name": "Line",
            "mean": columns.percent("Mean"),
            "n_seeds": st.column_config.NumberColumn("Seeds"),
            "sd": columns.percent("Over seeds, sd", help="In points; a dash where there is one seed."),
            "sampling": columns.percent("Dev set, 95 % (±)", help="In points; mean over seeds."),
        },
        alt="Mean over seeds of the metric with its spread over seeds and over development sets",
    )
    controls.data_downloads(means, "spread")


def paper_tables(runs: pd.DataFrame) -> None:
    """What is shown as Markdown and as LaTeX, to copy; columns of `runs` as `summarize` takes them."""
    with st.expander("Table for a paper: Markdown and LaTeX"):
        cells, words = cache.computed(summary_cells, cache.computed(summarize, runs)), cache.computed(caption, runs)
        markdown, latex = st.tabs(["Markdown", "LaTeX"])
        markdown.code(f"{as_markdown(cells)}\n\n{words}", language="markdown")
        latex.code(as_latex(cells, words), language="latex")


@st.fragment
@messages.sentence_instead()
def pair(runs: list[RunRecord], labels: Mapping[str, str]) -> None:
    """A paired comparison of two runs of one task; labels by run id."""
    st.header("Two runs on the same examples")
    n_runs = Counter(run.config.task for run in runs)
    firsts = [run for run in runs if n_runs[run.config.task] > 1]
    if not firsts:
        st.caption("No two of the runs share a task, so there is no pair to compare.")
        return
    left, right = st.columns(2)
    by_id = {run.run_id: run for run in runs}
    with left:
        a = by_id[controls.pick("Run a", {run.run_id: labels[run.run_id] for run in firsts}, key="compared")]
    with right:
        partners = {run.run_id: labels[run.run_id] for run in _partners(a, runs)}
        b = by_id[controls.pick("Run b", partners, key="compared_with")]
    if a.config.data_sha256 != b.config.data_sha256:
        st.warning(
            "The data of these two runs differ, by their fingerprints: their examples may not be the same, and are not "
            "paired."
        )
        return
    found, *others = [cache.comparison(a, b, metric) for metric in a.config.task_info.metrics]
    st.markdown(f"a: {messages.plain(labels[a.run_id])}; b: {messages.plain(labels[b.run_id])}. {_verdict(found)}")
    for metric, other in zip(a.config.task_info.metrics[1:], others, strict=True):
        st.markdown(f"By {METRIC_TITLES[metric]}: {_verdict(other)}")
    if found.outcomes:
        counts = found.outcomes
        columns.show(
            pd.DataFrame(
                {
                    "examples": ["a right", "a wrong"],
                    "b right": [counts.both, counts.only_b],
                    "b wrong": [counts.only_a, counts.neither],
                }
            ),
            width=320,
            alt="Examples by whether run a and run b predict them right",
        )
    st.caption(
        "This is about these two trained runs and these examples. To tell methods apart takes several seeds of each."
    )


def _partners(run: RunRecord, runs: list[RunRecord]) -> list[RunRecord]:
    """Other runs of its task; those of its encoder first, of them other methods: two seeds of one say less."""
    return sorted(
        (other for other in runs if other is not run and other.config.task == run.config.task),
        key=lambda other: (
            other.config.base_model_sha256 != run.config.base_model_sha256,
            other.config.method == run.config.method,
        ),
    )


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


def when_opened(title: str, draw: Callable[..., None], *args: Any) -> None:
    """A section in an expander, drawn once that is opened."""
    part = st.expander(title, on_change="rerun", key=draw.__name__)
    if part.open:
        with part, messages.slot(), messages.sentence_instead():
            draw(*args)


def claims(runs: list[RunRecord]) -> None:
    """What the paper claims, beside what it published and what these runs measured."""
    table = cache.claims(runs)
    columns.show(
        analysis_claims.in_words(table),
        alt="Claims of the paper by level: the published and the measured difference in points, and a verdict",
    )
    st.caption(
        f"Differences in points of the main metric, means over tasks. Published: {SOURCE}, other encoders; what "
        "did not converge there has no part in them. Measured: without a teacher. A task counts for a claim, or "
        "against it, where the two runs of most pairs of seeds differ beyond chance on the same examples. A claim "
        'agrees where tasks are for it, none is against it and the mean is above 0, one of "no lower" where none is '
        "against it and the mean is not below 0. One class: tasks where a run says the same of every example, so "
        "has learned nothing; of such runs the paper has no numbers. The tests are not corrected for their number."
    )
    controls.data_downloads(table, "claims")


def published_tables(runs: list[RunRecord], rows: pd.DataFrame) -> None:
    """The paper's tables with these runs beside them, of which `rows` are those of the table of all runs."""
    claims = cache.claims(runs)
    counts = {name: [run.results[name] for run in runs] for name in ("new_parameters", "trainable_parameters")}
    tables = (
        (
            "table-1",
            cache.computed(table_1, cache.published(), rows.assign(**counts)),
            "Table 1: methods by level, published, and measured by these runs",
            "Table 1, BERT-base. θM is one mask, a bit for each prunable weight; measured new parameters count 32 "
            "of its bits as one. Movement pruning has no regulariser, as published.",
        ),
        (
            "table-2",
            cache.computed(table_2, cache.published(), rows),
            "Tables 2 and 7: masks beside fine-tuning by task, published, and measured by these runs",
            "Tables 2 and 7. Behind ± stands the standard deviation over seeds, in points; published are five.",
        ),
        (
            "tables-3-to-5",
            cache.computed(tables_3_to_5, cache.ablations(), rows, claims),
            "Tables 3 to 5: masking functions, heads and the regulariser compared, published, and measured",
            "Tables 3 to 5, BERT-base; Tables 4 and 5 are of SMP-L there, and of SMP-S here. The verdict is on the "
            "claim that what the paper chose scores above this, in Table 4 no lower.",
        ),
    )
    for name, table, alt, words in tables:
        columns.show(table, alt=f"{alt}.")
        st.caption(
            f"{SOURCE}, {words} Measured: the main metric (of SQuAD F1), another encoder, at the last evaluation, "
            "means over seeds."
        )
        controls.data_downloads(table, name)
