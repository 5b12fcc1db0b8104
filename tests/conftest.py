"""Small encoders and whole records for tests that need no training."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from smp_lab.config import RunConfig
from smp_lab.layout import OUTPUT, EncoderLayout
from smp_lab.masks import MaskSet, kept_count, top_k
from smp_lab.methods import METHODS
from smp_lab.settings import SETTINGS
from smp_lab.storage.mask_records import IMPORTED, MaskRecord
from smp_lab.storage.runs import RunRecord, ScoreHistory, save_run
from smp_lab.storage.transfers import TransferRecord, TransferSettings, save_transfer
from smp_lab.tasks import Task
from smp_lab.tasks.kinds import NUMBER, SPAN

# Workers side by side share the cores; torch asks for this once, when it is imported.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No test asserts how long a thing takes. A child process that has run for so many seconds hangs, on a slow machine too.
HANGS = 1800


def eventually(condition: Callable[[], Any]) -> Any:
    """What a condition gives, once it is something."""
    end = time.monotonic() + HANGS
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return found


TINY = EncoderLayout(n_layers=2, hidden_size=16, intermediate_size=32, n_heads=2, n_parameters=6000)
MINILM = EncoderLayout(n_layers=6, hidden_size=384, intermediate_size=1536, n_heads=12, n_parameters=22_713_216)


def tiny_config(**changes: Any) -> RunConfig:
    settings: dict[str, Any] = {
        **{name: setting.neutral for name, setting in SETTINGS.items()},
        "task": "rte",
        "method": "smp_s",
        "remaining": 0.5,
        "seed": 0,
        "base_model": "tiny-test-encoder",
        "base_model_sha256": "a" * 64,
        "data_sha256": "b" * 64,
        "head": "label_words",
        "label_words": ("yes", "no"),
        "epochs": 2,
        "batch_size": 32,
        "max_length": 128,
        "score_learning_rate": 0.02,
        "schedule": "cubic",
        "schedule_fraction": 0.7,
        "regularizer": 400.0,
        "regularizer_ramp": "code",
        "precision": "fp32",
    }
    words = {"sst2": ("terrible", "great"), "cola": ("incorrect", "correct"), "mrpc": ("no", "yes")}
    settings["label_words"] = words.get(changes.get("task", ""), settings["label_words"])
    method = METHODS.get(str(changes.get("method", "smp_s")))
    if method is not None:
        settings |= {name: setting.unused for name, setting in SETTINGS.items() if not setting.used_by(method)}
        settings |= {"weight_learning_rate": 3e-5} if method.trains_weights else {}
        settings |= {"threshold": 0.1} if method.by_threshold else {}
    if changes.get("head") == "linear":
        settings["head_learning_rate"] = 3e-5
    return RunConfig(**(settings | changes))


def random_masks(layout: EncoderLayout, remaining: float, seed: int = 0) -> MaskSet:
    rng = np.random.default_rng(seed)
    dense = {}
    for matrix in layout.matrices:
        scores = rng.random(layout.shape(matrix.matrix_type))
        dense[matrix] = top_k(scores, kept_count(remaining, scores.size))
    return MaskSet.from_dense(layout, dense)


def uneven_masks(remaining, seed):
    """Masks whose fraction falls with the layer, with fuller and emptier rows and columns."""
    rng = np.random.default_rng(seed)
    dense = {}
    for matrix in MINILM.matrices:
        n_out, n_in = MINILM.shape(matrix.matrix_type)
        scores = rng.random((n_out, n_in), np.float32) + rng.random((n_out, 1)) + rng.random((1, n_in))
        lean = 0.2 * matrix.layer
        share = remaining * (0.5 + lean if matrix.matrix_type == OUTPUT else 1.5 - lean)
        dense[matrix] = top_k(scores, kept_count(share, scores.size))
    return MaskSet.from_dense(MINILM, dense)


def tiny_scores(masks: MaskSet, n_snapshots: int = 4) -> ScoreHistory:
    """Histograms whose counts add up to the mask's at every snapshot."""
    edges = np.array([-np.inf, -1, 0, 1, np.inf], np.float32)
    weight_edges = np.array([-np.inf, -2, -1, np.inf], np.float32)
    layout, matrices = masks.layout, masks.layout.matrices
    sizes = np.array([layout.size(matrix.matrix_type) for matrix in matrices])
    final = np.array([masks.kept(matrix) for matrix in matrices])
    share = np.linspace(1, 0, n_snapshots)[:, None]
    kept = (final + (sizes - final) * share).astype(np.int64)
    histogram = np.zeros((n_snapshots, len(matrices), 4), np.uint32)
    kept_histogram, removed_histogram = histogram.copy(), histogram.copy()
    kept_histogram[:, :, 3] = kept
    removed_histogram[:, :, 1] = sizes - kept
    weight_score = np.zeros((len(matrices), 3, 4), np.uint32)
    weight_score[:, 1, 3] = final
    weight_score[:, 0, 1] = sizes - final
    return ScoreHistory(
        steps=np.arange(n_snapshots) * 10,
        edges=edges,
        kept_histogram=kept_histogram,
        removed_histogram=removed_histogram,
        score_cut=np.full(kept.shape, 0.5, np.float32),
        kept=kept,
        flips_in=np.zeros(kept.shape, np.int64),
        flips_out=np.vstack([np.zeros(len(matrices), np.int64), -np.diff(kept, axis=0)]),
        kept_in_final=np.minimum(kept, final),
        weight_edges=weight_edges,
        weight_score_histogram=weight_score,
        kept_by_magnitude=final // 2,
    )


