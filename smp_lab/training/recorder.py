"""What a run remembers while it trains: a row per logged step, and scores and masks in some twenty snapshots.

Snapshots lie as files in the run's unfinished folder, so that a run that was cut off finds them again; one that is
trained twice, before and after a resume, is written twice with the same content.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch

from smp_lab.layout import EncoderLayout
from smp_lab.masks import MaskSet, popcount, top_k
from smp_lab.storage.archives import to_npz
from smp_lab.storage.runs import ScoreHistory
from smp_lab.storage.sealed import replace_durably
from smp_lab.training.checkpoints import writing
from smp_lab.training.pruned_weights import PrunedWeights, WholeWeights

N_MOMENTS = 21

# One set of bins for every run, so that histograms can be laid over one another. A step moves a score by up to the
# learning rate, so the first steps, and methods of a low rate, stay within 1 of zero, runs of 2000 steps within 16, and
# the paper's longest near 1000: bins of 1/32 up to 1, of 1/8 up to 16, then 12 an octave.
_EDGES_ABOVE = np.concatenate([np.arange(1, 32) / 32, np.arange(8, 128) / 8, np.geomspace(16, 1024, 73), [np.inf]])
SCORE_EDGES = np.concatenate([-_EDGES_ABOVE[::-1], [0], _EDGES_ABOVE]).astype(np.float32)
# Of log10 |W|: one bin below a ten-thousandth, ten a decade up to 10.
WEIGHT_EDGES = np.concatenate([[-np.inf], np.linspace(-4, 1, 51), [np.inf]]).astype(np.float32)


def moments_of(total_steps: int) -> list[int]:
    """Steps at which scores and masks are recorded: evenly spread, with the first and the last."""
    return sorted({round(step) for step in np.linspace(0, total_steps, N_MOMENTS)})


class SnapshotRecorder:
    """Writes one file per snapshot into a folder and joins them at the end.

    It is made before the first step and before a checkpoint is loaded: `pruned` has the pre-trained encoder's weights.
    """

    def __init__(self, folder: Path, total_steps: int, pruned: PrunedWeights) -> None:
        self.folder = folder
        self.steps = moments_of(total_steps)
        # Masks are compared with the pre-trained weights. Those that are trained will have moved by then; those that
        # are frozen need no copy.
        moves = not isinstance(pruned, WholeWeights) and any(weight.requires_grad for weight in pruned.weights)
        self._pretrained = [weight.copy() for weight in pruned.weight_arrays()] if moves else None
        folder.mkdir(parents=True, exist_ok=True)
        # A run that an earlier version began keeps the bins that it began with.
        begun = min(folder.glob("snapshot-*.npz"), default=None)
        self._edges = SCORE_EDGES if begun is None else np.load(begun, allow_pickle=False)["edges"]

    def record(self, pruned: PrunedWeights) -> None:
        """Keep the present scores and masks if this step has a snapshot and there are scores."""
        if pruned.step not in self.steps or not pruned.scores:
            return
        kept, removed, cuts, bits = [], [], [], {}
        for matrix, scores, mask in zip(pruned.layout.matrices, pruned.scores, pruned.masks, strict=True):
            counts = _histogram(scores.detach(), mask, self._edges)
            removed.append(counts[0])
            kept.append(counts[1])
            inside = torch.where(mask, scores.detach(), torch.inf).min()
            cuts.append(float(inside) if torch.isfinite(inside) else np.nan)
            bits[f"bits.{matrix.layer}.{matrix.matrix_type}"] = np.packbits(mask.cpu().numpy())
        arrays = {
            "kept": np.stack(kept),
            "removed": np.stack(removed),
            "score_cut": np.array(cuts, np.float32),
            "edges": self._edges,
        }
        file = self._file(pruned.step)
        with writing(f"Snapshot {file}"):
            replace_durably(file, to_npz(arrays | bits, zipfile.ZIP_STORED))

    def score_history(self, pruned: PrunedWeights) -> ScoreHistory | None:
        """Join all snapshots; `pruned` is at its last step, whose masks are the final ones. None without scores."""
        layout, final = pruned.layout, pruned.mask_set()
        if final is None or not pruned.scores:
            return None
        snapshots = [np.load(self._file(step), allow_pickle=False) for step in self.steps]
        masks = [
            MaskSet(
                layout, {matrix: snapshot[f"bits.{matrix.layer}.{matrix.matrix_type}"] for matrix in layout.matrices}
            )
            for snapshot in snapshots
        ]
        flips = [_both(later, earlier, layout) for later, earlier in zip(masks[1:], masks[:-1], strict=True)]
        kept = np.array([[mask.kept(matrix) for matrix in layout.matrices] for mask in masks])
        stayed = np.vstack([kept[0], np.array(flips).reshape(-1, len(layout.matrices))])
        before = np.vstack([kept[0], kept[:-1]])
        return ScoreHistory(
            steps=np.array(self.steps),
            edges=self._edges,
            kept_histogram=np.stack([snapshot["kept"] for snapshot in snapshots]).astype(np.uint32),
            removed_histogram=np.stack([snapshot["removed"] for snapshot in snapshots]).astype(np.uint32),
            score_cut=np.stack([snapshot["score_cut"] for snapshot in snapshots]),
            kept=kept,
            flips_in=kept - stayed,
            flips_out=before - stayed,
            kept_in_final=np.array([_both(mask, final, layout) for mask in masks]),
            weight_edges=WEIGHT_EDGES,
            weight_score_histogram=np.stack(
                [
                    _weight_score_histogram(w, s, self._edges)
                    for w, s in zip(self._weights(pruned), pruned.score_arrays(), strict=True)
                ]
            ),
            kept_by_magnitude=np.array(_both(self.magnitude_mask(pruned, final), final, layout)),
        )

    def magnitude_mask(self, pruned: PrunedWeights, masks: MaskSet) -> MaskSet:
        """Of the pre-trained weights, by magnitude: it keeps as much of every matrix as other masks do."""
        weights = zip(masks, self._weights(pruned), strict=True)
        return MaskSet.from_dense(
            masks.layout, {matrix: top_k(np.abs(weight), masks.kept(matrix)) for matrix, weight in weights}
        )

    def _weights(self, pruned: PrunedWeights) -> list[np.ndarray]:
        """The pre-trained weights."""
        return self._pretrained or pruned.weight_arrays()

    def _file(self, step: int) -> Path:
        return self.folder / f"snapshot-{step:08d}.npz"


def _both(masks: MaskSet, others: MaskSet, layout: EncoderLayout) -> list[int]:
    """Weights of each matrix that both masks keep."""
    return [popcount(masks.bits[matrix] & others.bits[matrix]) for matrix in layout.matrices]


def _histogram(scores: torch.Tensor, mask: torch.Tensor, edges: np.ndarray) -> np.ndarray:
    """``(2, n_bins)`` counts of removed and of kept scores; a score on an edge counts above it."""
    n_bins = len(edges) - 1
    inner = torch.from_numpy(edges[1:-1]).to(scores.device)
    bins = torch.bucketize(scores.reshape(-1), inner, right=True)
    bins += mask.reshape(-1) * n_bins
    return torch.bincount(bins, minlength=2 * n_bins).reshape(2, n_bins).cpu().numpy()


def _weight_score_histogram(weight: np.ndarray, scores: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """``(n_weight_bins, n_bins)`` counts of weights by log10 |W| and score."""
    n_weight_bins, n_bins = len(WEIGHT_EDGES) - 1, len(edges) - 1
    size = torch.from_numpy(weight).reshape(-1).abs().log10()
    by_weight = torch.bucketize(size, torch.from_numpy(WEIGHT_EDGES[1:-1]), right=True)
    by_score = torch.bucketize(torch.from_numpy(scores).reshape(-1), torch.from_numpy(edges[1:-1]), right=True)
    counts = torch.bincount(by_weight * n_bins + by_score, minlength=n_weight_bins * n_bins)
    return counts.reshape(n_weight_bins, n_bins).numpy().astype(np.uint32)
