"""The chunks of an index: their texts, words and vectors, in one SQLite file.

A file is written under a temporary name and takes one that holds its SHA-256; then it never changes. An
update is a changed copy. So what is read is whole, or its name says that it is not.

Shape suffixes: N chunks, D vector size.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from modernbert.errors import BadData, DiskFull
from modernbert.index.chunks import Chunk, text_of
from modernbert.index.words import Changes, Words, words_of
from modernbert.reading import checked, parse_json

_SCHEMA = """
CREATE TABLE about (record TEXT NOT NULL);
CREATE TABLE files (path TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE chunks (id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL, words INTEGER NOT NULL,
    name TEXT NOT NULL, text TEXT NOT NULL, row TEXT NOT NULL, vector BLOB NOT NULL);
CREATE INDEX chunks_by_place ON chunks (path, first, id, words);
CREATE TABLE words (word TEXT PRIMARY KEY, postings BLOB NOT NULL);
"""
# A foreign file must not make SQLite do more than read. It is never changed, so it needs no locks.
_READING = "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA query_only = ON;"
# A file without its name yet is thrown away when anything happens, so it needs no journal.
_WRITING = "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
# The largest number that a row can have.
LAST = 2**63 - 1
# Numbers in one question to SQLite.
AT_ONCE = 500

_Row = tuple[int, str, int, int, str, str, str]


@dataclass(frozen=True)
class Stored:
    """A chunk with its number and its file."""

    id: int
    path: str
    chunk: Chunk


class IndexStore:
    """An open file of chunks."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Take an open database; see `open_store` and `change_store`."""
        self.database, self.changes = database, Changes(database)

    def about(self) -> Any:
        """Return what the index says of itself."""
        row = self.database.execute("SELECT record FROM about").fetchone()
        return parse_json(row[0] if row and isinstance(row[0], str) else "", where="the index")

    def digests(self) -> dict[str, str]:
        """Return each indexed file's hash."""
        rows = self.database.execute("SELECT path, digest FROM files").fetchall()
        return dict(checked(list[tuple[str, str]], rows, where="the index"))

    def digest(self, path: str) -> str:
        """Return the hash that one indexed file had; empty if there is none."""
        row = self.database.execute("SELECT digest FROM files WHERE path = ?", (path,)).fetchone()
        return str(row[0]) if row else ""

    def count(self, *, after: int = 0) -> int:
        """Return how many chunks there are, or how many with larger numbers than `after`."""
        query = "SELECT count(*) FROM chunks WHERE id > ?"
        return int(self.database.execute(query, (after,)).fetchone()[0])

    def which(self, ids: Sequence[int]) -> set[int]:
        """Return those of the numbers that chunks have."""
        found = set()
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            marks = ",".join("?" * len(part))
            rows = self.database.execute(f"SELECT id FROM chunks WHERE id IN ({marks})", part)
            found |= {row[0] for row in rows}
        return found

    def get(self, ids: Sequence[int]) -> dict[int, Stored]:
        """Return chunks by their numbers."""
        found: dict[int, Stored] = {}
        for start in range(0, len(ids), AT_ONCE):
            part = ids[start : start + AT_ONCE]
            query = "SELECT id, path, first, last, name, text, row FROM chunks WHERE id IN"
            rows = self.database.execute(f"{query} ({','.join('?' * len(part))})", part).fetchall()
            for row in checked(list[_Row], rows, where="the index"):
                found[row[0]] = Stored(row[0], row[1], Chunk(*row[2:]))
        return found

    def at(self, path: str, line: int) -> int | None:
        """Return the number of the chunk that holds a line of a file, counted from 1; None if none does."""
        query = "SELECT id FROM chunks WHERE path = ? AND first <= ? AND ? <= last ORDER BY id LIMIT 1"
        row = self.database.execute(query, (path, line, line)).fetchone()
        return int(row[0]) if row else None

    def of_row(self, name: str) -> list[int]:
        """Return the numbers of the chunks of a table's row, by its id, or, without ids, by its number."""
        row = self.database.execute("SELECT first FROM chunks WHERE name = ? LIMIT 1", (name,)).fetchone()
        named = "SELECT 1 FROM chunks WHERE name != '' AND row != '' LIMIT 1"
        if row is None and self.database.execute(named).fetchone():
            return []  # a number would be another row than its reader means
        number = row[0] if row else int(name) if name.isascii() and name.isdecimal() and len(name) < 16 else 0
        found = self.database.execute("SELECT id FROM chunks WHERE first = ? AND row != ''", (number,))
        return [row[0] for row in found]

    def kept(self, keep: Callable[[str], bool]) -> np.ndarray:
        """Return the numbers of the chunks whose paths are kept, ascending."""
        paths = {path for path in self.digests() if keep(path)}
        rows = self.database.execute("SELECT id, path FROM chunks ORDER BY id")
        return np.array([number for number, path in rows if path in paths], np.int64)

    def known_vectors(self, path: str, size: int) -> dict[str, np.ndarray]:
        """Return a file's vectors of `size` numbers, in half precision, by the text that each is of."""
        rows = self.database.execute("SELECT id, vector FROM chunks WHERE path = ?", (path,)).fetchall()
        known = {number: np.frombuffer(half, np.float16) for number, half in rows if len(half) == 2 * size}
        return {
            text_of(path, stored.chunk): known[number] for number, stored in self.get(list(known)).items()
        }

    def words(self) -> Words:
        """Return the chunks in the order of their places, ready to be ranked by their words."""
        rows = self.database.execute("SELECT id, words FROM chunks ORDER BY path, first, id").fetchall()
        return Words(checked(list[tuple[int, int]], rows, where="the index"))

    def vectors(
        self, size: int, *, after: int = 0, upto: int = LAST, order: str = "id", batch: int = 10_000
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield chunks' numbers and vectors of `size` numbers, in half precision, block by block.

        Args:
            after, upto: only chunks with larger numbers than the first, and none larger than the second; no
                number is ever given twice.

        Raises:
            BadData: there is one of another size.
        """
        query = f"SELECT id, vector FROM chunks WHERE id > ? AND id <= ? ORDER BY {order}"
        rows = self.database.execute(query, (after, upto))
        while part := rows.fetchmany(batch):
            if {len(row[1]) if isinstance(row[1], bytes) else 0 for row in part} != {2 * size}:
                raise BadData("a vector has not the model's size", where="the index")
            halves = np.frombuffer(b"".join(row[1] for row in part), np.float16)
            yield np.array([row[0] for row in part], np.int64), halves.reshape(len(part), size)

    def describe(self, record: Any) -> None:
        """Replace what the index says of itself."""
        self.database.execute("DELETE FROM about")
        self.database.execute("INSERT INTO about VALUES (?)", (json.dumps(record),))

    def forget(self, paths: Iterable[str]) -> None:
        """Remove files with all their chunks."""
        for path in paths:
            rows = self.database.execute("SELECT id FROM chunks WHERE path = ?", (path,)).fetchall()
            for number, stored in self.get([row[0] for row in rows]).items():
                self.changes.forget(number, words_of(text_of(path, stored.chunk)))
            self.database.execute("DELETE FROM chunks WHERE path = ?", (path,))
            self.database.execute("DELETE FROM files WHERE path = ?", (path,))

    def add(self, path: str, digest: str, chunks: Sequence[Chunk], vectors_ND: np.ndarray) -> None:
        """Add a file's chunks with their vectors, kept in half precision."""
        self.database.execute("INSERT INTO files VALUES (?, ?)", (path, digest))
        for chunk, half_D in zip(chunks, vectors_ND.astype(np.float16), strict=True):
            words = words_of(text_of(path, chunk))
            cursor = self.database.execute(
                "INSERT INTO chunks (path, first, last, words, name, text, row, vector) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    path,
                    chunk.start,
                    chunk.end,
                    words.total(),
                    chunk.name,
                    chunk.text,
                    chunk.row,
                    half_D.tobytes(),
                ),
            )
            assert cursor.lastrowid is not None
            self.changes.add(cursor.lastrowid, words)


@contextmanager
def open_store(path: Path) -> Iterator[IndexStore]:
    """Open a file of chunks to read; it is closed at the end of the block.

    Raises:
        BadData: it is no such file, or damaged.
    """
    with _errors_of(path), closing(_connect(path, "mode=ro&immutable=1", _READING)) as database:
        if _schema(database) != _own_schema():
            raise BadData("the index is damaged (it is another program's file)", where=str(path))
        yield IndexStore(database)


@contextmanager
def change_store(path: Path, *, new: bool) -> Iterator[IndexStore]:
    """Open a file of chunks that has no name yet, to change it; `new` is an empty file.

    Raises:
        DiskFull: no space was left.
    """
    with _errors_of(path), closing(_connect(path, "nolock=1", _WRITING)) as database:
        if new:
            database.executescript(_SCHEMA)
        database.execute("BEGIN")
        store = IndexStore(database)
        yield store
        store.changes.write()
        database.execute("COMMIT")


def _connect(path: Path, options: str, pragmas: str) -> sqlite3.Connection:
    address = f"file:{quote(str(path.absolute()).encode(errors='surrogateescape'))}?{options}"
    database = sqlite3.connect(address, uri=True, isolation_level=None)
    database.executescript(pragmas)
    return database


def _schema(database: sqlite3.Connection) -> set[tuple[str, ...]]:
    """Return what a database is made of."""
    return set(database.execute("SELECT type, name, sql FROM sqlite_master").fetchall())


@cache
def _own_schema() -> set[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript(_SCHEMA)
        return _schema(database)


@contextmanager
def _errors_of(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into a user's."""
    try:
        yield
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL" or name.startswith("SQLITE_IOERR"):
            raise DiskFull(
                f"the disk is full, or allows no file as large as the index in {path.parent} would be",
                fix="What was indexed before is intact. Free some space, or raise the limit (ulimit -f).",
            ) from error
        raise BadData(f"the index is damaged ({error})", where=str(path)) from None
