"""Which files of a folder are searched, and what they hold."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from modernbert.activity import phase
from modernbert.data.folders import list_files
from modernbert.errors import BadData
from modernbert.index.chunks import SUFFIXES
from modernbert.reading import read_bytes

LARGEST_FILE = 2**20


@dataclass(frozen=True)
class SourceFile:
    """A file's path below the root, its text and the hash of its bytes."""

    path: str
    text: str
    digest: str


@dataclass(frozen=True)
class Scan:
    """What was found: files to search, and those left out with the reason."""

    files: tuple[SourceFile, ...]
    left_out: dict[str, str]


@phase("reading the files")
def scan(path: Path, root: Path | None = None) -> Scan:
    """Read every file of a folder that can be searched; a single file stands for itself.

    Args:
        path: the folder or file.
        root: what the files' paths start from; the folder, or the file's, by default.

    Raises:
        BadData: there is no such folder or file, or nothing in it that can be searched.
    """
    if not os.path.exists(path):  # noqa: PTH110 (raises nothing)
        raise BadData("there is no such folder or file", where=str(path))
    root = root or (path if path.is_dir() else path.parent)
    paths, left_out = [path], {}
    if path.is_dir():
        listing = list_files(path, SUFFIXES)
        paths = list(listing.files)
        left_out = {_name(folder, root): reason for folder, reason in listing.unread.items()}
    files = []
    for file in paths:
        found = _read(file, root)
        if isinstance(found, str):
            left_out[_name(file, root)] = found
        else:
            text, digest = found
            files.append(SourceFile(_name(file, root), text, digest))
    if not files:
        why = next((f" ({name}: {reason})" for name, reason in left_out.items()), "")
        raise BadData(
            f"nothing here can be searched{why}", where=str(path),
            fix=None if left_out else f"Files with these endings are: {', '.join(sorted(SUFFIXES))}",
        )  # fmt: skip
    return Scan(tuple(files), left_out)


def digest_now(path: Path) -> str:
    """Return the hash of a file's bytes as `scan` makes it; empty if it is not there as a file to search."""
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
