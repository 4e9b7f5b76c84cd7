"""The chunks whose vectors are nearest to a query's.

Up to `LARGE` chunks every vector is compared: that takes milliseconds, and misses none. Beyond, a graph finds
most of the nearest in less time. It outlives small changes of the index: chunks that went are passed over,
and those that came since are compared one by one. Without a graph that can be trusted every vector is read.

Shape suffixes: N chunks, D vector size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from modernbert.evaluation.hits import best_places, unit
from modernbert.index.graph import last_of, open_graph
from modernbert.index.record import Record
from modernbert.index.store import IndexStore

LARGE = 100_000
# More results than this are not asked of a graph.
MOST = 1000


class Compared:
    """Vectors in memory, each of which is compared."""

    def __init__(self, parts: Iterable[tuple[np.ndarray, np.ndarray]], size: int) -> None:
        """Take chunks' numbers and vectors, block by block."""
        blocks = [(ids, unit(block.astype(np.float32))) for ids, block in parts]
        nothing = np.empty((0, size), np.float32)
        self.ids_N = np.concatenate([np.empty(0, np.int64), *(ids for ids, _ in blocks)])
        self.vectors_ND = np.concatenate([nothing, *(block for _, block in blocks)])

    def find(self, query_D: np.ndarray, k: int, kept_M: np.ndarray | None = None) -> list[tuple[int, float]]:
        """Return up to `k` chunks with their scores, best first; of equals, the first that was given.

        `kept_M` are the numbers of the chunks that may be found; None for all.
        """
        ids_N, vectors_ND = self.ids_N, self.vectors_ND
        if kept_M is not None:
            places_M = np.flatnonzero(np.isin(ids_N, kept_M))
            ids_N, vectors_ND = ids_N[places_M], vectors_ND[places_M]
        scores_N = vectors_ND @ query_D.astype(np.float32)
        best = best_places(scores_N, k)
        return [(int(ids_N[i]), float(scores_N[i])) for i in best]


class Nearest:
    """What is kept in memory of one state of an index: all vectors, or a map of the graph and the others."""

    def __init__(self, folder: Path, record: Record, store: IndexStore, size: int) -> None:
        """Read the vectors, of `size` numbers each. Raises BadData when they have another size."""
        self.size, self.count = size, store.count()
        self.is_large = self.count >= LARGE
        self.graph = open_graph(folder / record["graph"], size) if self.is_large and record["graph"] else None
        if self.graph is not None:
            self.compared = Compared(store.vectors(size, after=last_of(self.graph)), size)
        elif not self.is_large:
            # In the order of places: numbers, and so the order of equals, tell how the index came about.
            self.compared = Compared(store.vectors(size, order="path, first, id"), size)

    def find(
        self, store: IndexStore, query_D: np.ndarray, k: int, kept_M: np.ndarray | None = None
    ) -> list[tuple[int, float]]:
        """Return up to `k` chunks and their cosines with the query (a unit vector), best first.

        `kept_M` are the numbers of the chunks that may be found, ascending; None for all. Of a large index
        every vector is read then: those that a graph finds may all be of the others.
        """
        k = min(k, self.count if kept_M is None else len(kept_M))
        if not self.is_large:
            return self.compared.find(query_D, k, kept_M)
        if self.graph is None or k > MOST or kept_M is not None:
            return self._from_disk(store, query_D, k, kept_M)
        found = self._through_graph(store, query_D, k) + self.compared.find(query_D, k)
        return sorted(found, key=lambda item: -item[1])[:k]

    def _through_graph(self, store: IndexStore, query_D: np.ndarray, k: int) -> list[tuple[int, float]]:
        """Ask for more until enough of what is found is still in the index."""
        assert self.graph is not None
        wanted = k
        while True:
            found = self.graph.search(query_D.astype(np.float16), wanted)
            there = store.which(found.keys.tolist())
            pairs = zip(found.keys.tolist(), found.distances.tolist(), strict=True)
            kept = [(number, 1 - distance) for number, distance in pairs if number in there]
            if len(kept) >= k or wanted >= len(self.graph):
                return kept
            wanted = min(2 * wanted, len(self.graph))

    def _from_disk(
        self, store: IndexStore, query_D: np.ndarray, k: int, kept_M: np.ndarray | None
    ) -> list[tuple[int, float]]:
        from modernbert.evaluation.search import exact_search  # and torch with it

        ids: list[np.ndarray] = []

        def blocks() -> Iterator[np.ndarray]:
            for ids_N, vectors_ND in store.vectors(self.size):
                if kept_M is not None:
                    places_M = np.flatnonzero(np.isin(ids_N, kept_M))
                    ids_N, vectors_ND = ids_N[places_M], vectors_ND[places_M]
                ids.append(ids_N)
                yield unit(vectors_ND.astype(np.float32))

        if not k:
            return []
        scores_1K, places_1K = exact_search(query_D[None], blocks(), k)
        numbers = np.concatenate(ids)[places_1K[0]]
        return [(int(number), float(score)) for number, score in zip(numbers, scores_1K[0], strict=True)]
