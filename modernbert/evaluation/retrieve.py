"""Evaluate an encoder on a retrieval collection, beside BM25 and both together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modernbert.activity import phase
from modernbert.data.collection import Collection
from modernbert.data.collections import LoadedCollection, folder_task, load_collection
from modernbert.data.pairs import pairs_to_search
from modernbert.data.retrieval_task import RetrievalTask
from modernbert.data.targets import resolve
from modernbert.data.task import OWN
from modernbert.errors import BadOption
from modernbert.evaluation.bm25 import ANALYSERS, Bm25
from modernbert.evaluation.embed import Embedder, Estimate
from modernbert.evaluation.fusion import DEPTH, fuse
from modernbert.evaluation.hits import Hits
from modernbert.evaluation.late_search import LateEmbedder
from modernbert.evaluation.passages import cut_into_passages
from modernbert.evaluation.protocols import Protocol, find_protocol
from modernbert.evaluation.ranking import (
    depth,
    score_hits,
    without_identical,
)
from modernbert.evaluation.rerank import DEPTH as RERANKED
from modernbert.evaluation.rerank import Reranker, rerank
from modernbert.evaluation.retrieval_record import RetrievalResult, SystemScores, keep_result
from modernbert.evaluation.vectors import VectorCache
from modernbert.model.late_interaction import is_late_interaction
from modernbert.model.loading import context_length, load_config
from modernbert.model.locate import ModelSource
from modernbert.records.scores import SearchPart
from modernbert.runs import RunStore, read_run
from modernbert.wording import counted, percent

# mteb rounds to five digits, and breaks ties in another order.
AGREEMENT = 1e-3


def retrieval_tasks(target: str) -> list[RetrievalTask]:
    """Return the retrieval tasks that a name, a folder or a file of pairs stands for; none for any other.

    Raises:
        BadData, UnknownName: as `resolve`.
    """
    found = resolve(target, hub=False)
    if found.form == "collection":
        return [folder_task(found.path.absolute())]
    if found.form == "pairs":
        return [pairs_to_search(found.path)]
    return [task for task in found.tasks if isinstance(task, RetrievalTask)]


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        protocol: a name in `PROTOCOLS`.
        analyser: how BM25 reads a text; the task's own if None.
        max_length: tokens of a text that are read; the protocol's or the model's own if 0.
        passages: cut documents into passages of this many tokens, the best of which counts; 0 for whole ones.
        cache: where documents' vectors are kept; None keeps none.
        rerank: a cross-encoder that orders the model's best documents anew.
        ignore_identical: leave a document whose id is the query's out of its results; the task's own if None.
        via_mteb: let the mteb package evaluate the same data too, and compare.
    """

    protocol: str = "mteb"
    analyser: str | None = None
    max_length: int = 0
    passages: int = 0
    cache: VectorCache | None = None
    rerank: ModelSource | None = None
    via_mteb: bool = False
    ignore_identical: bool | None = None

    def for_task(self, task: RetrievalTask) -> SearchOptions:
        """Return the options with the task's own way for what was left to it."""
        identical = task.ignore_identical_ids if self.ignore_identical is None else self.ignore_identical
        return replace(self, analyser=self.analyser or task.analyser, ignore_identical=identical)


def evaluate_tasks(
    tasks: Sequence[RetrievalTask],
    source: ModelSource,
    store: RunStore,
    options: SearchOptions,
    *,
    split: str | None = None,
    data_dir: Path | None = None,
    device: str = "auto",
    precision: str = "auto",
    on_start: Callable[[str, Estimate], None] = lambda task, estimate: None,
) -> list[RetrievalResult]:
    """Evaluate a model on one task after another; each is kept as a run.

    All data is looked for before the first evaluation begins.

    Raises:
        MbertError: an option, the data or the model cannot be used.
    """
    chosen = find_protocol(options.protocol)
    if options.analyser is not None and options.analyser not in ANALYSERS:
        raise BadOption(f"there is no analyser '{options.analyser}'", fix=f"Use {', '.join(ANALYSERS)}.")
    if options.via_mteb and (options.protocol != "mteb" or options.passages):
        raise BadOption(
            "--via mteb reads whole documents with their titles", fix="Use --protocol mteb alone."
        )
    loaded = [load_collection(task, split or task.test or "test", data_dir) for task in tasks]
    length = options.passages or options.max_length or chosen.max_length
    context = context_length(load_config(source))
    if options.passages > context:
        raise BadOption(f"--passages {options.passages} exceeds the model's context of {context} tokens")
    kind = LateEmbedder if is_late_interaction(source.folder) else Embedder
    embedder = kind(source, max_length=length, device=device, precision=precision)
    reranker = Reranker(options.rerank, device=device, precision=precision) if options.rerank else None
    results = []
    for task, found in zip(tasks, loaded, strict=True):
        own = options.for_task(task)
        protocol = chosen.as_followed(
            max_length=options.max_length,
            passages=options.passages,
            identical=None if own.ignore_identical == task.ignore_identical_ids else own.ignore_identical,
        )
        collection = replace(found.collection, ignore_identical=bool(own.ignore_identical))
        found = replace(found, collection=collection)
        results.append(evaluate_retrieval(found, embedder, store, own, protocol, reranker, on_start))
    return results


