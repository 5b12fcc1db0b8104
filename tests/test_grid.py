"""Grids: what a file asks for, in which order, and what is refused."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from smp_lab import cli
from smp_lab.errors import ConfigError
from smp_lab.grid import KNOWN, load_grid
from smp_lab.paths import grid_file

GOOD = """
[[group]]
name = "first"
tasks = ["rte", "cola"]
methods = ["dense"]
seeds = [0]

[[group]]
name = "second"
tasks = ["rte", "cola"]
methods = ["smp_s"]
remaining = [0.5, 0.1]
seeds = [0, 1]
settings = [{}, { regularizer = 0 }]
"""


@pytest.fixture
def write(tmp_path: Path):
    """Writes a grid and gives its path."""

    def write(content: str) -> Path:
        path = tmp_path / "grid.toml"
        path.write_text(content)
        return path

    return write


def test_seeds_vary_slowest_and_tasks_fastest(write) -> None:
    grid = load_grid(write(GOOD))
    assert grid.groups == ("first", "second")
    assert [run.group for run in grid.runs] == [1] * 2 + [2] * 16
    assert [str(run) for run in grid.runs[:2]] == [f"--task {task} --method dense --seed 0" for task in ("rte", "cola")]
    second = [(run.seed, run.remaining, dict(run.settings), run.task) for run in grid.runs[2:7]]
    assert second == [
        (0, 0.5, {}, "rte"),
        (0, 0.5, {}, "cola"),
        (0, 0.5, {"regularizer": 0}, "rte"),
        (0, 0.5, {"regularizer": 0}, "cola"),
        (0, 0.1, {}, "rte"),
    ]
    assert grid.runs[4].options() == [
        *("--task", "rte", "--method", "smp_s", "--remaining", "0.5", "--seed", "0", "--regularizer", "0"),
    ]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ('"rte", "cola"', '"rte", "rte"', "asks twice for: --task rte --method dense"),
        ("[0]", "[]", "'seeds' should be a list of whole numbers that is not empty; got []"),
        ("[0, 1]", '["a"]', "'seeds' should be a list of whole numbers"),
        ('"first"', "1", "'name' should be a text that is not empty; got 1"),
        ("[0.5, 0.1]", "0.5", "'remaining' should be a list of numbers that is not empty; got 0.5"),
        ("[{}, { regularizer = 0 }]", '["x"]', "'settings' should be a list of tables"),
        *(
            ("regularizer = 0", setting, f"has unknown settings: {setting.split()[0]}. Known: batch_size, ")
            for setting in ("foo = 1", 'report_to = "none"', "seed = 3", "remaining = 0.1")
        ),
        ("dense", "thick", "Grid {path}, group 1: Unknown method 'thick'"),
        ('tasks = ["rte"', 'tasks = ["sudoku"', "Grid {path}, group 1: Unknown task 'sudoku'"),
        ('tasks = ["rte"', 'tasks = ["none.toml"', "group 1: Task file none.toml cannot be read"),
        ('["dense"]', '["magnitude"]', "method 'magnitude' needs 'remaining'. Methods that need it"),
        ('"smp_s"', '"soft_movement"', "method 'soft_movement' takes no 'remaining'"),
        ("name = ", "nam = ", "unknown keys: nam"),
        ('name = "first"', "", "group 1 lacks 'name'"),
        ('name = "first"', 'name = "a"\nmeasure = ["heads"]', "method 'dense' trains weights, which no record holds"),
        ('name = "second"', 'name = "a"\nmeasure = ["size"]', "measures 'size', which is unknown. Known: score, heads"),
        ('name = "second"', 'name = "a"\ncuts = [5]', "has 'cuts', which say something beside measure = [\"score\"]"),
        ("[[group]]", "[settings]\nfoo = 1\n\n[[group]]", "Grid {path} has unknown settings: foo. Known: batch_size, "),
        ("[[group]]", "settings = 1\n\n[[group]]", "'settings' should be a table; got 1"),
        ("[[group]]", "[group", "is not TOML"),
        ("[[group]]", f"a = {9999 * '['}\n[[group]]", "is not TOML"),
        ("[[group]]", "[[groups]]", "nothing else; it holds groups"),
    ],
)
def test_what_is_wrong_is_said(write, before: str, after: str, sentence: str) -> None:
    with pytest.raises(ConfigError, match="Grid") as caught:
        load_grid(path := write(GOOD.replace(before, after, 1)))
    assert sentence.replace("{path}", str(path)) in str(caught.value)


def test_measurements_follow_all_runs_and_masks_alike_but_for_their_task_go_together(write) -> None:
    measured = 'name = "second"\nmeasure = ["score", "transfer"]\ncuts = [5]'
    grid = load_grid(write('[settings]\nencoder = "tiny"\n' + GOOD.replace('name = "second"', measured)))
    assert grid.items == (*grid.runs, *grid.measurements)
    scores, transfers = grid.measurements[:16], grid.measurements[16:]
    assert [item.on for item in scores] == [*grid.runs[2:]] and all(item.runs == (item.on,) for item in scores)
    assert scores[0].options() == ["--task", "rte", "--encoder", "tiny", "--cut", "5"]
    # Two tasks, eight pairs of masks.
    assert len(transfers) == 16 and len({str(item) for item in transfers}) == 16
    for item in transfers:
        assert [run.task for run in item.runs] == ["rte", "cola"] and item.on in item.runs and not item.cuts
        assert len({(run.seed, run.remaining, str(run.settings)) for run in item.runs}) == 1


def test_settings_of_all_groups_give_way_to_those_of_a_group(write) -> None:
    grid = load_grid(write('[settings]\nregularizer = 7\nprecision = "bf16"\n' + GOOD))
    assert dict(grid.runs[0].settings) == {"regularizer": 7, "precision": "bf16"}
    assert [run.settings["regularizer"] for run in grid.runs[2:6]] == [7, 7, 0, 0]
    assert {run.settings["precision"] for run in load_grid(write(GOOD), {"precision": "fp32"}).runs} == {"fp32"}


def test_all_settings_are_options_of_train_in_its_spelling(write) -> None:
    assert set(inspect.signature(cli.train.command).parameters) >= KNOWN
    grid = load_grid(write(GOOD.replace("regularizer = 0", 'label_words = ["right", "wrong"]')))
    assert grid.runs[4].options()[-2:] == ["--label-words", "right,wrong"]


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_grid(tmp_path / "none.toml")


def test_the_projects_own_grid_holds_what_comparisons_need() -> None:
    runs = load_grid(grid_file()).runs
    tasks = {"sst2", "cola", "mrpc", "rte", "stsb"}
    asked = {(run.task, run.method, run.remaining, run.seed) for run in runs}
    assert asked >= {(task, "dense", None, seed) for task in tasks for seed in (0, 1)}
    assert asked >= {(task, "smp_s", level, 0) for task in tasks for level in (0.8, 0.5, 0.3, 0.1, 0.03)}
    assert asked >= {(task, "magnitude", level, 0) for task in tasks for level in (0.5, 0.3, 0.1, 0.03)}
    assert asked >= {(task, "smp_s", level, seed) for task in tasks for level in (0.5, 0.1) for seed in (1, 2)}
