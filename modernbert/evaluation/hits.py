"""What a search found, in arrays. A query needs this alone: neither torch nor scikit-learn is imported.

Shape suffixes: Q queries, N documents, K results, D vector size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Scores and document numbers of each query, best first, both of shape (Q, K).
Hits = tuple[np.ndarray, np.ndarray]
# The number of a place in the results that no document fills; its score is minus infinity.
NOTHING = -1


def as_hits(rows: Sequence[Sequence[tuple[int, float]]], k: int) -> Hits:
    """Return rows of (document number, score), each best first and at most `k` long, as arrays."""
    scores = np.full((len(rows), k), -np.inf, np.float32)
    numbers = np.full((len(rows), k), NOTHING, np.int64)
    for place, row in enumerate(rows):
        for rank, (number, score) in enumerate(row[:k]):
            scores[place, rank], numbers[place, rank] = score, number
    return scores, numbers


def unit(vectors_ND: np.ndarray) -> np.ndarray:
    """Scale vectors to length 1; a vector of zeros stays one."""
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    return np.asarray(vectors_ND / np.maximum(lengths_N1, 1e-12))


def best_places(scores_N: np.ndarray, k: int) -> np.ndarray:
    """Return the places of up to `k` largest scores, largest first; of equals, the first place first."""
    k = min(k, len(scores_N))
    if not k:
        return np.zeros(0, np.int64)
    least = np.partition(scores_N, len(scores_N) - k)[len(scores_N) - k]
    candidates = np.flatnonzero(scores_N >= least)
    return np.asarray(candidates[np.argsort(-scores_N[candidates], kind="stable")][:k])
