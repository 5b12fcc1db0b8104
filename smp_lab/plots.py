"""The main figures of the app for notebooks and papers: one call each, runs in, a plotly figure out.

>>> from smp_lab import plots
>>> runs = plots.open_runs("cached_runs", method="smp_s", remaining=0.1, seed=0)
>>> plots.remaining_per_layer(runs).show()

All of them read records alone: they need neither torch nor the app. Imported masks stand beside runs: ``runs +
plots.open_masks("runs")``. A record that has nothing of what a figure shows is left out of it, one that comes twice
counts once. An argument that is none of those that there are raises `ConfigError`.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from smp_lab.analysis import curves as curve_tables
from smp_lab.analysis import labels, run_table, sampling, scores, sparsity, training_history
from smp_lab.analysis import overlap as overlaps
from smp_lab.analysis import transfer as transfer_tables
from smp_lab.errors import ConfigError, MaskFormatError, RunFormatError
from smp_lab.figures import curves as curve_figures
from smp_lab.figures import overlap as overlap_figures
from smp_lab.figures import scores as score_figures
from smp_lab.figures import sparsity as sparsity_figures
from smp_lab.figures import training_history as history_figures
from smp_lab.figures import transfer as transfer_figures
from smp_lab.figures.style import COLOR_BY, DIFFERENCE, HEAD_WORDS, LINE_COLOR_BY, MATRIX_TITLES, TASK
from smp_lab.layout import HEAD_TYPES, MATRIX_TYPES, MatrixId
from smp_lab.settings import SETTINGS
from smp_lab.storage.imported import IMPORTED_MASKS
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.published import published_in_tables
from smp_lab.storage.runs import Masked, RunRecord, list_runs, masks_of
from smp_lab.storage.store import cut
from smp_lab.storage.transfers import TRANSFERS, TransferRecord

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
    ConfigError
        If there is no such setting, or no such folder.
    """
    if unknown := sorted(set(settings) - set(SETTINGS)):
        raise ConfigError(f"Unknown settings: {', '.join(unknown)}. Known: {', '.join(SETTINGS)}.")
    runs = [
        run
        for run in list_runs([_folder(folder)]).records.values()
        if all(getattr(run.config, name) == value for name, value in settings.items())
    ]
    if not runs:
        asked = ", ".join(f"{name}={value!r}" for name, value in settings.items())
        there = f"`smp-lab runs --folder {shlex.quote(str(folder))}` lists what is there"
        raise RunFormatError(f"There is no run{' with ' * bool(asked)}{asked} in {folder}; {there}.")
    return runs


def open_masks(folder: str | Path) -> list[MaskRecord]:
    """The imported masks of a folder of runs; what cannot be read in it is left out."""
    return [imported.mask_record for imported in IMPORTED_MASKS.list([_folder(folder)]).records.values()]


def open_transfers(folder: str | Path) -> list[TransferRecord]:
    """What `smp-lab transfer` has kept in a folder of runs; what cannot be read in it is left out."""
    return list(TRANSFERS.list([_folder(folder)]).records.values())


def remaining_per_layer(runs: Sequence[Masked], *, color_by: str = DIFFERENCE) -> go.Figure:
    """Remaining weights of each layer, by matrix type and over all; `color_by` is one of `style.LINE_COLOR_BY`."""
    _one_of("color_by", color_by, LINE_COLOR_BY)
    records = _records(runs)
    table = _of_runs(records, [sparsity.remaining_per_layer(each.kept, each.layout) for each in records])
    return sparsity_figures.plot_remaining_per_layer(table, color_by)


def remaining_per_head(runs: Sequence[Masked], matrix_types: Sequence[str] = HEAD_TYPES) -> go.Figure:
    """Remaining weights of each attention head, summed over some of `HEAD_TYPES`."""
    for kind in matrix_types or [""]:
        _one_of("matrix type of heads", kind, HEAD_TYPES)
    records = _records(runs)
    tables = [sparsity.remaining_per_head(each.kept_per_head, each.layout, matrix_types) for each in records]
    every = set(matrix_types) == set(HEAD_TYPES)
    words = HEAD_WORDS if every else ", ".join(MATRIX_TITLES[kind].lower() for kind in matrix_types)
    return sparsity_figures.plot_remaining_per_head(_of_runs(records, tables), words)


