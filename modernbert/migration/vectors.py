"""May one model for vectors replace another? What each finds for a user's texts, how similar texts are, cost.

Nothing here says which model is better: for that, queries with right answers are needed (`mbert eval`).
Shape suffixes: N texts, D vector size, K results, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.benchmark.texts import Text, TextEngine, measure_texts
from modernbert.errors import BadData, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.hits import unit
from modernbert.migration.cost import megabytes_of
from modernbert.migration.migrate import MigrationRequest
from modernbert.migration.neighbours import TOP, Mean, found_for, nearest, overlap, rank_biased_overlap
from modernbert.migration.similarities import QUERIES, TEXTS, CutOff, Pairs, Shift, shift_of, translate
from modernbert.migration.texts import Texts, read_texts
from modernbert.migration.vector_verdict import VectorVerdict, decide
from modernbert.model.device import describe_hardware
from modernbert.model.embedding import TextKind
from modernbert.model.locate import locate_model
from modernbert.records.export import Speed
from modernbert.records.record import now
from modernbert.runs import RunStore
from modernbert.version import versions
from modernbert.wording import counted

# Texts that are shown with what each model finds nearest.
SHOWN = 20


@dataclass(frozen=True)
class VectorModel:
    """One of both models.

    Attributes:
        size: of a vector.
        similarity: how two vectors are compared.
        max_length: tokens that it reads.
        truncated: share of the texts that are longer.
        megabytes: of its weights.
    """

    name: str
    size: int
    similarity: str
    max_length: int
    truncated: float
    megabytes: float

    @property
    def more(self) -> dict[str, str]:
        """Columns of the costs."""
        return {"size": f"{self.size:,}"}


@dataclass(frozen=True)
class Moved:
    """A text for which both models find other texts."""

    row: int
    text: str
    overlap: float
    old_nearest: str
    new_nearest: str


@dataclass(frozen=True)
class VectorMigration:
    """All that was found.

    Attributes:
        texts, of: how many different texts were compared, and how many the file has.
        queries: how many search the texts; 0 where every text is a query among all others.
        compared: both, in words.
        overlap: of the first ten results, for each query.
        order: rank-biased overlap of the first fifty.
        first: share of the queries whose nearest text is the same.
        only_new: share of the texts that NEW alone reads to the end.
        moved: the texts with the least overlap first.
        speed: of OLD and NEW.
    """

    created: str
    data: str
    texts: int
    of: int
    queries: int
    compared: str
    old: VectorModel
    new: VectorModel
    overlap: Mean
    order: Mean
    first: Mean
    shift: Shift
    cut_off: CutOff | None
    only_new: float
    moved: tuple[Moved, ...]
    speed: tuple[Speed, ...]
    verdict: VectorVerdict
    notes: tuple[str, ...]
    hardware: dict[str, Any]
    versions: dict[str, str | None]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return {**asdict(self), "kind": "vectors", "speed": [speed.as_dict() for speed in self.speed]}


def migrate_vectors(
    request: MigrationRequest, store: RunStore, *, cut_off: float | None = None, queries: Path | None = None
) -> VectorMigration:
    """Compare two models for vectors on texts.

    Args:
        queries: a file of queries that search the texts; None for every text among all others.
        cut_off: a similarity of OLD to translate.

    Raises:
        BadData: too few different texts.
        MbertError: a model or the texts cannot be read.
    """
    sources = [locate_model(n, store=store, data_dir=request.data_dir) for n in (request.old, request.new)]
    texts, words, rows = _different(request.on, request, fewest=TOP + 2)
    asked = _different(queries, request, fewest=2) if queries else None
    old, new = (Embedder(s, device=request.device, precision=request.precision) for s in sources)
    with phase("asking both models"):
        vectors = [_comparable(embedder, words) for embedder in (old, new)]
        of_queries = [_comparable(each, asked[1], "query") for each in (old, new)] if asked else None
    if of_queries is None:
        old_NK, new_NK = (nearest(vectors_ND) for vectors_ND in vectors)
    else:
        old_NK, new_NK = (found_for(*each) for each in zip(of_queries, vectors, strict=True))
    shared_N = overlap(old_NK, new_NK)
    pairs, (old_P, new_P) = _pairs(vectors, of_queries)
    cut = [embedder.tokens_of(words).full.lengths > embedder.settings.max_length for embedder in (old, new)]
    speed = measure_texts([_engine("OLD", old), _engine("NEW", new)], [(word,) for word in words])
    order_N, first_N = rank_biased_overlap(old_NK, new_NK), overlap(old_NK, new_NK, top=1)
    means = [Mean.of(values_N) for values_N in (shared_N, order_N, first_N)]
    translated = None if cut_off is None else translate(cut_off, old_P, new_P, pairs)
    models = [_model(*each) for each in zip((old, new), vectors, cut, strict=True)]
    compared = _compared(texts, words, asked)
    return VectorMigration(
        created=now(),
        data=texts.name,
        texts=len(words),
        of=texts.of,
        queries=len(asked[1]) if asked else 0,
        compared=compared,
        old=models[0],
        new=models[1],
        overlap=means[0],
        order=means[1],
        first=means[2],
        shift=shift_of(old_P, new_P),
        cut_off=translated,
        only_new=float((cut[0] & ~cut[1]).mean()),
        moved=tuple(_moved(words, *(asked or (texts, words, rows))[1:], shared_N, (old_NK, new_NK))),
        speed=speed,
        verdict=decide(means[0], means[1], translated, speed),
        notes=tuple(_notes(texts, words, models, asked)),
        hardware=describe_hardware(),
        versions=versions(),
    )


# A file's texts, those that differ, and the row of each.
_Read = tuple[Texts, list[str], list[int]]


def _compared(texts: Texts, words: list[str], asked: _Read | None) -> str:
    found = f"{counted(len(words), 'text')} of {texts.name}"
    if asked is None:
        return f"{found}; each is a query among all others"
    return f"{found}, searched by {counted(len(asked[1]), 'query', 'queries')} of {asked[0].name}"


def _pairs(
    vectors: Sequence[np.ndarray], of_queries: Sequence[np.ndarray] | None
) -> tuple[Pairs, list[np.ndarray]]:
    """Return the pairs of some texts, or of some queries and texts, and each model's similarities."""
    drawn = _some(len(vectors[0]), TEXTS)
    if of_queries is None:
        pairs = Pairs.of(len(drawn))
        return pairs, [pairs.similarities(vectors_ND[drawn]) for vectors_ND in vectors]
    asked = _some(len(of_queries[0]), QUERIES)
    pairs = Pairs.of(len(drawn), len(asked))
    both = zip(vectors, of_queries, strict=True)
    return pairs, [pairs.similarities(texts[drawn], queries[asked]) for texts, queries in both]


