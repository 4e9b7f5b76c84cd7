"""A file's rows by the chunk, for commands that write every row again with something added."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from modernbert.data.readers import Record, iter_rows
from modernbert.errors import BadData, BadOption


def chunks_of_rows(path: Path, output: Path, size: int) -> Iterator[list[Record]]:
    """Yield the rows of a file, `size` at a time; the first chunk is read at once.

    Raises:
        BadOption: the output is the input, by this name or another one.
        BadData: the file has no rows, or, when it is reached, a row that cannot be read.
    """
    if output.exists() and path.exists() and output.samefile(path):
        raise BadOption("the output is the input", where=str(output), fix="Give -o another name.")
    records = iter_rows(path)
    first = list(itertools.islice(records, size))
    if not first:
        raise BadData("the file has no rows", where=str(path))
    return _chunks(first, records, size)


def _chunks(first: list[Record], rest: Iterator[Record], size: int) -> Iterator[list[Record]]:
    chunk = first
    while chunk:
        yield chunk
        chunk = list(itertools.islice(rest, size))
