"""Sections of the page Try: what masks answer to a text, what carries an answer, and where two runs differ.

The models run in one process of the app, `ModelProcess`; what is typed is kept in the session alone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from smp_lab.analysis import answers
from smp_lab.errors import SmpLabError
from smp_lab.figures.answers import plot_parts, plot_tokens
from smp_lab.figures.style import MATRIX_TITLES, METRIC_TITLES
from smp_lab.jobs.model_process import ModelProcess
from smp_lab.paths import weights_file
from smp_lab.storage.runs import RunRecord
from smp_lab.tasks.kinds import SPAN
from smp_lab.ui import cache, columns, controls, messages, session

MASK, NONE, RANDOM, DENSE = "mask", "none", "random", "dense"
BESIDE = {NONE: "no mask", RANDOM: "a random mask as large", DENSE: "fine-tuned weights"}
# A pair of texts for each, the second read by tasks on pairs alone.
EXAMPLES = (
    ("A warm, funny and surprising film.", "The film is a success."),
    ("The plot is thin and the jokes are old.", "The film is a success."),
    ("The books was on the table.", "The books were on the table."),
    ("A man is playing the guitar.", "Somebody makes music."),
    ("The museum was opened in 1974.", "The museum has been open since the seventies."),
    ("Who plays the guitar?", "A man is playing the guitar in the museum, and his friends are dancing."),
)
_MEGABYTE, _HISTORY, _MOST_NAMED = 1e6, 10, 6
_UNKNOWN, _SPECIAL = {"[UNK]", "<unk>"}, {"[CLS]", "[SEP]", "[PAD]", "<s>", "</s>", "<pad>"}


@st.cache_resource(max_entries=1, show_spinner=False)
def models() -> ModelProcess:
    """The process that runs models, one for all visitors."""
    return ModelProcess()


def able(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """Runs whose mask answers with the frozen encoder by itself."""
    return [run for run in runs if run.has_masks and run.config.is_mask_alone]


def answer(
    words: DeltaGenerator,
    runs: Sequence[RunRecord],
    labels: Mapping[str, str],
    beside: Sequence[str],
    texts: Sequence[str],
) -> list[RunRecord]:
    """What every mask says of a text, in words and beside others; returns the runs whose masks could say it."""
    kept = _fine_tuned() if DENSE in beside else {}
    asked = [(run, kind) for run in runs for kind in (MASK, *beside) if kind != DENSE or _base(run) in kept]
    names = [labels[run.run_id] + (f", {BESIDE[kind]}" if kind != MASK else "") for run, kind in asked]
    masks = [(str(kept[_base(run)].path if kind == DENSE else run.path), kind) for run, kind in asked]
    # Fine-tuned weights answer by a class or a number alone.
    asked_for = [run for run in runs if DENSE in beside and run.config.task_info.kind is not SPAN]
    if without := [run.config for run in asked_for if _base(run) not in kept]:
        config = without[0]
        st.caption("No fine-tuned weights are kept of all these tasks. A dense run leaves them:")
        task = ("--task", config.task) if config.task_definition is None else ("--task-file", "FILE")
        controls.command("train", *task, "--method", "dense", "--encoder", config.base_model)
    with messages.sentence_on_error(), st.spinner("Asking the masks", show_time=True):
        found, seconds = session.last(
            "try_answers", (masks, texts), lambda: _timed("answers", masks=masks, texts=texts)
        )
    said = dict(zip(names, found["answers"], strict=True))
    baselines = {name: _majority_class(run) for name, (run, _) in zip(names, asked, strict=True)}
    table = answers.answer_table(said, baselines)
    if sentence := answers.in_words(table):
        words.markdown(messages.plain(sentence))
    shown = [name for name in table if name != "problem" or table[name].any()]
    columns.show(
        table[shown],
        column_config={
            "mask": "Mask",
            "answer": st.column_config.TextColumn(
                "Answer", help="A class, the number that is predicted, or words of the second text."
            ),
            "word": st.column_config.TextColumn("Label word", help="The task's word with the highest probability."),
            "probability": columns.percent("Probability", "Among the label words."),
            "baseline": st.column_config.TextColumn("Most frequent class", help="Of the development set."),
            "as_baseline": "Same as that",
            "tokens": columns.count("Tokens read"),
            "problem": "Note",
        },
        alt="The answer of each mask, with its probability and the most frequent class",
    )
    sizes = [run.mask_bytes / _MEGABYTE for run in runs]
    memory = models().memory_bytes
    several = ", the last of several" if len({run.config.base_model_sha256 for run in runs}) > 1 else ""
    st.caption(
        f"One encoder in memory{several} ({found['encoder_bytes'] / _MEGABYTE:,.0f} MB), {len(runs)} "
        f"mask{'s' * (len(runs) > 1)} of {min(sizes):.2f} to {max(sizes):.2f} MB as stored. "
        f"Answered in {1000 * seconds:,.0f} ms"
        + (f"; the process that runs them takes {memory / _MEGABYTE:,.0f} MB." if memory else ".")
    )
    _remember(texts, table)
    return [run for run in runs if not isinstance(said[labels[run.run_id]], str)]


def _base(run: RunRecord) -> tuple[str, str]:
    return run.config.task, run.config.base_model_sha256


def _fine_tuned() -> dict[tuple[str, str], RunRecord]:
    """Dense runs whose weights are kept, one for each task and encoder."""
    dense = (run for run in cache.run_index().records.values() if run.config.method == "dense")
    return {_base(run): run for run in dense if weights_file(run.path.parent, run.run_id).is_file()}


def _timed(call: str, **arguments: Any) -> tuple[Any, float]:
    """What the models answer, and in how many seconds."""
    began = time.perf_counter()
    return models().ask(call, **arguments), time.perf_counter() - began


def _majority_class(run: RunRecord) -> str | None:
    return answers.majority_class(cache.predictions(run), run.config.task_info)


def _remember(texts: Sequence[str], table: Any) -> None:
    """What was asked in this session, the last first."""
    said = "; ".join(f"{row.mask}: {row.answer}" for row in table.itertuples() if row.answer)
    entry = {"text": " | ".join(filter(None, texts)), "answers": said}
    before: list[dict[str, str]] = st.session_state.get("try_history", [])
    history = [entry, *(each for each in before if each != entry)][:_HISTORY]
    st.session_state["try_history"] = history
    if len(history) > 1:
        with st.expander("What you asked before", icon=":material/history:"):
            for line in history[1:]:
                st.text(f"{line['text'][:200]}\n{line['answers']}")


@st.fragment
def parts(runs: Sequence[RunRecord], labels: Mapping[str, str], texts: Sequence[str]) -> None:
    """What one mask's answer rests on: tokens, heads, matrices; a click on a head or matrix takes it out."""
    by_id = {run.run_id: run for run in runs if run.config.task_info.kind is not SPAN}
    if not by_id:
        return
    st.header("What carries the answer?")
    run = by_id[controls.pick("Mask", {run_id: labels[run_id] for run_id in by_id}, key="try_run", width=420)]
    with messages.sentence_on_error(), st.spinner("Hiding one token after the other", show_time=True):
        # A click below asks for other parts, and hides the same tokens.
        found = session.last(
            "try_tokens",
            (run.run_id, texts),
            lambda: models().ask("outcomes", folder=str(run.path), texts=texts, variants=None),
        )
    whole = found["outcomes"][0]
    quantity = _quantity(run, whole)
    if set(found["tokens"]) - _SPECIAL <= _UNKNOWN:
        st.warning("The encoder knows no word of this text: whatever is answered says nothing about it.")
    controls.show(
        plot_tokens,
        answers.token_table(found["tokens"], found["outcomes"]),
        quantity,
        key="try-tokens",
        alt=f"Change of {quantity} where each token in turn is hidden from the others.",
        min_width=520,
    )
    layout = run.layout
    heads = [(layer, head) for layer in range(layout.n_layers) for head in range(layout.n_heads)]
    matrices = list(layout.matrices)
    # What was taken out of another encoder's mask may be no part of this one's.
    here = {*heads, *matrices}
    out: list[tuple[int, Any]] = [part for part in st.session_state.get("try_out", []) if part in here]
    base = {
        "heads": [part for part in out if not isinstance(part[1], str)],
        "matrices": [part for part in out if isinstance(part[1], str)],
    }
    variants = [
        {},
        base,
        *({**base, "heads": [*base["heads"], head]} for head in heads),
        *({**base, "matrices": [*base["matrices"], matrix]} for matrix in matrices),
    ]
    with messages.sentence_on_error(), st.spinner("Emptying one part after the other", show_time=True):
        found = session.last(
            "try_parts",
            (run.run_id, texts, tuple(out)),
            lambda: models().ask("outcomes", folder=str(run.path), texts=texts, variants=variants),
        )
    first, without, *others = found["outcomes"]
    _say_out(out, quantity, answers.changes([first, without]).iloc[0])
    for words, every, outcomes, width in (
        ("head", heads, others[: len(heads)], 620),
        ("matrix", matrices, others[len(heads) :], 520),
    ):
        controls.show(
            plot_parts,
            answers.part_table(every, [without, *outcomes]),
            quantity,
            tuple(out),
            key=f"try-{words}",
            alt=f"Change of {quantity} where each {words} in turn is emptied, by layer.",
            min_width=width,
            on_click=partial(_toggle, every),
        )