def evaluate_retrieval(
    loaded: LoadedCollection,
    embedder: Embedder,
    store: RunStore,
    options: SearchOptions,
    protocol: Protocol,
    reranker: Reranker | None = None,
    on_start: Callable[[str, Estimate], None] = lambda task, estimate: None,
) -> RetrievalResult:
    """Search with the encoder, with BM25 and with both, score, and keep the run.

    Args:
        loaded: documents, queries and judgements.
        embedder: the encoder; its maximum length must be that of the options, where they have one.
        store: keeps the run.
        options: how to search.
        protocol: the options' own, or what became of it.
        reranker: orders the encoder's best documents anew.
        on_start: told how long it will take.
    """
    collection = loaded.collection
    documents = collection.documents.with_titles() if protocol.titles else list(collection.documents.texts)
    queries = list(collection.queries.values())
    texts, owners = documents, None
    if options.passages:
        texts, owners = cut_into_passages(embedder.tokenizer, documents, options.passages)
    with phase("estimating the time"):
        estimate = embedder.estimate(texts)
    on_start(collection.name, estimate)
    analyser = options.analyser or "english"
    dense = embedder.search(
        queries,
        texts,
        depth(collection, DEPTH),
        owners=owners,
        cache=options.cache,
    )
    with phase("ranking with BM25"):
        sparse = Bm25(documents, analyser).search(queries, depth(collection, DEPTH))
    dense, sparse = (without_identical(collection, hits, DEPTH) for hits in (dense, sparse))
    both = fuse([dense, sparse], DEPTH)
    note = "" if embedder.settings.tuned else "not made for retrieval"
    name = embedder.source.name
    found: list[tuple[str, tuple[SearchPart, ...], Hits, str]] = [
        (name, ("encoder",), dense, note),
        (f"bm25 ({analyser})", ("bm25",), sparse, ""),
        (f"{name} + bm25", ("encoder", "bm25"), both, note),
    ]
    if reranker is not None:
        on_start(f"{collection.name}, reranking", reranker.estimate(queries, documents, dense[1]))
        again = rerank(
            reranker.score,
            queries,
            documents,
            dense[1],
        )
        said = f"its top {RERANKED} reranked"
        found.append((f"{name} > {reranker.source.name}", ("encoder", "reranker"), again, said))
    systems = tuple(
        SystemScores(system, score_hits(collection, hits), remark, parts)
        for system, parts, hits, remark in found
    )
    result = RetrievalResult(
        name=f"eval-{Path(collection.name).name}-{Path(embedder.source.name).name}",
        task=collection.name,
        split=collection.split,
        model=embedder.source.name,
        protocol=protocol,
        systems=systems,
        truncated=estimate.cut,
        notes=(
            *collection.notes,
            *_identical(collection),
            *_trained_on_it(embedder.source, loaded.found_in),
            *_notes(embedder, systems, estimate.cut),
            *_taken(options.cache),
            *(_via_mteb(loaded, embedder, systems) if options.via_mteb else ()),
        ),
    )
    return keep_result(
        result,
        loaded,
        embedder,
        store,
        passages=options.passages,
        estimate=estimate,
        reranker=reranker.source if reranker else None,
    )


def _identical(collection: Collection) -> Iterator[str]:
    """Say so where queries of an own collection may find themselves; a task's protocol has decided that."""
    count = collection.identical()
    if not count:
        return
    have = counted(count, "query has", "queries have")
    if collection.ignore_identical:
        yield f"{have} the id of a document: each one's own was left out of its results"
    elif collection.name.startswith(OWN):
        yield (
            f"{have} the id of a document, and were free to find it. If it is the query "
            "itself, as in ArguAna or Quora, --ignore-identical-ids leaves it out"
        )


def _taken(cache: VectorCache | None) -> list[str]:
    """Return what the cache has to say, once: the next task has a cache's notes of its own."""
    notes = list(cache.notes) if cache else []
    if cache:
        cache.notes.clear()
    return notes


def _trained_on_it(source: ModelSource, found_in: str) -> Iterator[str]:
    """Say so when a run is evaluated on the very file of pairs that it was trained on."""
    folder = source.folder.parent
    if not (folder / "run.json").is_file():
        return
    target = request.target if (request := read_run(folder).request) else ""
    if target and found_in == f"file {Path(target).absolute()}":
        yield f"{source.name} was trained on most of this file: the score says what it remembers"


def _via_mteb(
    loaded: LoadedCollection, embedder: Embedder, systems: tuple[SystemScores, ...]
) -> Iterator[str]:
    from modernbert.evaluation.via_mteb import mteb_scores

    theirs, ours = mteb_scores(loaded.collection, embedder)["ndcg_at_10"], systems[0].ranking.main.value
    verdict = "they agree" if abs(theirs - ours) <= AGREEMENT else "THEY DISAGREE"
    yield f"mteb's own evaluation of the same data: nDCG@10 {theirs:.5f}, mbert's {ours:.5f}: {verdict}"


def _notes(embedder: Embedder, systems: tuple[SystemScores, ...], truncated: float) -> Iterator[str]:
    if not embedder.settings.tuned:
        yield f"{embedder.source.name} was not trained for retrieval: expect a low score"
    if truncated > 0.05:
        length = embedder.settings.max_length
        yield f"{percent(truncated)} of the documents are longer than {length} tokens and were truncated"
    if systems[0].ranking.main.value < systems[1].ranking.main.value:
        yield "BM25 alone is better than the model here"
    for again in (s for s in systems if " > " in s.system):
        if again.ranking.main.value < systems[0].ranking.main.value:
            yield f"{again.system}: reranking lowered the score"
