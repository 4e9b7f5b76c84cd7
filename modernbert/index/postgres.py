"""The chunks of an index in a PostgreSQL database, with their vectors as pgvector's `halfvec`.

It answers what `modernbert.index.store.IndexStore` answers of a file. Here the server compares vectors, all
of them: there is no approximate index. Each file's chunks come and go in one transaction, so a file is whole
or as it was before. The chunks' words are not kept: BM25 is left to indexes in a folder.

Shape suffixes: N chunks, M chunks that may be found, D vector size.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from modernbert.errors import BadData, BadOption
from modernbert.index.chunks import Chunk, text_of
from modernbert.index.nearest import Compared
from modernbert.index.record import FORMAT, About
from modernbert.index.server import Address, connected
from modernbert.index.store import Stored
from modernbert.reading import checked, parse_json

if TYPE_CHECKING:
    import psycopg

# Names and places compare by their bytes, as in a folder's index, whatever language the database speaks.
_TABLES = """
CREATE TABLE {0}about (record text NOT NULL);
CREATE TABLE {0}files (path text COLLATE "C" PRIMARY KEY, digest text NOT NULL);
CREATE TABLE {0}chunks (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    path text COLLATE "C" NOT NULL REFERENCES {0}files ON DELETE CASCADE,
    first bigint NOT NULL, last bigint NOT NULL, name text NOT NULL, text text NOT NULL, "row" text NOT NULL,
    vector halfvec({1}) NOT NULL);
