"""Sentences as token ids, and where each word's first token is: it alone is trained and gives the tag.

A text is tokenised whole. So a word that is not the first one has its blank before it, as in any text (what
`add_prefix_space` makes up for where words are tokenised one by one), and words that come as a list are read
as those of a text are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.data.sentences import Sentence
from modernbert.data.tokens import TokenLengths, Tokens

CHUNK = 4096
# In place of a word's token: it was cut off, or the tokenizer leaves such a word out.
NOWHERE = -1


@dataclass(frozen=True)
class WordTokens:
    """The tokens of N sentences.

    Attributes:
        tokens: of the sentences.
        first: of each sentence, the place of each word's first token, counted from the sentence's first;
            `NOWHERE` for a word without one.
    """

    tokens: Tokens
    first: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.first)

    @property
    def words_nowhere(self) -> int:
        """How many words the model does not see the beginning of."""
        return sum(int((places == NOWHERE).sum()) for places in self.first)


def tokenize_words(tokenizer: Any, sentences: Sequence[Sentence], max_length: int) -> WordTokens:
    """Turn sentences into token ids, the ends of long ones cut off."""
    ids, types, first, lengths, full = [], [], [], [], []
    with phase("tokenising", len(sentences), "sentences") as now:
        for start in range(0, len(sentences), CHUNK):
            chunk = sentences[start : start + CHUNK]
            texts = [sentence.text for sentence in chunk]
            full += [len(found) for found in tokenizer(texts, verbose=False)["input_ids"]]
            found = tokenizer(
                texts, truncation=True, max_length=max_length, return_offsets_mapping=True, verbose=False
            )
            for place, sentence in enumerate(chunk):
                ids.append(np.asarray(found["input_ids"][place], np.int32))
                types.append(np.asarray(found.get("token_type_ids", [[]] * len(chunk))[place], np.int8))
                first.append(_first_tokens(found["offset_mapping"][place], sentence.words))
                lengths.append(len(ids[-1]))
            now.advance(len(chunk))
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    uses_types = "token_type_ids" in tokenizer.model_input_names
    flat = np.concatenate([np.zeros(0, np.int32), *ids])
    flat_types = np.concatenate([np.zeros(0, np.int8), *types]) if uses_types else None
    return WordTokens(Tokens(flat, flat_types, starts, TokenLengths(np.array(full, np.int64))), tuple(first))


def _first_tokens(offsets: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]]) -> np.ndarray:
    """Return the place of the first token that shares a character with each word.

    Args:
        offsets: of each token, where it begins and ends in the text; special tokens are empty. A token may
            begin with the blank before its word.
        words: the same of each word.
    """
    spans = np.array(offsets, np.int64).reshape(-1, 2)
    real = np.flatnonzero(spans[:, 1] > spans[:, 0])
    bounds = np.array(words, np.int64).reshape(-1, 2)
    if not len(real):
        return np.full(len(bounds), NOWHERE)
    after = np.searchsorted(spans[real, 1], bounds[:, 0], side="right")
    found = real[np.minimum(after, len(real) - 1)]
    there = (after < len(real)) & (spans[found, 0] < bounds[:, 1])
    return np.where(there, found, NOWHERE)
