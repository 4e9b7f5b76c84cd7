"""Evaluate an encoder on a retrieval collection, beside BM25 and both together."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.data.collection import Collection
from modernbert.errors import BadOption
from modernbert.evaluation.bm25 import ANALYSERS, Bm25
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.ranking import MEASURES, Ranking, RankingScores, score_ranking
from modernbert.evaluation.search import exact_search
from modernbert.files import write_jsonl
from modernbert.model.device import describe_hardware
from modernbert.runs import RunStore, write_run
from modernbert.versions import versions

# Results kept per query: what trec_eval's MAP looks at by convention.
DEPTH = 1000
# Reciprocal rank fusion's constant (Cormack, Clarke and Buettcher 2009).
FUSION = 60


@dataclass(frozen=True)
class Protocol:
    """What must be equal for two scores to be comparable.

    Attributes:
        titles: is a document's title read before its text?
        max_length: tokens; 0 for the model's own.
        source: whose convention it is.
    """

    name: str
    titles: bool
    max_length: int
    source: str


PROTOCOLS = {
    "mteb": Protocol(
        "mteb", titles=True, max_length=0, source="mteb: title and text, the model's own length"
    ),
    "coir": Protocol("coir", titles=False, max_length=512, source="the coir package: text alone, 512 tokens"),
}


def find_protocol(name: str) -> Protocol:
    """Return a protocol by name. Raises BadOption for an unknown one."""
    if name not in PROTOCOLS:
        raise BadOption(f"there is no protocol '{name}'", fix=f"Use {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]


@dataclass(frozen=True)
class SystemScores:
    """One way of searching and how well it did."""

    system: str
    ranking: RankingScores
    note: str = ""


@dataclass(frozen=True)
class RetrievalResult:
    """Every system's scores on one collection, and the run that keeps them."""

    name: str
    task: str
    split: str
    model: str
    protocol: Protocol
    systems: tuple[SystemScores, ...]
    truncated: float
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data, without the queries' values."""
        systems = [
            {
                "split": self.split,
                "system": s.system,
                "note": s.note,
                "scores": [score.as_dict() for score in s.ranking.scores],
            }
            for s in self.systems
        ]
        return {**asdict(self), "systems": systems}


def evaluate_retrieval(
    collection: Collection,
    embedder: Embedder,
    store: RunStore,
    *,
    protocol: Protocol,
    analyser: str = "english",
    found_in: str = "",
    on_progress: Callable[[str], None] = lambda line: None,
) -> RetrievalResult:
    """Search with the encoder, with BM25 and with both, score, and keep the run.

    Args:
        collection: documents, queries and judgements.
        embedder: the encoder; its maximum length must be the protocol's, where that has one.
        store: keeps the run.
        protocol: title and length.
        analyser: how BM25 reads a text.
        found_in: where the data came from, for the record.
        on_progress: told what is being done.
    """
    if analyser not in ANALYSERS:
        raise BadOption(f"there is no analyser '{analyser}'", fix=f"Use {', '.join(ANALYSERS)}.")
    documents = collection.documents.with_titles() if protocol.titles else list(collection.documents.texts)
    queries = list(collection.queries.values())
    total = f"{len(documents):,}"
    vectors_ND = embedder.encode(documents, "document", lambda n: on_progress(f"{n:,} of {total} documents"))
    truncated = embedder.truncated / len(documents)
    queries_QD = embedder.encode(queries, "query")
    if embedder.settings.similarity == "cosine":
        vectors_ND, queries_QD = _unit(vectors_ND), _unit(queries_QD)
    dense = exact_search(queries_QD, [vectors_ND], DEPTH)
    on_progress("BM25")
    sparse = Bm25(documents, analyser).search(queries, DEPTH)
    both = fuse([dense[1], sparse[1]], DEPTH)
    note = "" if embedder.settings.tuned else "not made for retrieval"
    systems = tuple(
        SystemScores(name, score_ranking(_ranking(collection, *found), collection.judgements), remark)
        for name, found, remark in (
            (embedder.source.name, dense, note),
            (f"bm25 ({analyser})", sparse, ""),
            (f"{embedder.source.name} + bm25", both, note),
        )
    )
    result = RetrievalResult(
        name=store.free_name(f"eval-{Path(collection.name).name}-{Path(embedder.source.name).name}"),
        task=collection.name,
        split=collection.split,
        model=embedder.source.name,
        protocol=protocol,
        systems=systems,
        truncated=truncated,
        notes=(*collection.notes, *_notes(embedder, systems, truncated)),
    )
    _keep(result, collection, embedder, store, found_in)
    return result


