"""Rankings fused into one: the same in an evaluation and in `mbert search --hybrid`.

Shape suffixes: Q queries, K results, U documents that any of the rankings found for one query.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modernbert.evaluation.hits import NOTHING, Hits, as_hits

# Results of each ranking that are fused: what trec_eval's MAP looks at by convention.
DEPTH = 1000


def fuse(rankings: Sequence[Hits], k: int) -> Hits:
    """Add up each document's scores, those of each ranking standardised for each query.

    Standardised to mean 0 and variance 1, cosines and BM25 scores weigh alike, and how far a document is
    ahead counts, which ranks alone do not tell (Montague and Aslam 2001, "Relevance score normalization for
    metasearch"). Of equals, the one that the first ranking has first comes first. Their scores fall by the
    least step of fp32, so that trec_eval, which orders equals by their ids, scores the very order that a
    search shows.

    Args:
        rankings: scores and document numbers, best first, each of shape (Q, K).
        k: results per query.

    Returns:
        Scores and document numbers, best first.
    """
    queries = len(rankings[0][0])
    fused = [_fused([(scores[q], numbers[q]) for scores, numbers in rankings]) for q in range(queries)]
    scores_QK, numbers_QK = as_hits(fused, k)
    for place in range(1, k):
        below_Q = np.nextafter(scores_QK[:, place - 1], -np.inf, dtype=np.float32)
        scores_QK[:, place] = np.minimum(scores_QK[:, place], below_Q)
    return scores_QK, numbers_QK


def _fused(rows: Sequence[Hits]) -> list[tuple[int, float]]:
    """Return the numbers and scores of the documents that one query found, best first."""
    every, first_U = np.unique(np.concatenate([numbers for _, numbers in rows]), return_index=True)
    first_U = first_U[every != NOTHING]
    every_U = every[every != NOTHING]
    total_U = np.zeros(len(every_U))
    for scores_K, numbers_K in rows:
        found_K = numbers_K != NOTHING
        total_U += _standardised(every_U, scores_K[found_K], numbers_K[found_K])
    order_U = np.lexsort((first_U, -total_U))
    return list(zip(every_U[order_U].tolist(), total_U[order_U].tolist(), strict=True))


def _standardised(every_U: np.ndarray, scores_K: np.ndarray, numbers_K: np.ndarray) -> np.ndarray:
    """Return one ranking's standardised scores of all documents, shape (U,).

    A document that it lacks has the score 0 where the ranking ended before `DEPTH` (it shares no word with
    the query), else the last one's.
    """
    own_K = np.asarray(scores_K, np.float32).astype(np.float64)  # an index gives more digits
    raw_U = np.full(len(every_U), own_K[-1] if len(own_K) >= DEPTH else 0.0)
    raw_U[np.searchsorted(every_U, numbers_K)] = own_K
    in_order = np.sort(raw_U)  # sums of the same numbers in another order differ in their last digit
    deviation = in_order.std() if len(in_order) else 0.0
    return np.asarray((raw_U - in_order.mean()) / deviation if deviation > 0 else np.zeros(len(raw_U)))
