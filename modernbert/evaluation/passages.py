"""Long documents as passages: the best passage counts for its document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

CHUNK = 256


def cut_into_passages(tokenizer: Any, texts: Sequence[str], length: int) -> tuple[list[str], np.ndarray]:
    """Cut texts where `length` tokens are full; neighbours share an eighth, so that no sentence is lost.

    Args:
        tokenizer: a fast one: passages are cut out of the text itself.
        texts: whole documents; an empty one stays one empty passage.
        length: tokens of a passage, special tokens included.

    Returns:
        The passages, in order, and the number of each one's document.
    """
    size = max(1, length - tokenizer.num_special_tokens_to_add())
    step = max(1, size - size // 8)
    passages: list[str] = []
    owners: list[int] = []
    for start in range(0, len(texts), CHUNK):
        chunk = list(texts[start : start + CHUNK])
        encoded = tokenizer(chunk, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for number, (text, offsets) in enumerate(zip(chunk, encoded["offset_mapping"], strict=True), start):
            last = max(1, len(offsets) - (size - step))
            for first in range(0, last, step):
                span = offsets[first : first + size]
                passages.append(text[span[0][0] : span[-1][1]] if span else text)
                owners.append(number)
    return passages, np.array(owners)
