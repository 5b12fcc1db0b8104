"""What the paper claims, each claim beside published numbers and measured pairs of runs, with a verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smp_lab.analysis.run_table import by_encoder
from smp_lab.analysis.sampling import Comparison
from smp_lab.tasks import TASKS

AGREES, DIFFERS, OPEN = "agrees", "differs", "cannot be told"
# Of one setting that are compared in pairs; all of them count in its mean.
MOST_SEEDS = 5
COLUMNS = (
    "claim",
    "source",
    "base_model",
    "level",
    "published",
    "distilled",
    "measured",
    "tasks",
    "n_pairs",
    "tasks_for",
    "tasks_against",
    "constant",
    "verdict",
)


class Side(NamedTuple):
    """The usual runs of a method, or those that differ in what `run_table` calls `variant`."""

    method: str
    variant: str = ""


OURS = Side("smp_s")
# Variants of methods that the paper's tables hold in place of the usual ones.
AS_PUBLISHED = {"movement": "regularizer 0"}


@dataclass(frozen=True)
class Claim:
    """`OURS` scores above `second`, or no lower where `at_least`.

    Parameters
    ----------
    words, source
        The claim in a sentence, and where the paper makes it.
    second
        What it is compared with, at equal levels; a dense run has one level, and is compared with each of them.
    published
        What `published_points` (methods) or `published_ablations` (variants) call the two; None where it is this
        project's own.
    levels
        The levels that it is about; empty for every level.
    """

    words: str
    source: str
    second: Side
    published: tuple[str, str] | None
    at_least: bool = False
    levels: tuple[float, ...] = ()


CLAIMS = (
    Claim(
        "A mask alone scores no lower than fine-tuning.",
        "Table 2",
        Side("dense"),
        ("smp", "dense"),
        at_least=True,
        levels=(0.8, 0.5),
    ),
    Claim(
        "Half of the weights score above all of them fine-tuned.",
        "Table 1",
        Side("dense"),
        ("smp_s", "dense"),
        levels=(0.5,),
    ),
    Claim(
        "SMP-S scores above magnitude pruning.",
        "Table 1",
        Side("magnitude"),
        ("smp_s", "magnitude"),
    ),
    Claim(
        "SMP-S scores above movement pruning.",
        "Table 1",
        Side("movement", AS_PUBLISHED["movement"]),
        ("smp_s", "movement"),
    ),
    Claim(
        "SMP-S scores above movement pruning that has its regulariser too.",
        "-",
        Side("movement"),
        None,
    ),
    Claim(
        "The share rule scores above local top-k.",
        "Table 3",
        Side("smp_l"),
        ("per-type share (S)", "local top-k (L)"),
    ),
    Claim(
        "The share rule scores above global top-k.",
        "Table 3",
        Side("smp_g"),
        ("per-type share (S)", "global top-k (G)"),
    ),
    Claim(
        "Frozen label words score no lower than a new head.",
        "Table 4",
        Side("smp_s", "head linear"),
        ("head from label words, frozen (SMP-L)", "head from scratch (SMP-L)"),
        at_least=True,
    ),
    Claim(
        "The regulariser raises the score.",
        "Table 5",
        Side("smp_s", "regularizer 0"),
        ("with regulariser (SMP-L)", "without regulariser (SMP-L)"),
    ),
)


def claims_table(
    runs: pd.DataFrame,
    compare: Callable[[str, str], Comparison],
    points: pd.DataFrame,
    ablations: pd.DataFrame,
) -> pd.DataFrame:
    """Each claim at each level that an encoder's runs have both sides of, or that was published.

    A task is for a claim, or against it, where more than half of its pairs of seeds (the first `MOST_SEEDS` of each
    side) are distinguishable on the same examples in that direction. A claim agrees where tasks are for it and none is
    against; one of "no lower" also where the mean difference is not below 0 and no task is against. It differs where
    tasks are against it and none is for it. All else cannot be told.

    Parameters
    ----------
    runs
        A row per run: columns of `run_table.COLUMNS`.
    compare
        Run ids a and b -> `sampling.compare` of their main metric, b against a.
    points, ablations
        `published_points`, of which those in tables count, and `published_ablations`.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: published and measured differences (first minus second, means over tasks, fractions; NaN
        where there are none), whether the published one is of masks with a teacher, and the tasks in most of whose
        pairs a run says the same of every example; base_model is empty where nothing was measured.
    """
    rows: list[tuple[Any, ...]] = []
    for claim in CLAIMS:
        published = _published(claim, points, ablations)
        measured = [
            _row(claim, encoder, level, first, second, compare, published.get(level, (np.nan, False)))
            for (encoder, _), of_encoder in by_encoder(runs)
            for level, first, second in _sides(claim, of_encoder)
        ]
        known = {row[COLUMNS.index("level")] for row in measured}
        rows += measured + [
            (claim.words, claim.source, "", level, *there, np.nan, "", 0, 0, 0, "", OPEN)
            for level, there in published.items()
            if level not in known
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _sides(claim: Claim, runs: pd.DataFrame) -> list[tuple[float, pd.DataFrame, pd.DataFrame]]:
    """Levels from many weights to few, and the runs of both sides there, of the tasks and data that both have."""
    runs = runs.assign(place=runs["task"] + " " + runs["data_sha256"])
    first, second = (
        runs[(runs["method"] == side.method) & (runs["variant"] == side.variant)] for side in (OURS, claim.second)
    )
    found = []
    for level in sorted(first["level"].dropna().unique(), reverse=True):
        if claim.levels and level not in claim.levels:
            continue
        here = first[first["level"] == level]
        there = second if claim.second.method == "dense" else second[second["level"] == level]
        here, there = here[here["place"].isin(there["place"])], there[there["place"].isin(here["place"])]
        if len(here):
            found.append((float(level), here, there))
    return found


def _row(
    claim: Claim,
    encoder: str,
    level: float,
    first: pd.DataFrame,
    second: pd.DataFrame,
    compare: Callable[[str, str], Comparison],
    published: tuple[float, bool],
) -> tuple[Any, ...]:
    tasks = [task for task in TASKS if task in set(first["task"])]
    n_for = n_against = n_pairs = 0
    constant = []
    for task in tasks:
        sides = (
            table[table["task"] == task].sort_values("seed").groupby("data_sha256").head(MOST_SEEDS)
            for table in (second, first)
        )
        pairs = product(*(zip(side["run_id"], side["data_sha256"], strict=True) for side in sides))
        # Of two copies of a task's data each has its own examples.
        compared = [compare(a, b) for (a, data), (b, other) in pairs if data == other]
        told = [each.difference if each.distinguishable else 0.0 for each in compared]
        n_pairs += len(told)
        if sum(each.constant for each in compared) > len(compared) / 2:
            constant.append(task)
        n_for += sum(difference > 0 for difference in told) > len(told) / 2
        n_against += sum(difference < 0 for difference in told) > len(told) / 2
    means = [table.groupby(["task", "data_sha256"])["value"].mean() for table in (first, second)]
    difference = float((means[0] - means[1]).groupby("task").mean().mean())
    if n_against == 0 and (n_for > 0 or (claim.at_least and difference >= 0)):
        verdict = AGREES
    else:
        verdict = DIFFERS if n_against > 0 and n_for == 0 else OPEN
    return (
        *(claim.words, claim.source, encoder, level, *published, difference, ", ".join(tasks)),
        *(n_pairs, n_for, n_against, ", ".join(constant), verdict),
    )


def _published(claim: Claim, points: pd.DataFrame, ablations: pd.DataFrame) -> dict[float, tuple[float, bool]]:
    """Level -> the published difference, mean over the tasks' main metrics, and whether it is of masks with a teacher.

    As the measured runs, they are without one where such were published. What did not converge has no part in it.
    """
    if claim.published is None:
        return {}
    is_ablation = set(claim.published) <= set(ablations["variant"])
    table = ablations.assign(distilled=False) if is_ablation else points[~points["read_off"]]
    name = "variant" if is_ablation else "method"
    table = table[table["metric"] == table["task"].map(lambda task: TASKS[task].main_metric)]
    # Either both have a teacher or neither; fine-tuning has none, and its one level, and stands in two tables.
    place = ["base_model", "task", "metric"]
    if claim.second.method != "dense":
        place += ["remaining", "distilled"]
    first, second = (table[table[name] == wanted] for wanted in claim.published)
    both = first.merge(second[[*place, "value"]].drop_duplicates(place), on=place, suffixes=("", "_second"))
    both = both.assign(difference=both["value"] - both["value_second"]).dropna(subset="difference")
    if claim.levels:
        both = both[both["remaining"].isin(claim.levels)]
    both = both[both["distilled"] == both.groupby("remaining")["distilled"].transform("min")]
    found = both.groupby("remaining").agg(difference=("difference", "mean"), distilled=("distilled", "first"))
    rows = found.sort_index(ascending=False).reset_index().to_numpy().tolist()
    return {float(level): (float(difference), bool(distilled)) for level, difference, distilled in rows}


def in_words(table: pd.DataFrame) -> pd.DataFrame:
    """`claims_table` as people read it: text, differences in points; a dash where there is none."""
    points = {
        column: table[column].map(lambda value: f"{100 * value:+z.1f}" if pd.notna(value) else "-")
        for column in ("published", "measured")
    }
    taught = table["distilled"].map({True: ", with a teacher", False: ""})
    return pd.DataFrame(
        {
            "claim": table["claim"].str.rstrip("."),
            "in the paper": table["source"],
            "remaining %": table["level"].map(lambda level: f"{100 * level:g}"),
            "encoder": table["base_model"].replace("", "-"),
            "published": points["published"] + taught,
            "measured": points["measured"],
            "verdict": table["verdict"],
            "tasks for it, against it, in all": [
                f"{row['tasks_for']}, {row['tasks_against']}, {row['tasks'].count(',') + 1}" if row["tasks"] else "-"
                for row in table.to_dict("records")
            ],
            "one class": [
                ", ".join(TASKS[task].title for task in tasks.split(", ")) if tasks else "-"
                for tasks in table["constant"]
            ],
        }
    )
