"""Read rows from a user's file, one at a time, naming the row of whatever is wrong."""

from __future__ import annotations

import csv
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from modernbert.data.rows import Rows
from modernbert.errors import BadData
from modernbert.reading import parse_json

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
        _check_header(f"{path}, line 1", header)
        _check_separator(f"{path}, line 1", header)
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


def _check_header(where: str, header: list[str]) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        fix = "The first line names the columns, each by a name of its own."
        raise BadData(f"the header names {', '.join(map(repr, twice))} twice", where=where, fix=fix)


def _check_separator(where: str, header: list[str]) -> None:
    found = next((mark for mark in (";", "\t", "|", ",") if mark in header[0]), None)
    if len(header) == 1 and found:
        raise BadData(
            f"the header is one column, {header[0]!r}: its cells seem to be separated by {found!r}",
            where=where,
            fix="A .csv file has commas between its cells, a .tsv file has tabs.",
        )


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
        row = parse_json(line, where=where, finite=True)
        if not isinstance(row, dict):
            raise BadData(f"a {type(row).__name__} where an object is expected", where=where)
        yield number, row


def _iter_parquet(path: Path) -> Iterator[Record]:
    first = 1
    with parquet_file(path) as file:
        for batch in file.iter_batches(1024):
            yield from enumerate(_parquet_rows(batch, first, path), start=first)
            first += batch.num_rows


@contextmanager
def parquet_file(path: Path) -> Iterator[Any]:
    """Open a Parquet file. Raises BadData when it, or what is read of it meanwhile, is not valid."""
    import pyarrow as arrow
    import pyarrow.parquet as parquet

    try:
        with parquet.ParquetFile(path) as file:
            _check_header(str(path), file.schema_arrow.names)
            yield file
    except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadData(f"not a valid Parquet file ({error})", where=str(path)) from None


def _parquet_rows(batch: Any, first: int, path: Path) -> list[dict[str, Any]]:
    """Return a batch's rows. Raises BadData with the row and column of what Python cannot hold."""
    try:
        return list(batch.to_pylist())
    except (ValueError, OverflowError, KeyError):  # text that is no UTF-8, a date out of range, a time zone
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            for number, cell in enumerate(column, start=first):
                read_cell(cell, f"{path}, row {number}", name)
        raise


def read_cell(cell: Any, where: str, name: str) -> Any:
    """Return an Arrow cell's value. Raises BadData, with row and column, for what Python cannot hold."""
    try:
        return cell.as_py()
    except UnicodeDecodeError:
        raise BadData(f"column '{name}' holds text that is not UTF-8", where=where) from None
    except (ValueError, OverflowError, KeyError) as error:
        raise BadData(f"column '{name}' holds what cannot be read ({error})", where=where) from None


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
