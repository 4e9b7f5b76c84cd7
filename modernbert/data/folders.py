"""Which files of a folder count: what its .gitignore files leave, or all but the usual by-products.

Nothing here asks git: a folder's own configuration names programs for git to run. So a file that is
tracked although a pattern ignores it is left out, and patterns outside the folder's repository
(core.excludesFile) do not count.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

from modernbert.errors import BadData
from modernbert.reading import read_bytes

SKIPPED_FOLDERS = frozenset(
    ("node_modules", "__pycache__", "venv", "env", "build", "dist", "target", "site-packages")
)
# A pattern becomes a regular expression, whose time may grow with the power of its stars.
MOST_STARS = 6
# The group of pathspec's regular expressions that holds the slash after a folder's name.
FOLDER_MARK = "ps_d"

# A folder, and the patterns that a file in it holds.
_Patterns = tuple[Path, list[GitIgnoreSpecPattern]]


@dataclass(frozen=True)
class Listing:
    """Files, sorted, and the folders that could not be read, with the reason."""

    files: tuple[Path, ...]
    unread: dict[Path, str]


def files_in(root: Path, suffixes: Collection[str]) -> list[Path]:
    """Return the files below a folder that have one of these endings, sorted.

    Raises:
        BadData: a folder in it cannot be read.
    """
    listing = list_files(root, suffixes)
    for folder, reason in listing.unread.items():
        raise BadData(f"the folder cannot be read ({reason})", where=str(folder))
    return [path for path in listing.files if path.is_file()]


def list_files(root: Path, suffixes: Collection[str]) -> Listing:
    """List what has one of these endings and is no folder; links to folders are not followed."""
    top = Path(os.path.realpath(root))
    files: list[Path] = []
    unread: dict[Path, str] = {}
    waiting = [(top, _rules_for(top))]
    while waiting:
        folder, outer = waiting.pop()
        try:
            rules = outer.within(folder)
            entries = list(os.scandir(folder))
        except (OSError, BadData) as error:
            unread[root / folder.relative_to(top)] = str(getattr(error, "strerror", error))
            continue
        for entry in entries:
            path, is_folder = folder / entry.name, entry.is_dir(follow_symlinks=False)
            if rules.leave_out(path, is_folder=is_folder):
                continue
            if is_folder:
                waiting.append((path, rules))
            elif path.suffix.lower() in suffixes and not os.path.isdir(path):  # noqa: PTH112 (raises nothing)
                files.append(root / path.relative_to(top))
    return Listing(tuple(sorted(files)), dict(sorted(unread.items())))


@dataclass(frozen=True)
class _Rules:
    """What is left out of a folder: in a repository by patterns, the nearest first; elsewhere by name."""

    patterns: tuple[_Patterns, ...] | None = None

    def within(self, folder: Path) -> _Rules:
        """Return the rules for what is in `folder`. Raises BadData when its patterns cannot be read."""
        patterns = self.patterns
        if os.path.lexists(folder / ".git"):  # a repository or a submodule begins
            patterns = _patterns(folder, ".git/info/exclude")
        if patterns is None:
            return self
        return _Rules(_patterns(folder, ".gitignore") + patterns)

    def leave_out(self, path: Path, *, is_folder: bool) -> bool:
        """Is a file or folder left out? Of patterns the nearest decides, and in one file the last."""
        if path.name == ".git":
            return True
        if self.patterns is None:
            return path.name in SKIPPED_FOLDERS or path.name.startswith(".")
        for base, patterns in self.patterns:
            name = f"{path.relative_to(base).as_posix()}{'/' if is_folder else ''}"
            for pattern in reversed(patterns):
                if _matches(pattern, name):
                    return bool(pattern.include)
        return False


def _rules_for(top: Path) -> _Rules:
    """Return the rules from above a folder; one that they leave out was named, and no rule holds in it."""
    repository = next((above for above in top.parents if os.path.lexists(above / ".git")), None)
    if repository is None:
        return _Rules()
    rules = _Rules()
    for name in top.relative_to(repository).parts:
        rules = rules.within(repository)
        repository /= name
        if rules.leave_out(repository, is_folder=True):
            return _Rules()
    return rules


def _matches(pattern: GitIgnoreSpecPattern, name: str) -> bool:
    """Does a pattern match this very name (folders' end with a slash), not just a folder above it?

    What became of the folders above was decided before. `a/**` matches what is below `a/`, not `a/`.
    """
    if pattern.regex is None:  # a comment, or blank
        return False
    for match in pattern.regex.finditer(name):
        whole = match.end() == len(name)
        marked = match.groupdict().get(FOLDER_MARK) is not None
        if whole if marked else not (whole and name.endswith("/")):
            return True
    return False


def _patterns(folder: Path, name: str) -> tuple[_Patterns, ...]:
    file = folder / name
    if not os.path.lexists(file) or file.is_dir():
        return ()
    lines = os.fsdecode(read_bytes(file, what="its patterns")).removeprefix("\ufeff").split("\n")
    return ((folder, [made for line in lines if (made := _pattern(line, file))]),)


def _pattern(line: str, file: Path) -> GitIgnoreSpecPattern | None:
    if not line.startswith("#") and any(part.count("*") > MOST_STARS for part in line.split("/")):
        raise BadData(f"a pattern with more than {MOST_STARS} stars in a name", where=str(file))
    try:
        return GitIgnoreSpecPattern(line)
    except (GitIgnorePatternError, re.error):  # git, too, takes such a line to match nothing
        return None