def foreign_mask(masks: MaskSet, **facts: Any) -> MaskRecord:
    """Record of a mask that no run made."""
    kept = {"kept": masks.kept_per_matrix, "kept_per_head": masks.kept_per_head_and_matrix}
    usual = {"mask_id": "m", "source": IMPORTED, "layout": masks.layout, "encoder": "tiny", "task": None}
    return MaskRecord(**{**usual, **facts}, **kept, digest=masks.sha256, read=lambda: masks)


PROVENANCE = {
    "created_utc": "2026-01-01T00:00:00+00:00",
    "smp_lab_version": "0.1.0",
    "git_commit": None,
    "git_dirty": None,
    "python": "3.11.7",
    "platform": "test",
    "processor": "test",
    "threads": 2,
    "packages": {"torch": "2.13.0"},
    "wall_seconds": 12.5,
    "data_source": "made up for a test",
    "base_model_source": "made up for a test",
    "command": "smp-lab train --task rte",
    "resumed": 0,
}


def make_run(
    runs: Path,
    *,
    layout: EncoderLayout = TINY,
    masks: MaskSet | None = None,
    base: MaskSet | None = None,
    scores: ScoreHistory | None = None,
    accuracy: float = 0.6,
    mask_seed: int = 0,
    **changes: Any,
) -> RunRecord:
    """Write a whole record with made-up numbers into a folder of runs."""
    config = tiny_config(**changes)
    if masks is None and config.method != "dense":
        masks = random_masks(layout, config.remaining or 0.4, mask_seed)
    if scores is None and masks is not None and config.method_info.trains_scores:
        scores = tiny_scores(masks)
    n_examples, n_steps = 40, 30
    metrics = {metric: accuracy for metric in config.task_info.metrics}
    evaluation = {"step": n_steps, "epoch": config.epochs, "remaining": config.remaining, "loss": 0.6, **metrics}
    steps = np.arange(3, n_steps + 1, 3)
    history = pd.DataFrame(
        {
            "step": steps,
            "epoch": steps / n_steps * config.epochs,
            "loss": np.linspace(0.7, 0.5, len(steps)),
            "regularizer": np.linspace(0.5, 0.2, len(steps)),
            "regularizer_weight": np.linspace(0, 400, len(steps)),
            "remaining": np.linspace(1, config.remaining or 0.4, len(steps)),
            "kept": np.linspace(layout.n_weights, masks.kept_total if masks else layout.n_weights, len(steps)).astype(
                int
            ),
            "flips_in": np.full(len(steps), 5),
            "flips_out": np.full(len(steps), 40),
            "learning_rate": np.linspace(0.02, 0, len(steps)),
            "seconds": steps * 0.25,
        }
    )
    return save_run(
        runs,
        config=config,
        layout=layout,
        provenance=PROVENANCE,
        results={
            "metrics": metrics,
            "n_examples": {split: n_examples for _, split in config.task_info.splits},
            "evaluations": [
                {**evaluation, "step": 15, "remaining": 0.8, **{metric: accuracy - 0.05 for metric in metrics}},
                evaluation,
            ],
            "best": {"metric": config.task_info.main_metric, "value": accuracy, "step": n_steps},
            "trainable_parameters": layout.n_weights,
            "total_steps": n_steps,
            "new_parameters": layout.n_weights / 32,
        },
        history=history,
        masks=masks,
        base=base,
        scores=scores,
        predictions=_predictions(config.task_info, accuracy, n_examples),
    )


