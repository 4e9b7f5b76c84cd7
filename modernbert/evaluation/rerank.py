"""A cross-encoder reads query and document together and orders what a search found.

Shape suffixes: Q queries, K candidates.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.data.task import FileData, Task
from modernbert.data.tokens import Tokens, tokenize
from modernbert.errors import BadModel, BadOption
from modernbert.evaluation.embed import Estimate
from modernbert.evaluation.hits import NOTHING, as_hits
from modernbert.evaluation.predict import logits_of
from modernbert.evaluation.workers import ready_runner
from modernbert.model.encoder import PackedClassifier
from modernbert.model.exported import machine_for
from modernbert.model.loading import context_length, load_config, load_tokenizer, load_trained
from modernbert.model.locate import ModelSource

# What a reranker predicts: one number, higher for a better answer.
RERANKING = Task(
    name="reranking",
    summary="how well does the document answer the query?",
    kind="regression",
    text=("query", "document"),
    metrics=("spearman",),
    source=FileData({}, Path()),
)
# Candidates of each query that are read: as many as the published figures of rerankers use.
DEPTH = 100
MAX_LENGTH = 512


class Reranker:
    """A loaded cross-encoder with its tokenizer."""

    def __init__(
        self, source: ModelSource, *, max_length: int = 0, device: str = "auto", precision: str = "auto"
    ) -> None:
        """Load the model.

        Raises:
            BadModel: it has no trained head of one number.
            BadOption: `max_length` exceeds its context.
        """
        context = context_length(load_config(source))
        if max_length > context:
            raise BadOption(f"max_length {max_length} exceeds the model's context of {context} tokens")
        self.source = source
        self.max_length = max_length or min(context, MAX_LENGTH)
        self.tokenizer = load_tokenizer(source)
        self.machine = machine_for(source, device, precision)
        self.runner, _ = ready_runner(source, self.machine, partial(_load, source))

    def estimate(self, queries: Sequence[str], documents: Sequence[str], numbers_QK: np.ndarray) -> Estimate:
        """Read one query's candidates to tell how long all will take."""
        first = next((row for row in numbers_QK if row[0] != NOTHING), numbers_QK[0])
        pairs = [(queries[0], documents[n]) for n in first[:DEPTH] if n != NOTHING] or [(queries[0], "")]
        started = time.perf_counter()
        self.score(pairs)
        seconds = time.perf_counter() - started
        lengths = tokenize(self.tokenizer, pairs, self.max_length).lengths
        times = len(queries)
        cut = float((lengths >= self.max_length).mean())
        return Estimate(len(pairs) * times, int(lengths.sum()) * times, seconds * times, cut)

    def score(self, pairs: Sequence[tuple[str, str]]) -> np.ndarray:
        """Return one score for each (query, document), fp32."""
        return self.run(self.tokens_of(pairs))

    def tokens_of(self, pairs: Sequence[tuple[str, str]]) -> Tokens:
        """Return pairs as the model reads them."""
        return tokenize(self.tokenizer, pairs, self.max_length)

    def run(self, tokens: Tokens) -> np.ndarray:
        """Return one score for each tokenised pair, fp32, shape (N,)."""
        return logits_of(self.runner.begin(tokens))[:, 0]


def _load(source: ModelSource) -> PackedClassifier:
    return PackedClassifier(load_reranker(source))


def load_reranker(source: ModelSource) -> Any:
    """Load a cross-encoder, in evaluation mode. Raises BadModel when it has no trained head of one number."""
    try:
        return load_trained(source, RERANKING)
    except BadModel as error:
        raise BadModel(
            f"{source.name} cannot rerank: {error.what}",
            fix="Train one that can: mbert finetune codesearch/stdlib --head reranker",
        ) from None


def rerank(
    score: Callable[[Sequence[tuple[str, str]]], np.ndarray],
    queries: Sequence[str],
    documents: Sequence[str],
    numbers_QK: np.ndarray,
    *,
    depth: int = DEPTH,
) -> tuple[np.ndarray, np.ndarray]:
    """Order the first `depth` documents of each query anew; what stood behind them stays behind them.

    Args:
        score: of pairs (query, document).
        queries: texts.
        documents: texts, by number.
        numbers_QK: documents that a search found, best first.
        depth: how many are read.

    Returns:
        Scores and document numbers, best first, both of shape (Q, K). What was not read has falling scores
        below the lowest that was given.
    """
    rows = []
    with phase("reranking", len(queries), "queries") as now:
        for query, row in zip(queries, numbers_QK, strict=True):
            there = row[row != NOTHING].tolist()
            read, behind = there[:depth], there[depth:]
            found = score([(query, documents[n]) for n in read]) if read else np.zeros(0, np.float32)
            ordered = [(read[i], float(found[i])) for i in np.argsort(-found, kind="stable")]
            lowest = float(found.min(initial=0))
            rows.append([*ordered, *((n, lowest - rank) for rank, n in enumerate(behind, start=1))])
            now.advance()
    return as_hits(rows, numbers_QK.shape[1])