def _some(of: int, most: int) -> np.ndarray:
    return np.sort(np.random.default_rng(0).permutation(of)[:most])


def _different(path: Path, request: MigrationRequest, *, fewest: int) -> _Read:
    """Return a file's texts, each once: two of the same would be each other's nearest for every model."""
    is_asked = path != request.on
    named = () if is_asked else request.text
    texts = read_texts(path, (), text=named, trained_on=("query",) if is_asked else (), limit=request.limit)
    if len(texts.texts[0]) != 1:
        fix = "Leave one column of text." if is_asked else f"Name one column: --text-col {texts.columns[0]}"
        raise BadOption(f"a row has {counted(len(texts.texts[0]), 'text')}, and a vector is of one",
                        where=str(path), fix=fix)  # fmt: skip
    first: dict[str, int] = {}
    for (text,), row in zip(texts.texts, texts.numbers, strict=True):
        first.setdefault(text, int(row))
    if len(first) < fewest:
        few = counted(len(first), "different text")
        raise BadData(f"it has {few}, and {fewest} are needed at least", where=str(path),
                      fix="Give some hundred texts.")  # fmt: skip
    return texts, list(first), list(first.values())


def _comparable(embedder: Embedder, texts: list[str], kind: TextKind = "document") -> np.ndarray:
    """Return vectors whose product is the model's own similarity, fp32, shape (N, D)."""
    vectors_ND = embedder.encode(texts, kind)
    return unit(vectors_ND) if embedder.settings.similarity == "cosine" else vectors_ND


def _engine(name: str, embedder: Embedder) -> TextEngine:
    def count(texts: Sequence[Text]) -> np.ndarray:
        lengths_N = embedder.tokens_of([text[0] for text in texts]).full.lengths
        return np.asarray(np.minimum(lengths_N, embedder.settings.max_length))

    return TextEngine(name, lambda texts: embedder.encode([text[0] for text in texts]), count)


def _model(embedder: Embedder, vectors_ND: np.ndarray, cut_N: np.ndarray) -> VectorModel:
    return VectorModel(
        name=embedder.source.name,
        size=int(vectors_ND.shape[1]),
        similarity=embedder.settings.similarity,
        max_length=embedder.settings.max_length,
        truncated=float(cut_N.mean()),
        megabytes=megabytes_of(embedder.source.folder),
    )


def _moved(
    words: list[str], asked: list[str], rows: list[int], shared_N: np.ndarray, found: Sequence[np.ndarray]
) -> Iterator[Moved]:
    """Yield the queries, or the texts that are asked for as queries, for which least stays."""
    for i in np.argsort(shared_N, kind="stable")[:SHOWN].tolist():
        if shared_N[i] < 1:
            old, new = (words[int(numbers_NK[i, 0])] for numbers_NK in found)
            yield Moved(rows[i], asked[i], float(shared_N[i]), old, new)


def _notes(
    texts: Texts, words: list[str], models: Sequence[VectorModel], asked: _Read | None
) -> Iterator[str]:
    if len(texts.texts) < texts.of:
        yield f"{len(texts.texts):,} of {texts.of:,} texts, drawn at random (--limit)"
    if len(words) < len(texts.texts):
        yield f"{counted(len(texts.texts) - len(words), 'text')} left out: the same as an earlier one"
    if len(words) > TEXTS:
        yield f"similarities are of pairs of {TEXTS:,} texts, drawn at random"
    if models[0].similarity != models[1].similarity:
        yield f"OLD compares by {models[0].similarity}, and NEW by {models[1].similarity}"
    if asked is not None and len(asked[1]) < asked[0].of:
        yield f"{len(asked[1]):,} of {asked[0].of:,} queries: each once, at most --limit"
    if asked is None:
        yield (
            "every text is a query among the others, read as a document: queries of users may differ more "
            "(--queries FILE)"
        )
