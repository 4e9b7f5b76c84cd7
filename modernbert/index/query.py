"""Search an index by meaning, or by meaning and words."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.errors import BadData, BadModel, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.retrieve import FUSION
from modernbert.evaluation.search import unit
from modernbert.index.build import FOLDER, PLACE
from modernbert.index.store import IndexStore, open_store, read_record

# Candidates that each way of searching gives to the fusion.
DEPTH = 50


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
        BadData: there is none.
    """
    if given is not None:
        for folder in (given, given / FOLDER):
            if read_record(folder):
                return folder
        raise BadData("there is no index here", where=str(given), fix="Make one: mbert index PATH")
    here = Path.cwd()
    for folder in (here, *here.parents):
        if read_record(folder / FOLDER):
            return folder / FOLDER
    raise BadData(
        f"there is no index in {here} or above it",
        fix="Make one: mbert index . ; or name one: --index FOLDER",
    )


class Searcher:
    """An index opened with the model that it was built with."""

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        """Compare the model with the index's.

        Raises:
            BadModel: these are not the weights or the settings that the index was built with.
        """
        self.folder, self.embedder = folder, embedder
        self.record = read_record(folder)
        key = {name: value for name, value in embedder.key.items() if name not in PLACE}
        if key != self.record["key"]:
            raise BadModel(
                f"the index was built with {self.record['model']}, whose weights or settings are not those "
                f"of {embedder.source.name} now",
                where=str(folder),
                fix="Index again: mbert index PATH --rebuild",
            )

    def search(self, query: str, k: int = 10, *, hybrid: bool = False) -> list[Hit]:
        """Return the best chunks, best first.

        Raises:
            BadOption: the query is empty, or `k` is not positive.
        """
        if not query.strip():
            raise BadOption("the query is empty")
        if k < 1:
            raise BadOption(f"{k} results are none", fix="Give -k 1 or more.")
        vector_D = unit(self.embedder.encode([query], "query"))[0]
        with open_store(self.folder) as store:
            found = store.by_vector(vector_D, max(k, DEPTH) if hybrid else k)
            if hybrid:
                words = store.by_words(query, max(k, DEPTH))
                found = _fused([[number for number, _ in found], words])[:k]
            return self._hits(store, found)

    def _hits(self, store: IndexStore, found: list[tuple[int, float]]) -> list[Hit]:
        stored = store.get([number for number, _ in found])
        hits = []
        root = Path(self.record["root"])
        for number, score in found:
            path, chunk = stored[number].path, stored[number].chunk
            stale = _digest(root / path if root.is_dir() else root) != store.digest(path)
            hits.append(Hit(path, chunk.start, chunk.end, chunk.name, score, chunk.text, stale))
        return hits


def _fused(rankings: list[list[int]]) -> list[tuple[int, float]]:
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, number in enumerate(ranking, start=1):
            scores[number] = scores.get(number, 0.0) + 1 / (FUSION + rank)
    return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def query_words(query: str) -> frozenset[str]:
    """Return a query's words in lower case, for highlighting."""
    import re

    return frozenset(word for word in re.findall(r"\w+", query.lower()) if len(word) > 2)


def best_line(hit: Hit, query: str) -> int:
    """Return the place, in the hit's lines, of the line that holds most of the query's words."""
    words = query_words(query)
    counts = [sum(word in line.lower() for word in words) for line in hit.text.splitlines()]
    return int(np.argmax(counts)) if counts else 0


def as_dict(hits: list[Hit]) -> list[dict[str, Any]]:
    """Return plain data for `--json`."""
    return [vars(hit) | {"score": round(hit.score, 6)} for hit in hits]
