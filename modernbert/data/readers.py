"""Read rows from a user's file, one at a time, naming the row of whatever is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from modernbert.data import conll
from modernbert.data.lines import lines_of
from modernbert.data.rows import Rows
from modernbert.data.tables import check_header, iter_table
from modernbert.errors import BadData
from modernbert.places import no_such_file
from modernbert.reading import parse_json

Record = tuple[int, dict[str, Any]]

TABLES = (".csv", ".tsv", ".jsonl", ".parquet")
SUFFIXES = (*TABLES, *conll.SUFFIXES)


def read_rows(path: Path) -> Rows:
    """Read a whole CSV, TSV, JSONL, Parquet or CoNLL file.

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
        raise no_such_file(path)
    readers = {".csv": iter_table, ".tsv": iter_table, ".jsonl": _iter_jsonl, ".parquet": _iter_parquet}
    readers |= dict.fromkeys(conll.SUFFIXES, conll.iter_conll)
    require_format(path)
    return readers[path.suffix.lower()](path)


def require_format(path: Path) -> None:
    """Raise BadData for a file whose suffix is of no format that mbert reads."""
    if path.suffix.lower() not in SUFFIXES:
        raise BadData(
            f"'{path.suffix}' is not a format mbert reads" if path.suffix else "a file without a suffix",
            where=str(path),
            fix=f"Give a {', '.join(SUFFIXES)} file.",
        )


def _iter_jsonl(path: Path) -> Iterator[Record]:
    with closing(lines_of(path)) as lines:
        yield from json_rows(str(path), lines)


def json_rows(origin: str, lines: Iterable[str]) -> Iterator[Record]:
    """Yield (1-based row number, row) of lines that are JSON objects; empty ones are left out.

    Raises:
        BadData: a line is none, with its number.
    """
    number = 0
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        number += 1
        where = f"{origin}, row {number} (line {line_number})"
        row = parse_json(line, where=where, strict=True)
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
            check_header(str(path), file.schema_arrow.names)
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
