"""What a listing of runs needs of each record, kept from one start of the app to the next in a file of the user's.

It is never trusted over the records: a row counts only while inode, size and times of its run.json are what they were
when the record was verified, and whatever is not in the row is read from the record, which is verified then. The file
may be deleted at any time; where it cannot be read or written, every record is read.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from smp_lab import __version__
from smp_lab.config import RunConfig
from smp_lab.errors import SmpLabError
from smp_lab.layout import EncoderLayout
from smp_lab.storage.store import Stamp
from smp_lab.storage.versions import Seal

# Of the rows: another form, or another version of what verified them, and they are made anew.
FORM = f"3 {__version__}"
# Most of a record, and not in its row.
LEFT_OUT = ("evaluations", "kept_per_head")
SECONDS_FOR_A_LOCK = 1.0


class Part(Mapping[str, Any]):
    """Part of a record of which something is known; all of it is read when something else is asked for.

    Parameters
    ----------
    known
        What is known by key.
    read
        Reads and verifies the whole part.
    """

    def __init__(self, known: Mapping[str, Any], read: Callable[[], Mapping[str, Any]]) -> None:
        self._known = known
        self._read = read

    @cached_property
    def _all(self) -> Mapping[str, Any]:
        return self._read()

    def __getitem__(self, key: str) -> Any:
        return self._known[key] if key in self._known else self._all[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


class RunRows:
    """Rows of an index file by the path of their run, as `Store.list` takes what was seen before.

    Parameters
    ----------
    file
        The index; made where it is missing.
    folders
        Of runs.
    build
        ``build(path, config, layout, results, seals)`` makes a run record of what its row holds.
    """

    def __init__(self, file: Path, folders: Iterable[Path], build: Callable[..., Any]) -> None:
        self._file = file
        self._build = build
        self._rows: dict[str, tuple[str, str]] = {}
        with suppress(sqlite3.Error, OSError), closing(self._open()) as rows:
            for folder in folders:
                # A slash behind, and the character after it: all paths that begin with the folder's.
                start, stop = f"{_text(folder)}/", f"{_text(folder)}0"
                found = rows.execute("SELECT path, stamp, facts FROM runs WHERE path > ? AND path < ?", (start, stop))
                self._rows |= {path: (stamp, facts) for path, stamp, facts in found}

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        rows = sqlite3.connect(self._file, timeout=SECONDS_FOR_A_LOCK)
        rows.execute("CREATE TABLE IF NOT EXISTS runs (path TEXT PRIMARY KEY, stamp TEXT, facts TEXT)")
        return rows

    def get(self, path: Path) -> tuple[Stamp, Any] | None:
        """Stamp and record of a run; None where there is no row that can be used."""
        stamp, facts = self._rows.get(_text(path), ("", ""))
        form, _, numbers = stamp.partition(":")
        if form != FORM:
            return None
        try:
            known = json.loads(facts)
            inode, size, written, changed = map(int, numbers.split())
            return (inode, size, written, changed), self._build(
                path,
                RunConfig.from_checked(known["config"], known["sha256"]),
                _layout(tuple(known["layout"].items())),
                known["results"],
                {name: Seal(**seal) for name, seal in known["files"].items()},
            )
        except (SmpLabError, ValueError, KeyError, TypeError, AttributeError):
            # Such as the settings of an older version: `keep` writes the row anew.
            del self._rows[_text(path)]
            return None

    def keep(self, seen: Mapping[Path, tuple[Stamp | None, Any]]) -> None:
        """Write the rows of records that are new, and remove those of records that are gone."""
        new = {}
        for path, (stamp, record) in seen.items():
            text = f"{FORM}:{' '.join(map(str, stamp or ()))}"
            if not isinstance(record, str) and self._rows.get(_text(path), ("", ""))[0] != text:
                new[_text(path)] = (text, _facts(record))
        gone = self._rows.keys() - {_text(path) for path in seen}
        if not new and not gone:
            return
        with suppress(sqlite3.Error, OSError), closing(self._open()) as rows, rows:
            rows.executemany("DELETE FROM runs WHERE path = ?", [(path,) for path in gone])
            rows.executemany(
                "INSERT OR REPLACE INTO runs VALUES (?, ?, ?)", [(path, *row) for path, row in new.items()]
            )


@lru_cache(maxsize=64)
def _layout(fields: tuple[tuple[str, int], ...]) -> EncoderLayout:
    return EncoderLayout.from_dict(dict(fields))


def _text(path: Path) -> str:
    return os.fsencode(path.absolute()).decode(errors="backslashreplace")


def _facts(record: Any) -> str:
    results = {name: value for name, value in record.results.items() if name not in LEFT_OUT}
    return json.dumps(
        {
            "config": record.config.to_dict(),
            "sha256": record.config.sha256,
            "layout": record.layout.to_dict(),
            "results": results,
            "files": {name: dict(seal) for name, seal in record.files.items()},
        }
    )
