"""Texts that hold the name of one of the tokenizer's special tokens, such as `[SEP]`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def special_token_warnings(tokenizer: Any, splits: Mapping[str, Sequence[tuple[str, ...]]]) -> Iterator[str]:
    """Yield, for each split, how many texts (or pairs) hold such a name, which a model reads as text.

    Whoever joined two texts with `[SEP]` should know that it separates nothing.
    """
    names = re.compile("|".join(map(re.escape, special_tokens(tokenizer))) or r"(?!)")
    for split, texts in splits.items():
        found = [{name for part in parts for name in names.findall(part)} for parts in texts]
        if holding := sum(map(bool, found)):
            named = ", ".join(sorted(set().union(*found)))
            share = f"{holding} of {len(texts)} texts"
            yield f"{split}: {share} name special tokens ({named}), which are read as text"


def special_tokens(tokenizer: Any) -> list[str]:
    """Return the names of a tokenizer's special tokens."""
    added = [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]
    return sorted({*tokenizer.all_special_tokens, *added})
