"""Hard negatives: documents that a model ranks high for a query and that do not answer it.

Shape suffixes: Q queries, N documents, D vector size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from modernbert.activity import phase
from modernbert.data.collection import Collection
from modernbert.evaluation.search import exact_search

# Candidates per query, and the guard: a document that scores above this share of the positive's score is
# likely to answer the query too (Moreira et al. 2024, arXiv:2407.15831, their TopK-PercPos).
DEPTH = 100
GUARD = 0.95


@phase("mining hard negatives")
def mine(
    collection: Collection,
    queries_QD: np.ndarray,
    documents_ND: np.ndarray,
    *,
    per_query: int,
    seed: int,
) -> tuple[dict[str, dict[str, int]], int]:
    """Add documents judged 0 to each query's judgements.

    Args:
        collection: the training queries with their known relevant documents.
        queries_QD, documents_ND: unit vectors, in the collection's order.
        per_query: how many; drawn from the candidates that pass the guard.
        seed: of the draw.

    Returns:
        The judgements with negatives, and how many candidates the guard left out.
    """
    draw = np.random.default_rng(seed)
    ids = collection.documents.ids
    place = {identifier: i for i, identifier in enumerate(ids)}
    scores, numbers = exact_search(queries_QD, [documents_ND], DEPTH)
    guarded = 0
    judgements: dict[str, dict[str, int]] = {}
    for i, query in enumerate(collection.queries):
        grades = dict(collection.judgements[query])
        positives = [place[d] for d, grade in grades.items() if grade > 0 and d in place]
        if positives:
            limit = GUARD * float((documents_ND[positives] @ queries_QD[i]).min())
            candidates = [(int(n), float(s)) for n, s in zip(numbers[i], scores[i], strict=True)]
            own = query if collection.ignore_identical else None
            unjudged = [(n, s) for n, s in candidates if ids[n] not in grades and ids[n] != own]
            safe = [n for n, s in unjudged if s <= limit]
            guarded += len(unjudged) - len(safe)
            grades |= {ids[n]: 0 for n in _drawn(safe, per_query, draw)}
        judgements[query] = grades
    return judgements, guarded


def _drawn(numbers: Sequence[int], count: int, draw: np.random.Generator) -> list[int]:
    if len(numbers) <= count:
        return list(numbers)
    return sorted(int(n) for n in draw.choice(numbers, count, replace=False))
