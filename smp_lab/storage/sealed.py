"""Files of unknown origin, read with care; JSON that carries a digest of itself; files written whole or not at all."""

from __future__ import annotations

import errno
import json
import math
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from smp_lab.config import digest_of
from smp_lab.errors import RunWriteError

DIGEST = "sha256"


def own_sha256(record: Mapping[str, Any]) -> str:
    """Digest of everything in a record but the digest that it carries."""
    return digest_of({key: value for key, value in record.items() if key != DIGEST})


def to_json(record: Mapping[str, Any]) -> bytes:
    """Content of the file of a record, its digest added.

    Raises
    ------
    TypeError, ValueError
        If something in it is not JSON; NaN, the infinities and half of a surrogate pair are not.
    """
    sealed = {**record, DIGEST: own_sha256(record)}
    _require_unicode(sealed)
    return (json.dumps(sealed, indent=1, allow_nan=False) + "\n").encode()


def from_json(content: bytes) -> Any:
    """Inverse of `to_json`, for bytes of unknown origin; the digest is not looked at.

    Raises
    ------
    ValueError
        If the content is cut off or is not JSON, or holds a number that is not finite or does not fit 64 bits, or text
        that is not Unicode.
    """
    try:
        value = json.loads(
            content.decode(), parse_constant=_refuse_constant, parse_int=_int64, parse_float=_finite_float
        )
        if b"\\u" in content:
            _require_unicode(value)
    except RecursionError as error:
        raise ValueError(str(error)) from None
    return value


def _require_unicode(value: Any) -> None:
    """Refuse half of a surrogate pair, which can be written in JSON, but neither printed nor sent to a browser."""
    json.dumps(value, ensure_ascii=False).encode()


def _refuse_constant(name: str) -> None:
    """Refuse NaN and the infinities, which Python's reader takes and JSON does not have."""
    raise ValueError(f"{name} is no number")


def _int64(digits: str) -> int:
    value = int(digits)
    if not -(2**63) <= value < 2**63:
        raise ValueError(f"{digits[:20]} is too long for a number")
    return value


def _finite_float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"{digits[:20]} is too large for a number")
    return value


def read_regular(file: Path, most: int) -> bytes:
    """Content of a file of unknown origin.

    It is opened once, without waiting for a writer, and its kind and size are looked at before anything is read.

    Parameters
    ----------
    file
        A link in its place is not followed.
    most
        Bytes that are read at most.

    Raises
    ------
    OSError
        If it is missing, a link, a folder, a pipe or a device, or larger.
    """
    descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as handle:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "Is a directory" if stat.S_ISDIR(found.st_mode) else "Not a regular file")
        if found.st_size > most:
            raise OSError(errno.EFBIG, f"{found.st_size:,} bytes; at most {most:,} are read")
        # One that grows meanwhile is another one than was looked at; its digest will say so.
        return handle.read(found.st_size)


def why(error: OSError) -> str:
    """What a system call says, for a sentence; a link where a file should be is said to be one."""
    if error.errno == errno.ELOOP:
        return "Is a link; only regular files are read"
    return error.strerror or str(error)


def write_durably(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, in the place of one that may be there, and wait until the disk has it."""
    # Another process may write the same file.
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(4)}.tmp")
    try:
        write_durably(temporary, content)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_new(path: Path, content: bytes) -> None:
    """Write a file that is not there yet, whole or not at all.

    Raises
    ------
    RunWriteError
        If it is there, or cannot be written. Nothing is left behind.
    """
    try:
        with path.open("xb") as file:
            try:
                file.write(content)
                file.flush()
            except BaseException:
                path.unlink()
                raise
    except OSError as error:
        helps = "Name a file that is not there yet, in a folder that is."
        if error.errno == errno.ENOSPC:
            helps = f"It takes {len(content) / 1e6:.1f} MB. Free space, or name another folder."
        raise RunWriteError(f"{path} cannot be written ({error.strerror}). {helps}") from None


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
