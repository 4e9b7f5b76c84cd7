"""Splits and duplicates: the same rows always fall on the same side, on any machine."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Hashable, Sequence

from modernbert.wording import one_line


def text_key(parts: Sequence[str]) -> str:
    """Return what two texts must share to count as the same: all but letter case and spaces.

    Splitting, the look for leaks, and the memory of what was trained on all ask this.
    """
    return _spaced(parts).lower()


def split_keys(texts: Sequence[Sequence[str]]) -> list[str]:
    """Return for each text the key to split by: equal for equal texts, in the first of their spellings."""
    first: dict[str, str] = {}
    for parts in texts:
        key, spelling = text_key(parts), _spaced(parts)
        first[key] = min(first.get(key, spelling), spelling)
    return [first[text_key(parts)] for parts in texts]


def joined_keys(*kinds: Sequence[str]) -> list[str]:
    """Return one key a row: equal for rows that share a key of any kind, or are linked by others that do."""
    parent: dict[tuple[int, str], tuple[int, str]] = {}

    def root(node: tuple[int, str]) -> tuple[int, str]:
        while (above := parent.setdefault(node, node)) != node:
            parent[node] = parent[above]
            node = parent[node]
        return node

    for row in zip(*kinds, strict=True):
        first, *others = (root((kind, key)) for kind, key in enumerate(row))
        for other in others:
            low, high = sorted((root(first), other))
            parent[high] = low
    return [root((0, key))[1] for key in kinds[0]]


def _spaced(parts: Sequence[str]) -> str:
    return "\x1f".join(map(one_line, parts))


def hash_split(
    keys: Sequence[str], strata: Sequence[Hashable], fractions: dict[str, float]
) -> dict[str, list[int]]:
    """Assign each row to a split by the hash of its key, class by class.

    Rows with equal keys stay together, and the order of the rows has no influence. Every class with as
    many distinct keys as there are splits is present in each. The last split takes what remains.

    Args:
        keys: one string a row, usually its text.
        strata: one class a row; a constant when there is none.
        fractions: share of each split, in the order in which they are cut, such as {"validation": 0.1,
            "train": 0.9}; they sum to 1.

    Returns:
        Split name to row indices, ascending.
    """
    assert abs(sum(fractions.values()) - 1) < 1e-9, "fractions must sum to 1"
    rows_of: dict[str, list[int]] = defaultdict(list)
    for index, key in enumerate(keys):
        rows_of[key].append(index)
    by_class: dict[Hashable, list[str]] = defaultdict(list)
    for key, rows in rows_of.items():
        by_class[strata[rows[0]]].append(key)
    result: dict[str, list[int]] = {name: [] for name in fractions}
    for members in by_class.values():
        for name, chosen in _cut(sorted(members, key=_digest), fractions).items():
            result[name] += [row for key in chosen for row in rows_of[key]]
    return {name: sorted(rows) for name, rows in result.items()}


def _cut(members: list[str], fractions: dict[str, float]) -> dict[str, list[str]]:
    *names, last = fractions
    parts, start = {}, 0
    for name in names:
        share = round(fractions[name] * len(members))
        size = max(share, 1) if len(members) >= len(fractions) else share
        parts[name] = members[start : start + size]
        start += size
    parts[last] = members[start:]
    return parts


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def hash_folds(keys: Sequence[str], strata: Sequence[Hashable], count: int) -> list[int]:
    """Return the fold (from 0) of each row: keys are dealt out in the order of their hashes, class by class.

    Rows with equal keys stay together, and the order of the rows has no influence. Of each class, folds have
    as many keys, or one more. So have folds of all classes together.

    Args:
        keys, strata: as in `hash_split`.
    """
    of_key: dict[str, Hashable] = {}
    for key, stratum in zip(keys, strata, strict=True):
        of_key.setdefault(key, stratum)
    dealt = sorted(of_key, key=lambda key: (str(of_key[key]), _digest(key)))
    fold_of = {key: place % count for place, key in enumerate(dealt)}
    return [fold_of[key] for key in keys]


def near_duplicates(texts: Sequence[str], *, shingle: int = 5, threshold: float = 0.6) -> list[int]:
    """Return for each text the index of the first text that it nearly repeats (itself if none).

    Two texts are near-duplicates when the Jaccard similarity of their sets of `shingle`-word sequences is
    at least `threshold` (Broder 1997). Candidates are pairs that share one of their 32 smallest hashes.
    """
    sets = [_shingles(text, shingle) for text in texts]
    seen: dict[int, list[int]] = defaultdict(list)
    first = list(range(len(texts)))
    for index, shingles in enumerate(sets):
        sketch = sorted(shingles)[:32]
        for other in sorted({candidate for mark in sketch for candidate in seen[mark]}):
            shared = len(shingles & sets[other])
            if shared >= threshold * len(shingles | sets[other]):
                first[index] = first[other]
                break
        for mark in sketch:
            seen[mark].append(index)
    return first


def _shingles(text: str, size: int) -> set[int]:
    words = re.findall(r"\w+", text.lower())
    spans = (" ".join(words[i : i + size]) for i in range(max(1, len(words) - size + 1)))
    return {int.from_bytes(hashlib.blake2b(span.encode(), digest_size=8).digest()) for span in spans}
