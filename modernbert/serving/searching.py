"""Searches of an index, one after another in a thread of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modernbert.errors import BadOption, MbertError
from modernbert.index.hits import Hit
from modernbert.index.query import query_embedder
from modernbert.index.query_postgres import find_any, open_any
from modernbert.index.server import Address
from modernbert.model.locate import locate_model
from modernbert.runs import RunStore
from modernbert.serving.batcher import Batcher

# Searches that may wait.
MOST_WAITING = 256


@dataclass(frozen=True)
class Query:
    """What is looked for."""

    text: str
    k: int
    hybrid: bool


class Searching:
    """An open index. Each search is a batch of its own; a newer index is noticed."""

    def __init__(
        self, index: Path | Address, store: RunStore, *, data_dir: Path | None, device: str, precision: str
    ) -> None:
        """Open the index and its model. Raises MbertError as `mbert search` does."""
        place, record = find_any(index)
        source = locate_model(record["model"], store=store, data_dir=data_dir)
        self.searcher = open_any(place, query_embedder(source, record, device, precision))
        self.batcher = Batcher(self._run, max_tokens=1, max_waiting=MOST_WAITING, wait_seconds=0)

    def _run(self, queries: Sequence[Query]) -> list[list[Hit] | MbertError]:
        return [self._search(query) for query in queries]

    def _search(self, query: Query) -> list[Hit] | MbertError:
        """Return what is found, or what is wrong with the query: that is the asker's to know."""
        try:
            return self.searcher.search(query.text, query.k, hybrid=query.hybrid)
        except BadOption as error:
            return error

    def close(self) -> None:
        """Answer what waits, and take no more."""
        self.batcher.close()
