"""Exact search: the best documents of each query, block by block.

Shape suffixes: Q queries, N documents of a block, K results, D vector size.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

# Scores in memory at once, in numbers: 256 MiB.
MAX_SCORES = 2**26


def exact_search(
    queries_QD: np.ndarray, blocks: Iterable[np.ndarray], k: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the largest inner products and which documents gave them, best first.

    Args:
        queries_QD: query vectors, fp32.
        blocks: document vectors in order, each of shape (N, D); may be read from a file one by one.
        k: results per query; fewer when there are fewer documents.

    Returns:
        Scores and document numbers, both of shape (Q, K).
    """
    queries = torch.from_numpy(np.ascontiguousarray(queries_QD, dtype=np.float32))
    best_QK = torch.empty(len(queries), 0)
    numbers_QK = torch.empty(len(queries), 0, dtype=torch.int64)
    start = 0
    for block in blocks:
        step = max(1, MAX_SCORES // max(1, len(queries)))
        for first in range(0, len(block), step):
            part = torch.from_numpy(np.asarray(block[first : first + step], dtype=np.float32))
            scores_QN = queries @ part.T
            numbers_QN = torch.arange(start, start + len(part)).expand(len(queries), -1)
            all_QN = torch.cat((best_QK, scores_QN), dim=1)
            best_QK, places_QK = all_QN.topk(min(k, all_QN.shape[1]), dim=1)
            numbers_QK = torch.cat((numbers_QK, numbers_QN), dim=1).gather(1, places_QK)
            start += len(part)
    return best_QK.numpy(), numbers_QK.numpy()
