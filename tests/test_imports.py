"""Imports inside functions, and in programs that tests write, name what is there."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for folder in ("examples", "tests") for path in (ROOT / folder).rglob("*.py"))
IN_TEXT = re.compile(r"from (modernbert[\w.]*) import (\w+)")


def imports_of(source: str) -> set[tuple[str, str]]:
    """Modules of ours and the names taken from them, in code and in strings of code."""
    found = set(IN_TEXT.findall(source))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "modernbert":
            found |= {(str(node.module), alias.name) for alias in node.names}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_imported_is_there(path):
    for module, name in imports_of(path.read_text(encoding="utf-8")):
        found = importlib.import_module(module)
        assert hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}"), f"{module}.{name}"
