"""A grid of runs in one file: groups of task x method x remaining x settings x seed, in order of worth.

::

    [settings]                              # of all groups; left out for none
    precision = "bf16"

    [[group]]
    name = "smp_s over five levels"
    tasks = ["sst2", "reviews.toml"]        # names, or files of tasks of one's own
    methods = ["smp_s"]
    remaining = [0.5, 0.1]                  # left out where the method measures it or has none
    seeds = [0, 1]
    settings = [{}, {regularizer = 0}]      # options of `smp-lab train`, a table for each variant; left out for none
    measure = ["score", "heads", "transfer"]  # of each finished mask, see `GridMeasurement`; left out for nothing
    cuts = [5, 10]                          # for "score"; left out for none

Settings of a group go before those of all groups. The seed varies slowest and the task fastest, so that a grid that is
cut off holds whole levels.
"""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from smp_lab.errors import ConfigError
from smp_lab.methods import SET, get_method
from smp_lab.paths import named_path
from smp_lab.settings import CHANGEABLE
from smp_lab.tasks import get_task
from smp_lab.tasks.own import read_task_file

_LISTS: Mapping[str, tuple[type | tuple[type, ...], str]] = {
    "tasks": (str, "names"),
    "methods": (str, "names"),
    "remaining": ((int, float), "numbers"),
    "seeds": (int, "whole numbers"),
    "settings": (dict, "tables"),
    "measure": (str, "names"),
    "cuts": (int, "whole numbers"),
}
_KEYS = ("name", *_LISTS)

# What can be measured of finished masks. Times are not: the machines of a grid are busy.
TRANSFER = "transfer"
MEASUREMENTS = ("score", "heads", TRANSFER)
_NEEDED = ("name", "tasks", "methods", "seeds")

# What a group's settings can name.
KNOWN = frozenset({"encoder", "source", "recipe", *CHANGEABLE})

# A teacher by what it is, since its run id is known only with data and encoder: the dense run of the same task,
# seed and these settings; all others, such as epochs and rates, are those of its recipe.
DENSE_TEACHER = "dense"
SHARED_WITH_TEACHER = ("encoder", "source", "recipe", "train_examples", "batch_size", "max_length", "precision")


@dataclass(frozen=True)
class GridRun:
    """One run of a grid, as it is asked for.

    Parameters
    ----------
    group
        Number of its group in the file, from 1.
    task, method, remaining, seed
        As in `RunConfig`.
    settings
        What replaces the recipe's, by names of `KNOWN`: those of all groups and, before them, of its own.
    task_file
        Where the task is one's own.
    """

    group: int
    task: str
    method: str
    remaining: float | None
    seed: int
    settings: Mapping[str, Any]
    task_file: str | None = None

    def options(self) -> list[str]:
        """Options of `smp-lab train` that ask for this run."""
        asked = {**self.named_task, "method": self.method, "remaining": self.remaining, "seed": self.seed}
        return as_options(asked | dict(self.settings))

    @property
    def named_task(self) -> dict[str, str]:
        """Its task as an option of any command: by name, or by its file."""
        return {"task": self.task} if self.task_file is None else {"task_file": self.task_file}

    def __str__(self) -> str:
        return " ".join(self.options())


@dataclass(frozen=True)
class GridMeasurement:
    """What is measured of finished runs of a grid.

    Parameters
    ----------
    group
        As in `GridRun`.
    kind
        "score": the mask of one run on its task, whole and with rows cut. "heads": the same without each attention head
        in turn. "transfer": the masks of runs that differ in their task alone, all on the task of one of them.
    runs
        Whose masks.
    on
        The one of them whose task they are scored on.
    cuts
        As of ``smp-lab evaluate``, for "score".
    """

    group: int
    kind: str
    runs: tuple[GridRun, ...]
    on: GridRun
    cuts: tuple[int, ...] = ()

    def options(self) -> list[str]:
        """Options of `smp-lab evaluate` or `smp-lab transfer`, but for the runs and the folders."""
        task = self.on.named_task | ({"task": self.on.task} if self.kind == TRANSFER else {})
        where = {name: self.on.settings.get(name) for name in ("encoder", "source")}
        cuts = [word for cut in self.cuts for word in ("--cut", str(cut))]
        return [*as_options({**task, **where, "heads": self.kind == "heads"}), *cuts]

    def __str__(self) -> str:
        many = f"{len(self.runs)} masks to the task of " if self.kind == TRANSFER else ""
        return f"{self.kind} of {many}{self.on}"


GridItem = GridRun | GridMeasurement


