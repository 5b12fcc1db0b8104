"""The card of one run, and in what chosen runs differ."""

from __future__ import annotations

import json

import streamlit as st

from smp_lab.analysis.run_card import FIRST, card_markdown, differences, run_card, sections
from smp_lab.storage.runs import RunRecord
from smp_lab.storage.store import Listing
from smp_lab.ui import cache, columns, controls, links

CARD = "card"


def show(index: Listing[RunRecord]) -> None:
    """What the record of one run says about itself, and in what chosen runs differ."""
    names = cache.run_labels()
    chosen = [run_id for run_id in st.session_state.get(links.RUNS, []) if run_id in index.records]
    if len(chosen) > 1:
        with st.expander(f"In what the {len(chosen)} chosen runs differ"):
            table = differences({names[run_id]: index.records[run_id].config for run_id in chosen})
            columns.show(table, alt="Settings in which the chosen runs differ, a column per run")
            controls.data_downloads(table, "differences")
    # Open where a link asks for one; later choices are not to fold it.
    asked_for = st.session_state.setdefault("card_in_link", CARD in st.query_params)
    with st.expander("Run card: result, cost, and the command that makes a run again", expanded=asked_for):
        run = index.records[
            controls.pick("Run", {run_id: names[run_id] for run_id in chosen or index.records}, key=CARD)
        ]
        card = run_card(run.config, run.layout, run.provenance, run.results)
        parts = {title: "\n".join(lines) for title, lines in sections(card).items()}
        for title in FIRST:
            if title in parts:
                st.markdown(f"**{title}**\n\n{parts.pop(title)}")
        if card["command"] is not None:
            st.code(" ".join(card["command"].split()), language="shell", wrap_lines=True)
        links.page_link_with(links.TRAIN, "Train it again with changes", like=run.run_id)
        with st.expander("Settings, fingerprints, encoder and provenance"):
            st.markdown(f"`{run.run_id}`")
            for title, lines in parts.items():
                st.markdown(f"**{title}**\n\n{lines}")
        with st.container(horizontal=True):
            controls.download(
                "Card (Markdown)", lambda: card_markdown(card), f"{run.run_id}.md", "text/markdown", key="card-md"
            )
            controls.download(
                "Card (JSON)",
                lambda: json.dumps(card, indent=1),
                f"{run.run_id}.json",
                "application/json",
                key="card-json",
            )
