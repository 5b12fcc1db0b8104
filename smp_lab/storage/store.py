"""One store for every kind of record: written once, sealed, its id checked, listed with its problems.

A record is a JSON file, alone or in a folder with array files, that carries its schema version, its id, and a digest of
itself; where there are other files it names size and digest of each. What kinds differ in is a `Store`: see
`smp_lab.storage.runs`, `smp_lab.storage.transfers`, `smp_lab.storage.measurements` and `smp_lab.storage.imported`.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from smp_lab.errors import ConfigError, MaskFormatError, RunExistsError, RunFormatError, RunWriteError, SmpLabError
from smp_lab.lease import Lease
from smp_lab.paths import TEMPORARY_PREFIX, named_path
from smp_lab.storage.sealed import DIGEST, from_json, own_sha256, read_regular, sync_folder, to_json, why, write_durably
from smp_lab.tasks import TASKS
from smp_lab.tasks.own import defined_task

# Ten thousand evaluations, or the predictions on a hundred thousand examples.
MAX_JSON_BYTES = 2**22
_SUFFIX = ".json"

Record = TypeVar("Record")


@contextmanager
def fenced(what: str, fault: str = "cannot be read", refusal: type[SmpLabError] = RunFormatError) -> Iterator[None]:
    """Turn whatever comes out of reading something of unknown origin into a sentence about it."""
    try:
        yield
    except SmpLabError:
        raise
    except OSError as error:
        raise refusal(f"{what} cannot be read ({why(error)}).") from error
    except Exception as error:
        raise refusal(f"{what} {fault}: {cut(f'{type(error).__name__}: {error}')}.") from error


def cut(text: str, most: int = 200) -> str:
    """A text as one line of bounded length, for a sentence."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}..."


