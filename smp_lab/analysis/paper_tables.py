"""The tables of Jiang et al. (2023) with what was measured beside them, as people read them: text, values in percent.

Runs are rows of `run_table.run_table`. A dash stands where there is nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from smp_lab.analysis.claims import AS_PUBLISHED, CLAIMS, OURS, Side
from smp_lab.analysis.labels import method_name
from smp_lab.analysis.overview import mean_over, over_tasks
from smp_lab.analysis.replicates import over_seeds
from smp_lab.analysis.run_table import by_encoder
from smp_lab.analysis.summary import side_by_side
from smp_lab.methods import METHODS
from smp_lab.metrics import METRICS
from smp_lab.tasks import TASKS
from smp_lab.tasks.kinds import SPAN

# A run that differs from the usual ones in having a teacher.
_TAUGHT = r"teacher [^,]*"
# What of Table 2 is measured: fine-tuning, and masks that keep half of the weights or more.
_OF_TABLE_2 = ((Side("dense"), 1.0), (OURS, 0.8), (OURS, 0.5))
_COUNTS = ["new_parameters", "trainable_parameters"]
_OF_ABLATIONS: Mapping[str, Side] = {
    name: side
    for claim in CLAIMS
    if claim.published
    for name, side in zip(claim.published, (OURS, claim.second), strict=True)
} | {"sigmoid threshold (T)": Side("smp_t")}


def table_1(points: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Table 1: methods by level and teacher.

    Parameters
    ----------
    points
        Of `published.published_points`.
    runs
        With the columns trainable_parameters and new_parameters (counts).

    Returns
    -------
    DataFrame
        A row per method, level and teacher, from many weights to few; the published metrics, for each encoder the
        metrics by task and the mean over tasks as `overview.over_tasks` has it, then the published and the measured
        parameters (means over runs), of usual runs, of those that a teacher alone sets apart, and of movement pruning
        without a regulariser, as it was published.
    """
    table = points[points["source"] == "table 1"]
    distilled = runs["variant"].str.fullmatch(_TAUGHT)
    own = runs.assign(distilled=distilled, remaining=runs["level"].fillna(runs["remaining"]))
    own = own[distilled | (runs["variant"] == runs["method"].map(AS_PUBLISHED).fillna(""))]
    place = ["method", "distilled", "remaining"]
    by_metric = table.assign(metric=table["metric"].map(lambda name: METRICS[name].title)).groupby("task", sort=False)
    heads = {
        str(task): f"{TASKS[str(task)].title} {' / '.join(each.unique())}, published"
        for task, each in by_metric["metric"]
    }
    published = table.pivot_table(index=place, columns="task", values="value", aggfunc=_values).rename(columns=heads)
    scores = [published[list(heads.values())]]
    counts = [
        table.groupby(place)[_COUNTS].first().set_axis(["new parameters, published", "trained, published"], axis=1)
    ]
    whole = over_tasks(runs)
    for (name, digest), ours in by_encoder(own):
        means = whole[whole["base_model_sha256"] == digest]
        mean = {(row["method"], False, row["level"]): _values([row["mean"]]) for row in means.to_dict("records")}
        by_task = {key: _by_task(part) for key, part in ours.groupby(place)}
        measured = {f"measured by task, {name}": by_task, f"{mean_over(means)}, {name}": mean}
        scores.append(pd.DataFrame(measured, dtype="str"))
        of_runs = ours.groupby(place)[_COUNTS].mean().map(lambda n: f"{n / 1e6:.2f}M")
        counts.append(of_runs.set_axis([f"new parameters, {name}", f"trained, {name}"], axis=1))
    order = pd.concat([table[place], own[place]]).drop_duplicates()
    order = order.sort_values(["remaining", "distilled"], ascending=False, kind="stable")
    cells = pd.concat([*scores, *counts], axis=1).reindex(pd.MultiIndex.from_frame(order)).fillna("-")
    titles = dict(zip(table["method"], table["method_title"], strict=True))
    methods = [
        (method_name(method) if method in METHODS else titles[method]) + ", with a teacher" * distilled
        for method, distilled, _ in cells.index
    ]
    cells.insert(0, "method", methods)
    cells.insert(1, "remaining %", order["remaining"].map(_percent).to_numpy())
    return cells.reset_index(drop=True)