def mask(run: Masked, layer: int, matrix_type: str) -> go.Figure:
    """One matrix of a mask as a picture of blocks.

    Raises
    ------
    MaskFormatError
        If the run holds no mask.
    """
    _records([run])
    matrix = MatrixId(layer, matrix_type)
    _one_of("matrix type", matrix_type, MATRIX_TYPES)
    _one_of("layer", layer, range(run.layout.n_layers))
    (record,), names = _masks([run], at_least=1)
    table = sparsity.block_fractions(record.masks.dense(matrix))
    highest = float(table["remaining"].max())
    return sparsity_figures.plot_matrix(table, f"{names[record.mask_id]}, {matrix}", None, highest)


def overlap(runs: Sequence[Masked], measure: str = "phi_within") -> go.Figure:
    """A measure of `overlap.MEASURES` for every two masks, similar ones side by side.

    Raises
    ------
    MaskFormatError
        If there are fewer than two masks, or two are for different encoders.
    """
    _one_of("measure", measure, overlaps.MEASURES)
    pairs, names = _pairs(runs)
    tree = overlaps.similarity_tree(pairs, list(names))
    return overlap_figures.plot_pairs(pairs, names, tree.order, tree.merges, measure)


def overlap_by_kind(runs: Sequence[Masked], measure: str = "phi_within", *, color_by: str = TASK) -> go.Figure:
    """The same pairs by what the two runs share: their task, their settings, or neither; raises what `overlap` does."""
    _one_of("measure", measure, overlaps.MEASURES)
    _one_of("color_by", color_by, COLOR_BY)
    pairs, _ = _pairs(runs)
    return overlap_figures.plot_pair_kinds(pairs, overlaps.kinds_of(pairs), measure, color_by)


def intersections(runs: Sequence[Masked]) -> go.Figure:
    """Weights that exactly one combination of masks keeps; raises what `overlap.region_counts` raises."""
    masks, names = _masks(runs)
    regions = overlaps.region_counts({each.mask_id: each.masks for each in masks})
    return overlap_figures.plot_regions(regions, names)


def score_distribution(
    run: RunRecord, matrix_type: str = "all", layer: int | None = None, share_of_steps: float = 1.0
) -> go.Figure:
    """Scores of kept and of removed weights at the snapshot nearest to a share of the steps; it plays through all."""
    if not isinstance(share_of_steps, Real) or not 0 <= share_of_steps <= 1:
        raise ConfigError(f"A share of the steps is between 0 and 1; got {share_of_steps!r}.")
    name, known = _name(run, matrix_type, layer), run.scores
    sides = {scores.KEPT: known.kept_histogram, scores.REMOVED: known.removed_histogram}
    table = scores.score_distribution(known.steps, known.edges, sides, run.layout, matrix_type, layer)
    cuts = scores.score_cuts(known.steps, known.score_cut, run.layout, matrix_type, layer)
    step = int(known.steps[scores.snapshot_at(known.steps, share_of_steps)])
    return score_figures.plot_distribution(
        table,
        cuts,
        name,
        step,
        scores=score_figures.score_range([table]),
        densities=score_figures.density_range([table[table["step"] == step]]),
    )


def similarity_to_final(runs: Sequence[Masked], measure: str = "recall", *, color_by: str = DIFFERENCE) -> go.Figure:
    """How like the final mask the masks of all snapshots were; `measure` is one of `scores.SIMILARITIES`."""
    _one_of("measure", measure, scores.SIMILARITIES)
    _one_of("color_by", color_by, LINE_COLOR_BY)
    tables, scored = [], [run for run in _only_runs(runs) if run.has_scores]
    for run in scored:
        known = run.scores
        table = scores.similarity_to_final(known.steps, known.kept, known.kept_in_final, run.layout)
        tables.append(table[table["layer"].isna()].drop(columns="layer"))
    return score_figures.plot_similarity(_of_runs(scored, tables), measure, color_by)


