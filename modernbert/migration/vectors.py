"""May one model for vectors replace another? What each finds for a user's texts, how similar texts are, cost.

Nothing here says which model is better: for that, queries with right answers are needed (`mbert eval`).
Shape suffixes: N texts, D vector size, K results, P pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.benchmark.texts import Text, TextEngine, measure_texts
from modernbert.errors import BadData, BadModel, BadOption
from modernbert.evaluation.embed import Embedder
from modernbert.evaluation.hits import unit
from modernbert.migration.migrate import MigrationRequest
from modernbert.migration.neighbours import TOP, Mean, nearest, overlap, rank_biased_overlap
from modernbert.migration.similarities import TEXTS, CutOff, Shift, pair_similarities, shift_of, translate
from modernbert.migration.texts import Texts, read_texts
from modernbert.migration.vector_verdict import VectorVerdict, decide
from modernbert.model.device import describe_hardware
from modernbert.model.late_interaction import is_late_interaction
from modernbert.model.loading import load_config
from modernbert.model.locate import ModelSource, locate_model, record_of
from modernbert.model.similarity import is_similarity
from modernbert.records.export import Speed
from modernbert.records.record import now
from modernbert.runs import RunStore
from modernbert.version import versions
from modernbert.wording import counted

# Texts that are shown with what each model finds nearest.
SHOWN = 20
# Heads of models that give no vectors.
HEADS = ("ForSequenceClassification", "ForTokenClassification")


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
        overlap: of the first ten results, for each text among all others.
        order: rank-biased overlap of the first fifty.
        first: share of the texts whose nearest text is the same.
        only_new: share of the texts that NEW alone reads to the end.
        moved: the texts with the least overlap first.
        speed: of OLD and NEW.
    """

    created: str
    data: str
    texts: int
    of: int
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


def gives_vectors(source: ModelSource) -> bool:
    """Does a model give one vector for each text, and no labels or numbers?"""
    if is_similarity(source) or is_late_interaction(source.folder):
        return False
    if record := record_of(source):
        return record.task.kind in ("retrieval", "pretraining") and not _reranks(source)
    return not _reranks(source)


def _reranks(source: ModelSource) -> bool:
    return str((load_config(source).architectures or [""])[0]).endswith(HEADS)


def are_for_vectors(old: str, new: str, store: RunStore, **where: Any) -> bool:
    """Are both models for vectors? Raises BadModel where one is and the other gives labels."""
    sources = [locate_model(name, store=store, **where) for name in (old, new)]
    kinds = [gives_vectors(source) for source in sources]
    if kinds[0] != kinds[1]:
        vectors, labels = (sources[kinds.index(kind)].name for kind in (True, False))
        raise BadModel(f"{vectors} gives vectors and {labels} does not: neither can replace the other",
                       fix="Compare two classifiers, or two models for vectors.")  # fmt: skip
    return kinds[0]


def migrate_vectors(
    request: MigrationRequest, store: RunStore, *, cut_off: float | None = None
) -> VectorMigration:
    """Compare two models for vectors on texts.

    Args:
        cut_off: a similarity of OLD to translate.

    Raises:
        BadData: too few different texts.
        MbertError: a model or the texts cannot be read.
    """
    sources = [locate_model(n, store=store, data_dir=request.data_dir) for n in (request.old, request.new)]
    texts, words, rows = _different(request)
    old, new = (Embedder(s, device=request.device, precision=request.precision) for s in sources)
    with phase("asking both models"):
        vectors = [_comparable(embedder, words) for embedder in (old, new)]
    old_NK, new_NK = (nearest(vectors_ND) for vectors_ND in vectors)
    shared_N = overlap(old_NK, new_NK)
    drawn = np.sort(np.random.default_rng(0).permutation(len(words))[:TEXTS])
    pairs = [pair_similarities(vectors_ND[drawn]) for vectors_ND in vectors]
    cut = [embedder.tokens_of(words).full.lengths > embedder.settings.max_length for embedder in (old, new)]
    speed = measure_texts([_engine("OLD", old), _engine("NEW", new)], [(word,) for word in words])
    order_N, first_N = rank_biased_overlap(old_NK, new_NK), overlap(old_NK, new_NK, top=1)
    means = [Mean.of(values_N) for values_N in (shared_N, order_N, first_N)]
    translated = None if cut_off is None else translate(cut_off, *pairs)
    models = [_model(*each) for each in zip((old, new), vectors, cut, strict=True)]
    return VectorMigration(
        created=now(),
        data=texts.name,
        texts=len(words),
        of=texts.of,
        old=models[0],
        new=models[1],
        overlap=means[0],
        order=means[1],
        first=means[2],
        shift=shift_of(*pairs),
        cut_off=translated,
        only_new=float((cut[0] & ~cut[1]).mean()),
        moved=tuple(_moved(words, rows, shared_N, (old_NK, new_NK))),
        speed=speed,
        verdict=decide(means[0], means[1], translated, speed),
        notes=tuple(_notes(texts, words, models)),
        hardware=describe_hardware(),
        versions=versions(),
    )


