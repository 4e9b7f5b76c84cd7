"""Bi-encoders and rerankers as subjects of an export: proven on queries and documents of a collection.

Shape suffixes: N texts, D vector size, Q queries, K candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.benchmark.texts import Text
from modernbert.data.collection import Collection
from modernbert.data.collections import hold_out, load_collection
from modernbert.errors import BadOption
from modernbert.evaluation.bm25 import Bm25
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.hits import NOTHING, Hits, unit
from modernbert.evaluation.ranking import MEASURES, depth, score_hits, without_identical
from modernbert.evaluation.rerank import Reranker, load_reranker, rerank
from modernbert.evaluation.retrieve import retrieval_tasks
from modernbert.evaluation.search import exact_search
from modernbert.evaluation.sums import by_cluster, sums_of
from modernbert.export.proof import Reading, outputs_of, proven_metric
from modernbert.export.rows import GIVE_ROWS, drawn
from modernbert.export.subject import ExportRequest, Subject
from modernbert.finetuning.prepare import retrieval_task
from modernbert.model.embedding import embedding_settings
from modernbert.model.loading import context_length, load_config, load_encoder
from modernbert.model.locate import ModelSource, record_of
from modernbert.records.export import Outputs, ProvenMetric
from modernbert.records.record import FinetuneRecord
from modernbert.training.inputs import Request

# Queries that are compared; documents are theirs, and others up to the number of rows.
QUERIES, FEWEST = 200, 10
# Documents of each query that a reranker reads, and how many results of a search are compared.
CANDIDATES, DEPTH = 20, 100


class _SearchSubject(Subject):
    """What both share: a sample of a collection."""

    # How many texts are read for each query.
    reads = 1

    def __init__(self, source: ModelSource, request: ExportRequest) -> None:
        whole, self.analyser = _collection(source, request)
        self.collection = sample(whole, request.rows, max(FEWEST, min(QUERIES, request.rows // self.reads)))
        self.documents = self.collection.documents.with_titles()
        self.queries = list(self.collection.queries.values())
        super().__init__(
            source, whole.name, whole.split, compared=len(self.documents), of=len(whole.documents)
        )

    def _metrics(self, own: Hits, export: Hits) -> tuple[ProvenMetric, ...]:
        """Return the measures of two searches, paired by query."""
        scores = [score_hits(self.collection, hits) for hits in (own, export)]
        clusters = [scores[0].clusters[q] for q in scores[0].by_query] if scores[0].clusters else None
        found = []
        for name in MEASURES:
            values = [np.array([row[name] for row in score.by_query.values()]) for score in scores]
            first, second = (by_cluster(sums_of(name, value, value), clusters) for value in values)
            found.append(proven_metric(name, first, second))
        return tuple(found)


class EmbedderSubject(_SearchSubject):
    """A model with one vector for each text."""

    kind = "embedder"

    def __init__(self, source: ModelSource, request: ExportRequest) -> None:
        """Find the collection first. Raises BadOption when there is none, or as `load_collection`."""
        self.settings = embedding_settings(source)
        super().__init__(source, request)

    def load(self) -> Any:
        """Return the encoder."""
        return load_encoder(self.source)

    def reading(self, source: ModelSource, precision: str) -> Reading:
        """Return an embedder."""
        embedder = Embedder(source, device="cpu", precision=precision)

        def set_length(length: int) -> None:
            embedder.settings = replace(embedder.settings, max_length=length)

        return Reading(
            lambda texts: embedder.encode([text[0] for text in texts]),
            embedder.tokenizer,
            context_length(load_config(source)),
            lambda: embedder.settings.max_length,
            set_length,
            embedder,
        )

    @property
    def texts(self) -> Sequence[Text]:
        """The documents."""
        return [(document,) for document in self.documents]

    def compare(self, own: Reading, export: Reading) -> tuple[Outputs, tuple[ProvenMetric, ...]]:
        """Compare the vectors of documents and queries, and what they find."""
        vectors = [self._vectors(reading.model) for reading in (own, export)]
        first_ND, second_ND = (np.concatenate(pair) for pair in vectors)
        cosines_N = (unit(first_ND) * unit(second_ND)).sum(axis=1)
        outputs = outputs_of(first_ND, second_ND, len(first_ND), float(cosines_N.min()), "least cosine")
        hits = [self._search(own.model, *pair) for pair in vectors]
        return outputs, self._metrics(*hits)

    def _vectors(self, embedder: Embedder) -> tuple[np.ndarray, np.ndarray]:
        return embedder.encode(self.documents), embedder.encode(self.queries, "query")

    def _search(self, embedder: Embedder, documents_ND: np.ndarray, queries_QD: np.ndarray) -> Hits:
        if embedder.settings.similarity == "cosine":
            documents_ND, queries_QD = unit(documents_ND), unit(queries_QD)
        found = exact_search(queries_QD, [documents_ND], depth(self.collection, DEPTH))
        return without_identical(self.collection, found, DEPTH)


class RerankerSubject(_SearchSubject):
    """A cross-encoder."""

    kind = "reranker"
    reads = CANDIDATES

    def __init__(self, source: ModelSource, request: ExportRequest) -> None:
        """Find the collection first, and what BM25 finds in it. Raises as `EmbedderSubject`."""
        super().__init__(source, request)
        found = Bm25(self.documents, self.analyser).search(self.queries, depth(self.collection, CANDIDATES))
        self.numbers_QK = without_identical(self.collection, found, CANDIDATES)[1]
        self.pairs = [
            (query, self.documents[n])
            for query, numbers_K in zip(self.queries, self.numbers_QK, strict=True)
            for n in numbers_K
            if n != NOTHING
        ]

    def load(self) -> Any:
        """Return the cross-encoder."""
        return load_reranker(self.source)

    def reading(self, source: ModelSource, precision: str) -> Reading:
        """Return a reranker."""
        reranker = Reranker(source, device="cpu", precision=precision)
        return Reading.of(reranker, lambda texts: reranker.score(texts)[:, None])  # type: ignore[arg-type]

    @property
    def texts(self) -> Sequence[Text]:
        """Queries, each with a document that BM25 found."""
        return self.pairs

    def compare(self, own: Reading, export: Reading) -> tuple[Outputs, tuple[ProvenMetric, ...]]:
        """Compare scores and what they order; a query agrees where the best document is the same."""
        scores = [reading.run(list(self.pairs))[:, 0] for reading in (own, export)]
        hits = [self._reordered(found) for found in scores]
        same = float((hits[0][1][:, 0] == hits[1][1][:, 0]).mean())
        outputs = outputs_of(scores[0], scores[1], len(self.pairs), same)
        return outputs, self._metrics(*hits)

    def _reordered(self, scores_N: np.ndarray) -> Hits:
        known = dict(zip(self.pairs, scores_N.tolist(), strict=True))
        return rerank(
            lambda pairs: np.array([known[pair] for pair in pairs], np.float32),
            self.queries, self.documents, self.numbers_QK, depth=CANDIDATES,
        )  # fmt: skip


def _collection(source: ModelSource, request: ExportRequest) -> tuple[Collection, str]:
    """Return the collection to prove an export on, and how BM25 reads it."""
    if request.on is not None:
        tasks = retrieval_tasks(request.on)
        if not tasks:
            raise BadOption(f"{request.on} is no collection and no file of pairs",
                            fix=f"{source.name} searches: give --on FOLDER.")  # fmt: skip
        task, split = tasks[0], tasks[0].test or "test"
    else:
        record = record_of(source)
        if not isinstance(record, FinetuneRecord):
            raise BadOption(f"{source.name} is no run: nothing tells on which texts to prove the export",
                            fix="Give a collection: --on FOLDER.")  # fmt: skip
        found = retrieval_task(Request.of(record.request))
        if found is None:
            raise BadOption(f"{source.name} was not trained for retrieval", fix=GIVE_ROWS)
        task, split = found[0], record.results[-1].split
    folder = Path(request.data_dir) if request.data_dir else None
    if split not in task.splits and task.train is not None:  # it was held out of the training queries
        return hold_out(load_collection(task, task.train, folder).collection)[1], task.analyser
    return load_collection(task, split, folder).collection, task.analyser


def sample(collection: Collection, most: int, queries: int) -> Collection:
    """Return a collection of so many queries, their documents, and others up to `most` documents."""
    ids = list(collection.queries)
    some = collection.only([ids[i] for i in drawn(len(ids), queries)]).to_learn_from()
    judged = {document for grades in some.judgements.values() for document in grades}
    places = {identifier: place for place, identifier in enumerate(collection.documents.ids)}
    wanted = [places[document] for document in judged]
    others = sorted(places.keys() - judged)
    more = [places[others[i]] for i in drawn(len(others), max(0, most - len(wanted)))]
    return replace(some, documents=collection.documents.take(sorted({*wanted, *more})))
