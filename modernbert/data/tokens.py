"""Texts as token ids: flat arrays, with the share of texts that did not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modernbert.activity import phase

CHUNK = 4096


@dataclass(frozen=True)
class TokenLengths:
    """Token counts of the whole texts, before any truncation."""

    lengths: np.ndarray

    def quantile(self, share: float) -> int:
        """Return the length that `share` of the texts do not exceed."""
        return int(np.quantile(self.lengths, share, method="higher")) if len(self.lengths) else 0

    def share_over(self, max_length: int) -> float:
        """Return the share of texts that are longer than `max_length` tokens."""
        return float((self.lengths > max_length).mean()) if len(self.lengths) else 0.0


@dataclass(frozen=True)
class Tokens:
    """Token ids of N texts, one after another.

    Text i is `ids[starts[i]:starts[i + 1]]`; `type_ids` (0 for the first text of a pair, 1 for the
    second) is None for models without them. `full` has the lengths before truncation.
    """

    ids: np.ndarray
    type_ids: np.ndarray | None
    starts: np.ndarray
    full: TokenLengths

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> np.ndarray:
        """Token count of each text as the model sees it, shape (N,)."""
        return np.diff(self.starts)

    def take(self, texts: np.ndarray) -> Tokens:
        """Return those texts alone, in that order."""
        spans = [slice(self.starts[i], self.starts[i + 1]) for i in texts]
        types = None if self.type_ids is None else np.concatenate([self.type_ids[span] for span in spans])
        return Tokens(
            np.concatenate([self.ids[span] for span in spans]),
            types,
            np.concatenate([[0], np.cumsum(self.lengths[texts])]),
            TokenLengths(self.full.lengths[texts]),
        )

    def parts(self, size: int = 1) -> list[Tokens]:
        """Return each `size` texts by themselves."""
        return [self.take(np.arange(first, first + size)) for first in range(0, len(self), size)]


def joined(parts: Sequence[Tokens]) -> Tokens:
    """Return the texts of several, one after another; all are of one tokenizer."""
    types = [part.type_ids for part in parts if part.type_ids is not None]
    lengths = np.concatenate([part.lengths for part in parts])
    return Tokens(
        np.concatenate([part.ids for part in parts]),
        np.concatenate(types) if types else None,
        np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        TokenLengths(np.concatenate([part.full.lengths for part in parts])),
    )


@dataclass(frozen=True)
class PairTokens:
    """Token ids of N pairs whose texts are read apart: texts 2i and 2i + 1 are pair i."""

    texts: Tokens

    def __len__(self) -> int:
        return len(self.texts) // 2

    @property
    def lengths(self) -> np.ndarray:
        """Token count of both texts of each pair as the model sees them, shape (N,)."""
        return np.asarray(self.texts.lengths.reshape(-1, 2).sum(axis=1))

    @property
    def full(self) -> TokenLengths:
        """Token count of the longer text of each pair, before truncation."""
        return longer_of_pairs(self.texts.full)

    def take(self, pairs: np.ndarray) -> PairTokens:
        """Return those pairs alone, in that order."""
        return PairTokens(self.texts.take(np.stack([2 * pairs, 2 * pairs + 1], axis=1).ravel()))


def longer_of_pairs(lengths: TokenLengths) -> TokenLengths:
    """Return the lengths of the longer texts, of texts of which each two are a pair."""
    return TokenLengths(lengths.lengths.reshape(-1, 2).max(axis=1, initial=0))


def auto_max_length(lengths: TokenLengths, context: int) -> int:
    """Return the 99th percentile, rounded up to a multiple of 8, no more than the model's context."""
    return min(context, max(8, -(-lengths.quantile(0.99) // 8) * 8))


def measure(tokenizer: Any, texts: Sequence[tuple[str, ...]]) -> TokenLengths:
    """Count each text's tokens without truncation."""
    with phase("counting tokens", len(texts), "texts") as now:
        lengths = []
        for chunk in _chunks(texts):
            lengths.append(_lengths(_encode(tokenizer, chunk, None)[0]))
            now.advance(len(chunk))
    return TokenLengths(np.concatenate(lengths))


def tokenize(tokenizer: Any, texts: Sequence[tuple[str, ...]], max_length: int) -> Tokens:
    """Turn texts (or pairs) into token ids, cutting the longer text of a pair first."""
    ids, types, lengths, full = [], [], [], []
    with phase("tokenising", len(texts), "texts") as now:
        for chunk in _chunks(texts):
            chunk_ids, chunk_types = _encode(tokenizer, chunk, None)
            full.append(_lengths(chunk_ids))
            # Those that are too long once more: which tokens go is the tokenizer's to decide.
            over = np.flatnonzero(full[-1] > max_length).tolist()
            cut_ids, cut_types = _encode(tokenizer, [chunk[i] for i in over], max_length)
            for place, number in enumerate(over):
                chunk_ids[number] = cut_ids[place]
                if chunk_types and cut_types:
                    chunk_types[number] = cut_types[place]
            ids.append(_flat(chunk_ids, np.int32))
            types.append(_flat(chunk_types or [], np.int8))
            lengths.append(_lengths(chunk_ids))
            now.advance(len(chunk))
    starts = np.concatenate([[0], np.cumsum(np.concatenate(lengths))]).astype(np.int64)
    uses_types = "token_type_ids" in tokenizer.model_input_names
    return Tokens(
        np.concatenate(ids), np.concatenate(types) if uses_types else None, starts,
        TokenLengths(np.concatenate(full)),
    )  # fmt: skip


def _chunks(texts: Sequence[tuple[str, ...]]) -> list[Sequence[tuple[str, ...]]]:
    return [texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK)] or [texts]


# The tokens of each text, or a number for each of them.
Lists = list[list[int]]


def _encode(
    tokenizer: Any, texts: Sequence[tuple[str, ...]], max_length: int | None
) -> tuple[Lists, Lists | None]:
    """Return each text's ids and its type ids, if the tokenizer has them."""
    if not texts:
        return [], []
    columns = [list(column) for column in zip(*texts, strict=True)]
    encoded = tokenizer(
        *columns, truncation=max_length is not None, max_length=max_length, padding=False,
        return_attention_mask=False, verbose=False,
    )  # fmt: skip
    return encoded["input_ids"], encoded.get("token_type_ids")


def _lengths(lists: Lists) -> np.ndarray:
    return np.fromiter(map(len, lists), np.int64, len(lists))


def _flat(lists: Lists, dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *(np.asarray(ids, dtype) for ids in lists)])