def heads_on_development(runs: Sequence[RunRecord], labels: Mapping[str, str]) -> None:
    """What each head of a mask does for the metric on the development set, from measurement records."""
    st.header("What does each head do on the development set?")
    tasks = {run.run_id: run.config.task for run in runs}
    known = cache.measurements().records.values()
    measured = {
        each.settings.mask_id: each.table
        for each in sorted(known, key=lambda each: each.provenance.get("created_utc", ""))
        if each.settings.kind == "heads" and tasks.get(each.settings.mask_id) == each.settings.task
    }
    words = (
        "Some of these runs were not measured yet. This command measures the first of them, with one evaluation for "
        "each head:"
    )
    controls.ask_to_measure(runs, measured, words, "evaluate", "--heads")
    if not measured:
        return
    names = {run_id: labels[run_id] for run_id in measured}
    table = measured[controls.pick("Measured mask", names, key="try_heads", width=420)]
    metric = f"{METRIC_TITLES.get(table['metric'].iloc[0], table['metric'].iloc[0])} in points"
    worse, better = int((table["high"] < 0).sum()), int((table["low"] > 0).sum())
    st.markdown(
        f"Of {len(table)} heads, emptied one at a time, **{worse}** lower{'s' * (worse == 1)} the metric by more than "
        f"the sampling error of {table['n_examples'].iloc[0]:,} examples, and {better} raise{'s' * (better == 1)} it "
        "by as much."
    )
    points = table.assign(part=table["head"], **{name: 100 * table[name] for name in ("change", "low", "high")})
    controls.show(
        plot_parts,
        points,
        metric,
        key="try-heads-development",
        alt=f"Change of {metric} on the development set where each head in turn is emptied, by layer.",
        min_width=620,
    )


