"""Which files of a folder are searched, and what they hold."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from modernbert.activity import phase
from modernbert.data.folders import list_files
from modernbert.errors import BadData
from modernbert.index.chunks import SUFFIXES, Chunk, cut_file
from modernbert.index.paths import Keep
from modernbert.index.table import Table, cut_table, table_digest
from modernbert.places import no_such_file
from modernbert.reading import read_bytes

LARGEST_FILE = 2**20


@dataclass(frozen=True)
class SourceFile:
    """A file's path below the root, the hash of its bytes, and how to cut it."""

    path: str
    digest: str
    cut: Callable[[], list[Chunk]]


@dataclass(frozen=True)
class Scan:
    """What was found: files to search, and those left out with the reason."""

    files: tuple[SourceFile, ...]
    left_out: dict[str, str]


@phase("reading the files")
def scan(path: Path, root: Path | None = None, keep: Keep = lambda path: True) -> Scan:
    """Read every file of a folder that can be searched; a single file stands for itself.

    Args:
        path: the folder or file.
        root: what the files' paths start from; the folder, or the file's, by default.
        keep: which paths are read at all.

    Raises:
        BadData: there is no such folder or file, or nothing in it that can be searched.
    """
    if not os.path.exists(path):  # noqa: PTH110 (raises nothing)
        raise no_such_file(path, "file or folder")
    root = root or (path if path.is_dir() else path.parent)
    paths, left_out = [path], {}
    if path.is_dir():
        listing = list_files(path, SUFFIXES)
        paths = list(listing.files)
        left_out = {_name(folder, root): reason for folder, reason in listing.unread.items()}
    files = []
    for file in paths:
        if not keep(name := _name(file, root)):
            continue
        found = _read(file, root)
        if isinstance(found, str):
            left_out[name] = found
        else:
            text, digest = found
            files.append(SourceFile(name, digest, partial(cut_file, PurePosixPath(name), text)))
    if not files:
        why = next((f" ({name}: {reason})" for name, reason in left_out.items()), "")
        raise BadData(
            f"nothing here can be searched{why}", where=str(path),
            fix=None if left_out else f"Files with these endings are: {', '.join(sorted(SUFFIXES))}",
        )  # fmt: skip
    return Scan(tuple(files), left_out)


def scan_table(path: Path, root: Path, table: Table) -> Scan:
    """Read a table: it is one file to search, whatever its size.

    Raises:
        BadData: it cannot be read, or no row has a text.
    """
    chunks, empty = cut_table(path, table)
    if not chunks:
        raise BadData(f"no row has a text in {', '.join(table['text'])}", where=str(path))
    left_out = {f"{path.name}, row {number}": "no text" for number in empty}
    return Scan((SourceFile(_name(path, root), table_digest(path, table), lambda: chunks),), left_out)


def digest_now(path: Path, table: Table | None = None) -> str:
    """Return the hash of a file as `scan` makes it; empty if it is not there as a file to search."""
    if table:
        return table_digest(path, table) if path.is_file() else ""
    found = _bytes(path)
    return "" if isinstance(found, str) else hashlib.sha256(found).hexdigest()


def _name(path: Path, root: Path) -> str:
    """Return a path below the root; bytes in it that are no UTF-8 as backslashes and digits."""
    return os.fsencode(path.relative_to(root).as_posix()).decode(errors="backslashreplace")


def _read(path: Path, root: Path) -> tuple[str, str] | str:
    """Return a file's text and digest, or why it is left out."""
    if not _is_text(os.fsencode(path.relative_to(root))):
        return "its name is not UTF-8"
    if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        return "a link that leaves the folder"
    content = _bytes(path)
    if isinstance(content, str):
        return content
    if b"\0" in content:
        return "binary"
    if not _is_text(content):
        return "not UTF-8"
    return content.decode("utf-8-sig"), hashlib.sha256(content).hexdigest()


def _bytes(path: Path) -> bytes | str:
    """Return a file's bytes, or why they cannot be had."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return f"larger than {LARGEST_FILE // 2**20} MiB"
        return read_bytes(path)
    except OSError as error:
        return str(error.strerror)
    except BadData as error:
        return error.what


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
