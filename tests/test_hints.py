"""What a message tells a user to type can be typed: the command exists, and has these options.

Every string of the sources is looked through, docstrings of commands (their help) included.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from modernbert.cli.main import app

import modernbert

ROOT = Path(modernbert.__file__).parents[1]
FILES = sorted(path for name in ("modernbert", "cli", "tasks") for path in (ROOT / name).rglob("*.py"))
# A value that the message fills in.
VALUE = "VALUE"
# Where a command ends in a sentence: what follows is prose, or the next command.
END = re.compile(r"[`;\n]|, | or | and |\. |\.$|\)")
COMMAND = re.compile(r"\bmbert ((?:--?[a-z][a-z-]*|[a-z]+)\b[^`]*)")
# Of an installation, only these are there; a file of the repository is not.
REPOSITORY = re.compile(r"\b(examples|tests)/\w{2}|cli/README|CONTRIBUTING|ARCHITECTURE|\.venv")
# Where mbert is who does something, not what is typed.
PROSE = frozenset(["against", "and", "does", "is", "never", "reads", "takes", "that", "without", "wrote"])


def strings(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (place, text) of a module's strings; values in them are `VALUE`. Adjacent strings are one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    documentation = set(docstrings(tree, path))
    inside = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else VALUE for part in node.values]
            yield f"{path.relative_to(ROOT)}:{node.lineno}", "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and node not in inside | documentation:
            yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value if isinstance(node.value, str) else ""


def docstrings(tree: ast.Module, path: Path) -> Iterator[ast.AST]:
    """Yield what no user reads: docstrings but those of commands."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            is_help = path.is_relative_to(ROOT / "cli") and isinstance(node, ast.FunctionDef)
            if not is_help:
                yield node.body[0].value  # type: ignore[attr-defined]


def hints() -> Iterator[tuple[str, str]]:
    """Yield (place, what follows `mbert`) of every hint."""
    for path in FILES:
        for place, text in strings(path):
            for found in COMMAND.finditer(text):
                for part in re.split(r"\bmbert ", found[1]):
                    hint = END.split(part)[0].strip()
                    if hint.split(" ")[0] not in PROSE:
                        yield place, hint


HINTS = sorted(set(hints()))
TYPED = typer.main.get_command(app)


def wrong_in(hint: str) -> str:
    """Return what of a hint cannot be typed: a command that does not exist, or an option that it has not."""
    command: Any = TYPED
    words = hint.split()
    while words and not words[0].startswith("-") and hasattr(command, "commands"):
        name = words[0].rstrip(":.")
        if name not in command.commands:
            # A group alone does something too, with a name after it or not.
            return "" if command is not TYPED else f"no command {name}"
        command = command.commands[name]
        words.pop(0)
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.split("=")[0].rstrip(".:'") for word in words if re.match(r"--?[a-z]", word)}
    return ", ".join(f"no option {option}" for option in sorted(given - known - {"--help", "-h"}))


def test_every_hint_can_be_typed():
    assert {f"{place}: mbert {hint}: {wrong}" for place, hint in HINTS if (wrong := wrong_in(hint))} == set()


def test_the_hints_are_found():
    texts = {hint for _, hint in HINTS}
    assert len(texts) > 40
    assert texts >= {"download VALUE --to bundle", "index VALUE", "runs show VALUE", "models", "search"}


@pytest.mark.parametrize(
    ("hint", "wrong"),
    [
        ("indx PATH", "no command indx"),
        ("index PATH --anew", "no option --anew"),
        ("runs show NAME --x -h", "no option --x"),
        ("runs", ""),
        ("--version", ""),
    ],
)
def test_a_wrong_hint_is_noticed(hint, wrong):
    assert wrong_in(hint) == wrong


def test_no_message_sends_a_user_to_files_that_only_a_clone_has():
    found = [(place, text) for path in FILES for place, text in strings(path) if REPOSITORY.search(text)]
    assert found == []
