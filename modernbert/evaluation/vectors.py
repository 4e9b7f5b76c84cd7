"""Vectors of a corpus on disk, in shards: an evaluation that is killed goes on where it stopped.

A shard is a file of numpy's (`.npy`) with 32 bytes after it: the SHA-256 of the file and of what it stands
for. Numpy reads it as it is; a shard that was damaged, or that belongs to other texts, is made again.

Shape suffixes: N texts of a shard, D vector size.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from modernbert.activity import explain, phase
from modernbert.ahead import ahead
from modernbert.files import atomic_file, write_json
from modernbert.places import make_folder, own_cache
from modernbert.temporary import held, remove, sweep_below

# Texts of a shard: minutes of work at most on a slow machine with short texts.
SHARD = 2048
# Bytes that are hashed at once.
BLOCK = 2**20


@dataclass(frozen=True)
class VectorCache:
    """The folder that holds vectors; each set of them in a folder of its own, named by a hash of its key.

    Attributes:
        root: the folder.
        notes: fills with what a user should know: vectors that were there and could not be used.
    """

    root: Path
    notes: list[str] = field(default_factory=list, compare=False)

    @classmethod
    def default(cls) -> VectorCache:
        """Return the cache where `MBERT_CACHE` says, or in `~/.cache/mbert`."""
        return cls(own_cache() / "vectors")

    def vectors(
        self,
        key: Mapping[str, Any],
        texts: Sequence[str],
        encode: Callable[[Any], np.ndarray],
        *,
        prepare: Callable[[Sequence[str]], Any] = list,
        content: str = "",
        steps: int = 1,
    ) -> list[np.ndarray]:
        """Return the texts' vectors in shards, read from disk where they are there, and made where not.

        Several processes may do this at once: each shard is made by one of them.

        Args:
            key: everything that the vectors depend on besides the texts: model, length, prompt, precision.
            texts: of one corpus, in a fixed order.
            encode: makes vectors of shape (N, D), fp32, of what `prepare` makes of texts.
            prepare: what can be done before, in a thread, such as tokenising.
            content: a name that no other texts have; by default it is made of the texts themselves.
            steps: how many shards are prepared ahead.

        Returns:
            Memory-mapped arrays of shape (N, D), in the order of the texts.

        Raises:
            BadOption, DiskFull: the vectors cannot be kept here.
        """
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
        digest.update(content.encode())
        for text in () if content else texts:
            digest.update(hashlib.sha256(text.encode()).digest())
        folder = self.root / digest.hexdigest()[:32]
        make_folder(folder)
        sweep_below(self.root)
        if not (folder / "key.json").is_file():
            write_json(folder / "key.json", {**key, "texts": len(texts)})
        return list(self._shards(folder, texts, encode, prepare, steps))

    def _shards(
        self,
        folder: Path,
        texts: Sequence[str],
        encode: Callable[[Any], np.ndarray],
        prepare: Callable[[Sequence[str]], Any],
        steps: int,
    ) -> Iterator[np.ndarray]:
        unusable = computed = 0

        def begun(start: int) -> tuple[_Shard, int, Any]:
            size = min(SHARD, len(texts) - start)
            number = start // SHARD
            shard = _Shard(folder / f"{number:06}.npy", f"{folder.name} {number} {size}".encode())
            return shard, size, None if shard.is_whole() else prepare(texts[start : start + size])

        with phase("embedding", len(texts), "texts", by_text=True) as now:
            for shard, size, ready in ahead(begun, range(0, len(texts), SHARD), steps):
                if ready is not None:
                    with held(folder):  # another process may be making it
                        if not shard.is_whole():
                            unusable += os.path.lexists(shard.path)
                            shard.write(encode(ready))
                            computed += size
                yield np.load(shard.path, mmap_mode="r")
                now.advance(size)
        explain("vector cache", f"{len(texts) - computed:,} of {len(texts):,} texts were embedded before")
        if unusable:
            self.notes.append(
                f"{unusable} kept files of vectors were damaged or of an older mbert, and were made again"
            )


@dataclass(frozen=True)
class _Shard:
    """A file of vectors, bound by its seal to the corpus and to its place in it."""

    path: Path
    seal: bytes

    def is_whole(self) -> bool:
        """Is the file what was written for these texts? It is read as bytes only."""
        try:
            handle = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its writer
            with os.fdopen(handle, "rb") as file:
                return stat.S_ISREG(os.fstat(handle).st_mode) and self._ends_in_its_digest(file)
        except OSError:
            return False

    def _ends_in_its_digest(self, file: IO[bytes]) -> bool:
        digest = hashlib.sha256(self.seal)
        left = os.fstat(file.fileno()).st_size - digest.digest_size
        while left > 0 and (block := file.read(min(left, BLOCK))):
            digest.update(block)
            left -= len(block)
        return file.read() == digest.digest()

    def write(self, vectors: np.ndarray) -> None:
        """Write the file, in place of whatever is there."""
        content = io.BytesIO()
        np.save(content, vectors)
        remove(self.path)
        with atomic_file(self.path, binary=True) as file:
            file.write(content.getbuffer())
            file.write(hashlib.sha256(self.seal + content.getbuffer()).digest())
