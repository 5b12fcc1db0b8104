import numpy as np
import pandas as pd

from smp_lab.analysis.training_history import evaluations, flips, progress, settled

HISTORY = pd.DataFrame(
    {
        "step": [1, 2, 3],
        "epoch": [0.1, 0.2, 0.3],
        "loss": [0.7, 0.6, 0.5],
        "regularizer": [0.5, np.nan, 0.4],
        "regularizer_weight": [0.0, 10.0, 20.0],
        "remaining": [1.0, 0.8, 0.6],
        "kept": [200, 150, 120],
        "flips_in": [0, 5, 12],
        "flips_out": [0, 40, 3],
    }
)


def test_progress_by_hand():
    table = progress(HISTORY, n_weights=200)
    assert table["nominal"].tolist() == [1.0, 0.8, 0.6]
    assert table["remaining"].tolist() == [1.0, 0.75, 0.6]
    assert table["n_weights"].tolist() == [200] * 3
    assert table["regularizer"].isna().tolist() == [False, True, False]


def test_flips_by_hand():
    table = flips(HISTORY)
    # 40 out and 5 in: 35 had to go, 5 were exchanged. 12 in and 3 out: the mask grew by 9.
    assert table["forced"].tolist() == [0, 35, 9]
    assert table["swaps"].tolist() == [0, 5, 3]


def test_evaluations_by_hand():
    entries = [
        {"step": 5, "epoch": 1.0, "remaining": 0.8, "loss": 0.6, "accuracy": 0.7, "f1": 0.8},
        {"step": 9, "epoch": 2.0, "remaining": 0.3, "loss": 0.5, "accuracy": 0.75, "f1": 0.81},
    ]
    table = evaluations(entries, "accuracy")
    assert table["value"].tolist() == [0.7, 0.75]
    assert table["metric"].tolist() == ["accuracy"] * 2
    assert table["remaining"].tolist() == [0.8, 0.3]


def test_no_evaluations_keep_the_columns():
    assert list(evaluations([], "accuracy").columns) == ["step", "epoch", "remaining", "metric", "value"]


def test_settled_is_the_median_rate_of_swaps_after_the_schedule():
    steps = pd.DataFrame({"run_id": "a", "swaps": [900, 10, 20, 90]})
    weights = pd.DataFrame({"run_id": "a", "nominal": [0.9, 0.5, 0.5, 0.5], "kept": [90_000, 50_000, 50_000, 50_000]})
    assert "in a step 4 in 10,000 of the kept weights" in settled(steps, weights)
    assert settled(steps, weights.assign(nominal=1.0)) == ""
    # A second run ends at another level.
    both = pd.concat([steps, steps.assign(run_id="b")], ignore_index=True)
    fewer = weights.assign(run_id="b", nominal=[0.9, 0.1, 0.1, 0.1], kept=25_000)
    assert "in a step 4 to 8 in 10,000" in settled(both, pd.concat([weights, fewer], ignore_index=True))
