"""Read rows from a user's file, one at a time, naming the row of whatever is wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from modernbert.data.rows import Rows
from modernbert.errors import BadData

Record = tuple[int, dict[str, Any]]

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
# One cell may hold a whole document; the library's own limit is 131,072 characters.
csv.field_size_limit(2**30)


def read_rows(path: Path) -> Rows:
    """Read a whole CSV, TSV, JSONL or Parquet file.

    Raises:
        BadData: the file is missing, empty, in another encoding than UTF-8, or malformed.
    """
    rows = Rows.from_records(iter_rows(path), str(path))
    if not len(rows):
        raise BadData("the file has no rows", where=str(path))
    return rows


def iter_rows(path: Path) -> Iterator[Record]:
    """Yield (1-based row number, row) in constant memory.

    Raises:
        BadData: as `read_rows`, when the offending row is reached.
    """
    if not path.is_file():
        raise BadData("there is no such file", where=str(path))
    readers = {".csv": _iter_csv, ".tsv": _iter_csv, ".jsonl": _iter_jsonl, ".parquet": _iter_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadData(
            f"'{path.suffix}' is not a format mbert reads",
            where=str(path),
            fix=f"Give a {', '.join(SUFFIXES)} file.",
        )
    return reader(path)


def _iter_csv(path: Path) -> Iterator[Record]:
    # Closed here: an error keeps its traceback, and with it the lines and their file, alive for a while.
    with closing(_lines(path)) as lines:
        yield from _csv_rows(path, lines)


def _csv_rows(path: Path, lines: Iterator[str]) -> Iterator[Record]:
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise BadData("the file is empty", where=str(path), fix="Its first line must name the columns.")
        _check_header(path, header)
        number = 0
        for cells in reader:
            if not cells:  # a blank line
                continue
            number += 1
            if len(cells) != len(header):
                raise BadData(
                    f"{len(cells)} cells where the header has {len(header)}",
                    where=f"{path}, row {number} (line {reader.line_num})",
                    fix="Quote cells that hold the separator or a line break.",
                )
            yield number, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise BadData(f"not valid CSV ({error})", where=f"{path}, line {reader.line_num}") from None


def _check_header(path: Path, header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise BadData(f"the header names {', '.join(map(repr, twice))} twice", where=f"{path}, line 1")


def _iter_jsonl(path: Path) -> Iterator[Record]:
    with closing(_lines(path)) as lines:
        yield from _json_rows(path, lines)


def _json_rows(path: Path, lines: Iterator[str]) -> Iterator[Record]:
    number = 0
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        number += 1
        where = f"{path}, row {number} (line {line_number})"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise BadData(f"not valid JSON ({error.msg})", where=where) from None
        if not isinstance(row, dict):
            raise BadData(f"a {type(row).__name__} where an object is expected", where=where)
        yield number, row


def _iter_parquet(path: Path) -> Iterator[Record]:
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        file = parquet.ParquetFile(path)
        rows = (row for batch in file.iter_batches(1024) for row in batch.to_pylist())
        yield from enumerate(rows, start=1)
    except (arrow.ArrowInvalid, OSError) as error:
        raise BadData(f"not a valid Parquet file ({error})", where=str(path)) from None


def _lines(path: Path) -> Generator[str, None, None]:
    """Yield the lines of a UTF-8 file (a byte order mark is dropped), naming a line that is not."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                found = "UTF-16" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else "WINDOWS-1252"
                raise BadData(
                    f"not UTF-8 (byte {error.object[error.start]:#04x} at column {error.start + 1})",
                    where=f"{path}, line {number}",
                    fix=f"Convert it: iconv -f {found} -t UTF-8 {path.name} > utf8{path.suffix}",
                ) from None
            yield text