def table_2(points: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Table 2, masks beside fine-tuning on the tasks of GLUE, with the standard deviations over seeds of Table 7.

    Parameters
    ----------
    points
        Of `published.published_points`.
    runs
        Of which fine-tuning and SMP-S at 80 and 50 % are taken, usual ones.

    Returns
    -------
    DataFrame
        A row per encoder, method and level, published ones first, a column per task. A cell is the mean over seeds,
        with the standard deviation where there are several; published are five.
    """
    table = points[points["source"] == "table 2"]
    heads = {task: f"{TASKS[task].title} {METRICS[TASKS[task].main_metric].title}" for task in table["task"].unique()}
    usual = over_seeds(runs[(runs["variant"] == "") & runs["task"].isin(heads)])
    measured = [
        side.of(ours[ours["level"] == level]).assign(of="measured", title=method_name(side.method), decimals=1)
        for _, ours in by_encoder(usual)
        for side, level in _OF_TABLE_2
    ]
    published = table.rename(columns={"value": "mean", "remaining": "level", "method_title": "title"})
    both = pd.concat([published.assign(of="published", decimals=2), *measured])
    cells = [_spread(*row) for row in both[["mean", "sd", "decimals"]].itertuples(index=False)]
    both = both.assign(level=both["level"].map(_percent), head=both["task"].map(heads), cell=cells)
    text = side_by_side(both, ["of", "base_model", "title", "level"], list(heads.values()))
    return text.rename(columns={"of": "", "base_model": "encoder", "title": "method", "level": "remaining %"})


def tables_3_to_5(ablations: pd.DataFrame, runs: pd.DataFrame, claims: pd.DataFrame) -> pd.DataFrame:
    """Tables 3 to 5: parts of the method exchanged.

    Parameters
    ----------
    ablations
        Of `published.published_ablations`.
    runs
        Of which those are taken that differ from the usual ones in that part alone.
    claims
        Of `claims.claims_table`: what the paper chose against each other variant.

    Returns
    -------
    DataFrame
        A row per table, variant and level, the published metrics; then for each encoder that has any the metrics by
        task of the same part exchanged in SMP-S (where the method measures what remains, with it), and the verdict of
        the claim that what the paper chose is better.
    """
    heads = [
        f"{TASKS[task].title} {METRICS[metric].title}, published"
        for task, metric in zip(ablations["task"], ablations["metric"], strict=True)
    ]
    cells = ["did not converge" if math.isnan(value) else _values([value]) for value in ablations["value"]]
    place = ["source", "variant", "remaining"]
    table = side_by_side(ablations.assign(head=heads, cell=cells), place, list(dict.fromkeys(heads)))
    variants = {claim.words: claim.published[1] for claim in CLAIMS if claim.published}
    compared = claims[claims["n_pairs"] > 0]
    about = zip(compared["base_model"], compared["claim"].map(variants), compared["level"], strict=True)
    verdicts = dict(zip(about, compared["verdict"], strict=True))
    rows = list(zip(table["variant"], table["remaining"], strict=True))
    for (name, _), ours in by_encoder(runs):
        table[f"measured by task, {name}"] = [
            _by_task(_OF_ABLATIONS[variant].of(ours[ours["level"].isna() | (ours["level"] == level)]))
            for variant, level in rows
        ]
        table[f"verdict, {name}"] = [verdicts.get((name, *row), "-") for row in rows]
    # What did not converge stands at the end of the source.
    table = table.sort_values("source", kind="stable", ignore_index=True)
    table = table.assign(remaining=table["remaining"].map(_percent)).rename(columns={"remaining": "remaining %"})
    return table.loc[:, (table != "-").any()]


def _percent(level: float) -> str:
    return f"{100 * level:.4g}"


def _values(values: Any) -> str:
    return " / ".join(f"{100 * value:.1f}" for value in values) or "-"


def _spread(mean: float, sd: float, decimals: int) -> str:
    return f"{100 * mean:.1f}" + ("" if math.isnan(sd) else f" ± {100 * sd:.{decimals}f}")


def _by_task(runs: pd.DataFrame) -> str:
    """Means over seeds by task in their order, with what is kept where a method measures it.

    Of SQuAD with the number of questions: runs here may have a part of them.
    """
    rows = over_seeds(runs).to_dict("records")
    cells = [
        f"{TASKS[task].title} {100 * row['mean']:.1f}"
        + (f" at {_percent(row['remaining'])} %" if math.isnan(row["level"]) else "")
        + (f" on {row['n_examples']:,} questions" if TASKS[task].kind is SPAN else "")
        for task in TASKS
        for row in rows
        if row["task"] == task
    ]
    return ", ".join(cells) or "-"
