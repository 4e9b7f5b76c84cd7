"""Which files of a folder are searched: what git knows, or all but the usual by-products."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from modernbert.errors import BadData
from modernbert.index.chunks import SUFFIXES

SKIPPED_FOLDERS = frozenset(
    ("node_modules", "__pycache__", "venv", "env", "build", "dist", "target", "site-packages")
)
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
    paths = _paths(root) if root.is_dir() else [root]
    files, left_out = [], {}
    for path in sorted(paths):
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


def _paths(root: Path) -> list[Path]:
    every = _git_files(root)
    if every is None:
        every = [path for path in root.rglob("*") if path.is_file() and _is_wanted(path.relative_to(root))]
    return [path for path in every if path.suffix.lower() in SUFFIXES and path.is_file()]


def _is_wanted(path: Path) -> bool:
    return not any(part in SKIPPED_FOLDERS or part.startswith(".") for part in path.parts)


def _git_files(root: Path) -> list[Path] | None:
    """Return the files that git tracks or does not ignore; None outside a repository."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not done.stdout:  # a folder that git ignores is searched because it was named
        return None
    return [root / name for name in dict.fromkeys(done.stdout.split("\0")) if name]


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
