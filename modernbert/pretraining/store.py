"""A corpus as token ids on disk: tokenised once, in shards that are read through the page cache.

The corpus may exceed memory: texts are read one at a time, a shard is written when it is full, and training
maps the shards. In memory stay 16 bytes for each piece, and while the store is built a hash of each.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.errors import BadData
from modernbert.files import sha256, write_json
from modernbert.pretraining.corpus import Corpus
from modernbert.reading import read_object
from modernbert.wording import counted

SHARD_TOKENS = 2**24
TEXTS_AT_ONCE = 256
# A piece with fewer tokens has nothing to guess a masked one from; [CLS] and [SEP] are two of them.
SHORTEST = 8
# With a teacher, a word is worth learning too.
SHORTEST_TAUGHT = 3
SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class Pieces:
    """The pieces of one split: [CLS] tokens [SEP] each, at most one context long."""

    shards: tuple[np.ndarray, ...]
    firsts: np.ndarray
    starts: np.ndarray

    @classmethod
    def open(cls, folder: Path, split: str) -> Pieces:
        """Map the shards of a split."""
        files = sorted(folder.glob(f"{split}-*.tokens.npy"))
        shards = tuple(np.load(file, mmap_mode="r") for file in files)
        lengths = [np.load(file.with_name(file.name.replace("tokens", "lengths"))) for file in files]
        every = np.concatenate(lengths) if lengths else np.zeros(0, np.int32)
        firsts = np.cumsum([0, *(len(shard) for shard in shards)])
        return cls(shards, firsts, np.concatenate([[0], np.cumsum(every, dtype=np.int64)]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each piece."""
        return np.diff(self.starts)

    def __getitem__(self, number: int) -> np.ndarray:
        """Return a piece's token ids."""
        start, end = self.starts[number], self.starts[number + 1]
        shard = int(np.searchsorted(self.firsts, start, side="right")) - 1
        first = self.firsts[shard]
        return self.shards[shard][start - first : end - first]

    def take(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the token ids of some pieces, one after another, shape (T,), and the pieces' lengths."""
        lengths = self.lengths[numbers]
        shift = self.starts[numbers] - (np.cumsum(lengths) - lengths)
        places_T = np.repeat(shift, lengths) + np.arange(lengths.sum())
        shard_T = np.searchsorted(self.firsts, places_T, side="right") - 1
        ids_T = np.zeros(len(places_T), np.int64)
        for shard in np.unique(shard_T):
            own_T = shard_T == shard
            ids_T[own_T] = self.shards[shard][places_T[own_T] - self.firsts[shard]]
        return ids_T, lengths


def build(
    corpus: Corpus,
    tokenizer: Any,
    folder: Path,
    *,
    length: int,
    held_out: float,
    shortest: int = SHORTEST,
) -> dict[str, Any]:
    """Tokenise a corpus into `folder`, which is empty; return what was found.

    A text that was seen before (white space aside) is left out, and so is a piece. Which texts are held out
    is decided by a hash of each, so that it does not depend on their order.

    Args:
        corpus: what to read.
        tokenizer: with [CLS] and [SEP].
        folder: where the shards go.
        length: tokens of a piece at most.
        held_out: share of the texts.
        shortest: pieces with fewer tokens are left out, and counted.

    Raises:
        BadData: no text is left, or none to hold out.
    """
    counts = {"texts": 0, "characters": 0, "repeated_texts": 0, "repeated_pieces": 0, "short_pieces": 0}
    writers = {split: _Writer(folder, split, len(tokenizer)) for split in SPLITS}
    seen: set[bytes] = set()
    with phase("tokenising the corpus", unit="texts") as now:
        for texts in _batched(_unseen(corpus, seen, counts)):
            ids = tokenizer(
                texts, add_special_tokens=False, return_attention_mask=False,
                return_token_type_ids=False, verbose=False,
            )["input_ids"]  # fmt: skip
            for text, tokens in zip(texts, ids, strict=True):
                writer = writers[SPLITS[_share_of(text) < held_out]]
                for piece in _cut(tokens, tokenizer, length, writer.dtype):
                    if len(piece) < shortest:
                        counts["short_pieces"] += 1
                    elif _is_new(piece.tobytes(), seen):
                        writer.add(piece)
                    else:
                        counts["repeated_pieces"] += 1
            counts["texts"] += len(texts)
            now.reach(counts["texts"])
    found: dict[str, Any] = {**counts, "left_out": corpus.left_out}
    found |= {split: writer.close() for split, writer in writers.items()}
    for split in SPLITS:
        if not found[split]["pieces"]:
            raise BadData(
                f"the corpus has no text left for {split.replace('_', ' ')} "
                f"({counted(counts['texts'], 'text')})",
                fix="Texts are held out whole, each by its own hash. Give more texts (a table has one a "
                "row), or another --held-out.",
            )
        found[split]["fingerprint"] = _fingerprint(folder, split)
    write_json(folder / "store.json", found)
    return found


def _fingerprint(folder: Path, split: str) -> str:
    digests = {file.name: sha256(file) for file in sorted(folder.glob(f"{split}*.npy"))}
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def read_found(folder: Path) -> dict[str, Any]:
    """Return what was found when the store in `folder` was built."""
    return read_object(folder / "store.json")


class _Writer:
    """Collects pieces and writes a shard when there are enough."""

    def __init__(self, folder: Path, split: str, vocabulary: int) -> None:
        self.folder, self.split = folder, split
        self.dtype = np.uint16 if vocabulary <= 2**16 else np.uint32
        self.pieces: list[np.ndarray] = []
        self.waiting = self.shards = self.tokens = self.count = 0

    def add(self, piece: np.ndarray) -> None:
        self.pieces.append(piece)
        self.waiting += len(piece)
        self.tokens += len(piece)
        self.count += 1
        if self.waiting >= SHARD_TOKENS:
            self._write()

    def _write(self) -> None:
        name = self.folder / f"{self.split}-{self.shards:05d}"
        np.save(name.with_suffix(".tokens.npy"), np.concatenate(self.pieces))
        np.save(name.with_suffix(".lengths.npy"), np.array([len(piece) for piece in self.pieces], np.int32))
        self.pieces, self.waiting, self.shards = [], 0, self.shards + 1

    def close(self) -> dict[str, Any]:
        if self.pieces:
            self._write()
        return {"pieces": self.count, "tokens": self.tokens}


def _unseen(corpus: Corpus, seen: set[bytes], counts: dict[str, int]) -> Iterator[str]:
    for text in corpus.texts():
        counts["characters"] += len(text)
        if _is_new(" ".join(text.split()).encode(), seen):
            yield text
        else:
            counts["repeated_texts"] += 1


def _batched(texts: Iterator[str]) -> Iterator[list[str]]:
    while batch := list(itertools.islice(texts, TEXTS_AT_ONCE)):
        yield batch


def _is_new(content: bytes, seen: set[bytes]) -> bool:
    digest = hashlib.blake2b(content, digest_size=8).digest()
    if digest in seen:
        return False
    seen.add(digest)
    return True


def _share_of(text: str) -> float:
    """Return a number from 0 to 1 that depends on the text alone."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) / 2**64


def _cut(tokens: list[int], tokenizer: Any, length: int, dtype: Any) -> Iterator[np.ndarray]:
    first, last = tokenizer.cls_token_id, tokenizer.sep_token_id
    for part in range(0, len(tokens), length - 2):
        yield np.array([first, *tokens[part : part + length - 2], last], dtype)