CREATE INDEX {2}chunks_by_place ON {0}chunks (path, first, id);
"""
TABLES = ("about", "files", "chunks")
# What the names of an index's tables begin with while it is built beside the one that it will replace.
ASIDE = "new_"
_TAKE_PLACE = """
DROP TABLE IF EXISTS {1}about, {1}chunks, {1}files;
ALTER TABLE {0}about RENAME TO about;
ALTER TABLE {0}files RENAME TO files;
ALTER TABLE {0}chunks RENAME TO chunks;
ALTER INDEX {0}chunks_by_place RENAME TO chunks_by_place;
"""
_COLUMNS = ("path", "first", "last", "name", "text", '"row"', "vector")
_TYPES = ("text", "int8", "int8", "text", "text", "text", "halfvec")
# The server adds up in another order, so its cosines differ from numpy's by less than this.
ROUNDING = 1e-5
# Chunks that are asked for beyond the wanted ones: those that may be as near are among them.
MORE = 64
_NEAREST = """
SELECT id, vector, path, first, vector::vector <=> %(query)s AS distance FROM {0}chunks
WHERE %(kept)s::bigint[] IS NULL OR id = ANY(%(kept)s) ORDER BY distance LIMIT %(count)s
"""


class PostgresStore:
    """An index's tables, over an open connection."""

    def __init__(self, connection: psycopg.Connection[Any], address: Address) -> None:
        """Take a connection; see `open_postgres`."""
        self.connection, self.address, self.schema = connection, address, address.schema
        self.aside = ""

    @property
    def _place(self) -> str:
        """What comes before the name of a table: its schema, and whether it is of an index built aside."""
        return f"{self.schema}.{self.aside}"

    def _ask(self, query: str, given: Any = ()) -> Any:
        return self.connection.execute(query.format(self._place), given, binary=True)

    def exists(self) -> bool:
        """Are the tables of an index there? Raises BadOption where the schema holds something else."""
        query = "SELECT array_agg(table_name::text) FROM information_schema.tables WHERE table_schema = %s"
        tables = set(self._ask(query, (self.schema,)).fetchone()[0] or ())
        tables -= {ASIDE + name for name in TABLES}  # of a build that was stopped: the next one removes them
        if tables and not tables >= {*TABLES}:
            raise BadOption(
                f"the schema {self.schema} holds other tables, or those that this user may not see",
                where=str(self.address),
                fix="Name another schema in the address: ?schema=NAME.",
            )
        return bool(tables)

    def about(self) -> About:
        """Return what the index says of itself.

        Raises:
            BadData: there is no index, or it is of another version.
        """
        if not self.exists():
            fix = f"Next: mbert index PATH --store '{self.address}'"
            raise BadData("there is no index here", where=str(self.address), fix=fix)
        row = self._ask("SELECT record FROM {0}about").fetchone()
        raw = parse_json(row[0] if row else "", where=str(self.address))
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            fix = "mbert index PATH --store ADDRESS --rebuild builds it anew."
            what = f"the index has another format than {FORMAT}, which this version of mbert reads"
            raise BadData(what, where=str(self.address), fix=fix)
        return checked(About, raw, where=str(self.address))

    def digests(self) -> dict[str, str]:
        """Return each indexed file's hash."""
        return dict(self._ask("SELECT path, digest FROM {0}files ORDER BY path").fetchall())

    def digest(self, path: str) -> str:
        """Return the hash that one indexed file had; empty if there is none."""
        row = self._ask("SELECT digest FROM {0}files WHERE path = %s", (path,)).fetchone()
        return str(row[0]) if row else ""

    def count(self) -> int:
        """Return how many chunks there are."""
        return int(self._ask("SELECT count(*) FROM {0}chunks").fetchone()[0])

    def get(self, ids: Sequence[int]) -> dict[int, Stored]:
        """Return chunks by their numbers."""
        query = 'SELECT id, path, first, last, name, text, "row" FROM {0}chunks WHERE id = ANY(%s::bigint[])'
        return {row[0]: Stored(row[0], row[1], Chunk(*row[2:])) for row in self._ask(query, (list(ids),))}

    def at(self, path: str, line: int) -> int | None:
        """Return the number of the chunk that holds a line of a file, counted from 1; None if none does."""
        query = "SELECT id FROM {0}chunks WHERE path = %s AND first <= %s AND %s <= last ORDER BY id LIMIT 1"
        row = self._ask(query, (path, line, line)).fetchone()
        return int(row[0]) if row else None

    def of_row(self, name: str) -> list[int]:
        """Return the numbers of the chunks of a table's row, by its id, or, without ids, by its number."""
        row = self._ask("SELECT first FROM {0}chunks WHERE name = %s ORDER BY id LIMIT 1", (name,)).fetchone()
        named = """SELECT 1 FROM {0}chunks WHERE name != '' AND "row" != '' LIMIT 1"""
        if row is None and self._ask(named).fetchone():
            return []  # a number would be another row than its reader means
        number = row[0] if row else int(name) if name.isascii() and name.isdecimal() and len(name) < 16 else 0
        found = self._ask("""SELECT id FROM {0}chunks WHERE first = %s AND "row" != ''""", (number,))
        return [row[0] for row in found]

    def kept(self, keep: Callable[[str], bool]) -> np.ndarray:
        """Return the numbers of the chunks whose paths are kept, ascending."""
        paths = [path for path in self.digests() if keep(path)]
        rows = self._ask("SELECT id FROM {0}chunks WHERE path = ANY(%s) ORDER BY id", (paths,)).fetchall()
        return np.array([row[0] for row in rows], np.int64)

    def vectors(self, size: int, *, after: int, upto: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the numbers and vectors of chunks numbered from `after` (without it) to `upto` (with it)."""
        query = "SELECT id, vector FROM {0}chunks WHERE id > %s AND id <= %s ORDER BY id"
        yield _arrays(self._ask(query, (after, upto)).fetchall(), size)

    def nearest(self, query_D: np.ndarray, k: int, kept_M: np.ndarray | None) -> list[tuple[int, float]]:
        """Return up to `k` chunks and their cosines with the query (a unit vector), best first.

        Of equals, the first in the folder comes first. `kept_M` are the numbers of the chunks that may be
        found; None for all.
        """
        from pgvector import Vector

        kept = None if kept_M is None else kept_M.tolist()
        asked: dict[str, Any] = {"query": Vector(query_D.astype(np.float32)), "kept": kept, "count": k + MORE}
        while True:
            rows = self._ask(_NEAREST, asked).fetchall()
            # Whatever may be among the best is there: numpy, which has the last word, decides.
            if len(rows) < asked["count"] or rows[-1][4] > rows[k - 1][4] + ROUNDING:
                break
            asked["count"] *= 4
        rows.sort(key=lambda row: (row[2].encode(), row[3], row[0]))
        vectors = _arrays([row[:2] for row in rows], len(query_D))
        return Compared([vectors], len(query_D)).find(query_D, k)

    def known_vectors(self, path: str, size: int) -> dict[str, np.ndarray]:
        """Return a file's vectors of `size` numbers, in half precision, by the text that each is of."""
        rows = self._ask("SELECT id, vector FROM {0}chunks WHERE path = %s", (path,)).fetchall()
        ids_N, halves_ND = _arrays(rows, size)
        stored = self.get(ids_N.tolist())
        return {
            text_of(path, stored[number].chunk): half_D
            for number, half_D in zip(ids_N.tolist(), halves_ND, strict=True)
        }

    def begin(self, about: About, size: int, *, anew: bool) -> None:
        """Make the tables, for vectors of `size` numbers, unless they are there; say what the index is.

        Args:
            anew: build beside those that are there, which answer until `finish`.
        """
        with self.connection.transaction():
            there = self.exists()
            self.aside = ASIDE if anew else ""
            dropped = ", ".join(f"{self.schema}.{ASIDE}{name}" for name in ("about", "chunks", "files"))
            self._ask(f"DROP TABLE IF EXISTS {dropped}")
            if anew or not there:
                self.connection.execute(f"CREATE SCHEMA IF NOT EXISTS {self.schema}")
                self.connection.execute(_TABLES.format(self._place, size, self.aside))
            self._ask("DELETE FROM {0}about")
            self._ask("INSERT INTO {0}about VALUES (%s)", (json.dumps(about),))

    def finish(self) -> None:
        """Let an index that was built aside take the place of the one before, in one transaction."""
        if self.aside:
            with self.connection.transaction():
                self.connection.execute(_TAKE_PLACE.format(self._place, f"{self.schema}."))
            self.aside = ""

    def forget(self, paths: Iterable[str]) -> None:
        """Remove files with all their chunks, each in one transaction."""
        for path in paths:
            self._ask("DELETE FROM {0}files WHERE path = %s", (path,))

    def put(self, path: str, digest: str, chunks: Sequence[Chunk], vectors_ND: np.ndarray) -> None:
        """Take a file's chunks with their vectors in the place of those that it had, in one transaction."""
        from pgvector import HalfVector

        copy = f"COPY {{0}}chunks ({', '.join(_COLUMNS)}) FROM STDIN (FORMAT BINARY)".format(self._place)
        with self.connection.transaction(), self.connection.cursor() as cursor:
            self.forget([path])
            self._ask("INSERT INTO {0}files VALUES (%s, %s)", (path, digest))
            with cursor.copy(copy) as rows:
                rows.set_types(_TYPES)
                for chunk, half_D in zip(chunks, vectors_ND.astype(np.float16), strict=True):
                    texts = [_text(part) for part in (chunk.name, chunk.text, chunk.row)]
                    rows.write_row((path, chunk.start, chunk.end, *texts, HalfVector(half_D)))


def _text(text: str) -> str:
    """Return a text as PostgreSQL can hold it: it has no character 0."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _arrays(rows: Sequence[tuple[int, Any]], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return numbers and vectors of `size` numbers. Raises BadData when one has another size."""
    if any(vector.dimensions() != size for _, vector in rows):
        raise BadData("a vector has not the model's size", where="the index")
    halves_ND = np.array([vector.to_numpy() for _, vector in rows], np.float16).reshape(len(rows), size)
    return np.array([number for number, _ in rows], np.int64), halves_ND


@contextmanager
def open_postgres(address: Address, *, writing: bool = False) -> Iterator[PostgresStore]:
    """Be connected to a database with pgvector for the length of the block.

    Args:
        address: where the index is, or is to be.
        writing: install pgvector into the database if it is not; no two processes write at once. Without it,
            the block sees one state of the index, whoever changes it meanwhile.

    Raises:
        BadOption: the database has no pgvector, or one before 0.7; another mbert is indexing here.
        MbertError: as `connected`.
    """
    with connected(address) as connection:
        _require_pgvector(connection, address, install=writing)
        from pgvector.psycopg import register_vector

        register_vector(connection)
        store = PostgresStore(connection, address)
        if writing:
            locked = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
            if not store._ask(locked, (f"mbert index {address.schema}",)).fetchone()[0]:
                fix = "Wait until it is done."
                raise BadOption("another mbert is indexing here", where=str(address), fix=fix)
            yield store
        else:
            there = store.exists()
            with connection.transaction():
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                if there:  # before the state is fixed that is seen: nothing takes their place after this
                    store._ask("LOCK TABLE {0}about, {0}files, {0}chunks IN ACCESS SHARE MODE")
                yield store


def _require_pgvector(connection: psycopg.Connection[Any], address: Address, *, install: bool) -> None:
    from psycopg import errors

    where = str(address)
    by_hand = "An administrator of the database runs, once: CREATE EXTENSION vector"
    there = "SELECT to_regtype('vector') IS NOT NULL, to_regtype('halfvec') IS NOT NULL"
    has_vector, has_half = connection.execute(there).fetchone() or (False, False)
    if not has_vector and install:
        try:
            connection.execute("CREATE EXTENSION vector")
        except errors.InsufficientPrivilege:
            raise BadOption("this user may not install pgvector", where=where, fix=by_hand) from None
        except (errors.FeatureNotSupported, errors.UndefinedFile):
            raise BadOption(
                "the PostgreSQL server has no pgvector",
                where=where,
                fix="Install it there: https://github.com/pgvector/pgvector#installation",
            ) from None
        has_vector, has_half = connection.execute(there).fetchone() or (False, False)
    if not has_vector:
        raise BadOption("the database has no pgvector, and so no index", where=where, fix=by_hand)
    if not has_half:
        what = "the database's pgvector is older than 0.7 and has no half precision"
        raise BadOption(what, where=where, fix="Update it: ALTER EXTENSION vector UPDATE")
