"""How numbers are written beside words."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: `1 row`, `2,000 rows`, `0 queries` with `queries` as the plural."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
