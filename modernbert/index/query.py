"""Search an index by meaning, or by meaning and words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from modernbert.errors import BadData, BadModel, BadOption
from modernbert.evaluation.fusion import DEPTH, fuse
from modernbert.evaluation.hits import NOTHING, unit
from modernbert.files import model_checksums
from modernbert.index.files import digest_now
from modernbert.index.hits import Hit
from modernbert.index.nearest import Nearest
from modernbert.index.paths import Keep
from modernbert.index.record import (
    FOLDER,
    PLACE,
    Record,
    checked_chunks,
    default_folder,
    has_index,
    index_command,
    index_root,
    read_record,
)
from modernbert.index.store import IndexStore, open_store
from modernbert.index.words import Words
from modernbert.model.light import LightEncoder
from modernbert.model.locate import ModelSource

if TYPE_CHECKING:
    from modernbert.evaluation.embed import Embedder

# Chunks by their numbers, with their scores, best first.
Found = list[tuple[int, float]]


def find_index(given: Path | None) -> Path:
    """Return the given index (its own folder, or the one it was made for), or the nearest from here upwards.

    Raises:
        BadData: there is none, or it is another user's: that one must be named.
    """
    if given is not None:
        for folder in (given, default_folder(given)):
            if has_index(folder):
                return folder
        fix = f"Next: mbert index {quote(str(given))}"
        raise BadData("there is no index here", where=str(given), fix=fix)
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
        fix="Next: mbert index . ; or name an index: --index FOLDER",
    )


class LightEmbedder:
    """What a search needs of an `Embedder`, without torch."""

    def __init__(self, source: ModelSource, record: Record) -> None:
        """Open the model in the way that the index's record says. Raises BadModel if it cannot be read."""
        assert record["light"] is not None
        self.source, self.encoder = source, LightEncoder(source.folder, record["light"])
        self.size = self.encoder.size
        self.key: dict[str, Any] = {**record["key"], "weights": model_checksums(source.folder)}

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

    def search(self, query: str, k: int = 10, *, hybrid: bool = False, keep: Keep | None = None) -> list[Hit]:
        """Return the best chunks, best first; of a table, the best rows.

        Args:
            query: what is looked for.
            k: results.
            hybrid: fuse with BM25.
            keep: which paths may be found; all by default.

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
            kept_M = store.kept(keep) if keep else None

            def find(count: int) -> Found:
                if hybrid:
                    return self._both(store, query, vector_D, count, kept_M)
                return self.nearest.find(store, vector_D, count, kept_M)

            return self._hits(store, find, k, query)

    def like(self, place: str, k: int = 10, *, keep: Keep | None = None) -> list[Hit]:
        """Return the chunks (or rows) most like one that is indexed, best first, without that one.

        Args:
            place: of files FILE:LINE, as results name them; of a table a row's id, or else its number.
            k: results.
            keep: which paths may be found; all by default.

        Raises:
            BadOption: the index has no such file or row, or nothing at that line.
        """
        with self._opened() as store:
            own = self._numbers_of(store, place)
            blocks = [store.vectors(self.nearest.size, after=number - 1, upto=number) for number in own]
            vectors_ND = np.concatenate([vectors for block in blocks for _, vectors in block])
            vector_D = unit(unit(vectors_ND.astype(np.float32)).mean(axis=0, keepdims=True))[0]
            kept_M = store.kept(keep) if keep else None

            def find(count: int) -> Found:
                found = self.nearest.find(store, vector_D, count + len(own), kept_M)
                return [hit for hit in found if hit[0] not in own][:count]

            return self._hits(store, find, k, "")

    def _numbers_of(self, store: IndexStore, place: str) -> list[int]:
        """Return the numbers of the chunks at a line of a file, or of a row. Raises BadOption if none is."""
        assert self.record is not None
        if self.record["table"]:
            if not (numbers := store.of_row(place)):
                raise BadOption("the table has no row with this id or number", where=place)
            return numbers
        path, _, line = place.rpartition(":")
        if not path or not line.isascii() or not line.isdecimal() or len(line) > 9:
            raise BadOption(f"--like is '{place}'", fix="Give FILE:LINE, as results name them.")
        if (number := store.at(path, int(line))) is None:
            where = "has nothing at that line" if store.digest(path) else "has no such file"
            raise BadOption(f"the index {where}", where=place)
        return [number]

    def _both(
        self, store: IndexStore, query: str, vector_D: np.ndarray, k: int, kept_M: np.ndarray | None
    ) -> Found:
        """Fuse both rankings as `mbert eval` does; its documents are the chunks in the order of places."""
        self.words = self.words or store.words()
        depth = max(k, DEPTH)
        found = self.nearest.find(store, vector_D, depth, kept_M)
        near = np.array([score for _, score in found]), self.words.places([number for number, _ in found])
        by_words = self.words.find(store.database, query, depth, kept_M)
        rankings = [(scores_K[None], places_K[None]) for scores_K, places_K in (near, by_words)]
        scores_1K, places_1K = fuse(rankings, min(k, self.nearest.count))
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
                fix=f"Next: {self._command(record)} --rebuild",
            )

    def _command(self, record: Record) -> str:
        """Return what to type to bring the index up to date."""
        return index_command(self.folder, record)

    def _is_stale(self, path: str, indexed: str) -> bool:
        """Has a file changed since it was indexed, with this hash?"""
        assert self.record is not None
        root = index_root(self.folder, self.record)
        return digest_now(root / path, self.record["table"]) != indexed

    def _hits(self, store: IndexStore, find: Callable[[int], Found], k: int, query: str) -> list[Hit]:
        """Return up to `k` hits; of a table's row, which may have several chunks, the best one."""
        assert self.record is not None
        table, count = self.record["table"], k
        while True:
            found = find(count)
            stored = store.get([number for number, _ in found])
            best: dict[int, tuple[int, float]] = {}
            for number, score in found:
                best.setdefault(stored[number].chunk.start if table else number, (number, score))
            if len(best) >= k or len(found) < count:
                break
            count *= 2
        chosen = list(best.values())[:k]
        paths = dict.fromkeys(stored[number].path for number, _ in chosen)
        stale = {path: self._is_stale(path, store.digest(path)) for path in paths}
        parts = [(stored[number], score) for number, score in chosen]
        return [Hit.of(part, score, query, stale=stale[part.path]) for part, score in parts]
