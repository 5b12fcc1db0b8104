"""Figure of `smp_lab.analysis.transfer`: masks by row, tasks by column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from smp_lab.figures.style import (
    METRIC_TITLES,
    as_cells,
    as_text,
    empty_figure,
    frame_cell,
    name_rows,
    new_figure,
    shortened,
)
from smp_lab.tasks import TASKS

_ROW_PIXELS = 30
_BESIDE = ["own", "random", "magnitude", "majority"]
_FACTS = ["label", "low", "high", "n_examples", *_BESIDE, "transfer_id"]


def plot_transfer(table: pd.DataFrame) -> go.Figure:
    """Main metric of every mask on every task; a mask on its own task is framed.

    Parameters
    ----------
    table
        Of `transfer_table`, with label (of the mask; rows are in the order of their first), transfer_id, metric,
        n_examples, low and high (interval of the development set, fractions).
    """
    title = "What each mask scores on each task"
    if table.empty:
        return empty_figure(title, "No mask of these runs was scored on a task yet.")
    rows, columns = (list(dict.fromkeys(table[name])) for name in ("label", "task"))
    at = [table["label"].map(rows.index), table["task"].map(columns.index)]
    values, colors = np.full((2, len(rows), len(columns)), np.nan)
    values[*at] = 100 * table["value"]
    # Neutral where a share of the way means nothing; empty where nothing was scored.
    colors[*at] = table["share"].fillna(0)
    facts = np.full((*values.shape, len(_FACTS)), None, object)
    intervals = {name: 100 * table[name] for name in ("low", "high")}
    beside = {name: as_text("{:z.1f}", 100 * table[name]) for name in _BESIDE}
    facts[*at] = table[_FACTS].assign(**intervals, **beside).to_numpy()

    figure = new_figure(
        title,
        "Main metric (x 100) with the task's own label words; framed: on its own task",
        height=190 + _ROW_PIXELS * len(rows),
    )
    figure.add_heatmap(
        z=colors,
        hovertext=np.where(np.isnan(values), "", np.char.mod("%.1f", values)),
        customdata=facts,
        hoverongaps=False,
        hovertemplate="%{customdata[0]}<br>%{hovertext} on %{x}, 95 % interval of the dev set %{customdata[1]:.1f} to "
        "%{customdata[2]:.1f}, n = %{customdata[3]:,}<br>own %{customdata[4]}, random %{customdata[5]}, "
        "magnitude %{customdata[6]}, majority-class baseline %{customdata[7]}<br>%{customdata[8]}"
        "<extra></extra>",
    )
    on_its_own = table["mask_task"] == table["task"]
    for row, column in zip(*(place[on_its_own] for place in at), strict=True):
        frame_cell(figure, column, row)
    bar = {
        "title": {"text": "Way to the own mask"},
        "tickvals": [-1, 0, 1],
        "ticktext": ["as far below", "majority-class<br>baseline", "own mask"],
    }
    as_cells(figure, autocolorscale=True, cmin=-1, cmax=1, colorbar=bar)
    metrics = table.drop_duplicates("task")
    names = [
        f"{TASKS[row['task']].title}<br>{METRIC_TITLES[row['metric']]},<br>n = {row['n_examples']:,}"
        for row in metrics.to_dict("records")
    ]
    figure.update_xaxes(tickvals=list(range(len(columns))), ticktext=names, ticks="")
    name_rows(figure, list(map(shortened, rows)))
    return figure
