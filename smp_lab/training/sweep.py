"""All of a grid: what is there is skipped, what was cut off is resumed, what is missing is trained, then measured.

Each run, and each measurement, is a process of its own with the command that a person would give, so that one that
fails or is killed takes no other with it. Where it is, is the business of a runner: see `smp_lab.jobs.runners`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from smp_lab.config import RunConfig
from smp_lab.errors import Interrupted, NeededFirstError, RunFormatError, SmpLabError, TrainingError
from smp_lab.grid import DENSE_TEACHER, SHARED_WITH_TEACHER, TRANSFER, GridItem, GridMeasurement, GridRun
from smp_lab.jobs.runners import DONE, LOST, Runner
from smp_lab.jobs.whereabouts import last_line
from smp_lab.lease import ITEM_VARIABLE, holder_of, lease_seconds, remove_finished
from smp_lab.paths import LOGS_FOLDER, unfinished_folder
from smp_lab.recipes import PACKAGED_ENCODER, draft
from smp_lab.storage.measurements import MEASUREMENTS
from smp_lab.storage.runs import RunRecord, list_runs, load_run
from smp_lab.storage.sealed import replace_durably
from smp_lab.storage.transfers import TRANSFERS
from smp_lab.tasks.own import read_task_file
from smp_lab.training.checkpoints import step_of
from smp_lab.training.data import load_task_data
from smp_lab.training.encoders import EncoderFiles, find_encoder
from smp_lab.training.stop import listening
from smp_lab.training.teachers import find_teacher
from smp_lab.training.transfer import is_transferred

UNFINISHED, MISSING = "unfinished", "missing"
# To end with checkpoints; to start nothing more.
STOP, DRAIN = "stop", "drain"
# Without a checkpoint in between.
MAX_LOSSES = 10
# Times a lease's length, after which a run on another machine counts as lost.
PATIENCE = 1.5
_ASKED = "sweep.ask"
_POLL_SECONDS = 0.2


class Fingerprints:
    """Encoders and data as runs name them, each read once however many runs ask.

    What cannot be read is as the records of the runs that are there say, where they agree on it.

    Parameters
    ----------
    data_folders
        As in `load_task_data`.
    runs
        Folder of these records; None for none.
    load
        What reads the data of a task.

    Attributes
    ----------
    unread
        Why something could not be read that records told of.
    """

    def __init__(
        self,
        data_folders: Mapping[str, Path | None] | None = None,
        *,
        runs: Path | None = None,
        load: Callable[..., Any] = load_task_data,
    ) -> None:
        self._folders, self._load = data_folders, load
        self._runs, self._listed = [runs] if runs else [], list_runs([])
        self._known: dict[tuple[Any, ...], Any] = {}
        self.unread: list[SmpLabError] = []

    def encoder(self, name: str) -> EncoderFiles:
        """As `find_encoder`; one that only records tell of has no folder."""

        def recorded(run: RunRecord) -> EncoderFiles | None:
            model = run.config.base_model
            of_it = model in (name, Path(name).name)
            return EncoderFiles(model, Path(), run.config.base_model_sha256, "a record") if of_it else None

        return self._once((name,), lambda: find_encoder(name), recorded)

    def data(
        self, task: str, source: str | None, train_examples: int | None, task_file: str | None = None
    ) -> tuple[str, int]:
        """sha256 of a task's data, and how many examples it has to train on."""

        def read() -> tuple[str, int]:
            own = {} if task_file is None else {"task_file": read_task_file(Path(task_file))}
            data = self._load(task, source=source, train_examples=train_examples, **own, data_folders=self._folders)
            return data.sha256, len(data.train)

        def recorded(run: RunRecord) -> tuple[str, int] | None:
            of_it = (run.config.task, run.config.train_examples) == (task, train_examples)
            return (run.config.data_sha256, run.results.get("n_train_examples", 0)) if of_it else None

        return self._once((task, source, train_examples), read, recorded)

    def _once(self, key: tuple[Any, ...], read: Callable[[], Any], recorded: Callable[[RunRecord], Any]) -> Any:
        if key not in self._known:
            try:
                self._known[key] = read()
            except SmpLabError as error:
                # Where the hub is out of reach, each question would wait for it anew.
                self._known[key] = error
        if isinstance(error := self._known[key], SmpLabError):
            # Anew each time: runs may have been finished since.
            self._listed = list_runs(self._runs, self._listed)
            said = {recorded(run) for run in self._listed.records.values()} - {None}
            if len(said) != 1:
                raise error
            (self._known[key],) = said
            self.unread.append(error)
        return self._known[key]


