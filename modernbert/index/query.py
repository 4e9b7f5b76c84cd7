"""Search an index by meaning, or by meaning and words."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from modernbert.errors import BadData, BadModel, BadOption
from modernbert.evaluation.fusion import DEPTH, fuse
from modernbert.evaluation.hits import NOTHING, unit
from modernbert.files import checksums
from modernbert.index.files import digest_now
from modernbert.index.nearest import Nearest
from modernbert.index.record import FOLDER, PLACE, Record, checked_chunks, has_index, index_root, read_record
from modernbert.index.store import IndexStore, open_store
from modernbert.index.words import Words
from modernbert.model.light import LightEncoder
from modernbert.model.locate import ModelSource

if TYPE_CHECKING:
    from modernbert.evaluation.embed import Embedder


@dataclass(frozen=True)
class Hit:
    """A chunk that was found.

    Attributes:
        path: below the indexed folder.
        start, end: its lines, counted from 1.
        name: of the function or class that it is, if it is one.
        score: cosine with the query; with `--hybrid`, the sum of reciprocal ranks.
        text: its lines.
        stale: the file has changed since it was indexed.
    """

    path: str
    start: int
    end: int
    name: str
    score: float
    text: str
    stale: bool


def find_index(given: Path | None) -> Path:
    """Return the given index (its own folder, or the one it was made for), or the nearest from here upwards.

    Raises:
        BadData: there is none, or it is another user's: that one must be named.
    """
    if given is not None:
        for folder in (given, given / FOLDER):
            if has_index(folder):
                return folder
        raise BadData("there is no index here", where=str(given), fix="Make one: mbert index PATH")
    here = Path.cwd()
    for folder in (above / FOLDER for above in (here, *here.parents)):
        if has_index(folder):
            if folder.stat().st_uid != os.getuid():
                raise BadData(
                    "this index belongs to another user", where=str(folder),
                    fix=f"If you trust it, name it: --index {folder}",
                )  # fmt: skip
            return folder
    raise BadData(
        f"there is no index in {here} or above it",
        fix="Make one: mbert index . ; or name one: --index FOLDER",
    )


class LightEmbedder:
    """What a search needs of an `Embedder`, without torch."""

    def __init__(self, source: ModelSource, record: Record) -> None:
        """Open the model in the way that the index's record says. Raises BadModel if it cannot be read."""
        assert record["light"] is not None
        self.source, self.encoder = source, LightEncoder(source.folder, record["light"])
        self.size = self.encoder.size
        self.key: dict[str, Any] = {**record["key"], "weights": checksums(source.folder)}

    def encode(self, queries: Sequence[str], kind: Literal["query"] = "query") -> np.ndarray:
        """Return vectors, fp32, shape (N, D). Raises BadModel if they are not finite."""
        vectors_ND = np.stack([self.encoder.encode(query) for query in queries])
        if not np.isfinite(vectors_ND).all():
            raise BadModel(f"{self.source.name} gives vectors that are not finite")
        return vectors_ND


def query_embedder(
    source: ModelSource, record: Record, device: str = "auto", precision: str = "auto"
) -> Embedder | LightEmbedder:
    """Open an index's model for queries: without torch, unless it must be or the machine is chosen."""
    if record["light"] and device == precision == "auto":
        return LightEmbedder(source, record)
    from modernbert.evaluation.embed import Embedder

    return Embedder(source, max_length=record["key"]["max_length"], device=device, precision=precision)


