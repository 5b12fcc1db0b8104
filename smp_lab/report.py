"""Chosen runs as one HTML file: what they say, figures to move about in, tables, and a card of each run.

It opens anywhere: plotly.js stands in it once, and its own policy lets a browser load nothing else. Words and tables
are written as Markdown; text of records is escaped there, as on the pages.
"""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import pandas as pd
import plotly.graph_objects as go
from markdown_it import MarkdownIt
from plotly.offline import get_plotlyjs

from smp_lab import __version__
from smp_lab.analysis import curves, overlap, overview, sampling, sparsity, training_history
from smp_lab.analysis.labels import plain, run_labels
from smp_lab.analysis.replicates import along_lines
from smp_lab.analysis.run_card import card_markdown, run_card
from smp_lab.analysis.run_table import rows_of, tables_of_runs
from smp_lab.analysis.summary import as_markdown, caption, summarize, summary_cells
from smp_lab.errors import RunFormatError, SmpLabError
from smp_lab.figures.curves import plot_curves
from smp_lab.figures.overlap import SCALES, plot_pair_kinds, plot_pairs
from smp_lab.figures.sparsity import plot_remaining_per_head, plot_remaining_per_layer
from smp_lab.figures.style import DIFFERENCE, HEAD_WORDS, SAFE_FONT
from smp_lab.figures.training_history import plot_evaluations, plot_flips, plot_remaining
from smp_lab.storage.published import published_in_tables
from smp_lab.storage.runs import RunRecord, masks_of

# A part of the report: Markdown, or a figure.
Part: TypeAlias = str | go.Figure

# A panel a run takes too much of a page beyond this; pairs grow with the square.
_MOST_PANELS = 12
_MOST_MASKS = 40
_MEASURE = "phi_within"

# Raw HTML is off in it, tables are on, and links to scripts are refused.
_MARKDOWN = MarkdownIt("js-default")
_CONFIG = {"displaylogo": False, "responsive": True}
_STYLE = f"""
:root {{color-scheme: light}}
body {{margin: 0 auto; padding: 1rem 1.5rem 4rem; max-width: 70rem; font: 16px/1.5 {SAFE_FONT}; color: #1F2933}}
.wide {{overflow-x: auto}}
figure {{margin: 1.5rem 0}}
figure > div {{min-width: 54rem}}
table {{border-collapse: collapse; font-size: 0.875rem}}
th, td {{border-bottom: 1px solid #E6E9EC; padding: 0.25rem 0.75rem 0.25rem 0; text-align: left}}
code, pre {{font-size: 0.875em; overflow-wrap: anywhere; white-space: pre-wrap}}
details {{border-top: 1px solid #E6E9EC; padding: 0.5rem 0}}
summary {{cursor: pointer; font-weight: 600}}
"""


def opened(names: Iterable[str], open_run: Callable[[str], RunRecord]) -> tuple[list[RunRecord], list[str]]:
    """Runs of which a report can read all that it shows, each once, and a sentence on each of the others."""
    runs, problems = {}, []
    for name in names:
        try:
            run = open_run(name)
            for part in ("history", "predictions", *(["masks"] if run.has_masks else [])):
                getattr(run, part)
            runs[run.run_id] = run
        except SmpLabError as problem:
            problems.append(str(problem))
    return list(runs.values()), problems


def report(runs: Sequence[RunRecord], table: pd.DataFrame, problems: Sequence[str] = ()) -> str:
    """One self-contained HTML page on some runs.

    Parameters
    ----------
    runs
        In the order in which they are shown.
    table
        Of `run_table`, with all runs that are available: among them it is decided which settings are usual, and so
        what a run is called.
    problems
        Sentences on runs that are left out, of `opened`.

    Raises
    ------
    RunFormatError
        If there is nothing to report on, or a file of a run cannot be read.
    """
    if not (runs or problems):
        raise RunFormatError("A report is on one run or more, and none was named.")
    rows = rows_of(table, [run.run_id for run in runs])
    names = run_labels(rows)
    title = f"{len(runs)} run{'s' * (len(runs) != 1)} of SMP Lab"
    parts: list[Part] = [f"# {title}"]
    if problems:
        left_out = "\n".join(f"- {plain(sentence)}" for sentence in problems)
        parts.append(f"## Left out\n\nThese runs were asked for, and cannot be read:\n\n{left_out}")
    if runs:
        parts += [*(part for section in _SECTIONS for part in section(runs, rows, names)), "## Run cards"]
    cards = [_card(run, names[run.run_id]) for run in runs]
    return "\n".join([_head(title), *map(_written, range(len(parts)), parts), *cards, "</main></body></html>", ""])


