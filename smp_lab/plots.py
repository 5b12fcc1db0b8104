"""The figures of the app for notebooks and papers: one call each, runs in, a plotly figure out.

>>> from smp_lab import plots
>>> runs = plots.open_runs("cached_runs", method="smp_s", remaining=0.1, seed=0)
>>> plots.remaining_per_layer(runs).show()

All of them read records alone: they need neither torch nor the app.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go

from smp_lab.analysis import clustering, labels, run_table, scores, sparsity, training_history
from smp_lab.analysis import overlap as overlaps
from smp_lab.errors import MaskFormatError, RunFormatError
from smp_lab.figures import overlap as overlap_figures
from smp_lab.figures import scores as score_figures
from smp_lab.figures import sparsity as sparsity_figures
from smp_lab.figures import training_history as history_figures
from smp_lab.figures.style import HEAD_WORDS, MATRIX_TITLES, TASK
from smp_lab.layout import HEAD_TYPES, MatrixId
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.runs import RunRecord, list_runs

_PAIR = ["run_a", "run_b"]


def open_runs(folder: str | Path, **settings: object) -> list[RunRecord]:
    """The runs of a folder that have these settings, in the order of their ids.

    Parameters
    ----------
    folder
        Such as ``"cached_runs"``; what cannot be read in it is left out.
    settings
        Of `RunConfig`, such as ``task="sst2"``.

    Raises
    ------
    RunFormatError
        If no run has them.
    """
    runs = [
        run
        for run in list_runs([Path(folder)]).runs.values()
        if all(getattr(run.config, name) == value for name, value in settings.items())
    ]
    if not runs:
        asked = ", ".join(f"{name}={value!r}" for name, value in settings.items()) or "anything"
        raise RunFormatError(f"No run in {folder} has {asked}. `smp-lab runs` lists what is there.")
    return runs


def remaining_per_layer(runs: Sequence[RunRecord], *, color_by: str = TASK) -> go.Figure:
    """Remaining weights of each layer, by matrix type and over all; `color_by` is "task" or "method"."""
    table = _of_runs(runs, [sparsity.remaining_per_layer(run.kept, run.layout) for run in runs])
    return sparsity_figures.plot_remaining_per_layer(table, color_by)


def remaining_per_head(runs: Sequence[RunRecord], matrix_types: Sequence[str] = HEAD_TYPES) -> go.Figure:
    """Remaining weights of each attention head, summed over some of `HEAD_TYPES`."""
    tables = [sparsity.remaining_per_head(run.kept_per_head, run.layout, matrix_types) for run in runs]
    every = set(matrix_types) == set(HEAD_TYPES)
    words = HEAD_WORDS if every else ", ".join(MATRIX_TITLES[kind].lower() for kind in matrix_types)
    return sparsity_figures.plot_remaining_per_head(_of_runs(runs, tables), words)


def mask(run: RunRecord, layer: int, matrix_type: str) -> go.Figure:
    """One matrix of a mask as a picture of blocks."""
    matrix = MatrixId(layer, matrix_type)
    table = sparsity.block_fractions(run.masks.dense(matrix))
    name = f"{_labels([run])[run.run_id]}, {matrix}"
    return sparsity_figures.plot_matrix(table, name, (0, 0, 0), float(table["remaining"].max()) or 1)


def overlap(runs: Sequence[RunRecord], measure: str = "phi_within") -> go.Figure:
    """A measure of `overlap.MEASURES` for every two masks, similar ones side by side.

    Raises
    ------
    MaskFormatError
        If there are fewer than two masks, or two are for different encoders.
    """
    pairs, names = _pairs(runs)
    tree: clustering.Clustering = overlaps.similarity_tree(pairs, list(names))
    return overlap_figures.plot_pairs(pairs, names, tree.order, tree.merges, measure)


def overlap_by_kind(runs: Sequence[RunRecord], measure: str = "phi_within", *, color_by: str = TASK) -> go.Figure:
    """The same pairs by what the two runs share: their task, their settings, or neither; raises what `overlap` does."""
    pairs, _ = _pairs(runs)
    kinds = [kind for kind in overlaps.PAIR_KINDS if kind in set(pairs["kind"])]
    return overlap_figures.plot_pair_kinds(pairs, kinds, measure, color_by)


def intersections(runs: Sequence[RunRecord]) -> go.Figure:
    """Weights that exactly one combination of masks keeps; raises what `overlap.region_counts` raises."""
    masks = _masks(runs)
    regions = overlaps.region_counts({each.mask_id: each.masks for each in masks})
    return overlap_figures.plot_regions(regions, _labels(runs))


def score_distribution(
    run: RunRecord, matrix_type: str = "all", layer: int | None = None, share_of_steps: float = 1.0
) -> go.Figure:
    """Scores of kept and of removed weights at the snapshot nearest to a share of the steps; it plays through all."""
    known = run.scores
    histograms = known.kept_histogram, known.removed_histogram
    table = scores.score_distribution(known.steps, known.edges, *histograms, run.layout, matrix_type, layer)
    cuts = scores.score_cuts(known.steps, known.score_cut, run.layout, matrix_type, layer)
    step = int(known.steps[scores.snapshot_at(known.steps, share_of_steps)])
    return score_figures.plot_distribution(
        table,
        cuts,
        f"{_labels([run])[run.run_id]}, {MATRIX_TITLES[matrix_type].lower()}",
        step,
        scores=score_figures.score_range([table]),
        densities=score_figures.density_range([table[table["step"] == step]]),
    )


def similarity_to_final(runs: Sequence[RunRecord], measure: str = "recall", *, color_by: str = TASK) -> go.Figure:
    """How like the final mask the masks of all snapshots were; `measure` is one of `scores.SIMILARITIES`."""
    tables = []
    for run in runs:
        known = run.scores
        table = scores.similarity_to_final(known.steps, known.kept, known.kept_in_final, run.layout)
        tables.append(table[table["layer"].isna()].drop(columns="layer"))
    return score_figures.plot_similarity(_of_runs(runs, tables), measure, color_by)


def evaluations(runs: Sequence[RunRecord], *, x: str = history_figures.STEP, color_by: str = TASK) -> go.Figure:
    """Main metric at each evaluation; `x` is one of `figures.training_history.AXES`."""
    tables = [
        training_history.evaluations(run.results["evaluations"], run.main_metric).assign(n_examples=run.n_examples)
        for run in runs
    ]
    return history_figures.plot_evaluations(_of_runs(runs, tables), x, color_by)


def remaining_over_training(
    runs: Sequence[RunRecord], *, x: str = history_figures.STEP, color_by: str = TASK
) -> go.Figure:
    """Measured remaining weights beside the schedule."""
    tables = [training_history.progress(run.history, run.layout.n_weights) for run in runs]
    return history_figures.plot_remaining(_of_runs(runs, tables), x, color_by)


def _labels(runs: Sequence[RunRecord]) -> dict[str, str]:
    return labels.run_labels(run_table.run_table(runs))


def _of_runs(runs: Sequence[RunRecord], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return run_table.tables_of_runs(list(zip(runs, tables, strict=True)), _labels(runs))


def _masks(runs: Sequence[RunRecord]) -> list[MaskRecord]:
    masks = [record for run in runs if (record := run.mask_record) is not None]
    if len(masks) < 2:
        raise MaskFormatError(f"Overlap is of two masks or more; {len(masks)} of these {len(runs)} runs hold one.")
    overlaps.check_one_encoder(masks)
    return masks


def _pairs(runs: Sequence[RunRecord]) -> tuple[pd.DataFrame, Mapping[str, str]]:
    masks = _masks(runs)
    names = {mask_id: name for mask_id, name in _labels(runs).items() if mask_id in {each.mask_id for each in masks}}
    sizes = {
        run.run_id: overlaps.magnitudes(
            run.scores.kept_histogram[-1],
            run.scores.removed_histogram[-1],
            run.scores.weight_score_histogram,
            run.scores.kept_by_magnitude,
        )
        for run in runs
        if run.has_scores
    }
    counts = overlaps.pairwise_overlap({each.mask_id: each.masks for each in masks}, sizes)
    return overlaps.describe_pairs(overlaps.measure_overlap(counts, _PAIR), masks, names), names
