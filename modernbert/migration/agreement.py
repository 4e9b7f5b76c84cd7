"""Where two classifiers give the same answer, and where not.

Shape suffixes: N texts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from modernbert.evaluation.statistics import wilson
from modernbert.migration.sides import Side

# Bounds of OLD's confidence by which texts are grouped.
BOUNDS = (0.0, 0.6, 0.8, 0.9, 0.95, 0.99, 1.0)
# What texts are grouped by.
CONFIDENCE, TOKENS = "confidence of OLD", "tokens"


@dataclass(frozen=True)
class Group:
    """Some texts: how many, and the share on which both agree, with Wilson's 95 % interval."""

    by: str
    name: str
    n: int
    agreement: float
    low: float
    high: float

    @classmethod
    def of(cls, by: str, name: str, same_N: np.ndarray) -> Group:
        """Count a group of at least one text."""
        share, n = float(same_N.mean()), len(same_N)
        low, high = wilson(share, n)
        return cls(by, name, n, share, low, high)


@dataclass(frozen=True)
class Direction:
    """How often one answer became another, and the share of all texts that this is."""

    old: str
    new: str
    n: int
    share: float


@dataclass(frozen=True)
class Flip:
    """A text with another answer: its row, what each model says and how sure it is, the label if known."""

    row: int
    text: tuple[str, ...]
    old: str
    old_confidence: float
    new: str
    new_confidence: float
    label: str | None

    @property
    def surest(self) -> float:
        """How sure the less sure model is."""
        return min(self.old_confidence, self.new_confidence)


def groups(old: Side, new: Side, lengths_N: np.ndarray) -> tuple[Group, ...]:
    """Return the agreement over all texts, by OLD's confidence, and by quarters of length in tokens."""
    same_N = old.answers_N == new.answers_N
    found = [Group.of("all", "", same_N)]
    found += _by_confidence(old.confidence_N, same_N)
    found += _by_length(lengths_N, same_N)
    return tuple(found)


def _by_confidence(confidence_N: np.ndarray, same_N: np.ndarray) -> Iterator[Group]:
    for low, high in pairwise(BOUNDS):
        inside_N = (confidence_N >= low) & ((confidence_N < high) | (high == 1))
        if inside_N.any():
            name = f"below {high:g}" if not low else f"{low:g} to {high:g}"
            yield Group.of(CONFIDENCE, name, same_N[inside_N])


def _by_length(lengths_N: np.ndarray, same_N: np.ndarray) -> Iterator[Group]:
    ends = np.unique(np.quantile(lengths_N, (0.25, 0.5, 0.75, 1), method="higher"))
    start = 0
    for end in ends.tolist():
        inside_N = (lengths_N > start) & (lengths_N <= end)
        if inside_N.any():
            yield Group.of(TOKENS, f"{int(start) + 1:,} to {int(end):,}", same_N[inside_N])
        start = end


def directions(old: Side, new: Side) -> tuple[Direction, ...]:
    """Return how answers changed, the most frequent change first."""
    names, n = old.task.labels, len(old.answers_N)
    flipped_N = old.answers_N != new.answers_N
    pairs, counts = np.unique(
        np.stack([old.answers_N[flipped_N], new.answers_N[flipped_N]], axis=1), axis=0, return_counts=True
    )
    found = [
        Direction(names[int(a)], names[int(b)], int(count), int(count) / n)
        for (a, b), count in zip(pairs, counts, strict=True)
    ]
    return tuple(sorted(found, key=lambda one: -one.n))
