"""Screen 7: the same cloud, histogram and cut in a real run, and questions that the records answer."""

from __future__ import annotations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from smp_lab.analysis import scores as analysis
from smp_lab.analysis.labels import percent, without_tags
from smp_lab.analysis.overlap import measure_overlap
from smp_lab.figures import scores as score_figures
from smp_lab.figures.lesson.real import plot_bars, plot_snapshots, plot_three
from smp_lab.storage.mask_records import MaskRecord
from smp_lab.storage.runs import RunRecord, masks_of
from smp_lab.ui import cache
from smp_lab.ui.glossary import explain
from smp_lab.ui.lesson import frame, records

_SCORES, _PLANE, _WHOSE, _SEEDS, _RANDOM = _VIEWS = (
    "scores over training",
    "weight and score",
    "whose mask?",
    "seeds and tasks",
    "a random mask",
)

FORMULAS = (
    frame.Formula(
        r"\varphi = \frac{\sum (n_{AB} - n_A\, n_B / n)}{\sqrt{\sum n_A (1 - n_A / n)\; \sum n_B (1 - n_B / n)}}",
        "the correlation of two masks, bit by bit (Yule 1912), chance taken out within each matrix; sums over matrices",
        "smp_lab.analysis.overlap",
        "measure_overlap",
        "phi_within = _ratio",
    ),
    frame.Formula(
        r"k = \lfloor v\, n \rfloor",
        "Jiang et al., ACL 2023",
        "smp_lab.masks",
        "kept_count",
        "return",
    ),
)
WORDS = (
    "The same method on MiniLM: 10.6 million frozen weights, one score each, 10 % kept for SST-2. Look at the scores "
    "and the cut at 21 snapshots of training, then answer the question of each view from the recorded runs."
)


def show() -> None:
    """One of five views."""
    left, right = frame.halves()
    with left:
        view = st.selectbox("Look at", _VIEWS, key="look", bind="query-params", help=explain("snapshot", "cut", "phi"))
    {
        _SCORES: _scores,
        _PLANE: _plane,
        _WHOSE: _whose,
        _SEEDS: _seeds,
        _RANDOM: _random,
    }[str(view)](left, right)


def _scores(left: DeltaGenerator, right: DeltaGenerator) -> None:
    (run,) = records.find(records.SST2)
    history = cache.scores(run)
    kept, removed = (part.sum(axis=1)[:, 1:-1] for part in (history.kept_histogram, history.removed_histogram))
    used = np.flatnonzero((kept + removed).sum(axis=0))
    bins = slice(used[0], used[-1] + 1)
    with left:
        late = analysis.snapshot_at(history.steps, 0.5)
        still = int(history.kept_in_final[late].sum()) / int(history.kept[-1].sum())
        guessed = frame.guess(
            "guess_decided",
            "Halfway through training, how much of the final mask is kept already?",
            ("less than half", "more than half", "all of it"),
            "all of it" if still == 1 else "more than half" if still > 0.5 else "less than half",
            f"{percent(still)} of it, at step {history.steps[late]:,} of {history.steps[-1]:,}, when "
            f"{percent(int(history.kept[late].sum()) / run.layout.n_weights)} of all weights are still kept.",
        )
        st.caption("Press play, or move the slider: it needs no server.")
    with right:
        frame.picture(
            plot_snapshots,
            history.steps.tolist(),
            history.edges[1:-1][bins.start : bins.stop + 1],
            kept[:, bins],
            removed[:, bins],
            history.score_cut,
            frame.step(),
            alt=(
                f"Histogram of the scores of {run.layout.n_weights:,} weights, kept above the cuts and removed below "
                "them; a slider moves through 21 snapshots"
                + (f", halfway {percent(still)} of the final mask is kept." if guessed else ".")
            ),
        )


def _plane(left: DeltaGenerator, right: DeltaGenerator) -> None:
    (run,) = records.find(records.SST2)
    history = cache.scores(run)
    table = analysis.weight_scores(history.weight_edges, history.edges, history.weight_score_histogram, run.layout)
    cuts = analysis.score_cuts(history.steps[-1:], history.score_cut[-1:], run.layout)["score_cut"]
    by_size = analysis.magnitude_cuts(
        history.weight_edges, history.weight_score_histogram, history.kept[-1], run.layout
    )["magnitude_cut"]
    shares = analysis.kept_by_magnitude(history.kept_by_magnitude, history.kept[-1], run.layout)
    both, all_kept = int(shares["both"].sum()), int(shares["kept"].sum())
    chance = float((shares["kept"] * shares["chance"]).sum()) / all_kept
    with left:
        answer = "less than half" if both < 0.4 * all_kept else "about half" if both < 0.6 * all_kept else "nearly all"
        guessed = frame.guess(
            "guess_magnitude",
            "How much of this mask would magnitude pruning have kept too?",
            ("less than half", "about half", "nearly all"),
            answer,
            f"{percent(both / all_kept)} of it; chance would give {percent(chance)}. Magnitude pruning keeps "
            "all that is right of its band, the scores keep all that is above theirs.",
        )
    with right:
        frame.picture(
            score_figures.plot_weight_scores,
            table,
            cuts,
            by_size,
            "MiniLM on SST-2, SMP-S, 10 % kept",
            weights=score_figures.score_range([table], "weight_low", "weight_high"),
            scores=score_figures.score_range([table]),
            densities=score_figures.density_range([table]),
            alt=(
                "Density of the weights over the logarithm of their size and their final score, with a level band "
                "where the scores are cut and an upright one where magnitude pruning would cut"
                + (f"; the two masks share {percent(both / all_kept)}." if guessed else ".")
            ),
        )


