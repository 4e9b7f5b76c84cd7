"""How messages are written: one of anything is singular, and what to do next is always said alike."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import modernbert
from modernbert.wording import counted, percent, truncated_text

ROOT = Path(modernbert.__file__).parents[1]
FILES = sorted(path for name in ("modernbert", "cli", "tasks") for path in (ROOT / name).rglob("*.py"))
NOUNS = re.compile(
    r" (rows|files|texts|chunks|steps|runs|queries|documents|tasks|seeds|examples|labels|classes|pieces|cells"
    r"|functions|docstrings|calls|clusters|trainings|characters|models|words|pairs)\b"
)
# Where there are two at least, or where the word stands for the second number: `1 of 20 rows`.
PLURAL = re.compile(r"( of|most frequent of|best|fewer than) $")
FROM_TWO_ON = (
    "where one is expected",
    "on average",
    "stands for",
    "GLUE average",
    "make no run",
    " runs ",
)


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (1, ("row",), "1 row"),
        (0, ("row",), "0 rows"),
        (2000, ("row",), "2,000 rows"),
        (1, ("query", "queries"), "1 query"),
        (3, ("query has", "queries have"), "3 queries have"),
    ],
)
def test_a_number_stands_with_its_noun(number, words, text):
    assert counted(number, *words) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.0, "0%"), (1e-6, "under 0.1%"), (0.0421, "4.2%"), (0.1, "10%"), (0.371, "37%"), (0.9, "90%"),
        (0.996, "99.6%"), (1 - 1e-6, "over 99.9%"), (1.0, "100%"),
    ],
)  # fmt: skip
def test_a_share_has_a_decimal_where_it_tells_something(share, text):
    assert percent(share) == text


def test_what_is_truncated_is_said_with_its_length():
    assert truncated_text(0.37, 2048) == "37% of the texts truncated at 2,048 tokens"
    assert truncated_text(0.0, 64, "sentences") == "none of the sentences truncated at 64 tokens"


def uncounted() -> Iterator[str]:
    """Yield each place where a number that may be 1 stands before a plural."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.JoinedStr):
                continue
            parts = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
            constants = [ast.unparse(part).isupper() for part in node.values]
            for place in range(len(parts) - 1):
                before = parts[place - 1] if place else ""
                is_number = parts[place] is None and parts[place + 1] is not None and not constants[place]
                if is_number and NOUNS.match(parts[place + 1]) and not PLURAL.search(before or ""):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"


def test_no_number_stands_before_a_plural():
    found = [place for place in uncounted() if not any(name in place for name in FROM_TWO_ON)]
    assert found == []


# What was said before `Next: mbert ...` was the one form.
OTHER_FORMS = re.compile(
    r"^(go on with|finish it|run it again|make one|index again|use it|search it|or): mbert|^mbert "
)


def test_what_to_do_next_is_said_in_one_form():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "fix"
        for text in [ast.unparse(node.value).lstrip("f\"'")]
        if OTHER_FORMS.match(text.lower())
        and " lists " not in text
        and "mbert takes" not in text
        and "mbert reads" not in text
    ]
    assert found == []
