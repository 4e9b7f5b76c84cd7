"""The chunks whose vectors are nearest to a query's.

Up to `LARGE` chunks every vector is compared: that takes milliseconds, and misses none. Beyond, a graph finds
most of the nearest in less time; without one that can be trusted every vector is read.

Shape suffixes: N chunks, D vector size.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from modernbert.evaluation.search import exact_search, unit
from modernbert.index.graph import open_graph
from modernbert.index.record import Record
from modernbert.index.store import IndexStore

LARGE = 100_000


class Nearest:
    """What is kept in memory of one state of an index: all vectors, or a map of the graph."""

    def __init__(self, folder: Path, record: Record, store: IndexStore, size: int) -> None:
        """Read the vectors, of `size` numbers each. Raises BadData when they have another size."""
        self.size, self.graph = size, None
        self.is_large = store.count() >= LARGE
        if self.is_large:
            self.graph = open_graph(folder / record["graph"], size) if record["graph"] else None
            return
        # In the order of their places: ids, and so the order of equals, depend on how the index came about.
        parts = list(store.vectors(size, order="path, first, id"))
        nothing = np.empty((0, size), np.float32)
        self.ids_N = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in parts)])
        self.vectors_ND = unit(np.concatenate([nothing, *(block for _, block in parts)]))

    def find(self, store: IndexStore, query_D: np.ndarray, k: int) -> list[tuple[int, float]]:
        """Return up to `k` chunks and their cosines with the query (a unit vector), best first."""
        if not self.is_large:
            return self._exact(query_D, k)
        k = min(k, store.count())
        if self.graph is None:
            return self._from_disk(store, query_D, k)
        found = self.graph.search(query_D.astype(np.float16), k)
        return [(int(key), 1 - float(d)) for key, d in zip(found.keys, found.distances, strict=True)]

    def _exact(self, query_D: np.ndarray, k: int) -> list[tuple[int, float]]:
        scores_N = self.vectors_ND @ query_D.astype(np.float32)
        k = min(k, len(scores_N))
        if not k:
            return []
        least = np.partition(scores_N, len(scores_N) - k)[len(scores_N) - k]
        candidates = np.flatnonzero(scores_N >= least)
        best = candidates[np.argsort(-scores_N[candidates], kind="stable")][:k]
        return [(int(self.ids_N[i]), float(scores_N[i])) for i in best]

    def _from_disk(self, store: IndexStore, query_D: np.ndarray, k: int) -> list[tuple[int, float]]:
        ids: list[np.ndarray] = []

        def blocks() -> Iterator[np.ndarray]:
            for ids_N, vectors_ND in store.vectors(self.size):
                ids.append(ids_N)
                yield unit(vectors_ND.astype(np.float32))

        scores_1K, places_1K = exact_search(query_D[None], blocks(), k)
        numbers = np.concatenate(ids)[places_1K[0]]
        return [(int(number), float(score)) for number, score in zip(numbers, scores_1K[0], strict=True)]
