"""JSON files that carry a digest of their own content, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from smp_lab.config import canonical_json
from smp_lab.errors import RunFormatError

T = TypeVar("T")

DIGEST = "sha256"


def own_sha256(record: Mapping[str, Any]) -> str:
    """Digest of everything in a record but the digest that it carries."""
    rest = {key: value for key, value in record.items() if key != DIGEST}
    return hashlib.sha256(canonical_json(rest).encode()).hexdigest()


def to_json(record: Mapping[str, Any]) -> bytes:
    """Content of the file of a record, its digest added.

    Raises
    ------
    TypeError, ValueError
        If something in it is not JSON; NaN and the infinities are not.
    """
    sealed = {**record, DIGEST: own_sha256(record)}
    return (json.dumps(sealed, indent=1, allow_nan=False) + "\n").encode()


def from_json(content: bytes) -> Any:
    """Inverse of `to_json`, for bytes of unknown origin; the digest is not looked at.

    Raises
    ------
    ValueError
        If the content is cut off or is not JSON.
    """
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _refuse_constant(name: str) -> None:
    """Refuse NaN and the infinities, which Python's reader takes and JSON does not have."""
    raise ValueError(name)


def is_number(value: Any) -> bool:
    """Whether a value from JSON is a number that a float or an int64 holds."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63


def read_all(
    folders: Iterable[Path], entries: Callable[[Path], list[Path]], read: Callable[[Path], T]
) -> tuple[list[T], tuple[tuple[Path, str], ...]]:
    """What can be read of all entries of some folders, and ``(path, sentence)`` for what cannot.

    Parameters
    ----------
    folders
        Read in this order.
    entries, read
        Names the entries of a folder; reads one. Each raises `RunFormatError` where that cannot be done.
    """
    records, problems = [], []
    for folder in folders:
        try:
            paths = entries(folder)
        except RunFormatError as error:
            problems.append((folder, str(error)))
            continue
        for path in paths:
            try:
                records.append(read(path))
            except RunFormatError as error:
                problems.append((path, str(error)))
    return records, tuple(problems)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, in the place of one that may be there, and wait until the disk has it."""
    temporary = path.with_suffix(".tmp")
    write_durably(temporary, content)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_file(path: Path) -> None:
    """Wait until the disk has a file that something else has written."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the disk has the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