@dataclass(frozen=True)
class State:
    """What there is of a run of a grid, or of a measurement.

    Parameters
    ----------
    name
        "done", "unfinished" (it has a checkpoint) or "missing".
    item_id
        Of the run; of a measurement a name that no other one has.
    words
        Of ``smp-lab``: what makes it, on whatever machine.
    config
        Of the run as it is there, else as it would be trained; None for a measurement.
    in_other_precision
        Whether the run that is there has another precision than the one asked for.
    """

    name: str
    item_id: str
    words: tuple[str, ...]
    config: RunConfig | None = None
    in_other_precision: bool = False


class Sweep:
    """The runs of a grid in a folder.

    A run that differs from what is asked for in its precision alone counts as done: the same grid is the same one on
    machines that multiply bf16 and on those that do not.

    Parameters
    ----------
    runs
        Folder of runs.
    data_folders
        As in `load_task_data`; None takes data as `smp-lab train` does.
    fingerprints
        Of encoders and data; None takes those at hand, else those of the folder's records.
    more
        Options of ``smp-lab train`` that change no result, for every run.
    """

    def __init__(
        self,
        runs: Path,
        data_folders: Mapping[str, Path | None] | None = None,
        *,
        fingerprints: Fingerprints | None = None,
        more: Sequence[str] = (),
    ) -> None:
        self.runs, self._more = runs, more
        self._folders = data_folders or {}
        self.fingerprints = fingerprints or Fingerprints(data_folders, runs=runs)
        self._transfers, self._measured = TRANSFERS.list([]), MEASUREMENTS.list([])

    def state(self, item: GridItem) -> State:
        """What there is of a run or a measurement.

        Raises
        ------
        SmpLabError
            If it is not there and cannot be made.
        """
        return self._of_run(item) if isinstance(item, GridRun) else self._of_measurement(item)

    def _of_run(self, run: GridRun) -> State:
        asked = self._with_teacher(run)
        config, no_teacher = self._config(asked), None
        if config.teacher is not None:
            encoder = self.fingerprints.encoder(asked.settings.get("encoder", PACKAGED_ENCODER))
            try:
                teacher = find_teacher(config.teacher, config.task_info, runs=[self.runs], encoder=encoder)
                config = replace(config, teacher=teacher.name)
            except SmpLabError as error:
                # A run that it has taught is there all the same.
                no_teacher = error
        if (there := find_made(self.runs, config)) is not None:
            return State(DONE, there.run_id, (), there, there.precision != config.precision)
        if no_teacher is not None:
            raise no_teacher
        unfinished = any(unfinished_folder(self.runs, config.run_id).glob("checkpoint-*"))
        named = replace(asked, settings={**asked.settings, "precision": config.precision})
        words = ("train", *named.options(), *self._more, *self._places())
        return State(UNFINISHED if unfinished else MISSING, config.run_id, words, config)

    def _of_measurement(self, asked: GridMeasurement) -> State:
        made = [self._made(run) for run in asked.runs]
        on = made[asked.runs.index(asked.on)]
        if asked.kind == TRANSFER:
            ids = [run.run_id for run in made]
            item_id, words = f"{ids[0]}-on-{on.config.task}", ("transfer", *ids)
            self._transfers = TRANSFERS.list([self.runs], self._transfers.seen.get)
            done = is_transferred(made, on.config.task, self._transfers.records.values())
        else:
            item_id, words = f"{on.run_id}-{asked.kind}", ("evaluate", on.run_id)
            self._measured = MEASUREMENTS.list([self.runs], self._measured.seen.get)
            done = any(
                (record.settings.kind, record.settings.mask_id) == (asked.kind, on.run_id)
                and {*asked.cuts} <= {*record.settings.options.get("cuts", ())}
                for record in self._measured.records.values()
            )
        return State(DONE if done else MISSING, item_id, (*words, *asked.options(), *self._places()))

    def _made(self, run: GridRun) -> RunRecord:
        state = self.state(run)
        if state.name != DONE:
            raise NeededFirstError(f"Its run {state.item_id} is not there yet.", state.item_id)
        return load_run(self.runs / state.item_id)

    def _with_teacher(self, run: GridRun) -> GridRun:
        """The run with its dense teacher by id; another run as it is."""
        if run.settings.get("teacher") != DENSE_TEACHER:
            return run
        shared = {name: run.settings[name] for name in SHARED_WITH_TEACHER if name in run.settings}
        wanted = self._config(replace(run, method="dense", remaining=None, settings=shared))
        teacher = find_made(self.runs, wanted)
        if teacher is None:
            raise NeededFirstError(
                f"Its teacher {wanted.run_id} is not there yet. A group of the method dense with the same "
                f"{', '.join(SHARED_WITH_TEACHER)} and the same seed makes it.",
                wanted.run_id,
            )
        return replace(run, settings={**run.settings, "teacher": teacher.run_id})

    def _config(self, run: GridRun) -> RunConfig:
        """Settings of a run, its teacher as it is named."""
        changes = dict(run.settings)
        source = changes.pop("source", None)
        changes |= {"remaining": run.remaining, "seed": run.seed}
        asked = draft(run.task, run.method, **changes)
        files = self.fingerprints.encoder(asked.base_model)
        data_sha256, examples = self.fingerprints.data(run.task, source, asked.train_examples, run.task_file)
        asked = draft(run.task, run.method, **changes, examples=examples)
        return replace(asked, base_model=files.name, base_model_sha256=files.sha256, data_sha256=data_sha256)

    def _places(self) -> list[str]:
        folders = ["--runs", str(self.runs.absolute())]
        for name, folder in self._folders.items():
            if folder is not None:
                folders += [f"--{name}-dir", str(folder.absolute())]
        return folders

    def make(
        self,
        wanted: Sequence[GridItem],
        runner: Runner,
        *,
        write: Callable[[str], Any],
        environment: Callable[[RunConfig | None], Mapping[str, str]] = lambda config: {},
    ) -> None:
        """Make what is not done, in order, as many at a time as the runner has room for.

        What needs a run that is not made yet, as its teacher or to be measured, waits for it. A run whose machine is
        lost resumes elsewhere; one that has failed as often as the runner allows is set aside. A signal to stop
        (Ctrl-C, or a polite kill) is passed on, so that each run in work leaves a checkpoint, which the second does not
        wait for; what `ask` leaves in the folder of runs is heard too.

        Parameters
        ----------
        wanted
            Runs of a grid, and what is measured of them.
        runner
            Where they are made.
        write
            Prints a line.
        environment
            Variables for the process of a run, or of a measurement.

        Raises
        ------
        TrainingError
            If runs failed, after all others are made.
        Interrupted
            After a stop.
        """
        logs = self.runs / LOGS_FOLDER
        logs.mkdir(parents=True, exist_ok=True)
        (logs / _ASKED).unlink(missing_ok=True)
        making = _Making(self, runner, write, environment, list(wanted))
        # Numbers of the signals that asked for it.
        stop: list[int] = []
        drain = told_no_room = False
        with listening(lambda number, frame: stop.append(number)):
            while making.working or (making.waiting and not stop and not drain):
                slots = runner.slots
                while making.waiting and len(making.working) < slots and not stop and not drain:
                    making.start_next()
                making.collect(stopping=bool(stop))
                asked = _read_word(logs / _ASKED)
                drain = drain or asked == DRAIN
                if asked == STOP and not stop:
                    stop.append(0)
                if stop:
                    making.stop()
                elif not slots and not making.working and not told_no_room:
                    told_no_room = True
                    write("waits   no machine has room for a run")
                if making.working or making.waiting:
                    time.sleep(_POLL_SECONDS)
        if not stop and not drain:
            making.give_up_postponed()
        things = "runs" if all(isinstance(item, GridRun) for item in wanted) else "runs and measurements"
        sentence = f"{making.n_done} of {len(wanted)} {things} are done"
        if making.n_failed or stop:
            raise (Interrupted if stop else TrainingError)(
                f"{sentence}, {making.n_failed} failed{', stopped on request' if stop else ''}. Their output is in "
                f"{logs}; the same command resumes."
            )
        write(f"{sentence}{', and no more are started, as was asked' if drain else ''}.")