def _different(request: MigrationRequest) -> tuple[Texts, list[str], list[int]]:
    """Return the file's texts, each once: two of the same would be each other's nearest for every model."""
    texts = read_texts(request.on, (), text=request.text, limit=request.limit)
    if len(texts.texts[0]) != 1:
        raise BadOption(f"a row has {counted(len(texts.texts[0]), 'text')}, and a vector is of one",
                        fix=f"Name one column: --text-col {texts.columns[0]}")  # fmt: skip
    first: dict[str, int] = {}
    for (text,), row in zip(texts.texts, texts.numbers, strict=True):
        first.setdefault(text, int(row))
    if len(first) <= TOP + 1:
        few = counted(len(first), "different text")
        raise BadData(f"it has {few}, and the first {TOP} of the others are compared",
                      where=str(request.on), fix="Give some hundred texts.")  # fmt: skip
    return texts, list(first), list(first.values())


def _comparable(embedder: Embedder, texts: list[str]) -> np.ndarray:
    """Return vectors whose product is the model's own similarity, fp32, shape (N, D)."""
    vectors_ND = embedder.encode(texts)
    return unit(vectors_ND) if embedder.settings.similarity == "cosine" else vectors_ND


def _engine(name: str, embedder: Embedder) -> TextEngine:
    def count(texts: Sequence[Text]) -> np.ndarray:
        lengths_N = embedder.tokens_of([text[0] for text in texts]).full.lengths
        return np.asarray(np.minimum(lengths_N, embedder.settings.max_length))

    return TextEngine(name, lambda texts: embedder.encode([text[0] for text in texts]), count)


def _model(embedder: Embedder, vectors_ND: np.ndarray, cut_N: np.ndarray) -> VectorModel:
    folder = embedder.source.folder
    weights = [p for pattern in ("*.safetensors", "*.bin", "onnx/*") for p in folder.glob(pattern)]
    return VectorModel(
        name=embedder.source.name,
        size=int(vectors_ND.shape[1]),
        similarity=embedder.settings.similarity,
        max_length=embedder.settings.max_length,
        truncated=float(cut_N.mean()),
        megabytes=sum(path.stat().st_size for path in weights) / 1e6,
    )


def _moved(
    words: list[str], rows: list[int], shared_N: np.ndarray, found: Sequence[np.ndarray]
) -> Iterator[Moved]:
    for i in np.argsort(shared_N, kind="stable")[:SHOWN].tolist():
        if shared_N[i] < 1:
            old, new = (words[int(numbers_NK[i, 0])] for numbers_NK in found)
            yield Moved(rows[i], words[i], float(shared_N[i]), old, new)


def _notes(texts: Texts, words: list[str], models: Sequence[VectorModel]) -> Iterator[str]:
    if len(texts.texts) < texts.of:
        yield f"{len(texts.texts):,} of {texts.of:,} texts, drawn at random (--limit)"
    if len(words) < len(texts.texts):
        yield f"{counted(len(texts.texts) - len(words), 'text')} left out: the same as an earlier one"
    if len(words) > TEXTS:
        yield f"similarities are of all pairs of {TEXTS:,} texts, drawn at random"
    if models[0].similarity != models[1].similarity:
        yield f"OLD compares by {models[0].similarity}, and NEW by {models[1].similarity}"
    yield "every text is a query among the others, read as a document: queries of users may differ more"
