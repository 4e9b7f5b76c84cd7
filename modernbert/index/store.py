"""The index on disk: chunks, their words and their vectors in SQLite, and a graph of the vectors beside it.

SQLite is the truth, committed batch by batch: whatever is interrupted goes on from there. The graph
(usearch) is made from it, replaced as a whole, and read as a memory map.

Shape suffixes: N chunks, D vector size.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.errors import BadData, NotAvailable
from modernbert.evaluation.bm25 import word_reader
from modernbert.files import write_json
from modernbert.index.chunks import Chunk

FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS chunks (id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL, vector BLOB);
CREATE INDEX IF NOT EXISTS chunks_by_path ON chunks (path);
CREATE INDEX IF NOT EXISTS chunks_without_vector ON chunks (id) WHERE vector IS NULL;
CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (body, tokenize = "unicode61 tokenchars '_'");
"""


@dataclass(frozen=True)
class Stored:
    """A chunk with its number and its file."""

    id: int
    path: str
    chunk: Chunk


class IndexStore:
    """A folder with `index.json`, `chunks.sqlite` and `vectors.usearch`."""

    def __init__(self, folder: Path) -> None:
        """Open the index in `folder`, or an empty one."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self.database = sqlite3.connect(folder / "chunks.sqlite")
            self.database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise BadData(f"the index is damaged ({error})", where=str(folder),
                          fix="Delete the folder and index again.") from None  # fmt: skip

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def record(self) -> dict[str, Any]:
        """Return what the index says of itself; empty when it is new.

        Raises:
            BadData: it is damaged, or of another version.
        """
        return read_record(self.folder)

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace what the index says of itself."""
        write_json(self.folder / "index.json", {"format": FORMAT, **record})

    def digest(self, path: str) -> str:
        """Return the hash that one indexed file had."""
        return str(self.database.execute("SELECT digest FROM files WHERE path = ?", (path,)).fetchone()[0])

    def digests(self) -> dict[str, str]:
        """Return each indexed file's hash."""
        return dict(self.database.execute("SELECT path, digest FROM files"))

    def forget(self, paths: Iterable[str]) -> int:
        """Remove files with all their chunks; return how many chunks went."""
        gone = 0
        with self.database as database:
            for path in paths:
                rows = database.execute("SELECT id FROM chunks WHERE path = ?", (path,)).fetchall()
                database.executemany("DELETE FROM words WHERE rowid = ?", rows)
                database.execute("DELETE FROM chunks WHERE path = ?", (path,))
                database.execute("DELETE FROM files WHERE path = ?", (path,))
                gone += len(rows)
        return gone

    def add(self, path: str, digest: str, chunks: Sequence[Chunk]) -> None:
        """Add a file's chunks, without vectors yet; all of them or none."""
        with self.database as database:
            database.execute("INSERT INTO files VALUES (?, ?)", (path, digest))
            for chunk in chunks:
                row = (path, chunk.start, chunk.end, chunk.name, chunk.text)
                cursor = database.execute(
                    "INSERT INTO chunks (path, first, last, name, text) VALUES (?, ?, ?, ?, ?)", row
                )
                words = " ".join(word_reader("code")(f"{path} {chunk.name} {chunk.text}"))
                database.execute("INSERT INTO words (rowid, body) VALUES (?, ?)", (cursor.lastrowid, words))

    def missing(self) -> int:
        """Return how many chunks have no vector yet."""
        return int(self.database.execute("SELECT count(*) FROM chunks WHERE vector IS NULL").fetchone()[0])

    def without_vectors(self, count: int) -> list[Stored]:
        """Return the first chunks that have no vector yet."""
        return self._stored("WHERE vector IS NULL ORDER BY id LIMIT ?", (count,))

    def add_vectors(self, ids: Sequence[int], vectors_ND: np.ndarray) -> None:
        """Store vectors in half precision."""
        halves = vectors_ND.astype(np.float16)
        with self.database as database:
            rows = [(half.tobytes(), int(i)) for i, half in zip(ids, halves, strict=True)]
            database.executemany("UPDATE chunks SET vector = ? WHERE id = ?", rows)

    def get(self, ids: Sequence[int]) -> dict[int, Stored]:
        """Return chunks by their numbers."""
        marks = ",".join("?" * len(ids))
        return {stored.id: stored for stored in self._stored(f"WHERE id IN ({marks})", tuple(ids))}

    def count(self) -> int:
        """Return the number of chunks."""
        return int(self.database.execute("SELECT count(*) FROM chunks").fetchone()[0])

    def by_words(self, query: str, k: int) -> list[int]:
        """Return the chunks that BM25 ranks best, best first."""
        words = dict.fromkeys(word_reader("code")(query))
        if not words:
            return []
        match = " OR ".join('"' + word.replace('"', '""') + '"' for word in words)
        rows = self.database.execute(
            "SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank, rowid LIMIT ?", (match, k)
        )
        return [row[0] for row in rows]

    def _stored(self, condition: str, values: tuple[Any, ...]) -> list[Stored]:
        query = f"SELECT id, path, first, last, name, text FROM chunks {condition}"
        return [Stored(row[0], row[1], Chunk(*row[2:])) for row in self.database.execute(query, values)]

    def _vectors(self, ids: Iterable[int], batch: int = 10_000) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        every = list(ids)
        for start in range(0, len(every), batch):
            part = every[start : start + batch]
            marks = ",".join("?" * len(part))
            rows = self.database.execute(
                f"SELECT id, vector FROM chunks WHERE id IN ({marks})", part
            ).fetchall()
            keys = np.array([row[0] for row in rows], np.uint64)
            yield keys, np.stack([np.frombuffer(row[1], np.float16) for row in rows])

    def refresh_graph(self, size: int) -> None:
        """Bring the graph of vectors up to date: remove what is gone, add what is new.

        Args:
            size: numbers of a vector.
        """
        path = self.folder / "vectors.usearch"
        graph = _graph(size)
        if path.is_file():
            graph.load(str(path))
        wanted = {row[0] for row in self.database.execute("SELECT id FROM chunks WHERE vector IS NOT NULL")}
        there = {int(key) for key in graph.keys}
        if gone := there - wanted:
            graph.remove(np.array(sorted(gone), np.uint64))
        for keys, vectors_ND in self._vectors(sorted(wanted - there)):
            graph.add(keys, vectors_ND)
        temporary = path.with_suffix(".tmp")
        graph.save(str(temporary))
        _mapped.cache_clear()  # Windows replaces no file that is mapped
        temporary.replace(path)

    def by_vector(self, query_D: np.ndarray, k: int) -> list[tuple[int, float]]:
        """Return chunks and their cosines with the query, best first; the graph is read as a memory map."""
        path = self.folder / "vectors.usearch"
        state = path.stat()
        graph = _mapped(path, state.st_mtime_ns, state.st_ino, len(query_D))
        found = graph.search(query_D.astype(np.float16), k)
        return [(int(key), 1 - float(d)) for key, d in zip(found.keys, found.distances, strict=True)]


def _graph(size: int) -> Any:
    try:
        from usearch.index import Index
    except ImportError:
        raise NotAvailable(
            "searching needs the Python package 'usearch'", fix="pip install 'mbert[search]'"
        ) from None
    return Index(ndim=size, metric="cos", dtype="f16")


@lru_cache(maxsize=1)
def _mapped(path: Path, changed_ns: int, inode: int, size: int) -> Any:
    """Return the graph in `path` as it is since it was last changed; to map it takes time with its size."""
    graph = _graph(size)
    graph.view(str(path))
    return graph


def read_record(folder: Path) -> dict[str, Any]:
    """Return an index's `index.json`; empty when there is none. Raises BadData when it cannot be used."""
    path = folder / "index.json"
    if not path.is_file():
        return {}
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadData(f"the index is damaged ({error})", where=str(path)) from None
    if record.get("format") != FORMAT:
        raise BadData(
            f"the index has format {record.get('format')}; this version of mbert reads format {FORMAT}",
            where=str(folder),
            fix="Delete the folder and index again.",
        )
    return record


def open_store(folder: Path) -> closing[IndexStore]:
    """Open an index; it is closed at the end of the block."""
    return closing(IndexStore(folder))