def _quantity(run: RunRecord, whole: Sequence[float]) -> str:
    """What the first outcome says, in words: the probability of its word, or the score."""
    words = run.config.label_words or ()
    if not run.config.task_info.classes:
        return "the score"
    return f"P({words[max(range(len(whole)), key=whole.__getitem__)]})"


def _toggle(parts: Sequence[tuple[int, Any]], facts: Sequence[Any]) -> None:
    st.session_state["try_out"] = answers.toggled(st.session_state.get("try_out", []), parts, *facts)


def _say_out(out: Sequence[tuple[int, Any]], quantity: str, change: float) -> None:
    if not out:
        st.caption(
            "Click a head or a matrix below to take it out of the mask, or a ring for its row or column, and see the "
            "answer move."
        )
        return
    more = f" and {len(out) - _MOST_NAMED} more" if len(out) > _MOST_NAMED else ""
    named = [
        f"{MATRIX_TITLES[part].lower()} of layer {layer}" if isinstance(part, str) else f"head {layer}.{part}"
        for layer, part in out[:_MOST_NAMED]
    ]
    left, right = st.columns([4, 1], vertical_alignment="center")
    left.markdown(f"Without {', '.join(named)}{more}, {quantity} changes by **{change:+.3f}**.")
    if right.button("Put all back", width="stretch"):
        st.session_state["try_out"] = []
        st.rerun(scope="fragment")


def disagreements(runs: Sequence[RunRecord], labels: Mapping[str, str]) -> None:
    """Development examples that two runs of one task answer differently."""
    st.header("Where do two masks disagree?")
    tasks = [run.config.task for run in runs if run.config.task_info.classes]
    firsts = {run.run_id: run for run in runs if tasks.count(run.config.task) > 1}
    if not firsts:
        st.caption("Choose two runs of one task to see which development examples they answer differently.")
        return
    left, right = st.columns(2)
    with left:
        a = firsts[controls.pick("A", {run_id: labels[run_id] for run_id in firsts}, key="try_a")]
    partners = {
        run_id: run
        for run_id, run in firsts.items()
        if run is not a and (run.config.task, run.config.data_sha256) == (a.config.task, a.config.data_sha256)
    }
    if not partners:
        st.info("No other of these runs was measured on the same examples.")
        return
    with right:
        b = partners[controls.pick("B", {run_id: labels[run_id] for run_id in partners}, key="try_b")]
    task = a.config.task_info
    table = answers.disagreements(cache.predictions(a), cache.predictions(b), task)
    st.markdown(
        f"They disagree on **{len(table):,}** of {a.n_examples:,} development examples: A is right on "
        f"{(table['right'] == 'A').sum():,} of them, B on {(table['right'] == 'B').sum():,}."
    )
    if table.empty:
        return
    columns.show(
        answers.by_answers(table),
        column_config={
            "a": "A says",
            "b": "B says",
            "examples": columns.count("Examples"),
            "a_right": columns.count("A is right"),
            "b_right": columns.count("B is right"),
        },
        alt="How often A says one class and B another, and which is right",
    )
    try:
        found = models().ask("examples", folders=[str(a.path), str(b.path)], split=0, places=table["example"].tolist())
    except SmpLabError as problem:
        where = "They are where its task file says." if a.config.task_definition else problem
        st.caption(messages.plain(f"Their texts are not shown, because records hold none. {where}"))
    else:
        texts = zip(*found["texts"], strict=True)
        table = table.assign(**dict(zip(task.text_fields, texts, strict=True)))
        if found["confidences"]:
            sure_a, sure_b = found["confidences"]
            table = table.assign(sure_a=sure_a, sure_b=sure_b)
    columns.show(
        table,
        column_config={
            "example": columns.count("Example", "Its place in the development set, from 0."),
            "a": "A says",
            "b": "B says",
            "right": "Right",
            "sure_a": columns.percent("A is sure", "Probability of its answer."),
            "sure_b": columns.percent("B is sure"),
        },
        alt="Development examples that A and B answer differently, with both answers and which is right",
    )