def as_options(settings: Mapping[str, Any]) -> list[str]:
    """Settings as options of the command line: none without a value, flags alone, several words with commas between."""
    words = []
    for name, value in settings.items():
        if value is None or value is False:
            continue
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words.append(",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value))
    return words


@dataclass(frozen=True)
class Grid:
    """All runs of a file.

    Parameters
    ----------
    groups
        Name of each group.
    runs, measurements
        In the order in which they should be made, runs first.
    """

    groups: tuple[str, ...]
    runs: tuple[GridRun, ...]
    measurements: tuple[GridMeasurement, ...] = ()

    @property
    def items(self) -> tuple[GridItem, ...]:
        """All that is asked for."""
        return (*self.runs, *self.measurements)


def load_grid(path: Path, over: Mapping[str, Any] | None = None) -> Grid:
    """Read and check a grid.

    Parameters
    ----------
    path
        Its file.
    over
        Settings that take the place of what the file says.

    Raises
    ------
    ConfigError
        If the file is not there, is not TOML, or names something unknown or something twice.
    """
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigError(f"Grid {path} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"Grid {path} is not TOML: {error}.") from None
    groups, shared = content.get("group", []), content.get("settings", {})
    if set(content) - {"group", "settings"} or not isinstance(groups, list) or not groups:
        raise ConfigError(
            f"Grid {path} should hold [[group]] tables, [settings] of all of them or none, and nothing else; it holds "
            f"{', '.join(content) or 'nothing'}."
        )
    if not isinstance(shared, dict):
        raise ConfigError(f"Grid {path}: 'settings' should be a table; got {shared!r}.")
    _check_known(shared, f"Grid {path}")
    runs = [
        replace(run, settings={**run.settings, **(over or {})})
        for number, group in enumerate(groups, 1)
        for run in _runs_of(number, group, shared, path)
    ]
    if len(set(map(str, runs))) < len(runs):
        twice = next(text for text in map(str, runs) if sum(text == str(run) for run in runs) > 1)
        raise ConfigError(f"Grid {path} asks twice for: {twice}.")
    measurements = [
        measurement
        for number, group in enumerate(groups, 1)
        for measurement in _measurements_of(number, group, [run for run in runs if run.group == number])
    ]
    return Grid(tuple(group["name"] for group in groups), tuple(runs), tuple(measurements))


@contextmanager
def _said_of(where: str) -> Iterator[None]:
    """Put the place in front of what is wrong with a name."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_known(settings: Mapping[str, Any], where: str) -> None:
    if wrong := sorted(set(settings) - KNOWN):
        raise ConfigError(f"{where} has unknown settings: {', '.join(wrong)}. Known: {', '.join(sorted(KNOWN))}.")


def _runs_of(number: int, group: Any, shared: Mapping[str, Any], path: Path) -> list[GridRun]:
    where = f"Grid {path}, group {number}"
    if not isinstance(group, dict):
        raise ConfigError(f"{where} is not a table.")
    if wrong := sorted(set(group) - set(_KEYS)):
        raise ConfigError(f"{where} has unknown keys: {', '.join(wrong)}. Known: {', '.join(_KEYS)}.")
    if lacking := [key for key in _NEEDED if key not in group]:
        raise ConfigError(f"{where} lacks {lacking[0]!r}.")
    if not isinstance(group["name"], str) or not group["name"]:
        raise ConfigError(f"{where}: 'name' should be a text that is not empty; got {group['name']!r}.")
    for key, (kind, what) in _LISTS.items():
        if key not in group:
            continue
        entries = group[key]
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, kind) for entry in entries):
            raise ConfigError(f"{where}: {key!r} should be a list of {what} that is not empty; got {entries!r}.")
    for settings in group.get("settings", []):
        _check_known(settings, where)
    with _said_of(where):
        methods = [get_method(name) for name in group["methods"]]
        tasks = [_task(named, path) for named in group["tasks"]]
    for method in methods:
        if (method.remaining == SET) != ("remaining" in group):
            raise ConfigError(
                f"{where}: method {method.name!r} {'needs' if method.remaining == SET else 'takes no'} 'remaining'. "
                "Methods that need it and those that take none go in groups of their own."
            )
        if method.trains_weights and "measure" in group:
            raise ConfigError(
                f"{where}: method {method.name!r} trains weights, which no record holds. Only masks over frozen "
                "weights can be measured."
            )
    if wrong := sorted(set(group.get("measure", [])) - {*MEASUREMENTS}):
        raise ConfigError(f"{where} measures {wrong[0]!r}, which is unknown. Known: {', '.join(MEASUREMENTS)}.")
    if "cuts" in group and "score" not in group.get("measure", []):
        raise ConfigError(f"{where} has 'cuts', which say something beside measure = [\"score\"] alone.")
    return [
        GridRun(number, name, method, remaining, seed, {**shared, **settings}, file)
        for seed, method, remaining, settings, (name, file) in itertools.product(
            group["seeds"],
            group["methods"],
            group.get("remaining", [None]),
            group.get("settings", [{}]),
            tasks,
        )
    ]


def _measurements_of(number: int, group: Mapping[str, Any], runs: Sequence[GridRun]) -> Iterator[GridMeasurement]:
    alike: dict[str, list[GridRun]] = {}
    for run in runs:
        alike.setdefault(str(replace(run, task="", task_file=None)), []).append(run)
    for kind in group.get("measure", []):
        for masks in alike.values():
            for run in masks:
                of = tuple(masks) if kind == TRANSFER else (run,)
                yield GridMeasurement(number, kind, of, run, tuple(group.get("cuts", [])) if kind == "score" else ())


def _task(named: str, grid: Path) -> tuple[str, str | None]:
    """Name of a task, and its file where one is named."""
    if not named.endswith(".toml"):
        return get_task(named).name, None
    file = grid.absolute().parent / named_path(named)
    return read_task_file(file).task.name, str(file)