def _with_tasks(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record with the definitions of tasks of one's own that its settings name, so that it can be read elsewhere."""
    settings = record.get("settings", {})
    named = (TASKS.get(settings.get(key) or "") for key in ("task", "mask_task"))
    definitions = sorted({task.definition for task in named if task and task.definition})
    if not definitions:
        return record
    return {**record, "provenance": {**record["provenance"], "task_definitions": definitions}}


@dataclass(frozen=True, kw_only=True)
class Store(Generic[Record]):
    """One kind of record.

    Parameters
    ----------
    kind
        What people call one: "run".
    id_name
        Key of its id, and the attribute of a record that says which one follows from its settings: "run_id".
    versions
        Schema version -> the model of its content; see `smp_lab.storage.versions`.
    folder
        Of records of the kind in a folder of runs; "" where they lie in that itself.
    json_name
        Name of the JSON file in the folder of a record; None where a record is that file alone, ``{id}.json``.
    others
        Names in the folder that are no records of the kind.
    build
        ``build(path, content, model)`` makes the record of content that its model took, and says what its parts must
        have in common. Raises `SmpLabError`.
    again
        Sentence on what helps where one is damaged.
    """

    kind: str
    id_name: str
    versions: Mapping[int, type[BaseModel]]
    folder: str
    json_name: str | None
    build: Callable[[Path, Mapping[str, Any], Any], Record]
    again: str
    others: Collection[str] = ()

    @property
    def newest(self) -> int:
        """Schema version that is written."""
        return max(self.versions)

    def json_file(self, path: Path) -> Path:
        """The JSON file of the record at a path."""
        return path / self.json_name if self.json_name else path

    def path_of(self, runs: Path, record_id: str) -> Path:
        """Where a record of this id lies in a folder of runs, written or not."""
        return runs / self.folder / (record_id if self.json_name else f"{record_id}{_SUFFIX}")

    def id_at(self, path: Path) -> str:
        """The id that a path says by its name."""
        # The present folder has no name of its own.
        name = path.absolute().name
        return name if self.json_name else name.removesuffix(_SUFFIX)

    def paths(self, runs: Path) -> list[Path]:
        """Paths in a folder of runs that should be records of the kind, by name; none where there is no such folder.

        Raises
        ------
        RunFormatError
            If the folder is there and cannot be read.
        """
        folder, names = runs / self.folder, list[str]()
        with fenced(f"Folder {folder} of {self.kind}s"), suppress(FileNotFoundError):
            _, folders, files = next(os.walk(folder, onerror=_raise))
            names = folders if self.json_name else folders + files
        return [folder / name for name in sorted(names) if not name.startswith(".") and name not in self.others]

    def find(self, name: str, folders: Iterable[Path]) -> Record | None:
        """The record at this path, or of this id in one of some folders of runs; None where there is none.

        Raises
        ------
        RunFormatError
            If it is there and cannot be read.
        """
        for path in (named_path(name), *(self.path_of(runs, name) for runs in folders)):
            with fenced(f"Folder {cut(str(path))}"):
                if self.json_file(path).is_file():
                    return self.load(path.resolve())
        return None

    def load(self, path: Path) -> Record:
        """Read and verify the JSON file of one record.

        Raises
        ------
        RunFormatError
            If it is no such record, is cut off or altered, or of a schema version that is not known here.
        """
        file = self.json_file(path)
        try:
            path.name.encode()
        except UnicodeEncodeError:
            raise RunFormatError(f"{path} has a name that is not UTF-8. Rename it.") from None
        if leads_out(file.parent):
            raise RunFormatError(f"{file.parent} is a link out of its folder. Copy there what it names.")
        with fenced(str(file)):
            try:
                content = read_regular(file, MAX_JSON_BYTES)
            except FileNotFoundError:
                raise RunFormatError(f"{path} is not a {self.kind}: it holds no {file.name}.") from None
            return self.parse(path, content)

    def parse(self, path: Path, content: bytes) -> Record:
        """The record at a path, of the content of its JSON file; raises as `load`."""
        file = self.json_file(path)
        try:
            record = from_json(content)
        except ValueError as error:
            raise RunFormatError(f"{file} is cut off or is not JSON ({cut(str(error))}). {self.again}") from None
        version = record.get("schema_version") if isinstance(record, dict) else None
        reader = self.versions.get(version) if type(version) is int else None
        if reader is None:
            newer = type(version) is int and version > self.newest
            raise RunFormatError(
                f"{file} has schema version {cut(repr(version), 40)}; this SMP Lab reads {self.kind}s of version "
                f"{' and '.join(map(str, self.versions))}. " + ("Update SMP Lab to read it." if newer else self.again)
            )
        try:
            model = reader.model_validate(record)
            for definition in model.provenance.task_definitions:  # type: ignore[attr-defined]  # every record has one
                defined_task(definition)
            built = self.build(path, record, model)
        except ValidationError as error:
            raise RunFormatError(f"{file} {_first_of(error)} {self.again}") from None
        except (ConfigError, MaskFormatError) as error:
            raise RunFormatError(f"{file} cannot be used: {error}") from None
        said, follows = record[self.id_name], getattr(built, self.id_name)
        if said != follows:
            raise RunFormatError(
                f"{file} was altered: it says {self.kind} {cut(said)}, but its settings are those of {follows}. "
                f"{self.again}"
            )
        if self.id_at(path) != said:
            raise RunFormatError(f"{path} holds {self.kind} {said}; give it its name back.")
        if record[DIGEST] != own_sha256(record):
            raise RunFormatError(f"{file} was altered: its content is not what its own sha256 says. {self.again}")
        return built

    def list(
        self,
        folders: Iterable[Path],
        known: Callable[[Path], tuple[Stamp | None, Record | str] | None] | None = None,
    ) -> Listing[Record]:
        """Read the records in some folders of runs; a missing folder counts as empty.

        Parameters
        ----------
        folders
            A record in several is taken from the first.
        known
            Stamp and record, or sentence, of a path in an earlier listing; what has not changed since is taken from it.
        """
        records: dict[str, Record] = {}
        problems: list[tuple[Path, str]] = []
        now: Seen[Record] = {}
        for folder in folders:
            try:
                paths = self.paths(folder)
            except RunFormatError as error:
                problems.append((folder, str(error)))
                continue
            for path in paths:
                file = self.json_file(path)
                # What a folder was once read at may have come to be a link to it.
                stamp = None if leads_out(file.parent) else stamp_of(file)
                before = known(path) if known else None
                unchanged = before is not None and before[0] == stamp
                now[path] = before if before and unchanged else (stamp, self._record_or_sentence(path))
                found = now[path][1]
                if isinstance(found, str):
                    problems.append((_printable(path), found))
                else:
                    records.setdefault(getattr(found, self.id_name), found)
        return Listing(dict(sorted(records.items())), tuple(problems), now)

    def stamps(self, folder: Path) -> Sequence[tuple[bytes, Stamp | None]] | str:
        """Paths and stamps of all that should be records in a folder of runs; what is wrong where it cannot be read."""
        try:
            return [(os.fsencode(path), stamp_of(self.json_file(path))) for path in self.paths(folder)]
        except RunFormatError as error:
            # A listing says it; once the folder can be read it has stamps.
            return str(error)

    def _record_or_sentence(self, path: Path) -> Record | str:
        try:
            return self.load(path)
        except RunFormatError as error:
            return str(error)

    def to_json(self, path: Path, record: Mapping[str, Any]) -> bytes:
        """Content of the JSON file of a new record, sealed, and read back as a reader will.

        Raises
        ------
        RunWriteError
            If something in it is not JSON, or it is too long.
        RunFormatError
            If it could not be read back.
        """
        what = f"{self.kind.capitalize()} {record[self.id_name]}"
        try:
            content = to_json({"schema_version": self.newest, **_with_tasks(record)})
        except (TypeError, ValueError) as error:
            raise RunWriteError(
                f"{what} cannot be written as JSON: {error}. Results and provenance take text, finite numbers, and "
                "None where a value is missing."
            ) from None
        # A record that could not be read back must not come to stand among the others.
        if len(content) > MAX_JSON_BYTES:
            raise RunWriteError(f"{what} takes {len(content):,} bytes; at most {MAX_JSON_BYTES:,} are read.")
        self.parse(path, content)
        return content

    def require_writable(self, runs: Path) -> None:
        """Find out before the work whether a record of it could be kept.

        Raises
        ------
        RunWriteError
            If nothing can be written where it would lie.
        """
        folder = runs / self.folder
        nearest = next(place for place in (folder, *folder.parents) if place.exists())
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise RunWriteError(
                f"Nothing can be written to {nearest}, so that no {self.kind} could be kept. Make it writable, or name "
                "another folder with --runs."
            )

    def save(self, runs: Path, settings: Any, provenance: Mapping[str, Any], results: Mapping[str, Any]) -> Record:
        """Write a record that is a JSON file alone, and read it back; one that is there already is left as it is.

        Its settings, a dataclass, say its id under `id_name`.

        Raises
        ------
        RunFormatError
            If it could not be read back.
        RunWriteError
            If something in it is not JSON, the folder cannot be written or the disk is full. Nothing is left behind.
        """
        record_id = getattr(settings, self.id_name)
        parts = {"settings": asdict(settings), "provenance": dict(provenance), "results": dict(results)}
        file = self.path_of(runs, record_id)
        content = self.to_json(file, {self.id_name: record_id, **parts})
        with suppress(RunExistsError), self.writing(file) as temporary:
            write_durably(temporary, content)
        return self.load(file)

    def fill(
        self,
        temporary: Path,
        path: Path,
        record: Mapping[str, Any],
        contents: Mapping[str, bytes],
        bases: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Write a record that is a folder, within `writing`: files by name, and the JSON file, which seals them.

        A file that holds a difference from another one has that one's digest in `bases`.

        Raises
        ------
        RunFormatError, RunWriteError
            As `to_json`.
        """
        seals = {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            | ({"base": bases[name]} if name in bases else {})
            for name, content in sorted(contents.items())
        }
        sealed = self.to_json(path, {**record, "files": seals})
        temporary.mkdir()
        for name, content in contents.items():
            write_durably(temporary / name, content)
        write_durably(self.json_file(temporary), sealed)
        sync_folder(temporary)

    @contextmanager
    def writing(self, path: Path, lease: Lease | None = None) -> Iterator[Path]:
        """A path beside that of a new record, which becomes it when all was written there without an error.

        Parameters
        ----------
        path
            Of the record.
        lease
            Of the run whose record it is: it comes to its place only as long as that is held.

        Raises
        ------
        LeaseLostError
            If it is not.
        RunExistsError
            If the record is there already, or comes there meanwhile.
        RunWriteError
            If the folder cannot be written or the disk is full. Nothing is left behind.
        """
        what, folder = f"{self.kind.capitalize()} {self.id_at(path)}", path.parent
        overtaken = RunExistsError(f"{what} was written to {folder} by another process meanwhile.")
        name = f"{TEMPORARY_PREFIX}{self.id_at(path)}-{os.getpid()}-{secrets.token_hex(4)}"
        temporary = (lease.staging if lease else folder) / name
        try:
            if path.exists():
                raise RunExistsError(f"{what} is already in {folder}; records are never overwritten.")
            folder.mkdir(parents=True, exist_ok=True)
            yield temporary
            if path.exists():
                raise overtaken
            lease.publish(temporary, path) if lease else temporary.rename(path)
            sync_folder(folder)
        except OSError as error:
            if path.exists():
                raise overtaken from None
            raise RunWriteError(
                f"{what} could not be written to {folder}: {error.strerror or error}. Nothing was left behind; free "
                "space or name another folder, then start the same command again."
            ) from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
            with suppress(OSError):
                temporary.unlink()


Stamp = tuple[int, int, int, int]
Seen = dict[Path, tuple[Stamp | None, Record | str]]


def stamp_of(file: Path | str) -> Stamp | None:
    """What changes when a file is written or replaced; None where there is none."""
    try:
        found = os.lstat(file)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def leads_out(folder: Path) -> bool:
    """Whether this is a link to somewhere outside the folder that it lies in."""
    # As text: a path object for each of some thousand runs takes longer than the question.
    return os.path.islink(folder) and not folder.resolve().is_relative_to(folder.parent.resolve())  # noqa: PTH114


@dataclass(frozen=True)
class Listing(Generic[Record]):
    """Records of some folders, and what in them could not be read.

    Parameters
    ----------
    records
        By id, in order of the ids.
    problems
        ``(path, sentence)`` for each that should be a record and is not; a path that is not UTF-8 with escapes.
    seen
        By path, the stamp of each JSON file and what was read there, or the sentence: spares a later listing the
        reading of what has not changed.
    """

    records: Mapping[str, Record]
    problems: tuple[tuple[Path, str], ...]
    seen: Seen[Record]


def _printable(path: Path) -> Path:
    """A path that can be shown whatever its bytes are."""
    return Path(os.fsencode(path).decode(errors="backslashreplace"))


def _raise(error: OSError) -> None:
    raise error


def _first_of(error: ValidationError) -> str:
    """What is wrong with the first part that a model refused."""
    first = error.errors(include_url=False)[0]
    where = ".".join(cut(str(key), 60) for key in first["loc"])
    if first["type"] == "missing":
        return f"lacks a part: {where!r}."
    return f"has {where} = {cut(repr(first['input']), 60)}: {first['msg'][0].lower()}{first['msg'][1:]}."