class _Working(NamedTuple):
    """One in work: what was asked for, its id, and when it was started."""

    item: GridItem
    item_id: str
    start: float


class _Pulses:
    """Heartbeats of runs, by the clock of the one who looks."""

    def __init__(self) -> None:
        self._before: dict[str, str | None] = {}
        self._seen: dict[str, tuple[float, float]] = {}
        self._looked: dict[str, float] = {}

    def begin(self, folder: Path) -> None:
        """A process is started for a run; whoever holds it now is an earlier one."""
        holder = holder_of(folder)
        self._before[folder.name] = holder and holder.process
        self._seen.pop(folder.name, None)

    def has_stopped(self, folder: Path) -> bool:
        """Whether the process that was started has held the run and given no sign of life for too long."""
        now, name = time.monotonic(), folder.name
        # A question to a file server for each run, so not in every round.
        if now - self._looked.get(name, 0.0) < lease_seconds() / 12:
            return False
        self._looked[name] = now
        holder = holder_of(folder)
        if holder is None or holder.process == self._before[name]:
            return False
        if name not in self._seen or self._seen[name][0] != holder.beat:
            self._seen[name] = holder.beat, now
        return now - self._seen[name][1] > PATIENCE * lease_seconds()


@dataclass
class _Making:
    """A grid that is being made: what waits, what is in work by its handle, how much has ended and how."""

    sweep: Sweep
    runner: Runner
    write: Callable[[str], Any]
    environment: Callable[[RunConfig | None], Mapping[str, str]]
    waiting: list[GridItem]
    # Until the next run in work ends, with what each needs.
    postponed: list[tuple[GridItem, SmpLabError]] = field(default_factory=list)
    working: dict[str, _Working] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)
    losses: dict[str, tuple[int, int]] = field(default_factory=dict)
    pulses: _Pulses = field(default_factory=_Pulses)
    n_done: int = 0
    n_failed: int = 0

    def start_next(self) -> None:
        """Start the first that waits, unless it is there, has to wait for another, or cannot be made."""
        item = self.waiting.pop(0)
        try:
            state = self.sweep.state(item)
        except NeededFirstError as error:
            self.postponed.append((item, error))
            return
        except SmpLabError as error:
            self._fail(item, error)
            return
        if state.name == DONE:
            self.n_done += 1
            remove_finished(self._folder(state.item_id))
            if state.config is not None and state.in_other_precision:
                self.write(f"there   {item}, in {state.config.precision}; it is not trained anew")
            return
        self.write(f"start   {state.item_id}")
        self.pulses.begin(self._folder(state.item_id))
        variables = {**self.environment(state.config), ITEM_VARIABLE: state.item_id}
        handle = self.runner.start(state.words, Path.cwd(), variables, self._log(state.item_id))
        self.working[handle] = _Working(item, state.item_id, time.monotonic())

    def collect(self, *, stopping: bool) -> None:
        """Take out of work what has ended; what lost its machine, or failed and may try again, waits once more."""
        for handle, (item, item_id, start) in list(self.working.items()):
            folder = self._folder(item_id)
            if not self.runner.is_alive(handle):
                outcome, reason = self.runner.outcome(handle)
            elif self.runner.is_far and self.pulses.has_stopped(folder):
                # The runner may wait for a machine that stands still for as long as its connection lasts.
                outcome, reason = LOST, f"It gave no sign of life for {PATIENCE * lease_seconds():g} s."
                self.runner.stop(handle)
            else:
                continue
            del self.working[handle]
            self.waiting[:0] = [each for each, _ in self.postponed]
            self.postponed.clear()
            if outcome == DONE:
                self.n_done += 1
                minutes = (time.monotonic() - start) / 60
                self.write(f"done    {item} in {minutes:.1f} min{f' {reason}' if reason else ''}")
            elif stopping:
                continue
            elif (outcome == LOST or holder_of(folder) is not None) and self._may_be_lost(folder):
                self.write(f"lost    {item}: {reason} It resumes elsewhere.")
                self.waiting.insert(0, item)
            else:
                self.failures[item_id] += 1
                what = last_line(self._log(item_id)) or reason
                if self.failures[item_id] < self.runner.attempts:
                    self.write(f"again   {item}: {what}")
                    self.waiting.append(item)
                else:
                    self._fail(item, what)

    def stop(self) -> None:
        """End what is in work, each with a checkpoint."""
        for handle in self.working:
            self.runner.stop(handle)
        while any(self.runner.is_alive(handle) for handle in self.working):
            time.sleep(_POLL_SECONDS)
        self.working.clear()

    def give_up_postponed(self) -> None:
        """What they need could not be made."""
        for item, error in self.postponed:
            self._fail(item, error)

    def _fail(self, item: GridItem, why: object) -> None:
        self.n_failed += 1
        self.write(f"failed  {item}: {why}")

    def _folder(self, item_id: str) -> Path:
        return unfinished_folder(self.sweep.runs, item_id)

    def _log(self, item_id: str) -> Path:
        return (self.sweep.runs / LOGS_FOLDER / f"{item_id}.txt").absolute()

    def _may_be_lost(self, folder: Path) -> bool:
        """Whether a run may lose its machine once more: without a checkpoint in between not for ever."""
        step = max((step_of(checkpoint) for checkpoint in folder.glob("checkpoint-*")), default=0)
        before, times = self.losses.get(folder.name, (step, 0))
        self.losses[folder.name] = step, times + 1 if step == before else 1
        return self.losses[folder.name][1] <= MAX_LOSSES


def ask(runs: Path, word: str) -> None:
    """Ask the sweep that makes runs in a folder, on whatever machine, for `STOP` or `DRAIN`."""
    file = runs / LOGS_FOLDER / _ASKED
    file.parent.mkdir(parents=True, exist_ok=True)
    replace_durably(file, word.encode())


def find_made(runs: Path, config: RunConfig) -> RunConfig | None:
    """Settings of a run as it is in a folder: these, or in another precision; None where it is not there.

    A teacher without a fingerprint is the same by name.
    """
    if (runs / config.run_id).exists():
        return config
    # All of an id but its hash.
    for folder in sorted(runs.glob(f"{config.run_id[:-8]}*")):
        try:
            other = load_run(folder).config
        except RunFormatError:
            continue
        teacher = other.teacher
        if teacher is not None and "@" not in str(config.teacher):
            teacher = teacher.rpartition("@")[0]
        if replace(other, precision=config.precision, teacher=teacher) == config:
            return other
    return None


def _read_word(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
