"""Several processes share one run (torchrun), stop together, and resume to the mask of an undisturbed run."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import HANGS
from training.conftest import same_masks
from training.test_cluster import eventually

from smp_lab.paths import UNFINISHED_FOLDER
from smp_lab.storage.runs import list_runs


@pytest.mark.exhaustive
def test_a_stop_of_two_processes_leaves_a_checkpoint_that_both_resume_from(strong_folder, glue, tmp_path):
    options = {"task": "rte", "remaining": 0.4, "encoder": strong_folder, "glue-dir": glue, "batch-size": 4}
    options |= {"epochs": 30, "max-length": 40, "precision": "fp32"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]

    def start(runs):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command += ["-m", "smp_lab", "train", *words, "--runs", str(runs)]
        with (tmp_path / "told").open("ab") as told:
            return subprocess.Popen(command, stdout=told, stderr=told, env=os.environ | {"OMP_NUM_THREADS": "1"})

    def trains(runs):
        return any('"event":"log"' in file.read_text() for file in runs.glob(f"{UNFINISHED_FOLDER}/*/events.jsonl"))

    assert start(tmp_path / "whole").wait(timeout=HANGS) == 0
    stopped = start(tmp_path / "stopped")
    eventually(lambda: trains(tmp_path / "stopped"))
    stopped.send_signal(signal.SIGTERM)
    stopped.wait(timeout=HANGS)
    assert len(list(tmp_path.glob(f"stopped/{UNFINISHED_FOLDER}/*/checkpoint-*"))) == 1
    assert start(tmp_path / "stopped").wait(timeout=HANGS) == 0
    (whole,) = list_runs([tmp_path / "whole"]).records.values()
    (resumed,) = list_runs([tmp_path / "stopped"]).records.values()
    assert resumed.provenance["resumed"] == 1
    assert same_masks(whole, resumed) and resumed.results["evaluations"] == whole.results["evaluations"]
