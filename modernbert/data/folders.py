"""Which files of a folder count: what git knows, or all but the usual by-products."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

SKIPPED_FOLDERS = frozenset(
    ("node_modules", "__pycache__", "venv", "env", "build", "dist", "target", "site-packages")
)


def files_in(root: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files below a folder that have one of these endings, sorted."""
    every = _git_files(root)
    if every is None:
        every = [path for path in root.rglob("*") if path.is_file() and _is_wanted(path.relative_to(root))]
    return sorted(path for path in every if path.suffix.lower() in suffixes and path.is_file())


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
