"""How numbers are written beside words, and texts on one line."""

from __future__ import annotations

# How a note begins of an evaluation on texts that its model was trained on.
TRAINED_ON = "TRAINED ON"


def one_line(text: str) -> str:
    """Return a text with one blank for each run of blanks and line breaks, and none at its ends."""
    return " ".join(text.split())


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`, `0 queries` with `queries` as the plural."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
