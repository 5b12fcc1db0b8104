"""The runs that come with the project are whole, small, and those that the README speaks of."""

from pathlib import Path

from smp_lab.paths import cached_runs_folder
from smp_lab.storage.runs import list_runs

INDEX = list_runs([cached_runs_folder()])
TASKS = ("sst2", "cola", "mrpc", "stsb", "rte")
LEVELS = {
    "smp_s": (0.8, 0.5, 0.3, 0.1, 0.03),
    "magnitude": (0.5, 0.3, 0.1, 0.03),
    "random": (0.5, 0.1),
    "magnitude_frozen": (0.5, 0.1),
}
# A mask takes at most an eighth of a byte.
MOST_BYTES_PER_WEIGHT = 0.15
MOST_BYTES_IN_ALL = 200_000_000


# Ids name folders and are cited: a setting that is added later must leave each of these as it is.
FIRST_IDS = (Path(__file__).parent / "first_run_ids.txt").read_text().split()


def size(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def test_runs_keep_their_ids_for_ever():
    assert len(FIRST_IDS) == 118
    assert set(FIRST_IDS) <= INDEX.records.keys()
    assert all(run.config.run_id == run_id == run.path.name for run_id, run in INDEX.records.items())


def test_every_record_is_whole_and_small():
    assert not INDEX.problems
    for run in INDEX.records.values():
        run.verify()
        assert size(run.path) < MOST_BYTES_PER_WEIGHT * run.layout.n_weights, run.run_id
    assert size(cached_runs_folder()) < MOST_BYTES_IN_ALL


def test_every_task_has_masks_further_seeds_and_controls():
    grid = {
        (run.config.task, run.config.method, run.config.remaining, run.config.seed) for run in INDEX.records.values()
    }
    assert grid >= {(task, "dense", 1.0, seed) for task in TASKS for seed in (0, 1)}
    assert grid >= {(task, method, level, 0) for task in TASKS for method in LEVELS for level in LEVELS[method]}
    # Masking functions compared.
    assert grid >= {(task, "smp_l", level, 0) for task in ("sst2", "mrpc", "rte") for level in (0.1, 0.03)}
    # Without these, differences between tasks cannot be told from noise.
    assert grid >= {(task, "smp_s", level, seed) for task in TASKS for level in (0.5, 0.1) for seed in (1, 2)}


def test_a_control_has_one_mask_for_all_tasks():
    controls = [run for run in INDEX.records.values() if run.config.method_info.is_control]
    masks = {(run.config.method, run.config.remaining): set() for run in controls}
    for run in controls:
        masks[run.config.method, run.config.remaining].add(run.masks_file)
    assert all(len(files) == 1 for files in masks.values())


def test_every_record_says_where_it_comes_from():
    for run in INDEX.records.values():
        provenance = run.provenance
        assert len(provenance["git_commit"]) == 40 and provenance["git_dirty"] is False, run.run_id
        assert provenance["wall_seconds"] > 0
        assert provenance["command"].startswith("smp-lab train --task ")
        assert not any("/" in str(provenance[key]) for key in ("data_source", "command"))
