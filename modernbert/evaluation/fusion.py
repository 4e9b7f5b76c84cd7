"""Rankings fused into one: the same in an evaluation and in `mbert search --hybrid`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modernbert.evaluation.hits import NOTHING, Hits, as_hits

# Reciprocal rank fusion's constant (Cormack, Clarke and Buettcher 2009).
FUSION = 60
# Results of each ranking that are fused: what trec_eval's MAP looks at by convention.
DEPTH = 1000


def fuse(rankings: Sequence[np.ndarray], k: int) -> Hits:
    """Fuse rankings by reciprocal ranks; of equals, the one that the first ranking has first comes first.

    Equals are common (first here and fifth there, or the reverse). Their scores fall by the least step of
    fp32, so that trec_eval, which orders equals by their ids, scores the very order that a search shows.

    Args:
        rankings: document numbers, best first, each of shape (queries, results).
        k: results per query.

    Returns:
        Scores and document numbers, best first.
    """
    fused = []
    for rows in zip(*rankings, strict=True):
        found: dict[int, float] = {}
        for row in rows:
            for rank, number in enumerate(row[row != NOTHING].tolist(), start=1):
                found[number] = found.get(number, 0.0) + 1 / (FUSION + rank)
        fused.append(sorted(found.items(), key=lambda item: -item[1]))
    scores_QK, numbers_QK = as_hits(fused, k)
    for place in range(1, k):
        below_Q = np.nextafter(scores_QK[:, place - 1], -np.inf, dtype=np.float32)
        scores_QK[:, place] = np.minimum(scores_QK[:, place], below_Q)
    return scores_QK, numbers_QK