def _scores(runs: Sequence[RunRecord], rows: pd.DataFrame, names: Mapping[str, str]) -> Iterator[Part]:
    known = [sampling.reliability(run.predictions, run.config.task_info, run.main_metric) for run in runs]
    rows = curves.with_reliability(rows, known)
    yield overview.answer(overview.over_tasks(rows))
    yield "## What do the tasks score with fewer weights?"
    lines = curves.published_lines(published_in_tables(), set(rows["task"]), set(rows["method"]))
    yield plot_curves(rows, curves.mean_curves(rows), lines)
    yield as_markdown(summary_cells(summarize(rows)).map(plain).rename(columns=plain))
    yield plain(caption(rows))


def _weights(runs: Sequence[RunRecord], rows: pd.DataFrame, names: Mapping[str, str]) -> Iterator[Part]:
    runs = [run for run in runs if run.has_masks]
    if not runs:
        return
    layers = tables_of_runs([(run, sparsity.remaining_per_layer(run.kept, run.layout)) for run in runs], names)
    heads = tables_of_runs([(run, sparsity.remaining_per_head(run.kept_per_head, run.layout)) for run in runs], names)
    yield "## Where do masks keep weights?"
    yield sparsity.answer(layers, heads)
    yield plot_remaining_per_layer(along_lines(layers, ["layer", "matrix_type"], ["remaining"]), DIFFERENCE)
    if len(runs) <= _MOST_PANELS:
        yield plot_remaining_per_head(heads, HEAD_WORDS)


def _agreement(runs: Sequence[RunRecord], rows: pd.DataFrame, names: Mapping[str, str]) -> Iterator[Part]:
    every = masks_of(runs)
    encoders = Counter(mask.encoder_sha256 for mask in every).most_common(1)
    masks = [mask for mask in every if mask.encoder_sha256 == encoders[0][0]][:_MOST_MASKS]
    if len(masks) < 2:
        return
    shown = {mask.mask_id: names[mask.mask_id] for mask in masks}
    counts = overlap.pairwise_overlap({mask.mask_id: mask.masks for mask in masks})
    pairs = overlap.describe_pairs(overlap.measure_overlap(counts, ["run_a", "run_b"]), masks, shown)
    tree = overlap.similarity_tree(pairs, list(shown))
    yield "## How much do masks agree?"
    yield f"{SCALES[_MEASURE].title}, median: {overlap.medians_in_words(pairs, _MEASURE) or 'not known'}. 0 is chance."
    if len(masks) < len(every):
        yield f"Of {len(every)} masks the first {len(masks)} of one encoder are compared."
    yield plot_pair_kinds(pairs, overlap.kinds_of(pairs), _MEASURE)
    yield overlap.ceiling(pairs)
    yield plot_pairs(pairs, shown, tree.order, tree.merges, _MEASURE)


def _training(runs: Sequence[RunRecord], rows: pd.DataFrame, names: Mapping[str, str]) -> Iterator[Part]:
    metrics = tables_of_runs([(run, training_history.evaluations_of(run)) for run in runs], names)
    contents = [(run, training_history.progress(run.history, run.layout.n_weights)) for run in runs]
    progress = tables_of_runs(contents, names)
    flips = tables_of_runs([(run, training_history.flips(run.history)) for run in runs], names)
    yield "## How did the masks come about?"
    yield training_history.settled(flips, progress)
    place = ["step", "epoch"]
    yield plot_evaluations(along_lines(metrics, place, ["value"]), color_by=DIFFERENCE)
    yield plot_remaining(along_lines(progress, place, ["remaining"]), color_by=DIFFERENCE)
    yield plot_flips(along_lines(flips, place, ["forced", "swaps"]), color_by=DIFFERENCE)


# In the order of the page.
_SECTIONS: tuple[Callable[[Sequence[RunRecord], pd.DataFrame, Mapping[str, str]], Iterator[Part]], ...] = (
    _scores,
    _weights,
    _agreement,
    _training,
)


def _head(title: str) -> str:
    policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="generator" content="SMP Lab {__version__}"><title>{title}</title><style>{_STYLE}</style>'
        f"<script>{get_plotlyjs()}</script></head><body><main>"
    )


def _written(place: int, part: Part) -> str:
    if isinstance(part, str):
        return f'<div class="wide">{_MARKDOWN.render(part)}</div>'
    plot = part.to_html(full_html=False, include_plotlyjs=False, div_id=f"figure-{place}", config=_CONFIG)
    return f'<figure class="wide" aria-label="{html.escape(part.layout.title.text)}">{plot}</figure>'


def _card(run: RunRecord, name: str) -> str:
    words = card_markdown(run_card(run.config, run.layout, run.provenance, run.results), level=3)
    return f"<details><summary>{html.escape(name)}</summary>{_MARKDOWN.render(words)}</details>"
