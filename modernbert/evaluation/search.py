"""Exact search: the best documents of each query, block by block.

Shape suffixes: Q queries, N documents of a block, K results, D vector size.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch

# Scores in memory at once, in numbers: 256 MiB.
MAX_SCORES = 2**26


def exact_search(
    queries_QD: np.ndarray, blocks: Iterable[np.ndarray], k: int, owners: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest inner products and which documents gave them, best first.

    Args:
        queries_QD: query vectors, fp32.
        blocks: document vectors in order, each of shape (N, D); may be read from a file one by one.
        k: results per query; fewer when there are fewer documents.
        owners: the vectors are of passages; the document of each, ascending. A document's score is then that
            of its best passage.

    Returns:
        Scores and document numbers, both of shape (Q, K).
    """
    queries = torch.from_numpy(np.ascontiguousarray(queries_QD, dtype=np.float32))
    best_QK = torch.empty(len(queries), 0)
    numbers_QK = torch.empty(len(queries), 0, dtype=torch.int64)
    parts = _scores(queries, blocks)
    for start, scores_QN in parts if owners is None else _by_owner(parts, owners):
        numbers_QN = torch.arange(start, start + scores_QN.shape[1]).expand(len(queries), -1)
        all_QN = torch.cat((best_QK, scores_QN), dim=1)
        best_QK, places_QK = all_QN.topk(min(k, all_QN.shape[1]), dim=1)
        numbers_QK = torch.cat((numbers_QK, numbers_QN), dim=1).gather(1, places_QK)
    return best_QK.numpy(), numbers_QK.numpy()


def _scores(queries: torch.Tensor, blocks: Iterable[np.ndarray]) -> Iterator[tuple[int, torch.Tensor]]:
    """Yield (number of the first vector, scores of shape (Q, N)), no more at once than fits."""
    start = 0
    step = max(1, MAX_SCORES // max(1, len(queries)))
    for block in blocks:
        for first in range(0, len(block), step):
            part = torch.from_numpy(np.array(block[first : first + step], dtype=np.float32))
            yield start, queries @ part.T
            start += len(part)


def _by_owner(
    parts: Iterable[tuple[int, torch.Tensor]], owners: np.ndarray
) -> Iterator[tuple[int, torch.Tensor]]:
    """Turn scores of passages into scores of documents: the best of each."""
    held: tuple[int, torch.Tensor] | None = None  # the last document may go on in the next part
    for start, scores_QN in parts:
        own_N = torch.from_numpy(owners[start : start + scores_QN.shape[1]].astype(np.int64))
        first = held[0] if held else int(own_N[0])
        best_QM = scores_QN.new_full((len(scores_QN), int(own_N[-1]) - first + 1), -torch.inf)
        if held:
            best_QM[:, 0] = held[1]
        best_QM.scatter_reduce_(1, (own_N - first).expand(len(scores_QN), -1), scores_QN, "amax")
        if best_QM.shape[1] > 1:
            yield first, best_QM[:, :-1]
        held = int(own_N[-1]), best_QM[:, -1]
    if held:
        yield held[0], held[1][:, None]
