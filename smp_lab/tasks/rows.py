"""Rows of a data file as people have them: CSV, TSV, JSON lines, parquet. A format is a line in `FORMATS`.

Each reader gives the columns of a file by name, as they stand there; `said` makes text of them. Nothing is left out
without a word: a row that does not fit its header is an error.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smp_lab.errors import DataError, told

_LFS_POINTER = b"version https://git-lfs"
# What spreadsheets of different countries write.
_SEPARATORS = ",;\t"
# The default takes a text of more than 131,072 characters for broken.
csv.field_size_limit(2**31 - 1)

Table = dict[str, list[Any]]


def read_table(path: Path) -> Table:
    """Columns of a file, whose ending says its format, by name.

    Raises
    ------
    DataError
        If it is not there, of no known format, or not what its ending says; one line, whatever is in the file.
    """
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{_name(path)} has none of the endings that are read: {', '.join(FORMATS)}.")
    advice = "See whether it is there, whole and of that format, and its text UTF-8."
    with told(DataError, f"{_name(path)} cannot be read as {path.suffix}", advice):
        require_fetched(path, _name(path))
        table = reader(path)
    if not table or not next(iter(table.values())):
        raise DataError(f"{_name(path)} holds no rows.")
    return table


def columns_of(data: Any) -> Table:
    """Columns of a `datasets.Dataset`, classes by their names where it has them."""
    table = {}
    for column in data.column_names:
        names = getattr(data.features[column], "names", None)
        values = list(data[column][:])
        if names:
            # A label of -1 is none.
            values = [names[value] if value is not None and value >= 0 else None for value in values]
        table[column] = values
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
        return "half a character (a lone surrogate)"
    return None


def require_fetched(file: Path, name: object) -> None:
    """Refuse a file that stands for one that Git LFS has not fetched; raises `OSError` where it cannot be opened."""
    with file.open("rb") as opened:
        if opened.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise DataError(f"{name} is a pointer of Git LFS and not the file. Run git lfs pull in its folder.")


def lines_of(path: Path, name: object) -> Iterator[tuple[int, str]]:
    r"""Lines with their numbers from 1, but for empty ones.

    Only "\n" and "\r\n" end one: texts hold U+0085, U+2028 and the like.

    Raises
    ------
    DataError
        If it is no UTF-8 text, or its lines end in CR alone.
    """
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").removesuffix("\n").removesuffix("\r")
            except UnicodeDecodeError as error:
                raise DataError(f"{name}, line {number}: not UTF-8 text ({error.reason}). Save it as UTF-8.") from None
            if number == 1 and "\r" in text:
                raise DataError(f"{name} has lines that end in CR alone. Write it with LF, or CR and LF, at their end.")
            if text:
                yield number, text


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


def _csv(path: Path) -> Table:
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        return _columns(path, csv.reader(file, delimiter=max(_SEPARATORS, key=header.count), strict=True))


def _tsv(path: Path) -> Table:
    # Texts in such files hold quotes as people write them.
    table = _columns(path, (line.split("\t") for _, line in lines_of(path, _name(path))))
    return dict(zip(table, unquoted(tuple(table.values())), strict=True))


def _columns(path: Path, rows: Iterator[list[str]]) -> Table:
    rows = filter(any, rows)
    header = [name.strip() for name in next(rows, [])]
    if len(set(header)) < len(header):
        raise DataError(f"{_name(path)}: two columns have one name. The first line names the columns.")
    table: Table = {name: [] for name in header}
    for number, row in enumerate(rows, 1):
        if len(row) != len(header):
            raise DataError(
                f"{_name(path)}, row {number}: got {len(row)} fields; the header has {len(header)}: "
                f"{', '.join(header)[:200]}."
            )
        for column, text in zip(table.values(), row, strict=True):
            column.append(text)
    return table


def _json_lines(path: Path) -> Table:
    rows = []
    for number, line in lines_of(path, _name(path)):
        where = f"{_name(path)}, line {number}"
        with told(DataError, f"{where} is not JSON", "See whether the file is whole."):
            row = json.loads(line)
        # JSON can spell half a character, such as where a text was cut in the middle of a smiley.
        if "\\ud" in line.lower() and (fault := fault_of(json.dumps(row, ensure_ascii=False))):
            raise DataError(f"{where} holds {fault}. Take it out.")
        if not isinstance(row, dict):
            raise DataError(f"{where} is no JSON object with a value for each column.")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def _parquet(path: Path) -> Table:
    from pyarrow.parquet import read_table

    return dict(read_table(path).to_pydict())


FORMATS: Mapping[str, Callable[[Path], Table]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
