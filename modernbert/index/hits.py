"""What a search found, and which of its lines answer the query best."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from modernbert.index.store import Stored
from modernbert.index.words import words_of
from modernbert.reading import checked, parse_json

# Lines of a hit that are shown.
SHOWN = 8


def best_lines(text: str, query: str) -> tuple[int, int]:
    """Return the first and last of the lines of a text that answer a query best, counted from 0.

    Of all places for up to `SHOWN` lines, one that holds most different words of the query, and these nearest
    to its middle; rare ones count most. Without any word it is the beginning. Blank ends are left out.
    """
    lines, wanted = text.split("\n"), words_of(query).keys()
    held = [wanted & words_of(line).keys() for line in lines] if len(lines) > SHOWN else []
    places = range(max(0, len(lines) - SHOWN) + 1)
    counts = [len(set().union(*held[first : first + SHOWN])) for first in places]
    best = 0
    if any(counts):
        lines_of = Counter(word for words in held for word in words)
        weights = [sum(1 / lines_of[word] for word in words) for words in held]
        best = min(places, key=lambda first: (-counts[first], _from_middle(weights[first : first + SHOWN])))
    shown = [number for number in range(best, min(best + SHOWN, len(lines))) if lines[number].strip()]
    return (shown[0], shown[-1]) if shown else (best, best)


def _from_middle(weights: list[float]) -> float:
    """Return how far from the middle the weight of a few lines lies, in lines."""
    centre = sum(place * weight for place, weight in enumerate(weights)) / (sum(weights) or 1)
    return abs(centre - (len(weights) - 1) / 2)


@dataclass(frozen=True)
class Hit:
    """A chunk that was found: lines of a file, or a row of a table.

    Attributes:
        path: below the indexed folder; the table's name.
        start, end: its lines, counted from 1; of a table, the row's number.
        best_start, best_end: of these lines, up to eight that hold most of the query's words.
        name: of the function or class that it is, if it is one; the row's id.
        score: cosine with the query; with `--hybrid`, the sum of standardised scores.
        text: its lines, or what is searched of the row.
        stale: the file has changed since it was indexed.
        row: the row's number; None in a file.
        columns: everything in the row; None in a file.
    """

    path: str
    start: int
    end: int
    best_start: int
    best_end: int
    name: str
    score: float
    text: str
    stale: bool
    row: int | None
    columns: dict[str, Any] | None

    @classmethod
    def of(cls, stored: Stored, score: float, query: str, *, stale: bool) -> Hit:
        """Make a hit of what is stored of a chunk."""
        chunk = stored.chunk
        is_row = bool(chunk.row)
        first, last = (0, 0) if is_row else best_lines(chunk.text, query)
        row = parse_json(chunk.row, where="the index") if is_row else None
        return cls(
            path=stored.path,
            start=chunk.start,
            end=chunk.end,
            best_start=min(chunk.start + first, chunk.end),
            best_end=min(chunk.start + last, chunk.end),
            name=chunk.name,
            score=score,
            text=chunk.text,
            stale=stale,
            row=chunk.start if is_row else None,
            columns=checked(dict[str, Any], row, where="the index") if is_row else None,
        )


def as_dict(hits: list[Hit]) -> list[dict[str, Any]]:
    """Return plain data for `--json`."""
    return [vars(hit) | {"score": round(hit.score, 6)} for hit in hits]