def evaluations(runs: Sequence[Masked], *, x: str = history_figures.STEP, color_by: str = DIFFERENCE) -> go.Figure:
    """Main metric at each evaluation; `x` is one of `figures.training_history.AXES`."""
    _along(x, color_by)
    trained = _only_runs(runs)
    tables = [training_history.evaluations_of(run) for run in trained]
    return history_figures.plot_evaluations(_of_runs(trained, tables), x, color_by)


def remaining_over_training(
    runs: Sequence[Masked], *, x: str = history_figures.STEP, color_by: str = DIFFERENCE
) -> go.Figure:
    """Measured remaining weights beside the schedule."""
    _along(x, color_by)
    trained = _only_runs(runs)
    tables = [training_history.progress(run.history, run.layout.n_weights) for run in trained]
    return history_figures.plot_remaining(_of_runs(trained, tables), x, color_by)


def flips(runs: Sequence[Masked], *, x: str = history_figures.STEP, color_by: str = DIFFERENCE) -> go.Figure:
    """Weights that change sides in a step: forced because fewer are kept, and swapped."""
    _along(x, color_by)
    trained = _only_runs(runs)
    tables = [training_history.flips(run.history) for run in trained]
    return history_figures.plot_flips(_of_runs(trained, tables), x, color_by)


def score_history(run: RunRecord, matrix_type: str = "all", layer: int | None = None) -> go.Figure:
    """How scores spread over training, with the line of the cut."""
    name, known = _name(run, matrix_type, layer), run.scores
    both = {scores.BOTH: known.kept_histogram + known.removed_histogram}
    table = scores.score_distribution(known.steps, known.edges, both, run.layout, matrix_type, layer)
    return score_figures.plot_score_history(
        table,
        scores.score_cuts(known.steps, known.score_cut, run.layout, matrix_type, layer),
        name,
        scores=score_figures.score_range([table]),
        densities=score_figures.density_range([table]),
        columns=3,
    )


def score_against_weight(run: RunRecord, matrix_type: str = "all", layer: int | None = None) -> go.Figure:
    """Final scores against absolute pre-trained weights, with the cuts of the mask and of magnitude pruning."""
    name, known, where = _name(run, matrix_type, layer), run.scores, (run.layout, matrix_type, layer)
    table = scores.weight_scores(known.weight_edges, known.edges, known.weight_score_histogram, *where)
    cuts = scores.score_cuts(known.steps[-1:], known.score_cut[-1:], *where)
    sizes = scores.magnitude_cuts(known.weight_edges, known.weight_score_histogram, known.kept[-1], *where)
    return score_figures.plot_weight_scores(
        table,
        cuts["score_cut"],
        sizes["magnitude_cut"],
        name,
        weights=score_figures.score_range([table], "weight_low", "weight_high"),
        scores=score_figures.score_range([table]),
        densities=score_figures.density_range([table]),
    )


def curves(runs: Sequence[Masked], *, scale: str = curve_figures.LOG, intervals: bool = True) -> go.Figure:
    """Main metric against remaining weights beside the published numbers of the same tasks and methods."""
    _one_of("scale", scale, curve_figures.SCALES)
    return curve_figures.plot_curves(*_curves(runs), scale=scale, intervals=intervals)


def difference_to_dense(runs: Sequence[Masked], *, scale: str = curve_figures.LOG, color_by: str = TASK) -> go.Figure:
    """The same as a difference to dense runs, which have to be among the runs."""
    _one_of("scale", scale, curve_figures.SCALES)
    _one_of("color_by", color_by, COLOR_BY)
    return curve_figures.plot_difference(*curve_tables.differences(*_curves(runs)), scale=scale, color_by=color_by)


def transfer(transfers: Sequence[TransferRecord], runs: Sequence[Masked] = ()) -> go.Figure:
    """What masks score on other tasks than their own; `runs` are those that hold the masks, for their labels."""
    given = _given(transfers, TransferRecord, "transfers, as open_transfers returns them")
    found = [sampling.reliability(t.predictions, t.settings.task_info, t.settings.task_info.main_metric) for t in given]
    rows = transfer_tables.measured_transfers(given, found, _labels(runs))
    return transfer_figures.plot_transfer(transfer_tables.transfer_table(rows))


