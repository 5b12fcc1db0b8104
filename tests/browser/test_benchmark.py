"""The benchmark runs through, and its records add up."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from conftest import HANGS, MINILM, tiny_scores, uneven_masks

from smp_lab.paths import project_folder

from .benchmark import as_many_bins_as_real


def test_finer_bins_hold_the_same_counts():
    coarse = tiny_scores(uneven_masks(0.3, 0), n_snapshots=3)
    fine = as_many_bins_as_real(coarse)
    assert fine.kept_histogram.shape == (3, len(MINILM.matrices), len(fine.edges) - 1)
    assert fine.weight_score_histogram.shape[1:] == (len(fine.weight_edges) - 1, len(fine.edges) - 1)
    for name in ("kept_histogram", "removed_histogram"):
        blocks = getattr(fine, name).reshape(3, len(MINILM.matrices), 4, 64)
        np.testing.assert_array_equal(blocks.sum(axis=3), getattr(coarse, name))
    sums = fine.weight_score_histogram.sum(axis=(1, 2))
    np.testing.assert_array_equal(sums, coarse.weight_score_histogram.sum(axis=(1, 2)))


@pytest.mark.slow
@pytest.mark.browser
def test_every_number_is_measured(chromium, records):
    command = [sys.executable, "-m", "tests.browser.benchmark", "--runs", str(records["rte"].path.parent)]
    few = "--starts 1 --rounds 1 --reruns 1 --moves 4 --sessions 2 --browsers 2 --seconds 10 --presses 2"
    command += few.split()
    done = subprocess.run(command, cwd=project_folder(), capture_output=True, text=True, timeout=HANGS)
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split(" | ") for line in done.stdout.splitlines()[2:]]
    assert len(rows) >= 18
    assert not [row for row in rows if "nan" in row[1] or "nothing" in row[1]]
    assert {row[1] for row in rows if "errors" in row[0]} == {"0"}
