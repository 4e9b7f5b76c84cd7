"""Entities as tags of words: B- begins one, I- goes on with it, O is outside of all (IOB2).

Tags of other schemes are read as these: an I- that continues nothing begins an entity, which turns IOB1 into
IOB2 as Sang & Veenstra (1999) define both; the last word of an entity (E-, L-) goes on with it, and an entity
of one word (S-, U-) begins it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"
TAG = re.compile(r"O|[BIELSU]-\S.*")
# Of the schemes BIOES and BILOU, what IOB2 says instead.
AS_IOB2 = {"B": "B", "I": "I", "E": "I", "L": "I", "S": "B", "U": "B"}


class Span(NamedTuple):
    """One entity; where it begins and ends is counted in words or in characters, `end` excluded."""

    start: int
    end: int
    label: str


def is_tag(text: str) -> bool:
    """Is it a tag of any of these schemes?"""
    return TAG.fullmatch(text) is not None


def as_iob2(tags: Sequence[str]) -> tuple[list[str], int]:
    """Return a sentence's tags in IOB2, and how many I- continued nothing and are read as B-."""
    found: list[str] = []
    begun = 0
    last = ""  # the label of the entity that may go on
    for tag in tags:
        scheme, _, label = tag.partition("-")
        begins = AS_IOB2.get(scheme) == "B"
        if label and not begins and label != last:
            begins, begun = True, begun + 1
        found.append(f"{'B' if begins else 'I'}-{label}" if label else OUTSIDE)
        last = "" if scheme in ("E", "L", "S", "U") else label
    return found, begun


def spans_of(tags: Iterable[str]) -> list[Span]:
    """Return the entities of tags in IOB2, in words."""
    spans: list[Span] = []
    for place, tag in enumerate(tags):
        scheme, _, label = tag.partition("-")
        if scheme == "B":
            spans.append(Span(place, place + 1, label))
        elif scheme == "I":
            spans[-1] = spans[-1]._replace(end=place + 1)
    return spans


def tags_of(spans: Iterable[Span], size: int) -> list[str]:
    """Return the tags of so many words, from their entities in words."""
    tags = [OUTSIDE] * size
    for start, end, label in spans:
        tags[start:end] = [f"B-{label}", *[f"I-{label}"] * (end - start - 1)]
    return tags


def every_tag(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the tags of these labels: O first, then B- and I- of each."""
    return (OUTSIDE, *(f"{scheme}-{label}" for label in sorted(set(labels)) for scheme in "BI"))


def labels_of(tags: Iterable[str]) -> tuple[str, ...]:
    """Return the labels that tags are of, sorted."""
    return tuple(sorted({tag.partition("-")[2] for tag in tags} - {""}))
