"""The lines of a user's text file."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import BinaryIO

from modernbert.errors import BadData


def lines_of(path: Path) -> Generator[str, None, None]:
    """Yield the lines of a UTF-8 file, each with its end; a byte order mark is dropped.

    Lines end with a line feed, or in old files for the Mac with a carriage return alone.

    Raises:
        BadData: a line is not UTF-8, with its number and what to do.
    """
    with path.open("rb") as file:
        yield from decoded_lines(file, str(path), fix=f"{path.name} > utf8{path.suffix}")


def decoded_lines(file: BinaryIO, origin: str, *, fix: str = "") -> Iterator[str]:
    """Yield the lines of a stream of UTF-8, as `lines_of` those of a file.

    Args:
        origin: what the stream is called in messages.
        fix: how the command to convert it ends.
    """
    for number, line in enumerate(_raw_lines(file), start=1):
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            found = "UTF-16" if line.startswith((b"\xff\xfe", b"\xfe\xff")) else "WINDOWS-1252"
            raise BadData(
                f"not UTF-8 (byte {error.object[error.start]:#04x} at column {error.start + 1})",
                where=f"{origin}, line {number}",
                fix=f"Convert it: iconv -f {found} -t UTF-8 {fix}".rstrip(),
            ) from None
        yield text


def _raw_lines(file: BinaryIO) -> Iterator[bytes]:
    first = file.readline()
    # The first line has no cell with a line break in it: a return before its end is another line's end.
    if b"\r" in first.rstrip(b"\r\n"):
        yield from first.splitlines(keepends=True)
        for line in file:
            yield from line.splitlines(keepends=True)
    else:
        yield first
        yield from file
