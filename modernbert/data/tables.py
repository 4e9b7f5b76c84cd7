"""Tables in CSV and TSV: which separator they have, and whether quotes are quotes; decided for a whole file.

CSV quotes cells (RFC 4180). TSV has no quoting (the media type text/tab-separated-values), but many programs
quote its cells as in CSV, so the file is asked which of the two it is.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from modernbert.data.cells import as_number, is_missing
from modernbert.data.lines import lines_of
from modernbert.errors import BadData
from modernbert.wording import counted

# One cell may hold a whole document; the library's own limit is 131,072 characters.
csv.field_size_limit(2**30)

SEPARATORS = (",", ";", "\t", "|")
# Excel's own first line, which says the separator.
EXCEL = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
QUOTED = re.compile(r'"([^"]|"")*"')
QUOTES = {
    "\t": "Leave quotes out of a .tsv file, or write .jsonl.",
    "": "Close every quote; within a quoted cell, write a quote twice.",
}

# Number of the line that a row ends on, and the row's cells.
Row = tuple[int, list[str]]


@dataclass(frozen=True)
class Dialect:
    """How a table is written: its separator, whether quotes are quotes, and lines before the header."""

    separator: str
    quoted: bool = True
    before: int = 0


def iter_table(path: Path, columns: Sequence[str] = ()) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (1-based row number, row).

    Args:
        path: a .csv or .tsv file.
        columns: what its header must name.

    Raises:
        BadData: a row has more or fewer cells than the header, or is not valid; the header is missing.
    """
    dialect = _dialect(path)
    with closing(_rows(path, dialect)) as rows:
        line, header = next(rows, (1, []))
        if not header:
            raise BadData("the file is empty", where=str(path), fix="Its first line must name the columns.")
        check_header(f"{path}, line {line}", header, columns)
        number = 0
        for line, cells in rows:
            if not cells:  # a blank line
                continue
            number += 1
            if len(cells) != len(header):
                raise BadData(
                    f"{counted(len(cells), 'cell')} where the header has {len(header)}",
                    where=f"{path}, row {number} (line {line})",
                    fix="Quote cells that hold the separator or a line break."
                    if dialect.quoted
                    else "No cell of a .tsv file holds a tab or a line break.",
                )
            yield number, dict(zip(header, cells, strict=True))


def check_header(where: str, header: Sequence[str], columns: Sequence[str] = ()) -> None:
    """Raise BadData unless these are names of columns, each given once, and all that are needed."""
    shown = ", ".join(map(repr, header[:5]))
    if lacking := [name for name in columns if name not in header]:
        raise BadData(
            f"the header has no '{lacking[0]}': the first line is {shown}",
            where=where,
            fix=f"Write this line above all others: {'<tab>'.join(columns)}",
        )
    if all(is_missing(name) or as_number(name) is not None for name in header):
        fix = "Write a line with the columns' names above all others."
        raise BadData(f"there is no header: the first line is {shown}", where=where, fix=fix)
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        fix = "Give each column a name of its own; in a .csv or .tsv file the first line holds the names."
        raise BadData(f"the header names {', '.join(map(repr, twice))} twice", where=where, fix=fix)


def _dialect(path: Path) -> Dialect:
    with closing(lines_of(path)) as lines:
        first, second = next(lines, ""), next(lines, "")
    if told := EXCEL.fullmatch(first):
        dialect, header = Dialect(told[1], before=1), second
    else:
        dialect, header = Dialect(_separator(path, first)), first
    width = len(next(csv.reader([header], delimiter=dialect.separator), []))
    quoted = _is_quoted(path, dialect, width)
    return replace(dialect, quoted=quoted)


def _separator(path: Path, header: str) -> str:
    """Return what the file's ending says, or where the header has none of that, what it has instead."""
    usual = "\t" if path.suffix.lower() == ".tsv" else ","
    return next((mark for mark in (usual, *SEPARATORS) if mark in header), usual)


def _is_quoted(path: Path, dialect: Dialect, width: int) -> bool:
    """Are quotes around cells quotes, not marks of the text?

    They are marks in a TSV whose every line is a row by itself, unless each cell with a quote in it is quoted
    as a program does it. A quote that opens in one line and closes in another may be a cell of several lines.

    Raises:
        BadData: it cannot be told.
    """
    fits, well_quoted = _as_text(path, dialect, width)
    is_tsv = dialect.separator == "\t"
    if fits and (well_quoted or (is_tsv and width > 1)):
        return well_quoted
    if not is_tsv and (width == 1 or not fits):
        return True
    over_lines = 0
    with closing(_rows(path, dialect)) as rows:
        try:
            for number, (_, cells) in enumerate(rows):
                broken = [cell for cell in cells if "\n" in cell.strip()]
                if is_tsv and any("\t" in cell for cell in broken):  # rows, not lines of a text
                    return False
                over_lines = over_lines or (number if broken else 0)
        except BadData:
            return not is_tsv
    if not over_lines or not fits:
        return True
    raise BadData(
        "a quote opens here and closes in another line: one cell of several lines, or two marks of the text?",
        where=f"{path}, row {over_lines}",
        fix=QUOTES["\t" if is_tsv else ""],
    )


def _as_text(path: Path, dialect: Dialect, width: int) -> tuple[bool, bool]:
    """Read a file as if quotes were text.

    Returns:
        Is every line a row of this width? Is every cell with a quote in it (up to there) a quoted one?
    """
    well_quoted = True
    with closing(_rows(path, replace(dialect, quoted=False))) as rows:
        for _, cells in rows:
            if len(cells) not in (0, width):
                return False, well_quoted
            well_quoted = well_quoted and all(QUOTED.fullmatch(cell) for cell in cells if '"' in cell)
    return True, well_quoted


def _rows(path: Path, dialect: Dialect) -> Generator[Row, None, None]:
    # Closed here: an error keeps its traceback, and with it the lines and their file, alive for a while.
    with closing(lines_of(path)) as lines:
        start = islice(lines, dialect.before, None)
        if dialect.quoted:
            yield from _quoted_rows(path, dialect, start)
        else:
            for number, line in enumerate(start, start=1 + dialect.before):
                text = line.rstrip("\r\n")
                yield number, text.split(dialect.separator) if text else []


def _quoted_rows(path: Path, dialect: Dialect, lines: Iterator[str]) -> Iterator[Row]:
    reader = csv.reader(lines, delimiter=dialect.separator, strict=True)
    before = dialect.before
    try:
        for cells in reader:
            yield reader.line_num + dialect.before, cells
            before = reader.line_num + dialect.before
    except csv.Error as error:
        where = f"{path}, line {before + 1}"
        raise BadData(f"not valid CSV ({error})", where=where, fix=QUOTES[""]) from None
