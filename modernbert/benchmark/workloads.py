"""What is run: texts of given lengths with random tokens, or a sample of a user's own texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modernbert.data.tokens import TokenLengths, Tokens

# Random ids keep away from the first ones, which are special tokens in every vocabulary of the catalogue.
FIRST_ID = 1000


@dataclass(frozen=True)
class Workload:
    """Texts in the order in which they arrive."""

    name: str
    tokens: Tokens

    @property
    def num_tokens(self) -> int:
        """Tokens of all texts, padding not counted."""
        return int(self.tokens.lengths.sum())


def of_lengths(name: str, lengths: Sequence[int], vocabulary: int) -> Workload:
    """Return texts of random tokens; speed does not depend on which tokens they are."""
    random = np.random.default_rng(0)
    low = min(FIRST_ID, vocabulary // 2)
    ids = random.integers(low, vocabulary, sum(lengths)).astype(np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Workload(name, Tokens(ids, None, starts, TokenLengths(np.array(lengths))))


def of_length(length: int, num_tokens: int, vocabulary: int) -> Workload:
    """Return equally long texts of about `num_tokens` tokens together, and one at least."""
    return of_lengths(str(length), [length] * max(1, num_tokens // length), vocabulary)


# Lengths as they occur: `short` like SST-2's sentences (13 words on average), `pairs` like MNLI's, a mix of
# short and long, and documents without any padding.
MIXES = ("short", "pairs", "mix", "512", "2048", "8192", "long mix")


def named(mix: str, vocabulary: int) -> Workload:
    """Return a named mix of lengths, drawn with a fixed seed."""
    return of_lengths(mix, [int(n) for n in _draw(mix)], vocabulary)


def _draw(mix: str) -> np.ndarray:
    random = np.random.default_rng(0)
    if mix == "short":
        return random.gamma(3.0, 6.0, 128).clip(3, 66)
    if mix == "pairs":
        return random.gamma(5.0, 8.0, 64).clip(8, 128)
    if mix == "mix":
        return random.integers(20, 513, 32)
    if mix == "long mix":
        return np.exp(random.uniform(np.log(20), np.log(8192), 12))
    return np.full({"512": 8, "2048": 2, "8192": 1}[mix], int(mix))


def sample(name: str, tokens: Tokens, num_tokens: int) -> Workload:
    """Return texts drawn at random, in random order, of about `num_tokens` tokens together."""
    order = np.random.default_rng(0).permutation(len(tokens))
    ends = np.cumsum(tokens.lengths[order])
    chosen = order[: 1 + int(np.searchsorted(ends, num_tokens))]
    lengths = tokens.lengths[chosen]
    places = np.concatenate([np.arange(tokens.starts[i], tokens.starts[i + 1]) for i in chosen])
    types = None if tokens.type_ids is None else tokens.type_ids[places]
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Workload(name, Tokens(tokens.ids[places], types, starts, TokenLengths(lengths)))