def _whose(left: DeltaGenerator, right: DeltaGenerator) -> None:
    reference, mrpc, sst2 = (
        records.heads(run) for run in records.find(records.MRPC_SEED_1, records.MRPC, records.SST2)
    )
    like = [float(np.corrcoef(reference.ravel(), other.ravel())[0, 1]) for other in (sst2, mrpc)]
    with left:
        frame.guess(
            "guess_whose",
            "Left is the mask of MRPC with another seed. Which of A and B is MRPC's too?",
            ("A", "B"),
            "B" if like[1] > like[0] else "A",
            f"B is MRPC's, A is SST-2's. Over the 72 heads, what is kept correlates with the left picture by "
            f"{like[1]:.2f} in B and by {like[0]:.2f} in A.",
        )
    with right:
        frame.picture(
            plot_three,
            {"MRPC, another seed": reference, "A": sst2, "B": mrpc},
            alt="Three heat maps of layers by heads: MRPC's mask with another seed, mask A and mask B.",
        )


def _seeds(left: DeltaGenerator, right: DeltaGenerator) -> None:
    seed_0, seed_1, sst2 = records.find(records.MRPC, records.MRPC_SEED_1, records.SST2)
    phi = {
        "two seeds of MRPC": _phi(seed_0, seed_1),
        "MRPC and SST-2": _phi(seed_0, sst2),
    }
    first, second = phi.values()
    with left:
        guessed = frame.guess(
            "guess_seeds",
            "Which two masks agree more: two seeds of one task, or two tasks with one seed?",
            ("two seeds", "alike", "two tasks"),
            "alike" if abs(first - second) < 0.02 else "two seeds" if first > second else "two tasks",
            f"Phi is {first:.2f} for two seeds of MRPC and {second:.2f} for MRPC and SST-2. Chance is 0, the same mask "
            "is 1.",
        )
    with right:
        if guessed:
            phi |= _with_own(seed_0)
            frame.picture(
                plot_bars,
                phi,
                ["smp_s", "smp_s", ""][: len(phi)],
                "MiniLM, SMP-S, 10 % kept. Phi of two masks, chance taken out within each matrix",
                "Phi (no unit)",
                ("chance", 0.0),
                alt=f"Bars: phi {', '.join(f'{value:.2f} between {name}' for name, value in phi.items())}.",
            )


def _with_own(run: RunRecord) -> dict[str, float]:
    """Phi of a run with an imported mask of its encoder that somebody picks; empty where there is none."""
    imported = (each.mask_record for each in cache.imported_masks().records.values())
    own = {mask.mask_id: mask for mask in imported if mask.encoder_sha256 == run.config.base_model_sha256}
    if not own:
        return {}
    labels = {mask_id: without_tags(mask.label) for mask_id, mask in own.items()}
    picked = st.selectbox(
        "A mask that you imported", list(own), index=None, format_func=labels.__getitem__, key="lesson_own_mask"
    )
    return {f"MRPC and {labels[picked]}": _phi(run, own[picked])} if picked else {}


def _random(left: DeltaGenerator, right: DeltaGenerator) -> None:
    learned, random = records.find(records.SST2_HALF, records.SST2_RANDOM_HALF)
    majority = cache.reliability(random, random.main_metric).majority_baseline
    with left:
        gap = random.main_value - majority
        guessed = frame.guess(
            "guess_random",
            f"SMP-S keeps half of the weights and is right on {percent(learned.main_value)} of SST-2. And a random "
            "half?",
            ("about as good", "in between", "like the majority class"),
            "like the majority class"
            if gap < 0.02
            else "about as good"
            if random.main_value > learned.main_value - 0.02
            else "in between",
            f"{percent(random.main_value)}; the majority-class baseline is {percent(majority)}. What the mask knows "
            "was learned.",
        )
    with right:
        if guessed:
            values = {"SMP-S": 100 * learned.main_value, "random mask": 100 * random.main_value}
            frame.picture(
                plot_bars,
                values,
                [learned.config.method, random.config.method],
                "MiniLM on SST-2, 50 % kept by either mask. Accuracy on the 872 development examples",
                "Accuracy (%)",
                ("majority class", 100 * majority),
                alt=" and ".join(f"{name} {value:.1f} %" for name, value in values.items()) + " accuracy, as two bars.",
            )


def _phi(run_a: RunRecord, run_b: RunRecord | MaskRecord) -> float:
    masks = masks_of((run_a, run_b))
    pair = cache.pairwise_overlap(masks, [])
    return float(measure_overlap(pair, ["run_a", "run_b"])["phi_within"].iloc[0])
