"""A file's rows for commands that write every row again with something added: looked through, then by chunks.

The file is read twice. The first time finds every column, whichever row has it, and whatever is wrong, so
that nothing is found out after hours of work.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from modernbert.activity import phase
from modernbert.data.readers import Record, iter_rows
from modernbert.errors import BadData, BadOption
from modernbert.places import no_such_file

T = TypeVar("T")
# Rows that are looked at together.
CHUNK_ROWS = 1024


def chunks_of_rows(path: Path, size: int) -> Iterator[list[Record]]:
    """Yield the rows of a file, `size` at a time.

    Raises:
        BadData: the file has no rows, or, when it is reached, a row that cannot be read.
    """
    records = iter_rows(path)
    chunk = list(itertools.islice(records, size))
    if not chunk:
        raise BadData("the file has no rows", where=str(path))
    while chunk:
        yield chunk
        chunk = list(itertools.islice(records, size))


def find_columns(path: Path, look: Callable[[list[Record]], None]) -> tuple[dict[str, str], int]:
    """Read a file through; return its columns in order, each with the first row that has it, and its rows.

    Args:
        path: CSV, TSV, JSONL or Parquet.
        look: is shown every row, and may refuse it.

    Raises:
        BadData: as `chunks_of_rows`.
    """
    columns: dict[str, str] = {}
    with phase("checking the rows", unit="rows") as now:
        for chunk in chunks_of_rows(path, CHUNK_ROWS):
            look(chunk)
            for number, row in chunk:
                columns |= {name: f"{path}, row {number}" for name in row if name not in columns}
            now.advance(len(chunk))
    return columns, now.done


def require_other_file(path: Path, output: Path) -> None:
    """Raise BadOption when the output is the input, by this name or another one."""
    if output.exists() and path.exists() and output.samefile(path):
        raise BadOption("the output is the input", where=str(output), fix="Give -o another name.")


class Unchanged:
    """A file as it was when a command began; it is read more than once, and must stay so."""

    def __init__(self, path: Path) -> None:
        """Remember size and time of the file. Raises BadData when there is none."""
        if not path.is_file():
            raise no_such_file(path)
        self.path = path
        self.seen = self._state()

    def watch(self, chunks: Iterable[T]) -> Iterator[T]:
        """Yield what is read of the file. Raises BadData when it was written to since."""
        for chunk in chunks:
            self._check()
            yield chunk
        self._check()

    def _check(self) -> None:
        if self._state() != self.seen:
            fix = "Run the command again when the file is complete."
            raise BadData("the file was changed while it was read", where=str(self.path), fix=fix)

    def _state(self) -> tuple[Any, ...]:
        found = self.path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
