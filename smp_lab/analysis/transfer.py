"""What a mask scores on other tasks than its own, beside the masks of those tasks and masks that nobody trained."""

from __future__ import annotations

import pandas as pd

OWN, OTHER_TASK, RANDOM, MAGNITUDE = KINDS = ("own", "other task", "random", "magnitude")

_CONTROLS = {"random": RANDOM, "magnitude_frozen": MAGNITUDE}


def transfer_table(transfers: pd.DataFrame) -> pd.DataFrame:
    """Each mask on each task, with what the task's own masks and the controls score on the same examples.

    Parameters
    ----------
    transfers
        A row per mask and task, masks of one encoder that keep equally much: mask_task (None for a mask that no run
        holds), mask_method, task, classifier (text that two share if their numbers can be compared: words, lengths,
        precision, examples), value and majority (of one metric per task, fractions).

    Returns
    -------
    DataFrame
        The rows of the most frequent classifier of each task, with kind (one of `KINDS`); own, random, magnitude: mean
        value of the masks of that kind on that task, NaN where there is none; difference_to_own, difference_to_random,
        difference_to_magnitude: value minus that; share: how far the value lies from the majority's answer (0) to the
        own masks (1), NaN where those are not above it.
    """
    kinds = [
        _CONTROLS.get(method, OWN if mask_task == task else OTHER_TASK)
        for mask_task, method, task in transfers[["mask_task", "mask_method", "task"]].itertuples(index=False)
    ]
    table = transfers.assign(kind=pd.Series(kinds, transfers.index, dtype="str"))
    usual = table.groupby("task")["classifier"].transform(lambda classifiers: classifiers.value_counts().index[0])
    table = table[table["classifier"] == usual].reset_index(drop=True)
    for kind in (OWN, RANDOM, MAGNITUDE):
        mean = table[table["kind"] == kind].groupby("task")["value"].mean()
        table[kind] = table["task"].map(mean).astype(float)
        table[f"difference_to_{kind}"] = table["value"] - table[kind]
    reach = table[OWN] - table["majority"]
    return table.assign(share=((table["value"] - table["majority"]) / reach).where(reach > 0))
