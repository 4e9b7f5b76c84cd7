"""Vectors that an unfinished index has made so far, so that the next one goes on from there.

One record after another in a file that only grows: the hash of the text, its vector, a checksum. From the
first record that is not whole on, the file is cut off.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from modernbert.errors import BadData
from modernbert.index.record import MADE, remove
from modernbert.places import no_space_is_an_error
from modernbert.reading import read_bytes

HASH, CHECK = 16, 4


class Made:
    """Vectors of texts by one model, on disk."""

    def __init__(self, file: IO[bytes], known: dict[bytes, bytes], salt: bytes, size: int) -> None:
        """Take an open file and what it holds; see `open_made`."""
        self.file, self.known, self.salt, self.size = file, known, salt, size

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Return the texts that have no vector yet, each once."""
        return [text for text in dict.fromkeys(texts) if self._hash(text) not in self.known]

    def add(self, texts: Sequence[str], vectors_ND: np.ndarray) -> None:
        """Keep the texts' vectors, in half precision. Raises DiskFull when there is no space."""
        for text, half_D in zip(texts, vectors_ND.astype(np.float16), strict=True):
            record = self._hash(text) + half_D.tobytes()
            self.known[record[:HASH]] = record[HASH:]
            self.file.write(record + zlib.crc32(record).to_bytes(CHECK))
        self.file.flush()

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """Return the texts' vectors, shape (N, D)."""
        halves = bytearray().join(self.known[self._hash(text)] for text in texts)
        return np.frombuffer(halves, np.float16).reshape(len(texts), self.size)

    def _hash(self, text: str) -> bytes:
        return hashlib.blake2b(text.encode(), digest_size=HASH, key=self.salt).digest()


@contextmanager
def open_made(folder: Path, model: Any, size: int) -> Iterator[Made]:
    """Open the vectors made so far; those of another model, or of another size, are none.

    Args:
        model: what the vectors depend on besides the text.
        size: numbers of a vector.
    """
    path = folder / MADE
    content, length = _content(path), HASH + 2 * size + CHECK
    known: dict[bytes, bytes] = {}
    for start in range(0, len(content) - length + 1, length):
        whole = content[start : start + length]
        record, check = whole[:-CHECK], whole[-CHECK:]
        if zlib.crc32(record).to_bytes(CHECK) != check:
            break
        known[record[:HASH]] = record[HASH:]
    salt = hashlib.blake2b(json.dumps(model, sort_keys=True).encode(), digest_size=32).digest()
    with no_space_is_an_error(path), path.open("ab") as file:
        file.truncate(len(known) * length)
        yield Made(file, known, salt, size)


def _content(path: Path) -> bytes:
    try:
        return read_bytes(path)
    except BadData:
        if path.is_symlink() or path.exists():
            remove(path)
        return b""
