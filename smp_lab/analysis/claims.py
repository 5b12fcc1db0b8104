"""What the paper claims, each claim beside published numbers and measured pairs of runs, with a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from smp_lab.analysis.run_table import by_encoder, of_main_metric
from smp_lab.analysis.sampling import Comparison
from smp_lab.tasks import TASKS

AGREES, DIFFERS, OPEN = "agrees", "differs", "cannot be told"
# Of one setting that are compared in pairs; all of them count in its mean.
MOST_SEEDS = 5
_SAME_DATA = ["task", "data_sha256"]
# The columns of `claims_table`, with what they hold where nothing is known.
_UNKNOWN: Mapping[Any, Any] = {
    "claim": "",
    "source": "",
    "base_model": "",
    "level": np.nan,
    "published": np.nan,
    "distilled": False,
    "measured": np.nan,
    "tasks": "",
    "n_pairs": 0,
    "tasks_for": 0,
    "tasks_against": 0,
    "constant": "",
    "verdict": OPEN,
}


class Side(NamedTuple):
    """The usual runs of a method, or those that differ in what `run_table` calls `variant`."""

    method: str
    variant: str = ""

    def of(self, runs: pd.DataFrame) -> pd.DataFrame:
        """Those among rows of `run_table`."""
        return runs[(runs["method"] == self.method) & (runs["variant"] == self.variant)]


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
    side) are distinguishable on the same examples in that direction. A claim agrees where tasks are for it, none is
    against it and the mean difference is above 0; one of "no lower" where none is against it and the mean is not below
    0. It differs where tasks are against it, none is for it and the mean is below 0. All else cannot be told.

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
        Columns of `_UNKNOWN`: published and measured differences (first minus second, means over tasks, fractions; NaN
        where there are none), whether the published one is of masks with a teacher, and the tasks in most of whose
        pairs a run says the same of every example; base_model is empty where nothing was measured.
    """
    rows = []
    for claim in CLAIMS:
        published = _published(claim, points, ablations)
        measured = [
            {"base_model": encoder, **row}
            for (encoder, _), of_encoder in by_encoder(runs)
            for row in _measured(claim, of_encoder, compare)
        ]
        known = {row["level"] for row in measured}
        measured += [{"level": level} for level in published if level not in known]
        said = {**_UNKNOWN, "claim": claim.words, "source": claim.source}
        rows += [said | published.get(row["level"], {}) | row for row in measured]
    return pd.DataFrame(rows, columns=list(_UNKNOWN))


def _measured(claim: Claim, runs: pd.DataFrame, compare: Callable[[str, str], Comparison]) -> Iterator[dict[Any, Any]]:
    """A row for each level at which an encoder's runs have both sides on the same data, from many weights to few."""
    first, second = OURS.of(runs), claim.second.of(runs)
    for level in sorted(first["level"].dropna().unique(), reverse=True):
        here = first[first["level"] == level]
        there = second if claim.second.method == "dense" else second[second["level"] == level]
        few = [side.sort_values("seed", kind="stable").groupby(_SAME_DATA).head(MOST_SEEDS) for side in (there, here)]
        # Of two copies of a task's data each has its own examples.
        pairs = few[0].merge(few[1], on=_SAME_DATA)
        if pairs.empty or (claim.levels and level not in claim.levels):
            continue
        compared = list(map(compare, pairs["run_id_x"], pairs["run_id_y"]))
        told = [each.difference if each.distinguishable else 0.0 for each in compared]
        found = pairs.assign(
            higher=np.greater(told, 0), lower=np.less(told, 0), constant=[each.constant for each in compared]
        )
        # Of each task, whether it holds for more than half of the pairs.
        most = found.groupby("task")[["higher", "lower", "constant"]].mean() > 0.5
        n_for, n_against = int(most["higher"].sum()), int(most["lower"].sum())
        means = [side.groupby(_SAME_DATA)["value"].mean() for side in (here, there)]
        difference = float((means[0] - means[1]).groupby("task").mean().mean())
        agrees = difference >= 0 if claim.at_least else difference > 0 and n_for > 0
        if agrees and n_against == 0:
            verdict = AGREES
        else:
            verdict = DIFFERS if difference < 0 and n_against > 0 and n_for == 0 else OPEN
        yield {
            "level": level,
            "measured": difference,
            "tasks": ", ".join(task for task in TASKS if task in most.index),
            "n_pairs": len(pairs),
            "tasks_for": n_for,
            "tasks_against": n_against,
            "constant": ", ".join(task for task in TASKS if most["constant"].get(task)),
            "verdict": verdict,
        }


def _published(claim: Claim, points: pd.DataFrame, ablations: pd.DataFrame) -> dict[Any, dict[Any, Any]]:
    """Level -> the published difference, mean over the tasks' main metrics, and whether it is of masks with a teacher.

    As the measured runs, they are without one where such were published. What did not converge has no part in it.
    """
    if claim.published is None:
        return {}
    is_ablation = set(claim.published) <= set(ablations["variant"])
    table = ablations.assign(distilled=False) if is_ablation else points[~points["read_off"]]
    name = "variant" if is_ablation else "method"
    table = table[of_main_metric(table)]
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
    found = both.groupby("remaining").agg(published=("difference", "mean"), distilled=("distilled", "first"))
    return found.sort_index(ascending=False).to_dict("index")


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
