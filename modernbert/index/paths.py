"""Which paths of an index are searched: code, docs or tests, and what patterns leave out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from modernbert.errors import BadOption

KINDS = ("code", "docs", "tests")
DOCS = frozenset((".md", ".rst", ".txt", ".adoc"))
_TEST_FOLDERS = frozenset(("test", "tests", "__tests__", "spec", "specs"))
# How the usual test runners find a file of tests: pytest, go, jest, RSpec, JUnit, NUnit.
_TEST_NAME = re.compile(
    r"test_.*|conftest\.py|.*_(test|spec)\.\w+|.*\.(test|spec)\.\w+|.*Tests?\.(java|cs|php)"
)

Keep = Callable[[str], bool]


def kind_of(path: str) -> str:
    """Return what a path below the indexed folder is by its name: tests, docs, or else code."""
    parts = PurePosixPath(path)
    if _TEST_FOLDERS & set(parts.parts[:-1]) or _TEST_NAME.fullmatch(parts.name):
        return "tests"
    return "docs" if parts.suffix.lower() in DOCS else "code"


def keeper(only: str | None = None, exclude: Sequence[str] = ()) -> Keep:
    """Return which paths are kept: of one kind, and those that no pattern leaves out.

    Args:
        only: `code`, `docs` or `tests`; all by default.
        exclude: patterns as in a .gitignore file: `*.md`, `tests/`, `/old/**/*.py`.

    Raises:
        BadOption: a pattern that is none, or that begins with `!`.
    """
    from pathspec import GitIgnoreSpec  # the command line shows `KINDS`, and needs none of this
    from pathspec.patterns.gitignore import GitIgnorePatternError

    for pattern in exclude:
        if pattern.startswith("!"):
            raise BadOption(f"--exclude is '{pattern}'", fix="Name what is left out, without the '!'.")
    try:
        spec = GitIgnoreSpec.from_lines(exclude)
    except GitIgnorePatternError as error:
        raise BadOption(f"--exclude has a pattern that cannot be read ({error})") from None
    return lambda path: (only is None or kind_of(path) == only) and not spec.match_file(path)