def _one_of(what: str, value: object, known: Collection[object]) -> None:
    # A list has no place in a table of names.
    if not isinstance(value, Hashable) or value not in known:
        raise ConfigError(f"Unknown {what} {value!r}. Choose one of: {', '.join(map(str, known))}.")


def _along(x: str, color_by: str) -> None:
    _one_of("x", x, history_figures.AXES)
    _one_of("color_by", color_by, LINE_COLOR_BY)


def _name(run: RunRecord, matrix_type: str, layer: int | None) -> str:
    """Run and matrices in words."""
    _given([run], RunRecord, "one run, which has scores")
    _one_of("matrix type", matrix_type, MATRIX_TITLES)
    _one_of("layer", layer, (None, *range(run.layout.n_layers)))
    return score_figures.with_matrices(_labels([run])[run.run_id], matrix_type, layer)


def _curves(runs: Sequence[Masked]) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    scored = _only_runs(runs)
    found = [sampling.reliability(run.predictions, run.config.task_info, run.main_metric) for run in scored]
    table = curve_tables.with_reliability(run_table.run_table(scored), found)
    tasks, methods = set(table["task"]), set(table["method"])
    published = curve_tables.published_lines(published_in_tables(), tasks, methods)
    return table, curve_tables.mean_curves(table), published


def _labels(runs: Sequence[Masked]) -> dict[str, str]:
    records = _records(runs)
    names = labels.run_labels(run_table.run_table(_only_runs(records)))
    return names | {each.mask_id: labels.without_tags(each.label) for each in records if isinstance(each, MaskRecord)}


def _records(runs: Sequence[Masked]) -> list[Masked]:
    """Each record once, in order of appearance."""
    given = _given(runs, Masked, "runs, as open_runs and open_masks return them")
    ids = [("mask", each.mask_id) if isinstance(each, MaskRecord) else ("run", each.run_id) for each in given]
    return list(dict(zip(ids, given, strict=True)).values())


def _given(records: Iterable[Any], kind: Any, words: str) -> list[Any]:
    """The records of one kind that a figure was given; `words` say what it takes."""
    given = list(records) if isinstance(records, Iterable) and not isinstance(records, str) else [records]
    if wrong := [each for each in given if not isinstance(each, kind)]:
        raise ConfigError(f"This figure takes {words}; got {cut(repr(wrong[0]), 80)}.")
    return given


def _only_runs(runs: Sequence[Masked]) -> list[RunRecord]:
    return [run for run in _records(runs) if isinstance(run, RunRecord)]


def _folder(folder: str | Path) -> Path:
    if not isinstance(folder, str | Path) or not Path(folder).is_dir():
        raise ConfigError(f"{cut(str(folder))} is not a folder. Name a folder of runs, such as cached_runs.")
    return Path(folder)


def _of_runs(runs: Sequence[Masked], tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    return run_table.tables_of_runs(list(zip(runs, tables, strict=True)), _labels(runs))


def _masks(runs: Sequence[Masked], at_least: int = 2) -> tuple[list[MaskRecord], dict[str, str]]:
    """The masks among them, over one encoder, and their labels by id."""
    runs = _records(runs)
    masks = masks_of(runs)
    if len(masks) < at_least:
        raise MaskFormatError(
            f"This figure takes at least {at_least} mask{'s' * (at_least > 1)}, and got {len(masks)}."
        )
    overlaps.check_one_encoder(masks)
    names = _labels(runs)
    return masks, {each.mask_id: names[each.mask_id] for each in masks}


def _pairs(runs: Sequence[Masked]) -> tuple[pd.DataFrame, Mapping[str, str]]:
    runs = _records(runs)
    masks, names = _masks(runs)
    sizes = {
        run.run_id: overlaps.magnitudes(
            run.scores.kept_histogram[-1],
            run.scores.removed_histogram[-1],
            run.scores.weight_score_histogram,
            run.scores.kept_by_magnitude,
        )
        for run in _only_runs(runs)
        if run.has_scores
    }
    counts = overlaps.pairwise_overlap({each.mask_id: each.masks for each in masks}, sizes)
    return overlaps.describe_pairs(overlaps.measure_overlap(counts, _PAIR), masks, names), names
