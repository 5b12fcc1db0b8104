"""What the overlap page says in words, computed from what it shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from smp_lab.analysis import overlap
from smp_lab.analysis.labels import percent
from smp_lab.figures.overlap import SCALES
from smp_lab.ui import columns
from smp_lab.ui.glossary import explain

LETTERS = (
    "In the formulas a, b and o are the weights of one matrix that A, B and both keep, N all its weights; e = ab/N is "
    "o by chance, v = a(N - a)/N and w the same of b; sums run over the matrices."
)
NO_P_VALUES = (
    "There are no p-values: with millions of weights everything is significant, and seeds are the unit to count."
)
CONSENSUS_COLUMNS = {
    "rule": st.column_config.TextColumn(
        "Mask", help="Kept by any of the runs, by more than half of them, by all of them."
    ),
    "kept": columns.count("Kept weights"),
    "n_weights": columns.count("Of"),
    "remaining": columns.percent("Kept", explain("kept")),
    "expected": columns.percent("By chance"),
    "lift": st.column_config.NumberColumn("Times chance", format="%.3f"),
}
_BY_SIZE = ("phi_partial", "phi_magnitude")


def answer(pairs: pd.DataFrame, measure: str) -> str:
    """How much the pairs agree, by what their runs share, and what stands for chance."""
    scale, medians = SCALES[measure], overlap.medians_in_words(pairs, measure)
    if not medians:
        return f"{scale.title} is not known for any of these pairs."
    chance = "" if scale.middle is None else f" {scale.middle:g} is {scale.at_middle}."
    return f"{scale.title}, median: {medians}.{chance}"


def caution(pairs: pd.DataFrame, name: str) -> str:
    """What to know before reading this measure of these pairs; empty where there is nothing."""
    known, title = pairs[pairs[name].notna()], SCALES[name].title
    capped = known[known["capped"]]
    sentences = []
    if overlap.MEASURES[name].capped and len(capped):
        sentences.append(
            "The runs keep very different shares of the same matrices, which bounds the measure however well the masks "
            f"agree: in {len(capped):,} of {len(known):,} pairs {title} cannot come near 1, and in one of them it is "
            f"at most {capped[f'{name}_max'].min():.2f}. Compare pairs that keep as much, or choose "
            f"{SCALES['phi_share'].title}, which divides by that cap, or {SCALES['containment'].title}, which asks "
            "whether the smaller mask lies in the larger."
        )
    if known.empty and name in _BY_SIZE:
        sentences.append(
            f"{title} is unknown for all of these pairs. It needs magnitude masks that keep as much as either run, "
            "and a record has each run's at its own: only runs that keep the same number of weights in every matrix, "
            f"as those of SMP-L do, can be compared so. {SCALES['phi_magnitude'].title} asks the same of any two "
            "masks, however many weights they keep."
            if name == "phi_partial"
            else f"{title} is unknown for all of these pairs: it needs the scores of both runs over one |W|."
        )
    return "\n\n".join(sentences)


def pair(row: pd.Series[Any]) -> str:
    """What two masks keep and share, as counts; `row` is one of `measure_overlap`."""
    chance = (
        "two random masks would share none"
        if row["expected"] == 0
        else f"{overlap.number(row['lift'])} times the {row['expected']:,.0f} that two random masks would share"
    )
    return (
        f"A keeps {row['n_a']:,} of {row['n_weights']:,} weights, B {row['n_b']:,}. Both keep **{row['n_both']:,}**, "
        f"{chance}; that is {_share(row['n_both'], row['n_a'])} of A and {_share(row['n_both'], row['n_b'])} of B."
    )


def _share(part: int, whole: int) -> str:
    return percent(part / whole) if whole else "none"


def measures(row: pd.Series[Any]) -> pd.DataFrame:
    """Every measure of a pair in words, for a table."""
    table = overlap.pair_measures(row)
    return pd.DataFrame(
        {
            "Measure": table["measure"].map(lambda name: SCALES[name].title),
            **{
                title: table[column].map(lambda value: r"\-" if np.isnan(value) else f"{value:z.4f}")
                for title, column in (("Value", "value"), ("By chance", "chance"), ("At most", "cap"))
            },
            "What it answers": table["answers"],
            "Formula": "`" + table["formula"] + "`",
        }
    )
