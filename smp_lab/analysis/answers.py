"""What masks answer to one text, as tables: answers beside the majority-class baseline, and what parts of it change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from smp_lab.analysis.labels import without_tags
from smp_lab.analysis.sampling import kind_of, of_metric
from smp_lab.layout import MatrixId
from smp_lab.tasks import Task

MOST_IN_WORDS = 6


def majority_class(predictions: pd.DataFrame, task: Task) -> str | None:
    """Name of the most frequent class of the development set; None where the predictions do not tell it.

    `predictions` are those of a run.
    """
    if not task.classes:
        return None
    examples, _ = of_metric(predictions, task, task.main_metric)
    targets = kind_of(examples).targets(examples)
    if np.isnan(targets).any():
        return None
    return task.classes[int(np.bincount(targets.astype(int)).argmax())]


def answer_table(answers: Mapping[str, Mapping[str, Any] | str], baselines: Mapping[str, str | None]) -> pd.DataFrame:
    """A row per mask.

    Parameters
    ----------
    answers
        Name of each mask -> fields of its answer, or a sentence on why it has none.
    baselines
        Name of each mask -> `majority_class` of its task.

    Returns
    -------
    DataFrame
        Columns mask, answer (class, span, or predicted number), word (label word of the highest probability),
        probability (of it, a fraction), baseline, as_baseline ("yes" or "no"), tokens and problem; empty or NaN where
        there is none.
    """
    rows = []
    for name, said in answers.items():
        if isinstance(said, str):
            rows.append({"mask": name, "problem": said})
            continue
        word = max(said["probabilities"], key=said["probabilities"].get, default="")
        baseline = baselines[name]
        rows.append(
            {
                "mask": name,
                # Of a span there may be none.
                "answer": f"{said['prediction']:.2f}" if said["label"] is None else said["label"] or "no answer",
                "word": word,
                "probability": said["probabilities"].get(word, np.nan),
                "baseline": baseline or "",
                "as_baseline": "" if baseline is None else "yes" if baseline == said["label"] else "no",
                "tokens": said["n_tokens"],
                "problem": f"Cut to {said['n_tokens']} tokens." if said["cut"] else "",
            }
        )
    columns = ["mask", "answer", "word", "probability", "baseline", "as_baseline", "tokens", "problem"]
    table = pd.DataFrame(rows, columns=columns)
    words = ["answer", "word", "baseline", "as_baseline", "problem"]
    return table.assign(**{column: table[column].astype(object).fillna("") for column in words})


def in_words(table: pd.DataFrame) -> str:
    """The first answers of an `answer_table` as a sentence; empty where there is none."""
    said = [f"{mask} says {said}" for mask, said in table[["mask", "answer"]].to_numpy().tolist() if said]
    more = len(said) - MOST_IN_WORDS
    return ", ".join(said[:MOST_IN_WORDS]) + (f", and {more} more below" if more > 0 else "") + "." * bool(said)


def changes(outcomes: Sequence[Sequence[float]]) -> pd.Series:
    """By how much each outcome but the first differs from the first, in what the first says.

    Parameters
    ----------
    outcomes
        ``(n + 1, n_words)`` probabilities of the label words, or ``(n + 1, 1)`` numbers; the first of the whole mask.

    Returns
    -------
    Series
        Probability of the answer of the first outcome, or the number, minus that of the first.
    """
    values = np.asarray(outcomes, np.float64)
    said = values[:, values[0].argmax()]
    return pd.Series(said[1:] - said[0], name="change")


def token_table(tokens: Sequence[str], outcomes: Sequence[Sequence[float]]) -> pd.DataFrame:
    """A row per token: place, token, change (see `changes`) where no other token sees it."""
    return pd.DataFrame(
        {"place": range(len(tokens)), "token": list(map(without_tags, tokens)), "change": changes(outcomes)}
    )


def part_table(parts: Sequence[tuple[int, int] | MatrixId], outcomes: Sequence[Sequence[float]]) -> pd.DataFrame:
    """A row per head or matrix that was emptied: layer, part (head number or matrix type), change (see `changes`)."""
    return pd.DataFrame(list(parts), columns=["layer", "part"]).assign(change=changes(outcomes))


def toggled(
    out: Sequence[tuple[int, Any]], parts: Sequence[tuple[int, Any]], layer: int | None, part: Any
) -> list[tuple[int, Any]]:
    """Parts that are out of a mask after a click: on one that is in, it goes out, and the other way round.

    Parameters
    ----------
    out
        (layer, head or matrix type) of those that were out.
    parts
        All of the kind that was clicked.
    layer, part
        What was clicked; None for all layers, or all parts of a layer. Where all of these are out, they come back.
    """
    chosen = [each for each in parts if layer in (None, each[0]) and part in (None, each[1])]
    return [each for each in out if each not in chosen] + chosen * (not {*chosen} <= {*out})


def by_answers(table: pd.DataFrame) -> pd.DataFrame:
    """Of `disagreements`, a row for each pair of answers: a, b, examples, a_right and b_right (counts)."""
    right = table.assign(examples=1, a_right=table["right"] == "A", b_right=table["right"] == "B")
    return right.groupby(["a", "b"], as_index=False)[["examples", "a_right", "b_right"]].sum()


def disagreements(predictions_a: pd.DataFrame, predictions_b: pd.DataFrame, task: Task) -> pd.DataFrame:
    """Development examples of the first split that two runs of a task answer differently.

    Parameters
    ----------
    predictions_a, predictions_b
        Of two runs, of the same examples in the same order.
    task
        Theirs; with classes.

    Returns
    -------
    DataFrame
        Columns example (its place in the file, from 0), a and b (what each answers), right ("A", "B" or "neither").
    """
    a, b = (
        predictions[predictions["split"] == 0].reset_index(drop=True) for predictions in (predictions_a, predictions_b)
    )
    places = np.flatnonzero(a["prediction"] != b["prediction"])
    a, b = a.loc[places], b.loc[places]
    names = np.array(task.classes)
    return pd.DataFrame(
        {
            "example": places,
            "a": names[a["prediction"].to_numpy(int)],
            "b": names[b["prediction"].to_numpy(int)],
            "right": np.select([a["correct"], b["correct"]], ["A", "B"], "neither"),
        }
    )
