"""A run that is killed at any moment goes on to the very masks and metrics of an undisturbed one."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from smp_lab.storage.paths import unfinished_folder
from smp_lab.storage.runs import list_runs
from smp_lab.training.checkpoints import SEAL_FILE

# A checkpoint after every step, so that a kill at any moment is likely to hit the writing of one.
PROGRAM = """
import sys
import torch
from smp_lab import cli
from smp_lab.training import trainer

torch.set_num_threads(1)
trainer.SECONDS_BETWEEN_CHECKPOINTS = 0
sys.argv = ["smp-lab", "train", *sys.argv[1:]]
cli.main()
"""


@pytest.fixture
def start(bert_folder, tmp_path):
    folder = tmp_path / "glue" / "RTE"
    folder.mkdir(parents=True)
    rows = [f"{i}\tthe cat sat\ta dog ran\t{('entailment', 'not_entailment')[i % 2]}" for i in range(64)]
    for name in ("train", "dev"):
        (folder / f"{name}.tsv").write_text("index\tsentence1\tsentence2\tlabel\n" + "\n".join(rows) + "\n")

    def run(runs):
        arguments = ["--task", "rte", "--remaining", "0.4", "--encoder", str(bert_folder), "--runs", str(runs)]
        arguments += [
            "--glue-dir",
            str(folder.parent),
            "--batch-size",
            "8",
            "--epochs",
            "4",
            "--precision",
            "fp32",
            "--max-length",
            "40",
        ]
        return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.DEVNULL)

    return run


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.0005)


def the_run(runs):
    (record,) = list_runs([runs]).runs.values()
    record.verify()
    return record


@pytest.mark.slow
def test_kill_9_at_any_moment(start, tmp_path):
    whole, disturbed = tmp_path / "whole", tmp_path / "disturbed"
    assert start(whole).wait(timeout=240) == 0
    undisturbed = the_run(whole)
    folder = unfinished_folder(disturbed, undisturbed.run_id)

    def kill_when(condition):
        process = start(disturbed)
        wait_for(condition, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not list_runs([disturbed]).runs

    # As soon as a checkpoint's folder is there, long before it is whole.
    kill_when(lambda: (folder / "checkpoint-2").exists())
    # While the optimiser's state is being written, with whole checkpoints before it.
    kill_when(lambda: (folder / "checkpoint-11" / "optimizer.pt").exists())
    # Between two.
    kill_when(lambda: (folder / "checkpoint-17" / SEAL_FILE).exists())
    assert start(disturbed).wait(timeout=240) == 0
    resumed = the_run(disturbed)

    assert resumed.provenance["resumed"] >= 2
    assert resumed.results["evaluations"] == undisturbed.results["evaluations"]
    for matrix in undisturbed.masks:
        np.testing.assert_array_equal(resumed.masks.bits[matrix], undisturbed.masks.bits[matrix])
    for name, array in vars(undisturbed.scores).items():
        np.testing.assert_array_equal(array, getattr(resumed.scores, name), name)
    for column in ("loss", "kept", "flips_in", "flips_out", "regularizer"):
        np.testing.assert_array_equal(resumed.history[column], undisturbed.history[column], column)
