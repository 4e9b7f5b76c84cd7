"""Texts to vectors, with any encoder.

Shape suffixes: N texts, D vector size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from modernbert.ahead import ahead
from modernbert.data.tokens import Tokens, measure, tokenize
from modernbert.errors import BadModel, BadOption
from modernbert.evaluation.hits import unit
from modernbert.evaluation.predict import logits_of
from modernbert.evaluation.runner import Begun
from modernbert.evaluation.search import exact_search
from modernbert.evaluation.vectors import VectorCache
from modernbert.evaluation.workers import ready_runner
from modernbert.files import model_checksums
from modernbert.model.embedding import (
    EmbeddingSettings,
    PackedEmbedder,
    Pooling,
    TextKind,
    embedding_settings,
)
from modernbert.model.exported import machine_for
from modernbert.model.late_interaction import is_late_interaction
from modernbert.model.loading import context_length, load_config, load_encoder, load_tokenizer
from modernbert.model.locate import ModelSource
from modernbert.wording import counted

# Texts in memory at once, sorted by length among themselves.
CHUNK = 4096
# Texts that are embedded to tell how long all of them will take, and those whose tokens are counted.
PROBE, COUNTED = 16, 512


@dataclass(frozen=True)
class Estimate:
    """How much there is to do, and how long it will take at the speed of a few texts.

    Attributes:
        texts: how many.
        tokens: about how many, from the lengths of up to 512 texts.
        seconds: about how long.
        cut: share of those texts that are longer than is read.
    """

    texts: int
    tokens: int
    seconds: float
    cut: float

    def __str__(self) -> str:
        minutes = f"{self.seconds / 60:.0f} min" if self.seconds >= 90 else f"{self.seconds:.0f} s"
        rate = self.tokens / max(self.seconds, 1e-9)
        return (
            f"{counted(self.texts, 'document')}, about {self.tokens:,} tokens: "
            f"about {minutes} at {rate:,.0f} tokens/s"
        )


def require_vectors(source: ModelSource) -> None:
    """Refuse models whose training was for something else than one vector a text."""
    if is_late_interaction(source.folder):
        raise BadModel(
            f"{source.name} has a vector for each token, not one for each text",
            fix="Next: mbert eval, which reads it; for an index: mbert finetune PAIRS --head vectors",
        )
    if any("SequenceClassification" in name for name in load_config(source).architectures or ()):
        raise BadModel(
            f"{source.name} is a classifier or a reranker: it gives no embeddings",
            fix=f"A reranker orders what another model found: mbert eval COLLECTION --rerank {source.name}",
        )


def require_finite(vectors: np.ndarray, source: ModelSource) -> None:
    """Raise BadModel for vectors that are not finite: NaN would rank first for every query."""
    if not np.isfinite(vectors).all():
        raise BadModel(
            f"{source.name} gives vectors that are not finite", fix="Try --precision fp32, or another model."
        )


def _load(source: ModelSource, settings: EmbeddingSettings) -> PackedEmbedder:
    require_vectors(source)
    return PackedEmbedder(load_encoder(source), settings)


class Embedder:
    """A loaded encoder with its tokenizer and settings, ready to give vectors."""

    def __init__(
        self,
        source: ModelSource,
        *,
        max_length: int = 0,
        pooling: Pooling | None = None,
        device: str = "auto",
        precision: str = "auto",
    ) -> None:
        """Load the model; what is not given is as the model says of itself.

        Raises:
            BadOption: `max_length` exceeds the model's context.
            BadModel: the model cannot be read, or has parts that mbert does not know.
        """
        context = context_length(load_config(source))
        if max_length > context:
            raise BadOption(f"max_length {max_length} exceeds the model's context of {context} tokens")
        self.source = source
        self.settings = self._read_settings(max_length, pooling)
        self.tokenizer = load_tokenizer(source)
        self.machine = machine_for(source, device, precision)
        self.runner, self.attention = ready_runner(source, self.machine, self._loader())

    def _read_settings(self, max_length: int, pooling: Pooling | None) -> EmbeddingSettings:
        own = embedding_settings(self.source)
        return replace(own, max_length=max_length or own.max_length, pooling=pooling or own.pooling)

    def _loader(self) -> Callable[[], Any]:
        return partial(_load, self.source, self.settings)

    def encode(self, texts: Sequence[str], kind: TextKind = "document") -> np.ndarray:
        """Return vectors in the order of the texts, fp32, shape (N, D)."""
        if len(texts) <= CHUNK:
            return self.finish(self.begin(texts, kind))
        chunks = (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))
        begin = partial(self.begin, kind=kind)
        return np.concatenate([self.finish(begun) for begun in ahead(begin, chunks, self.runner.size)])

    def begin(self, texts: Sequence[str], kind: TextKind = "document") -> Begun:
        """Tokenise texts; other processes, if there are any, begin to run the model."""
        return self.runner.begin(self.tokens_of(texts, kind))

    def finish(self, begun: Begun) -> np.ndarray:
        """Return the vectors of texts that were begun, fp32, shape (N, D)."""
        vectors_ND = logits_of(begun)
        require_finite(vectors_ND, self.source)
        return vectors_ND

    def tokens_of(self, texts: Sequence[str], kind: TextKind = "document") -> Tokens:
        """Return texts as the model reads them."""
        return tokenize(self.tokenizer, self._prompted(texts, kind), self.settings.max_length)

    def run(self, tokens: Tokens) -> np.ndarray:
        """Return the vectors of tokenised texts, fp32, shape (N, D)."""
        return self.finish(self.runner.begin(tokens))

    def _prompted(self, texts: Sequence[str], kind: TextKind) -> list[tuple[str]]:
        return [(self.settings.read(text, kind),) for text in texts]

    def encode_cached(
        self,
        texts: Sequence[str],
        cache: VectorCache,
    ) -> list[np.ndarray]:
        """Return documents' vectors in shards on disk; those that are there are not made again."""
        return cache.vectors(self.key, texts, self.finish, prepare=self.begin, steps=self.runner.size)

    def search(
        self,
        queries: Sequence[str],
        texts: Sequence[str],
        k: int,
        *,
        owners: np.ndarray | None = None,
        cache: VectorCache | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Search exactly; see `exact_search`.

        Args:
            queries, texts: what is looked for, and where.
            k: results per query.
            owners: the texts are passages; the document of each.
            cache: where the texts' vectors are kept, if they are.
        """
        shards: Iterable[np.ndarray]
        shards = [self.encode(texts)] if cache is None else self.encode_cached(texts, cache)
        queries_QD = self.encode(queries, "query")
        if self.settings.similarity == "cosine":
            shards, queries_QD = map(unit, shards), unit(queries_QD)
        return exact_search(queries_QD, shards, k, owners)

    @property
    def size(self) -> int:
        """How many numbers a vector has."""
        return int(load_config(self.source).hidden_size)

    @cached_property
    def key(self) -> dict[str, Any]:
        """Everything that a document's vector depends on."""
        settings = self.settings
        return {
            "weights": model_checksums(self.source.folder),
            "pooling": settings.pooling,
            "normalize": settings.normalize,
            "max_length": settings.max_length,
            "prompt": settings.document_prompt,
            "lower_case": settings.lower_case,
            "special_tokens": "read as text",
            "precision": self.machine.precision,
            "device": self.machine.device,
            "attention": self.attention.backend,
        }

    def share_cut(self, texts: Sequence[str]) -> float:
        """Return the share of some texts (of more than 512, of a sample) that are longer than is read."""
        draw = np.random.default_rng(0).permutation(len(texts))[:COUNTED]
        sample = self._prompted([texts[i] for i in draw], "document")
        return measure(self.tokenizer, sample).share_over(self.settings.max_length) if sample else 0.0

    def estimate(self, texts: Sequence[str]) -> Estimate:
        """Embed a few texts to tell how long all of them will take."""
        draw = np.random.default_rng(0).permutation(len(texts))
        counted = self._prompted([texts[i] for i in draw[:COUNTED]], "document")
        tokenized = tokenize(self.tokenizer, counted, self.settings.max_length)
        lengths = tokenized.lengths
        sample = [texts[i] for i in draw[: PROBE * self.runner.size]]
        self.encode(sample[:2])  # the first call of all costs more
        started = time.perf_counter()
        self.encode(sample)
        rate = lengths[: len(sample)].sum() / max(time.perf_counter() - started, 1e-9)
        tokens = int(lengths.mean() * len(texts))
        cut = tokenized.full.share_over(self.settings.max_length)
        return Estimate(len(texts), tokens, tokens / float(rate), cut)
