"""Rows of a data file as people have them: CSV, TSV, JSON lines, parquet. A format is a line in `FORMATS`.

Each reader gives the columns of a file by name, as they stand there; `said` makes text of them. Nothing is left out
without a word: a row that does not fit its header is an error.
"""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smp_lab.errors import DataError, first_line

LFS_POINTER = "version https://git-lfs"
# What spreadsheets of different countries write.
_SEPARATORS = ",;\t"
# The default takes a text of more than 131,072 characters for broken.
csv.field_size_limit(2**31 - 1)

Table = dict[str, list[Any]]


def read_table(path: Path, most: int | None = None) -> Table:
    """Columns of a file by name.

    Parameters
    ----------
    path
        Whose ending says its format.
    most
        The first rows alone; None for all.

    Raises
    ------
    DataError
        If it is not there, of no known format, or not what its ending says; one line, whatever is in the file.
    """
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{_name(path)} has none of the endings that are read: {', '.join(FORMATS)}.")
    try:
        if is_lfs_pointer(path):
            raise lfs_error(_name(path))
        table = reader(path, most)
    except UnicodeDecodeError as error:
        raise DataError(f"{_name(path)} is not UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    except OSError as error:
        raise DataError(f"{_name(path)} cannot be read ({error.strerror or first_line(error)[:200]}).") from None
    if not table or not next(iter(table.values())):
        raise DataError(f"{_name(path)} holds no rows.")
    return table


def said(values: Sequence[Any], column: str, where: str) -> list[str]:
    """A column as texts: numbers as people write them, what is missing as the empty text.

    Raises
    ------
    DataError
        If a value is a list, or a text that `fault_of` finds something in.
    """
    texts = []
    for row, value in enumerate(values, 1):
        if value is None or (isinstance(value, float) and math.isnan(value)):
            value = ""
        elif isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool):
            value = json.dumps(value)
        kind = None if isinstance(value, (str, int, float)) else f"a {type(value).__name__}"
        if fault := kind or fault_of(str(value)):
            raise DataError(f"{where}, row {row}: {column!r} holds {fault}; text or a number is expected.")
        texts.append(str(value))
    return texts


def fault_of(text: str) -> str | None:
    """What a text holds that no tokenizer takes; None where it holds nothing of the kind."""
    if "\0" in text:
        return "a null character"
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON can spell one, such as where a text was cut in the middle of a smiley.
        return "half a character (a lone surrogate)"
    return None


def is_lfs_pointer(file: Path) -> bool:
    """Whether a file stands for one that Git LFS has not fetched; raises `OSError`."""
    with file.open("rb") as opened:
        return opened.read(len(LFS_POINTER)) == LFS_POINTER.encode()


def lfs_error(name: object) -> DataError:
    """Of a file that Git LFS has not fetched."""
    return DataError(f"{name} is a pointer of Git LFS and not the file. Run git lfs pull in its folder.")


def unquoted(texts: tuple[list[str], ...]) -> tuple[list[str], ...]:
    """Texts of a tab-separated file as they are, or, where a CSV writer put quotes around them, without these.

    A writer's quotes stand around every text that has any, with those inside it doubled. Official files have some as
    people write them.
    """
    quoted = [text for column in texts for text in column if '"' in text]
    doubled = [text for text in quoted if '""' in text[1:-1]]
    if not doubled or not all(_is_csv(text) for text in quoted):
        return texts
    return tuple([text[1:-1].replace('""', '"') if '"' in text else text for text in column] for column in texts)


def _is_csv(text: str) -> bool:
    return len(text) > 1 and text[0] == text[-1] == '"' and '"' not in text[1:-1].replace('""', "")


def _name(path: Path) -> str:
    return f"File {path.name[:100]}"


def _csv(path: Path, most: int | None) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        return _columns(path, csv.reader(file, delimiter=max(_SEPARATORS, key=header.count), strict=True), most)


def _tsv(path: Path, most: int | None) -> Table:
    # No other sign than "\n" ends a line: texts hold U+0085, U+2028 and the like.
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        # Texts in such files hold quotes as people write them.
        table = _columns(path, (line.removesuffix("\n").removesuffix("\r").split("\t") for line in file), most)
    return dict(zip(table, unquoted(tuple(table.values())), strict=True))


def _columns(path: Path, rows: Iterator[list[str]], most: int | None) -> Table:
    try:
        header = next(rows, [])
        if any("\r" in name for name in header):
            raise DataError(f"{_name(path)} has lines that end in CR alone. Write it with LF at the end of lines.")
        if len(set(header)) < len(header):
            raise DataError(f"{_name(path)}: two columns have one name. The first line names the columns.")
        table: Table = {name: [] for name in header}
        for number, row in enumerate(itertools.islice((row for row in rows if any(row)), most), 1):
            if len(row) != len(header):
                raise DataError(
                    f"{_name(path)}, row {number}: got {len(row)} fields; the header has {len(header)}: "
                    f"{', '.join(header)[:200]}."
                )
            for column, text in zip(table.values(), row, strict=True):
                column.append(text)
    except csv.Error as error:
        raise DataError(f"{_name(path)} is not CSV ({first_line(error)[:200]}).") from None
    return table


def _json_lines(path: Path, most: int | None) -> Table:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(itertools.islice(file, most), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                is_cut = "\\ud" in line.lower() and fault_of(json.dumps(row, ensure_ascii=False)) is not None
            except (ValueError, RecursionError) as error:
                raise DataError(f"{_name(path)}, line {number} is not JSON ({first_line(error)[:200]}).") from None
            if is_cut:
                raise DataError(
                    f"{_name(path)}, line {number} holds half of a sign (a surrogate without its other one), as of a "
                    "text that was cut off. Take it out."
                )
            if not isinstance(row, dict):
                raise DataError(f"{_name(path)}, line {number} is no JSON object with a value for each column.")
            rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _parquet(path: Path, most: int | None) -> Table:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            if most is None:
                return dict(file.read().to_pydict())
            return dict(next(file.iter_batches(batch_size=most)).to_pydict())
    except (ArrowException, StopIteration) as error:
        raise DataError(f"{_name(path)} is not parquet ({first_line(error)[:200]}).") from None


FORMATS: Mapping[str, Callable[[Path, int | None], Table]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
