"""Search an index in a PostgreSQL database: as one in a folder, but the server compares the vectors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from modernbert.errors import BadOption
from modernbert.index.postgres import PostgresStore, open_postgres
from modernbert.index.query import LightEmbedder, Searcher, find_index
from modernbert.index.record import Record, read_record
from modernbert.index.server import Address

if TYPE_CHECKING:
    from modernbert.evaluation.embed import Embedder


@dataclass(frozen=True)
class _Nearest:
    """What a search asks of vectors; the store asks the server."""

    size: int
    count: int

    def find(
        self, store: PostgresStore, query_D: np.ndarray, k: int, kept_M: np.ndarray | None = None
    ) -> list[tuple[int, float]]:
        return store.nearest(query_D, k, kept_M)


class PostgresSearcher(Searcher):
    """An index in a database, opened for each search with the model that it was built with."""

    def __init__(self, address: Address, embedder: Embedder | LightEmbedder) -> None:
        """Compare the model with the index's.

        Raises:
            BadData, BadModel: as `Searcher`.
            MbertError: as `open_postgres`.
        """
        self.address = address
        super().__init__(Path(), embedder)

    def search(self, query: str, k: int = 10, *, hybrid: bool = False, **options: Any) -> list[Any]:
        """Return the best chunks; see `Searcher`. Raises BadOption for `hybrid`."""
        if hybrid:
            raise BadOption(
                "--hybrid needs the words of the texts, which an index in PostgreSQL does not keep",
                fix="Leave it out, or index into a folder (without --store).",
            )
        return super().search(query, k, **options)

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        with open_postgres(self.address) as store:
            record = _record(store)
            if record != self.record:
                self._require_same(record)
            self.record = record
            self.nearest = _Nearest(self.embedder.size, store.count())  # type: ignore[assignment]
            yield store

    def _command(self, record: Record) -> str:
        return f"mbert index PATH --store '{self.address}'"

    def _is_stale(self, path: str, indexed: str) -> bool:
        """Has a file changed since? Of a folder that is on another machine nothing is known."""
        assert self.record is not None
        return Path(self.record["root"]).is_dir() and super()._is_stale(path, indexed)


def find_any(given: Path | Address | None) -> tuple[Path | Address, Record]:
    """Return where an index is, and its record; of a folder as `find_index`.

    Raises:
        BadData: there is none, or it cannot be read.
        MbertError: as `open_postgres`.
    """
    if isinstance(given, Address):
        with open_postgres(given) as store:
            return given, _record(store)
    folder = find_index(given)
    return folder, read_record(folder)


def open_any(place: Path | Address, embedder: Embedder | LightEmbedder) -> Searcher:
    """Open an index with its model; see `Searcher` and `PostgresSearcher`."""
    if isinstance(place, Address):
        return PostgresSearcher(place, embedder)
    return Searcher(place, embedder)


def kept_model(address: Address, *, anew: bool) -> tuple[str, int] | None:
    """Return the model and the length of the index at an address.

    None where there is none yet, or where one is to be begun `anew`. Raises MbertError where none can be.
    """
    with open_postgres(address, writing=True) as store:
        if not store.exists() or anew:
            return None
        about = store.about()
        return about["model"], about["key"]["max_length"]


def _record(store: PostgresStore) -> Record:
    return Record(**store.about(), chunks="", graph=None)
