"""Published numbers, to stand beside measured ones: Jiang, Wang, Zhuang, Xie and Xia (2023), ACL, arXiv 2210.06210.

The files in published/ hold, in percent and as fractions of the encoder's prunable weights:

results.csv
    Tables 1 and 2, means over five seeds, the baselines as that paper reports them. ``θM`` is one binary mask, as many
    bits as 2.7 M parameters take.
figure1.csv
    150 points read off Figure 1 by image measurement, to about 0.1. Of the 48 that Table 1 has too, 45 agree to 0.1.
    The others are soft-movement runs at a slightly other fraction, and movement on SQuAD with distillation at 10 %,
    where the figure has 84.7 and the table 84.3.
ablations.csv
    Tables 3, 4 and 5; empty where training did not converge.
standard_deviations.csv
    Table 7, over five seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

SOURCE = "Jiang et al. (2023), ACL"

METHOD_TITLES: Mapping[str, str] = {
    "dense": "Fine-tuning",
    "magnitude": "Magnitude",
    "movement": "Movement",
    "soft_movement": "Soft movement",
    "l0": "L0",
    "cap": "CAP",
    "super_tickets": "SuperTickets",
    "smp": "SMP",
    "smp_l": "SMP-L",
    "smp_s": "SMP-S",
}

_FOLDER = Path(__file__).with_suffix("")


def published_in_tables() -> pd.DataFrame:
    """Those of `published_points` that stand in tables as numbers, of runs without a teacher."""
    points = published_points()
    return points[~points["read_off"] & ~points["distilled"]]


def published_points() -> pd.DataFrame:
    """Every published value of a metric at a remaining fraction.

    Returns
    -------
    DataFrame
        Columns source ("table 1"), read_off (True for Figure 1), method, method_title, base_model, task, metric,
        distilled (bool), remaining (fraction, encoder), value and sd over seeds (fractions of the metric; sd is NaN
        where none was published), new_parameters and trainable_parameters of a task (text as printed; empty elsewhere).
    """
    table = pd.concat([_read("results"), _read("figure1")], ignore_index=True)
    spread = _read("standard_deviations").drop(columns=["source", "seeds"])
    # Table 7 belongs to the runs of Table 2, whose tasks have one metric each.
    table = table.merge(spread, on=["method", "base_model", "task", "remaining"], how="left", validate="m:1")
    return pd.DataFrame(
        {
            "source": table["source"],
            "read_off": table["source"].str.startswith("figure"),
            "method": table["method"],
            "method_title": table["method"].map(METHOD_TITLES),
            "base_model": table["base_model"],
            "task": table["task"],
            "metric": table["metric"],
            "distilled": table["distilled"] == "yes",
            "remaining": table["remaining"],
            "value": table["value_percent"] / 100,
            "sd": table["std_percent"] / 100,
            "new_parameters": table["new_params_per_task"].fillna(""),
            "trainable_parameters": table["trainable_params"].fillna(""),
        }
    )


def published_ablations() -> pd.DataFrame:
    """Tables 3, 4 and 5.

    Returns
    -------
    DataFrame
        Columns source, variant, base_model, task, metric, remaining (fraction), value (fraction; NaN where training did
        not converge), note.
    """
    table = _read("ablations")
    return table.assign(value=table["value_percent"] / 100).drop(columns="value_percent")


def _read(name: str) -> pd.DataFrame:
    return pd.read_csv(_FOLDER / f"{name}.csv", keep_default_na=False, na_values={"value_percent": [""]})
