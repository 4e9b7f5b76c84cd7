"""Which files of a folder are searched, and what they hold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from modernbert.data.folders import files_in
from modernbert.errors import BadData
from modernbert.index.chunks import SUFFIXES

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


def scan(root: Path) -> Scan:
    """Read every file of a folder that can be searched; a single file stands for itself.

    Raises:
        BadData: there is no such folder or file, or nothing in it that can be searched.
    """
    if not root.exists():
        raise BadData("there is no such folder or file", where=str(root))
    base = root if root.is_dir() else root.parent
    paths = files_in(root, SUFFIXES) if root.is_dir() else [root]
    files, left_out = [], {}
    for path in paths:
        name = path.relative_to(base).as_posix()
        found = _read(path)
        if isinstance(found, str):
            left_out[name] = found
        else:
            text, digest = found
            files.append(SourceFile(name, text, digest))
    if not files:
        raise BadData(
            "nothing here can be searched", where=str(root),
            fix=f"Files with these endings are: {', '.join(sorted(SUFFIXES))}",
        )  # fmt: skip
    return Scan(tuple(files), left_out)


def _read(path: Path) -> tuple[str, str] | str:
    """Return a file's text and digest, or why it is left out."""
    try:
        if path.stat().st_size > LARGEST_FILE:
            return f"larger than {LARGEST_FILE // 2**20} MiB"
        content = path.read_bytes()
    except OSError as error:
        return str(error.strerror)
    if b"\0" in content:
        return "binary"
    try:
        return content.decode("utf-8-sig"), hashlib.sha256(content).hexdigest()
    except UnicodeDecodeError:
        return "not UTF-8"
