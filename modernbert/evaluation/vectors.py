"""Vectors of a corpus on disk, in shards: an evaluation that is killed goes on where it stopped.

Shape suffixes: N texts of a shard, D vector size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.files import atomic_file, own_cache, write_json

# Texts of a shard: minutes of work at most on a slow machine with short texts.
SHARD = 2048


@dataclass(frozen=True)
class VectorCache:
    """The folder that holds vectors; each set of them in a folder of its own, named by a hash of its key."""

    root: Path

    @classmethod
    def default(cls) -> VectorCache:
        """Return the cache where `MBERT_CACHE` says, or in `~/.cache/mbert`."""
        return cls(own_cache() / "vectors")

    def vectors(
        self,
        key: Mapping[str, Any],
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], np.ndarray],
        on_progress: Callable[[int], None] = lambda done: None,
    ) -> list[np.ndarray]:
        """Return the texts' vectors in shards, read from disk where they are there, and made where not.

        Args:
            key: everything that the vectors depend on besides the texts: model, length, prompt, precision.
            texts: of one corpus, in a fixed order.
            encode: makes vectors of shape (N, D), fp32.
            on_progress: told how many texts are done.

        Returns:
            Memory-mapped arrays of shape (N, D), in the order of the texts.
        """
        digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode())
        for text in texts:
            digest.update(hashlib.sha256(text.encode()).digest())
        folder = self.root / digest.hexdigest()[:32]
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "key.json").is_file():
            write_json(folder / "key.json", {**key, "texts": len(texts)})
        return list(self._shards(folder, texts, encode, on_progress))

    def _shards(
        self,
        folder: Path,
        texts: Sequence[str],
        encode: Callable[[Sequence[str]], np.ndarray],
        on_progress: Callable[[int], None],
    ) -> Iterator[np.ndarray]:
        for number, start in enumerate(range(0, len(texts), SHARD)):
            path = folder / f"{number:06}.npy"
            part = texts[start : start + SHARD]
            if not path.is_file():
                with atomic_file(path, binary=True) as file:
                    np.save(file, encode(part))
            yield np.load(path, mmap_mode="r")
            on_progress(start + len(part))
