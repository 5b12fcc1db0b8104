"""The tables of Jiang et al. (2023) with what was measured beside them, as people read them: text, values in percent.

Runs are rows of `run_table.run_table`. A dash stands where there is nothing.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from smp_lab.analysis.claims import AS_PUBLISHED, CLAIMS, OURS, Side
from smp_lab.analysis.labels import method_name
from smp_lab.analysis.overview import over_tasks
from smp_lab.analysis.replicates import over_seeds
from smp_lab.analysis.run_table import by_encoder
from smp_lab.methods import METHODS
from smp_lab.metrics import METRICS
from smp_lab.tasks import TASKS
from smp_lab.tasks.kinds import SPAN

# A run that differs from the usual ones in having a teacher.
_TAUGHT = r"teacher [^,]*"
# What of Table 2 is measured: fine-tuning, and masks that keep half of the weights or more.
_OF_TABLE_2 = {"dense": (1.0,), "smp_s": (0.8, 0.5)}
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
    published = table[[*place, "new_parameters", "trainable_parameters"]].drop_duplicates()
    whole = over_tasks(runs)
    encoders = [(name, digest, whole[whole["base_model_sha256"] == digest]) for (name, digest), _ in by_encoder(own)]
    titles = dict(zip(table["method"], table["method_title"], strict=True))
    tasks = list(dict.fromkeys(table["task"]))
    every = pd.concat([published, own[place]]).drop_duplicates(place).fillna("-")
    rows = []
    for each in every.sort_values(["remaining", "distilled"], ascending=False, kind="stable").to_dict("records"):
        here, ours = (part[(part[place] == pd.Series(each)[place]).all(axis=1)] for part in (table, own))
        teacher = ", with a teacher" if each["distilled"] else ""
        rows.append(
            [
                (method_name(each["method"]) if each["method"] in METHODS else titles[each["method"]]) + teacher,
                _percent(each["remaining"]),
                each["new_parameters"],
                each["trainable_parameters"],
                *(_values(here.loc[here["task"] == task, "value"]) for task in tasks),
                *(
                    cell
                    for _, digest, means in encoders
                    for cell in _measured(ours[ours["base_model_sha256"] == digest], means, each)
                ),
            ]
        )
    by_metric = table.assign(metric=table["metric"].map(lambda name: METRICS[name].title)).groupby("task")["metric"]
    metrics = [f"{TASKS[task].title} {' / '.join(by_metric.get_group(task).unique())}" for task in tasks]
    heads = [
        f"{head}, {name}"
        for name, _, means in encoders
        for head in ("by task", _mean_over(means), "new parameters", "trained")
    ]
    first = ["method", "remaining %", "new parameters, published", "trained, published", *metrics]
    cells = pd.DataFrame(rows, columns=[*first, *heads])
    # Scores first, side by side.
    return cells[sorted(cells, key=lambda head: str(head).startswith(("new parameters", "trained")))]


def _mean_over(means: pd.DataFrame) -> str:
    n_tasks = int(means["n_tasks"].max()) if len(means) else 0
    return f"mean over {n_tasks} task{'s' * (n_tasks > 1)}" if n_tasks else "mean over tasks"


def _measured(runs: pd.DataFrame, means: pd.DataFrame, place: Mapping[Hashable, Any]) -> list[str]:
    whole = means[
        (means["method"] == place["method"]) & (means["level"] == place["remaining"]) & (not place["distilled"])
    ]
    return [
        _by_task(runs),
        _values(whole["mean"]),
        *(
            f"{runs[name].mean() / 1e6:.2f}M" if len(runs) else "-"
            for name in ("new_parameters", "trainable_parameters")
        ),
    ]


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
    tasks = list(dict.fromkeys(table["task"]))
    places = table[["base_model", "method", "method_title", "remaining"]].drop_duplicates()
    rows = []
    for encoder, method, title, level in places.to_numpy().tolist():
        here = table[
            (table["base_model"] == encoder) & (table["method"] == method) & (table["remaining"] == level)
        ].set_index("task")
        cells = [_spread(here["value"][task], here["sd"][task], 2) for task in tasks]
        rows.append(["published", encoder, title, _percent(level), *cells])
    for (encoder, _), of_encoder in by_encoder(over_seeds(runs[runs["variant"] == ""])):
        for method, levels in _OF_TABLE_2.items():
            for level in levels:
                here = of_encoder[(of_encoder["method"] == method) & (of_encoder["level"] == level)]
                cells = [
                    # Of two copies of a task's data each has its own value.
                    "; ".join(
                        _spread(row["mean"], row["sd"], 1) for row in here[here["task"] == task].to_dict("records")
                    )
                    for task in tasks
                ]
                if any(cells):
                    row = ["measured", encoder, method_name(method), _percent(level)]
                    rows.append([*row, *(cell or "-" for cell in cells)])
    heads = [f"{TASKS[task].title} {METRICS[TASKS[task].main_metric].title}" for task in tasks]
    return pd.DataFrame(rows, columns=["", "encoder", "method", "remaining %", *heads])


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
    columns = ablations[["task", "metric"]].drop_duplicates().to_records(index=False).tolist()
    encoders = by_encoder(runs)
    rows = []
    place = ["source", "variant", "remaining"]
    for source, variant, level in ablations[place].drop_duplicates().to_numpy().tolist():
        here = ablations[(ablations["variant"] == variant) & (ablations["remaining"] == level)]
        side = _OF_ABLATIONS[variant]
        ours = runs[(runs["method"] == side.method) & (runs["variant"] == side.variant)]
        ours = ours[ours["level"].isna() | (ours["level"] == level)]
        words = {claim.words for claim in CLAIMS if claim.published and claim.published[1] == variant}
        about = claims[claims["claim"].isin(words) & (claims["level"] == level) & (claims["n_pairs"] > 0)]
        verdicts = dict(zip(about["base_model"], about["verdict"], strict=True))
        values = here.set_index(["task", "metric"])["value"]
        rows.append(
            [
                source,
                variant,
                _percent(level),
                *("did not converge" if math.isnan(values[each]) else _values([values[each]]) for each in columns),
                *(
                    cell
                    for (name, digest), _ in encoders
                    for cell in (_by_task(ours[ours["base_model_sha256"] == digest]), verdicts.get(name, "-"))
                ),
            ]
        )
    published = [f"{TASKS[task].title} {METRICS[metric].title}" for task, metric in columns]
    heads = [f"{head}, {name}" for (name, _), _ in encoders for head in ("by task", "verdict")]
    table = pd.DataFrame(rows, columns=["source", "variant", "remaining %", *published, *heads])
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
