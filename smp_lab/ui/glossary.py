"""What the words mean, in a sentence each: for the help mark of the control or figure that uses one."""

from __future__ import annotations

from collections.abc import Mapping

TERMS: Mapping[str, str] = {
    "kept": "A weight that the mask lets through: its bit is 1. In percent: of the encoder's prunable weights, or of "
    "the part of it that is named.",
    "asked to keep": "The setting v, in percent of the prunable weights. 10 % means that 90 % are removed. Methods "
    "that have no such setting keep what comes out of training.",
    "removed": "A weight that the mask sets to zero: its bit is 0. The weight itself stays what it was.",
    "remaining weights": "The kept ones, in percent: the paper's name for the axis.",
    "score": "A number per weight, S, that starts at 0 and is trained. The mask keeps the weights whose scores are "
    "highest.",
    "cut": "The lowest score that is still kept. Weights above it are in the mask.",
    "share": "How much of one matrix is kept under SMP-S, where the layers compete for the weights of a matrix type.",
    "schedule": "How the percentage that is kept falls from 100 % to v: cubic, fast at first and then slower, or "
    "linear. After its N steps weights still swap.",
    "snapshot": "Scores and mask as they were at one step of training.",
    "forced flip": "A weight that leaves the mask because fewer are kept: by the schedule, or, where a method measures "
    "the fraction, by training.",
    "true swap": "A weight that leaves the mask for one that comes in.",
    "regulariser": "lambda times the mean of sigmoid(S), added to the loss. It pulls all scores down.",
    "phi": "The correlation of two masks, bit by bit. 0 is chance, 1 is the same mask.",
    "lift": "How many weights two masks share, as a multiple of what chance would give. 1 is chance.",
}


def explain(*terms: str) -> str:
    """The sentences of some terms, for a widget's `help`."""
    if len(terms) == 1:
        return TERMS[terms[0]]
    return "\n\n".join(f"**{term.capitalize()}**: {TERMS[term]}" for term in terms)
