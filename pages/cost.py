"""What masks are good for: bytes on disk, parameters, and what is left of the encoder where empty rows are cut out."""

from __future__ import annotations

import streamlit as st

from smp_lab.ui import cache, controls, messages
from smp_lab.ui import cost_sections as sections


def main() -> None:
    st.title("What is a mask good for?")
    answer = messages.answer_slot()
    runs = controls.chosen_runs(cache.run_index(), otherwise=controls.ONE_PER_TASK)
    labels, sizes = controls.run_labels(runs), sections.sizes_of(runs)
    answer.markdown(sections.answer(runs, labels, sizes))
    sections.costs(runs, labels, sizes)
    sections.cuts(runs, labels)
    sections.times(runs, labels)


main()