class Searcher:
    """An index opened with the model that it was built with; when the index changes, so does this."""

    def __init__(self, folder: Path, embedder: Embedder | LightEmbedder) -> None:
        """Check the index, and compare the model with the index's.

        Raises:
            BadData: the index is damaged, or of another version.
            BadModel: these are not the weights or the settings that the index was built with.
        """
        self.folder, self.embedder = folder, embedder
        self.record: Record | None = None
        self.words: Words | None = None
        with self._opened():
            pass

    def search(self, query: str, k: int = 10, *, hybrid: bool = False) -> list[Hit]:
        """Return the best chunks, best first.

        Raises:
            BadOption: the query is empty, or `k` is not positive.
            BadData, BadModel: the index changed, and what it is now cannot be used.
        """
        if not query.strip():
            raise BadOption("the query is empty")
        if k < 1:
            raise BadOption("-k must be at least 1")
        vector_D = unit(self.embedder.encode([query], "query"))[0]
        with self._opened() as store:
            found = self._both(store, query, vector_D, k) if hybrid else self.nearest.find(store, vector_D, k)
            return self._hits(store, found)

    def like(self, path: str, line: int, k: int = 10) -> list[Hit]:
        """Return the chunks most like the one at a line of an indexed file, best first, without that one.

        Args:
            path: below the indexed folder, as results name it.
            line: counted from 1.

        Raises:
            BadOption: the index has no such file, or nothing at that line.
        """
        with self._opened() as store:
            number = store.at(path, line)
            if number is None:
                where = "has nothing at that line" if store.digest(path) else "has no such file"
                raise BadOption(f"the index {where}", where=f"{path}:{line}")
            ((_, vectors_1D),) = store.vectors(self.nearest.size, after=number - 1, upto=number)
            found = self.nearest.find(store, unit(vectors_1D.astype(np.float32))[0], k + 1)
            return self._hits(store, [hit for hit in found if hit[0] != number][:k])

    def _both(self, store: IndexStore, query: str, vector_D: np.ndarray, k: int) -> list[tuple[int, float]]:
        """Fuse both rankings as `mbert eval` does; its documents are the chunks in the order of places."""
        self.words = self.words or store.words()
        depth = max(k, DEPTH)
        near = self.words.places([number for number, _ in self.nearest.find(store, vector_D, depth)])
        by_words = self.words.find(store.database, query, depth)
        scores_1K, places_1K = fuse([near[None], by_words[None]], min(k, self.nearest.count))
        ids = self.words.ids_N[places_1K[places_1K != NOTHING]]
        return list(zip(ids.tolist(), scores_1K[0].tolist(), strict=False))

    @contextmanager
    def _opened(self) -> Iterator[IndexStore]:
        """Open the chunks as they are now; who brings the index up to date removes those from before."""
        with ExitStack() as stack:
            while True:
                record = read_record(self.folder)
                try:
                    store = self._open(record, stack)
                    break
                except BadData:
                    if read_record(self.folder) == record:
                        raise
            yield store

    def _open(self, record: Record, stack: ExitStack) -> IndexStore:
        is_new = record != self.record
        if is_new:
            self._require_same(record)
            checked_chunks(self.folder, record)
        store = stack.enter_context(open_store(self.folder / record["chunks"]))
        if is_new:
            self.nearest = Nearest(self.folder, record, store, self.embedder.size)
            self.record, self.words = record, None
        return store

    def _require_same(self, record: Record) -> None:
        own = {name: value for name, value in self.embedder.key.items() if name not in PLACE}
        if own != record["key"]:
            raise BadModel(
                f"the index was built with {record['model']}, whose weights or settings are not those "
                f"of {self.embedder.source.name} now",
                where=str(self.folder),
                fix="Index again: mbert index PATH --rebuild",
            )

    def _hits(self, store: IndexStore, found: list[tuple[int, float]]) -> list[Hit]:
        assert self.record is not None
        root, stored = index_root(self.folder, self.record), store.get([number for number, _ in found])
        paths = dict.fromkeys(stored[number].path for number, _ in found)
        stale = {path: digest_now(root / path) != store.digest(path) for path in paths}
        hits = []
        for number, score in found:
            path, chunk = stored[number].path, stored[number].chunk
            hits.append(Hit(path, chunk.start, chunk.end, chunk.name, score, chunk.text, stale[path]))
        return hits


def query_words(query: str) -> frozenset[str]:
    """Return a query's words in lower case, for highlighting."""
    import re

    return frozenset(word for word in re.findall(r"\w+", query.lower()) if len(word) > 2)


def best_line(hit: Hit, query: str) -> int:
    """Return the place, in the hit's lines, of the line that holds most of the query's words."""
    words = query_words(query)
    counts = [sum(word in line.lower() for word in words) for line in hit.text.split("\n")]
    return int(np.argmax(counts)) if counts else 0


def as_dict(hits: list[Hit]) -> list[dict[str, Any]]:
    """Return plain data for `--json`."""
    return [vars(hit) | {"score": round(hit.score, 6)} for hit in hits]
