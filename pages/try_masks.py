"""Typed text through one encoder and several masks: what they answer, and what carries the answer."""

from __future__ import annotations

import streamlit as st

from smp_lab.ui import cache, controls, messages, try_masks

_SAMPLE = "try_sample"
# All visitors share one process, which reads a paragraph window after window: so much takes it one to seven seconds.
_MOST_CHARACTERS = 10_000


def main() -> None:
    st.title("What do masks say to your sentence?")
    words = messages.answer_slot().empty()
    words.markdown("One frozen encoder, and a mask for each task: type a text, and every chosen mask answers.")
    if not controls.has_torch():
        return
    chosen = controls.chosen_runs(cache.run_index(), otherwise=controls.ONE_PER_TASK)
    runs = try_masks.able(chosen)
    if 0 < len(runs) < len(chosen):
        st.caption(
            f"{len(chosen) - len(runs)} of the chosen runs train weights or a head, which no record holds: left out."
        )
    if not runs:
        st.info("None of these runs has a mask that answers by label words on frozen weights. Choose others.")
        return
    # What is left of a run whose files are gone or altered would be told too late.
    runs = [run for run, _ in messages.readable(runs, lambda run: (run.mask_bytes, cache.predictions(run)))]
    if not runs:
        return
    # One encoder is in memory at a time: each is read once.
    encoders = [run.config.base_model_sha256 for run in runs]
    runs.sort(key=lambda run: encoders.index(run.config.base_model_sha256))
    labels = controls.run_labels(runs)
    st.pills(
        "Examples",
        range(len(try_masks.EXAMPLES)),
        format_func=lambda number: try_masks.EXAMPLES[number][0],
        key=_SAMPLE,
        on_change=_take_sample,
    )
    first, second = try_masks.EXAMPLES[0]
    text = st.text_area("Text", first, key="try_text", height=80)
    pairs = any(len(run.config.task_info.text_fields) > 1 for run in runs)
    other = (
        st.text_area("Second text, of tasks on pairs and of questions", second, key="try_second", height=80)
        if pairs
        else ""
    )
    beside = controls.pick_several("Beside each mask", try_masks.BESIDE, key="try_beside", first=[], most=2)
    if not text.strip():
        st.info("Type a text.")
        return
    texts = [text, other]
    if (longest := max(map(len, texts))) > _MOST_CHARACTERS:
        st.info(f"A text may have {_MOST_CHARACTERS:,} characters, and this one has {longest:,}. Leave out the rest.")
        return
    if answered := try_masks.answer(words, runs, labels, beside, texts):
        try_masks.parts(answered, labels, texts)
        try_masks.heads_on_development(answered, labels)
        try_masks.disagreements(answered, labels)
    st.caption("What you type is sent to this app alone: it is not stored, and not in the address.")


def _take_sample() -> None:
    number = st.session_state[_SAMPLE]
    if number is not None:
        st.session_state["try_text"], st.session_state["try_second"] = try_masks.EXAMPLES[number]


main()
