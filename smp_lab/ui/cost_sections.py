"""Sections of the page Cost: what a task takes, and what is left of the encoder where empty rows are cut out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
import streamlit as st

from smp_lab.analysis import costs as analysis
from smp_lab.figures import style
from smp_lab.figures.costs import plot_cuts, plot_times
from smp_lab.layout import EncoderLayout
from smp_lab.storage.published import SOURCE
from smp_lab.storage.runs import RunRecord
from smp_lab.ui import cache, columns, controls, messages

_MEGABYTE = 1e6
# Of commands that measure.
_CUTS = ("--cut", "5", "--cut", "10", "--cut", "20")
# Columns of what was measured of cuts.
_MEASURED = columns.SHARED | {
    "cut": columns.count(
        "Rows cut below",
        "Rows with fewer kept weights are emptied, of the two output matrices columns; 0 changes no answer.",
    ),
    "left": columns.percent("Encoder left", "Of all parameters of the encoder, embeddings included."),
    "low": columns.percent("Low", "Of the 95 % sampling interval."),
    "high": columns.percent("High"),
    "change": columns.percent("Change", "To the mask itself, in points."),
}


def answer(runs: list[RunRecord], labels: Mapping[str, str], sizes: Mapping[str, int]) -> str:
    """What one encoder and a mask for each task take, beside fine-tuned models, and what makes them faster.

    Of several encoders it is about the first, and names it.
    """
    masked = _over_frozen_weights(runs, sizes)
    if not masked:
        return "None of these runs holds a mask over frozen weights."
    same = _of_first_encoder(masked)
    tasks = {run.config.task: run for run in same}
    layout, stored = masked[0].layout, sum(sizes[run.run_id] for run in tasks.values()) / len(tasks)
    tuned, _, masks = analysis.storage_of_tasks(layout, len(tasks), stored)[["bytes", "times"]].to_numpy().tolist()
    many = f"{len(tasks)} tasks" if len(tasks) > 1 else "One task"
    if len(same) < len(masked):
        many += f" on {messages.plain(masked[0].config.base_model)}"
    return (
        f"{many}: one encoder and {len(tasks)} mask{'s' * (len(tasks) > 1)} take **{masks[0] / _MEGABYTE:,.1f} MB**, "
        f"fine-tuned models {tuned[0] / _MEGABYTE:,.1f} MB, {masks[1]:.2f} times as much. By themselves masks save no "
        f"time: what is empty has to be cut out.{_fastest(labels)}"
    )


def _over_frozen_weights(runs: Sequence[RunRecord], sizes: Mapping[str, int]) -> list[RunRecord]:
    """Those with a mask that can share an encoder with others: trained weights are of their own task."""
    return [run for run in runs if run.run_id in sizes and not run.config.method_info.trains_weights]


def _of_first_encoder(runs: Sequence[RunRecord]) -> list[RunRecord]:
    return [run for run in runs if run.config.base_model_sha256 == runs[0].config.base_model_sha256]


def _fastest(labels: Mapping[str, str]) -> str:
    """The fastest form that loses at most a point, in a sentence; empty where none was timed."""
    times = _measured(analysis.time_table, labels)
    one = times[(times["threads"] == 1) & (times["length"] == 32) & (times["batch"] == 32)]
    best = cache.computed(analysis.best_cut, _measured(analysis.cut_table, labels), one)
    if best is None:
        return ""
    cut = f"Without rows of fewer than {best['cut']} weights" if best["cut"] else "Without its empty rows alone"
    return (
        f" {cut}, {messages.plain(best['run'])} is **{best['faster']:.2f} times as fast** (one thread, 32 texts of 32 "
        f"tokens), and its metric changes by {100 * best['change']:+z.1f} points."
    )


def _measured(compute: Callable[..., pd.DataFrame], labels: Mapping[str, str]) -> pd.DataFrame:
    """A table of `smp_lab.analysis.costs` of all that was measured of the masks with a label."""
    return cache.computed(compute, list(cache.measurements().records.values()), labels)


def sizes_of(runs: list[RunRecord]) -> dict[str, int]:
    """Run id -> bytes of its mask as stored, of those that can be read."""
    with_masks = [run for run in runs if run.has_masks]
    return {run.run_id: size for run, size in messages.readable(with_masks, lambda run: run.mask_bytes)}


def cuts(runs: list[RunRecord], labels: Mapping[str, str]) -> None:
    """What is left of the encoder, and what that costs in the metric, from measurement records."""
    st.header("What is left where nearly empty rows are cut out")
    for _, sentence in cache.measurements().problems:
        messages.warning(sentence)
    table = _measured(analysis.cut_table, labels)
    if table.empty:
        st.info("No mask of these runs was measured yet.")
    else:
        _cuts(table)
    words = "Some of these runs were not measured yet. This command measures the first of them:"
    controls.ask_to_measure(runs, set(table["run_id"]), words, "evaluate", *_CUTS)


def times(runs: list[RunRecord], labels: Mapping[str, str]) -> None:
    """How long forms of the model take, from measurement records, beside what a cut leaves of the metric."""
    st.header("How fast is what is left?")
    table = _measured(analysis.time_table, labels)
    if not table.empty:
        _times(table, _measured(analysis.cut_table, labels))
    words = "Some of these runs were not timed yet. On an idle machine, this command times the first of them:"
    controls.ask_to_measure(runs, set(table["run_id"]), words, "measure", *_CUTS)


def _times(table: pd.DataFrame, cuts: pd.DataFrame) -> None:
    chosen = []
    with st.container(horizontal=True):
        for name, label, first in (("threads", "Threads", 1), ("batch", "Texts", 32), ("length", "Tokens each", 32)):
            options = sorted(table[name].unique().tolist())
            first = first if first in options else options[-1]
            chosen.append((name, controls.one_of(label, options, key=f"time_{name}", first=first)))
    for name, value in chosen:
        table = table[table[name] == value]
    threads, batch, length = (value for _, value in chosen)
    size = f"{threads} thread{'s' * (threads > 1)}, {batch} text{'s' * (batch > 1)} of {length} tokens"
    controls.show(
        plot_times,
        table,
        size,
        key="times",
        alt="Times as fast as masked weights against the parameters left of the encoder, a line per run.",
        min_width=style.PAGE_PIXELS,
    )
    levels = sorted(table.loc[table["cut"] > 0, "cut"].unique().tolist())
    cut = levels[0] if levels else 0
    if len(levels) > 1:
        cut = st.select_slider(
            "Cut rows below K", levels, 10 if 10 in levels else levels[-1], key="k", bind="query-params", width=320
        )
    shown = table[table["cut"].isin([0, cut])].merge(
        cuts[["run_id", "task", "cut", "metric", "value", "low", "high", "change", "n_examples"]],
        on=["run_id", "task", "cut"],
        how="left",
        suffixes=("_ms", ""),
    )
    shown["form"] = [
        _FORM_TITLES.get(form, form) + (f", K = {rows}" if rows else "")
        for form, rows in shown[["form", "cut"]].to_numpy().tolist()
    ]
    columns.show(
        columns.in_words(shown),
        column_order=[
            "run",
            "form",
            "left",
            "milliseconds",
            "low_ms",
            "high_ms",
            "faster",
            "metric",
            "value",
            "low",
            "high",
            "change",
        ],
        column_config=_MEASURED
        | {
            "form": "Form",
            "milliseconds": st.column_config.NumberColumn("ms", format="%.1f", help="Median of the rounds."),
            "low_ms": st.column_config.NumberColumn("From", format="%.1f", help="Of the middle half of the rounds."),
            "high_ms": st.column_config.NumberColumn("To", format="%.1f"),
            "faster": st.column_config.NumberColumn(
                "Times as fast", format="%.2f", help="As masked weights in the same round; median."
            ),
        },
        alt="Time of each form, what is left of the encoder and of the metric",
    )
    machines = ", ".join(sorted(set(table["machine"]) - {""}))
    where = f"Measured on {messages.plain(machines)}. " if machines else ""
    st.caption(
        f"{where}Zeros in a matrix take as long as any number: masked weights are as slow as dense ones."
        f"{_sparse_rows(table)} No runtime for sparse weights is used: those for CPUs were given up by their makers, "
        "Intel Extension for Transformers in October 2024 and DeepSparse in June 2025."
    )


def _sparse_rows(table: pd.DataFrame) -> str:
    """What torch's sparse rows do at a size, in a sentence; empty where they were not timed."""
    rows = table.loc[table["form"] == "csr", "faster"]
    if rows.empty:
        return " Sparse rows (torch CSR) are timed for 32 texts of 32 tokens alone."
    several = f"{rows.min():.2f} to {rows.max():.2f}" if len(rows) > 1 else f"{rows.iloc[0]:.2f}"
    return f" As sparse rows (torch CSR) they are {several} times as fast."


