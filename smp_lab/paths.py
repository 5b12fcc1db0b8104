"""Every folder and file name of the project."""

from __future__ import annotations

import functools
import hashlib
import os
from pathlib import Path

from smp_lab.errors import ConfigError

RECORD_FILE = "run.json"
MASKS_FILE = "masks.npz"
HISTORY_FILE = "history.npz"
# Last file of a checkpoint: it seals the others.
SEAL_FILE = "smp_lab.json"
SCORES_FILE = "scores.npz"
PREDICTIONS_FILE = "predictions.npz"

# Folders inside a folder of runs that hold no run: what masks score on other tasks than their own, what was measured of
# masks after their training, and masks that several runs have in common.
TRANSFERS_FOLDER = "transfers"
MEASUREMENTS_FOLDER = "measurements"
SHARED_MASKS_FOLDER = "shared_masks"
# Masks that no run here made, a folder each.
IMPORTED_FOLDER = "imported"
MASK_RECORD_FILE = "mask.json"

RUNS_VARIABLE = "SMP_LAB_RUNS"
# Of folders of data, by whose files they hold.
DATA_VARIABLES = {"glue": "SMP_LAB_GLUE_DIR", "squad": "SMP_LAB_SQUAD_DIR"}
# Of the app: nothing can be changed through it; and that it can where other machines reach it.
READ_ONLY_VARIABLE = "SMP_LAB_READ_ONLY"
ALLOW_TRAINING_VARIABLE = "SMP_LAB_ALLOW_TRAINING"
# Options of `smp-lab train` that name a cluster; whoever starts the app gives them.
CLUSTER_VARIABLE = "SMP_LAB_CLUSTER"

# Hidden folders inside a folder of runs: never listed as runs.
UNFINISHED_FOLDER = ".unfinished"
LOGS_FOLDER = ".logs"
WEIGHTS_FOLDER = ".weights"
JOBS_FOLDER = ".jobs"
TASK_FILES_FOLDER = ".tasks"
HUB_FOLDER = ".hub"
TEMPORARY_PREFIX = ".writing-"


@functools.cache
def project_folder() -> Path:
    """The folder that holds pages/: the clone, or what an installed wheel has in its place."""
    package = Path(__file__).resolve().parent
    # Not beside app.py, where Streamlit would list the pages by itself.
    installed = package / "installed"
    return installed if installed.is_dir() else package.parent


def app_file() -> Path:
    """The app's router."""
    return Path(__file__).resolve().with_name("app.py")


def pages_folder() -> Path:
    """The app's pages."""
    return project_folder() / "pages"


def cached_runs_folder() -> Path:
    """The runs that come with a clone; a wheel holds none. The app only reads it."""
    return project_folder() / "cached_runs"


def grid_file() -> Path:
    """What the runs that come with the project are: see `smp_lab.grid`."""
    return cached_runs_folder() / "grid.toml"


def named_path(text: str) -> Path:
    """A path as people write it; a ~ that names nobody here stays as it is, and leads to a file that is not there."""
    return Path(os.path.expanduser(text))  # noqa: PTH111


def text_name(path: Path) -> str:
    """Name of a file or folder that goes into records.

    Raises
    ------
    ConfigError
        If it is not UTF-8: no record could hold it.
    """
    try:
        path.name.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{path} has a name that is not UTF-8. Rename it.") from None
    return path.name


def own_runs_folder() -> Path:
    """Where new runs are written: SMP_LAB_RUNS, else runs/ in the clone, or where the command was given."""
    chosen = os.environ.get(RUNS_VARIABLE)
    return named_path(chosen) if chosen else default_runs_folder()


def default_runs_folder() -> Path:
    """Where they are written where nothing is said."""
    return (Path.cwd() if project_folder().parent == app_file().parent else project_folder()) / "runs"


def runs_words(folder: Path) -> list[str]:
    """Words of a command for a terminal that name a folder of runs; none where it is the one without."""
    return [] if folder == default_runs_folder() else ["--runs", str(folder)]


def unfinished_folder(runs: Path, run_id: str) -> Path:
    """Where a run's checkpoints lie until it is finished."""
    return runs / UNFINISHED_FOLDER / run_id


def events_file(runs: Path, run_id: str) -> Path:
    """What an unfinished run has done, an event a line: see `smp_lab.training.progress`."""
    return unfinished_folder(runs, run_id) / "events.jsonl"


def snapshots_folder(runs: Path, run_id: str) -> Path:
    """Scores and masks of an unfinished run at some twenty steps, a file each."""
    return unfinished_folder(runs, run_id) / "snapshots"


def jobs_folder(runs: Path) -> Path:
    """The queue of a folder of runs, and what its processes print."""
    return runs / JOBS_FOLDER


def task_files_folder(runs: Path, text: str) -> Path:
    """Where the app writes a task file of this content: a folder each, so that no file is written over."""
    return runs / TASK_FILES_FOLDER / hashlib.sha256(text.encode()).hexdigest()[:16]


def weights_file(runs: Path, run_id: str) -> Path:
    """Trained weights of a dense run. They are not part of its record: nothing breaks where they are deleted."""
    return runs / WEIGHTS_FOLDER / run_id / "model.safetensors"


def index_file() -> Path:
    """What listings of runs keep from one start of the app to the next; it may be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "smp-lab" / "runs.sqlite"
