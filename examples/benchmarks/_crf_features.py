"""What the CRF of tokens.py sees of words: the usual features of named entities."""

from __future__ import annotations


def shape_of(word: str) -> str:
    """Return its letters as X, x, and its digits as d."""
    return "".join("X" if c.isupper() else "x" if c.islower() else "d" if c.isdigit() else c for c in word)


def features(words: list[str]) -> list[dict]:
    """Return what a CRF sees of each word: itself, its ends, its shape, and the same of its neighbours."""

    def about(place: int, prefix: str) -> dict:
        word = words[place]
        return {
            f"{prefix}lower": word.lower(),
            f"{prefix}shape": shape_of(word),
            f"{prefix}title": word.istitle(),
            f"{prefix}upper": word.isupper(),
            f"{prefix}digit": word.isdigit(),
        }

    found = []
    for place, word in enumerate(words):
        own = {"bias": 1.0, "suffix3": word[-3:].lower(), "suffix2": word[-2:].lower()}
        own |= {"prefix3": word[:3].lower()} | about(place, "")
        own |= about(place - 1, "-1:") if place else {"first": True}
        own |= about(place + 1, "+1:") if place + 1 < len(words) else {"last": True}
        found.append(own)
    return found