_FORM_TITLES: Mapping[str, str] = {
    "masked": "Masked weights",
    "compact": "Compact",
    "onnx": "Compact, ONNX Runtime",
    "onnx-masked": "Masked weights, ONNX Runtime",
    "csr": "Sparse rows (CSR)",
}


def _cuts(table: pd.DataFrame) -> None:
    controls.show(
        plot_cuts,
        table,
        key="cuts",
        alt="Change of the main metric in points against the parameters that are left of the encoder, a line per run.",
        min_width=style.PAGE_PIXELS,
    )
    columns.show(
        columns.in_words(table),
        column_order=["run", "cut", "left", "metric", "value", "low", "high", "change", "n_examples"],
        column_config=_MEASURED,
        alt="What each cut leaves of the encoder and of the metric",
    )


def costs(runs: list[RunRecord], labels: Mapping[str, str], sizes: Mapping[str, int]) -> None:
    """Table 1 of the paper for the runs, and what many tasks take."""
    st.header("What a task costs")
    table = analysis.costs(runs, labels, sizes)
    columns.show(
        columns.in_words(table),
        column_config=columns.SHARED
        | {
            "trainable": columns.count("Trainable parameters"),
            "new": columns.count(
                "New parameters",
                "Per task, beside the shared encoder, as in Table 1 of the paper: a mask counts its 1-bit entries in "
                "32-bit parameters.",
            ),
            "encoder": columns.percent("Kept, encoder", "Of the prunable weights."),
            "model": columns.percent(
                "Kept, model", "With embeddings, biases, LayerNorm and pooler, which are never pruned."
            ),
            "packed": st.column_config.NumberColumn("Mask at 1 bit a weight", format="bytes"),
            "stored": st.column_config.NumberColumn(
                "Mask as stored",
                format="bytes",
                help="Compressed. Of magnitude pruning, the difference from the mask of the pre-trained weights.",
            ),
        },
        column_order=["run", "trainable", "new", "encoder", "model", "packed", "stored", "base_model"],
        alt="Trainable and new parameters, remaining fractions and bytes of a mask for each run",
    )
    controls.data_downloads(table, "costs")
    st.caption(
        "Embeddings, biases, LayerNorm and pooler are never pruned: BERT-base at 10 % of its encoder keeps 30.2 % of "
        f"the model. A mask saves storage. By itself it saves no time: {messages.NOT_FASTER}. What saves time is to "
        "cut out empty rows, and empty columns of the two output matrices. So the paper's mask for MNLI at 3 % "
        f"runs 1.37 times as fast (published: {SOURCE}, section 8)."
    )
    _many_tasks(_over_frozen_weights(runs, sizes), sizes)


