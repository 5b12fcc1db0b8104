"""A run that is killed at any time resumes to the very masks and metrics of an undisturbed one."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import HANGS

from smp_lab.paths import SEAL_FILE, unfinished_folder
from smp_lab.storage.runs import list_runs

# A checkpoint after every step. The one of step HALT_AT stands still where the function HALT_IN of the trainer would
# be called, so that the kill hits it half written.
PROGRAM = """
import os
import sys
import time
from pathlib import Path
import torch
from smp_lab import cli
from smp_lab.training import trainer

torch.set_num_threads(1)
trainer.SECONDS_BETWEEN_CHECKPOINTS = -1
if "HALT_IN" in os.environ:
    owner = trainer if os.environ["HALT_IN"] == "seal" else trainer.PruningTrainer
    write = getattr(owner, os.environ["HALT_IN"])

    def halt(*given):
        checkpoint = Path(given[0] if owner is trainer else given[1])
        if checkpoint.name == "checkpoint-" + os.environ["HALT_AT"]:
            (checkpoint / "halted").touch()
            time.sleep(1e6)
        return write(*given)

    setattr(owner, os.environ["HALT_IN"], halt)
sys.argv = ["smp-lab", "train", *sys.argv[1:]]
cli.main()
"""


@pytest.fixture
def start(bert_folder, glue):
    def run(runs, **environment):
        arguments = ["--task", "rte", "--remaining", "0.4", "--encoder", str(bert_folder), "--runs", str(runs)]
        arguments += [
            "--glue-dir",
            str(glue),
            "--batch-size",
            "8",
            "--epochs",
            "11",
            "--precision",
            "fp32",
            "--max-length",
            "40",
        ]
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.DEVNULL, env=os.environ | environment
        )

    return run


def wait_for(condition, process):
    end = time.monotonic() + HANGS
    while not condition():
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < end
        time.sleep(0.0005)


def the_run(runs):
    (record,) = list_runs([runs]).records.values()
    record.verify()
    return record


@pytest.mark.slow
def test_kill_9_at_any_moment(start, tmp_path):
    whole, disturbed = tmp_path / "whole", tmp_path / "disturbed"
    assert start(whole).wait(timeout=HANGS) == 0
    undisturbed = the_run(whole)
    folder = unfinished_folder(disturbed, undisturbed.run_id)

    def kill_when(condition, **environment):
        process = start(disturbed, **environment)
        wait_for(condition, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not list_runs([disturbed]).records

    def kill_in(writer, step, written, missing):
        halted = f"writing-*/checkpoint-{step}/halted"
        kill_when(lambda: any(folder.glob(halted)), HALT_IN=writer, HALT_AT=str(step))
        (checkpoint,) = (file.parent for file in folder.glob(halted))
        assert (checkpoint / written).exists() and not (checkpoint / missing).exists()
        assert not (checkpoint / SEAL_FILE).exists()
        whole = [path.name for path in folder.glob("checkpoint-*") if (path / SEAL_FILE).exists()]
        assert f"checkpoint-{step - 1}" in whole

    # Before the optimiser's state, after it, and with everything but the seal.
    kill_in("_save_optimizer_and_scheduler", 2, "model.safetensors", "optimizer.pt")
    kill_in("_save_rng_state", 11, "optimizer.pt", "rng_state.pth")
    kill_in("seal", 14, "trainer_state.json", SEAL_FILE)
    # At any time after a whole one.
    kill_when((folder / "checkpoint-17" / SEAL_FILE).exists)
    assert start(disturbed).wait(timeout=HANGS) == 0
    resumed = the_run(disturbed)

    assert resumed.provenance["resumed"] == 4
    from_steps = [process["from_step"] for process in resumed.provenance["processes"]]
    assert from_steps[:4] == [0, 1, 10, 13] and from_steps[4] >= 17
    assert resumed.results["evaluations"] == undisturbed.results["evaluations"]
    assert resumed.predictions.equals(undisturbed.predictions)
    for matrix in undisturbed.masks:
        np.testing.assert_array_equal(resumed.masks.bits[matrix], undisturbed.masks.bits[matrix])
    for name, array in vars(undisturbed.scores).items():
        np.testing.assert_array_equal(array, getattr(resumed.scores, name), name)
    for column in ("loss", "kept", "flips_in", "flips_out", "regularizer"):
        np.testing.assert_array_equal(resumed.history[column], undisturbed.history[column], column)
