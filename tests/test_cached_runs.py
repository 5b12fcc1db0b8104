"""The runs that come with the project are whole, small, and those that the README speaks of."""

from smp_lab.storage.paths import cached_runs_folder
from smp_lab.storage.runs import list_runs

INDEX = list_runs([cached_runs_folder()])
MOST_BYTES = 2_500_000


def test_every_record_is_whole_and_small():
    assert not INDEX.problems
    for run in INDEX.runs.values():
        run.verify()
        assert sum(file.stat().st_size for file in run.path.iterdir()) < MOST_BYTES, run.run_id


def test_four_tasks_at_two_levels_and_both_masking_functions():
    grid = {(run.config.task, run.config.method, run.config.remaining) for run in INDEX.runs.values()}
    assert grid >= {(task, "smp_s", level) for task in ("sst2", "cola", "mrpc", "rte") for level in (0.5, 0.1)}
    assert any(method == "smp_l" and level == 0.1 for _, method, level in grid)


def test_every_record_says_where_it_comes_from():
    for run in INDEX.runs.values():
        provenance = run.provenance
        assert len(provenance["git_commit"]) == 40 and provenance["git_dirty"] is False, run.run_id
        assert provenance["wall_seconds"] > 0 or run.config.method_info.is_control
        assert provenance["command"].startswith("smp-lab train --task ")
        assert not any("/" in str(provenance[key]) for key in ("data_source", "command"))