def _many_tasks(runs: list[RunRecord], sizes: Mapping[str, int]) -> None:
    if not runs:
        return
    n_tasks = controls.whole_number("Tasks on one shared encoder", 1, 1000, 8, key="n_tasks", width=220)
    first = runs[0]
    same = _of_first_encoder(runs)
    stored = sum(sizes[run.run_id] for run in same) / len(same)
    measured = _measured(analysis.cut_table, {run.run_id: "" for run in same})
    compact = analysis.BYTES_PER_PARAMETER * measured.loc[measured["cut"] == 0, "parameters"].mean()
    table = analysis.storage_of_tasks(first.layout, n_tasks, stored, compact)
    with st.container(horizontal=True):
        for place, row in enumerate(table.to_dict("records")):
            gain = f"{row['times']:.2f} times less" if row["times"] >= 1 else "more than fine-tuned"
            st.metric(
                row["way"].capitalize(),
                f"{row['bytes'] / _MEGABYTE:,.1f} MB",
                gain if place else None,
                delta_color="off",
                delta_arrow="off",
                width=200,
            )
    several = f", the mean of {len(same)} runs" if len(same) > 1 else ""
    st.caption(
        f"{n_tasks} task{'s' * (n_tasks > 1)} on {messages.plain(first.config.base_model)} with weights in 32 bits, "
        f"heads left out: {n_tasks} fine-tuned model{'s' * (n_tasks > 1)} against one encoder and a mask each "
        f"({stored / _MEGABYTE:.3f} MB as stored{several}). {_crossings(first.layout, stored, compact)}"
    )
    controls.data_downloads(table, "storage-of-tasks")


def _crossings(layout: EncoderLayout, stored: float, compact: float) -> str:
    """From how many tasks on one encoder and masks take less than models of their own, exact compact ones too."""
    sizes = {"fine-tuned models": analysis.BYTES_PER_PARAMETER * layout.n_parameters, "compact models": compact}
    froms = {
        way: analysis.tasks_until_masks_are_smaller(layout, stored, size) for way, size in sizes.items() if size > 0
    }
    words = [f"less than {way} from {n} tasks on" for way, n in froms.items() if n]
    return f"One encoder and masks take {', '.join(words)}." if words else ""