def _predictions(task: Task, accuracy: float, n_examples: int) -> pd.DataFrame:
    """Of every split two classes in turn, the first right; numbers that are off by one, or half a span, where wrong."""
    targets, correct = np.arange(n_examples) % 2, np.arange(n_examples) < accuracy * n_examples
    split = {"split": np.repeat(np.arange(len(task.splits), dtype=np.uint8), n_examples)}
    if task.kind is NUMBER:
        error = np.where(correct, 0, 1).astype(np.float32)
        columns = {"prediction": (targets + error).astype(np.float32), "error": error}
    elif task.kind is SPAN:
        # Half of the words of a wrong one are right.
        start, f1 = np.arange(n_examples, dtype=np.int32), np.where(correct, 1, 0.5).astype(np.float32)
        columns = {"start": start, "end": start + 5, "exact_match": correct, "f1": f1}
    else:
        columns = {"prediction": np.where(correct, targets, 1 - targets).astype(np.uint8), "correct": correct}
    return pd.DataFrame(split | {name: np.tile(column, len(task.splits)) for name, column in columns.items()})


def make_transfer(
    runs: Path,
    run: RunRecord | None,
    task: str,
    *,
    accuracy: float = 0.6,
    majority: float = 0.5,
    **changes: Any,
) -> TransferRecord:
    """Write a transfer of a run's mask, or of a control mask, with made-up numbers into a folder of runs."""
    config = tiny_config(task=task)
    mask: dict[str, Any] = {
        "mask_run": run.run_id if run else None,
        "mask_task": run.config.task if run else None,
        "mask_method": run.config.method if run else "random",
        "mask_remaining": run.config.remaining if run else 0.5,
        "mask_seed": run.config.seed if run else 0,
        "mask_sha256": run.masks.sha256 if run else "c" * 64,
    }
    shared = ("base_model", "base_model_sha256", "label_words", "regression_head", "max_length", "precision")
    classifier = {name: getattr(config, name) for name in shared}
    settings = TransferSettings(**{**mask, **classifier, "task": task, "data_sha256": "d" * 64, **changes})
    metrics, n_examples = config.task_info.metrics, 40
    return save_transfer(
        runs,
        settings=settings,
        provenance=PROVENANCE,
        results={
            "metrics": dict.fromkeys(metrics, accuracy),
            "majority": dict.fromkeys(metrics, majority),
            "n_examples": {split: n_examples for _, split in config.task_info.splits},
            "kept": TINY.n_weights // 2,
            "n_weights": TINY.n_weights,
        },
        predictions=_predictions(config.task_info, accuracy, n_examples),
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """An empty folder of runs."""
    folder = tmp_path / "runs"
    folder.mkdir()
    return folder


@pytest.fixture
def write_run(runs: Path) -> Callable[..., RunRecord]:
    """``write_run(task="cola", seed=1)`` writes a record into `runs`."""
    return lambda **changes: make_run(runs, **changes)


@pytest.fixture
def three(runs: Path) -> list[RunRecord]:
    """Two seeds of a task, and a run of another one."""
    return [make_run(runs, seed=0), make_run(runs, seed=1, mask_seed=1), make_run(runs, task="cola", mask_seed=2)]