def _unit(vectors_ND: np.ndarray) -> np.ndarray:
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return np.asarray(vectors_ND / np.maximum(lengths_N1, 1e-12))


def fuse(rankings: Sequence[np.ndarray], k: int) -> tuple[np.ndarray, np.ndarray]:
    """Fuse rankings by reciprocal ranks.

    Args:
        rankings: document numbers, best first, each of shape (queries, results).
        k: results per query.

    Returns:
        Scores and document numbers, best first.
    """
    scores, numbers = [], []
    for rows in zip(*rankings, strict=True):
        found: dict[int, float] = {}
        for row in rows:
            for rank, number in enumerate(row.tolist(), start=1):
                found[number] = found.get(number, 0.0) + 1 / (FUSION + rank)
        best = sorted(found.items(), key=lambda item: (-item[1], item[0]))[: min(k, len(rows[0]))]
        numbers.append([number for number, _ in best])
        scores.append([value for _, value in best])
    return np.array(scores, np.float32), np.array(numbers)


def _ranking(collection: Collection, scores: np.ndarray, numbers: np.ndarray) -> Ranking:
    ids = collection.documents.ids
    return {
        query: {ids[n]: float(s) for n, s in zip(row_n, row_s, strict=True)}
        for query, row_n, row_s in zip(collection.queries, numbers, scores, strict=True)
    }


def _notes(embedder: Embedder, systems: tuple[SystemScores, ...], truncated: float) -> Iterator[str]:
    if not embedder.settings.tuned:
        yield f"{embedder.source.name} was never trained for retrieval: its row says little"
    if truncated > 0.05:
        length = embedder.settings.max_length
        yield f"{truncated:.1%} of the documents are longer than {length} tokens and were cut"
    if systems[0].ranking.main.value < systems[1].ranking.main.value:
        yield "BM25 alone is better than the model here"


def _keep(
    result: RetrievalResult, collection: Collection, embedder: Embedder, store: RunStore, found_in: str
) -> None:
    record = {
        "kind": "retrieval",
        "status": "finished",
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "task": {"name": result.task, "kind": "retrieval", "labels": (), "metrics": list(MEASURES)},
        "model": embedder.source.record(),
        "seed": None,
        "config": asdict(embedder.settings) | {"protocol": asdict(result.protocol)},
        "data": {
            "splits": {
                result.split: {
                    "rows": len(collection.queries),
                    "documents": len(collection.documents),
                    "found_in": found_in,
                    "fingerprint": collection.fingerprint(),
                }
            }
        },
        "machine": asdict(embedder.machine),
        "attention": asdict(embedder.attention),
        "results": result.as_dict()["systems"],
        "notes": result.notes,
        "hardware": describe_hardware(),
        "versions": versions(),
    }
    folder = store.create(result.name, record | {"status": "running"})
    write_jsonl(folder / "scores.jsonl", _rows(result))
    write_run(folder, record)


def _rows(result: RetrievalResult) -> Iterator[dict[str, Any]]:
    for system in result.systems:
        for query, values in system.ranking.by_query.items():
            rounded = {name: round(value, 6) for name, value in values.items()}
            yield {"id": f"{result.split}/{query}", "system": system.system, **rounded}
