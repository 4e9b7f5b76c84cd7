"""Labels that a person would take for one: told, never merged."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from modernbert.data.cells import as_number, whole_number
from modernbert.wording import one_line

TRUTH = {"true": "1", "false": "0"}


def alike_key(name: str) -> str:
    """Return what two labels share that differ in blanks, letter case, or how a number is written alone."""
    plain = one_line(unicodedata.normalize("NFKC", name)).casefold()
    number = as_number(plain)
    if number is None:
        return TRUTH.get(plain, plain)
    return str(whole_number(plain) if number == int(number) else number)


def look_alikes(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return the groups of labels that look alike, in order."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(alike_key(name), []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]
