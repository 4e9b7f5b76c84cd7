"""Search with a vector for each token: every query's tokens against every document's.

Shape suffixes: L tokens of a text, d vector size, Q queries, K results.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch

from modernbert import processes
from modernbert.activity import phase
from modernbert.ahead import ahead
from modernbert.data.tokens import Tokens, tokenize
from modernbert.errors import BadOption
from modernbert.evaluation.embed import CHUNK, Embedder, require_finite
from modernbert.evaluation.runner import Begun, Here, never_stop
from modernbert.evaluation.vectors import VectorCache
from modernbert.model.embedding import EmbeddingSettings, Pooling, TextKind
from modernbert.model.late_interaction import (
    PackedTokenEmbedder,
    load_token_embedder,
    max_sim,
    pad_rows,
    recorded_length,
)


class LateEmbedder(Embedder):
    """A loaded model with a vector for each token."""

    def _read_settings(self, max_length: int, pooling: Pooling | None) -> EmbeddingSettings:
        found = super()._read_settings(max_length, pooling)
        length = min(found.max_length, recorded_length(self.source.folder))
        return replace(found, max_length=length, tuned=True)

    def _loader(self) -> Callable[[], PackedTokenEmbedder]:
        return partial(load_token_embedder, self.source)

    def encode(self, texts: Sequence[str], kind: TextKind = "document") -> np.ndarray:
        """Return the vectors of all tokens of all texts, one text after another, in half precision."""
        return np.concatenate(self.rows(texts))

    def rows(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Return each text's vectors, of shape (L, d)."""
        return self._rows(self._begin(texts))

    def _begin(self, texts: Sequence[str]) -> Begun:
        return self.runner.begin(
            tokenize(self.tokenizer, [(text,) for text in texts], self.settings.max_length)
        )

    def _rows(self, begun: Begun) -> list[np.ndarray]:
        rows = rows_of(begun)
        for vectors_Ld in rows:
            require_finite(vectors_Ld, self.source)
        return rows

    def search(
        self,
        queries: Sequence[str],
        texts: Sequence[str],
        k: int,
        *,
        owners: np.ndarray | None = None,
        cache: VectorCache | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compare every query with every text; nothing is kept on disk.

        Raises:
            BadOption: passages were asked for.
        """
        if owners is not None:
            raise BadOption("--passages is for models with one vector a text")
        rows: list[np.ndarray] = []
        with phase("embedding", len(texts), "texts", by_text=True) as now:
            chunks = (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))
            for begun in ahead(self._begin, chunks, self.runner.size):
                rows += self._rows(begun)
                now.reach(len(rows))
        return max_sim_search(self.rows(queries), rows, k)


# Cosines in memory at once: few, so that they and the vectors they come from stay in a processor's cache.
MAX_COSINES = 2**18


def token_vectors(
    network: torch.nn.Module,
    tokens: Tokens,
    *,
    max_tokens: int,
    accelerator: Any,
    check_stop: Callable[[], None] = never_stop,
) -> list[np.ndarray]:
    """Return each text's vectors in half precision, each of shape (L, d), in the order of the texts.

    Of several processes of a training each runs some of the batches; all get everything.
    """
    return rows_of(Here(network, accelerator, max_tokens, check_stop).begin(tokens))


def rows_of(begun: Begun) -> list[np.ndarray]:
    """Return each text's vectors in half precision, each of shape (L, d), in the order of the texts."""
    results = {i: rows_Ld.astype(np.float16) for i, rows_Ld in begun.results_by_text()}
    results = processes.put_together(results)
    return [results[i] for i in range(len(begun.tokens))]


def max_sim_search(
    queries: Sequence[np.ndarray], documents: Sequence[np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best scores and which documents gave them, best first, both of shape (Q, K); exact."""
    query_rows, query_mask = _padded(queries)
    order = np.argsort([len(rows) for rows in documents], kind="stable")
    scores_QN = torch.empty(len(queries), len(documents))
    start = 0
    while start < len(order):
        size = _block(order[start:], documents, query_rows.shape[1])
        block = order[start : start + size]
        rows, mask = _padded([documents[i] for i in block])
        scores_QN[:, torch.from_numpy(block)] = max_sim(query_rows, query_mask, rows, mask)
        start += size
    best_QK, numbers_QK = scores_QN.topk(min(k, len(documents)), dim=1)
    return best_QK.numpy(), numbers_QK.numpy()


def _block(order: np.ndarray, documents: Sequence[np.ndarray], query_length: int) -> int:
    """Return how many of the next documents (short ones first) fit into the cache beside a query."""
    lengths = np.array([len(documents[i]) for i in order])
    cells = lengths * np.arange(1, len(order) + 1) * query_length
    return max(1, int(np.searchsorted(cells, MAX_COSINES)))


def _padded(texts: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.from_numpy(np.concatenate(texts)).float()
    return pad_rows(rows, [len(text) for text in texts])
