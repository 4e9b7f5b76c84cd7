"""Measures of a ranking, through trec_eval's own code, with every query's value kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from modernbert.activity import phase
from modernbert.data.collection import Collection, Judgements
from modernbert.errors import BadModel
from modernbert.evaluation.hits import NOTHING, Hits
from modernbert.evaluation.metrics import mean_score
from modernbert.evaluation.sums import Clusters
from modernbert.records.scores import Score

# Name of ours: trec_eval's name. The first is the main one.
MEASURES = {
    "ndcg_at_10": "ndcg_cut_10",
    "map": "map",
    "recall_at_10": "recall_10",
    "recall_at_100": "recall_100",
}
MRR = "mrr_at_10"

Ranking = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class RankingScores:
    """Means with intervals, and each query's values.

    Attributes:
        clusters: which cluster each query belongs to; empty where each stands for itself.
    """

    scores: tuple[Score, ...]
    by_query: Mapping[str, Mapping[str, float]]
    clusters: Mapping[str, str] = field(default_factory=dict)

    @property
    def main(self) -> Score:
        """NDCG@10."""
        return self.scores[0]

    def rows(self, split: str) -> Iterator[dict[str, Any]]:
        """Yield one row per query: its id (split and query), its values, and its cluster if it has one."""
        for query, values in self.by_query.items():
            cluster = {"cluster": self.clusters[query]} if self.clusters else {}
            yield {"id": f"{split}/{query}", **values, **cluster}


def depth(collection: Collection, k: int) -> int:
    """Return how many results to ask a search for, so that `k` are left by `without_identical`."""
    return k + collection.ignore_identical


def without_identical(collection: Collection, hits: Hits, k: int) -> Hits:
    """Leave a query's own document (of the same id) out where the collection says so, and cut to `k`."""
    scores_QK, numbers_QK = hits
    if collection.ignore_identical:
        places = {identifier: place for place, identifier in enumerate(collection.documents.ids)}
        own_Q1 = np.array([places.get(query, NOTHING) for query in collection.queries])[:, None]
        scores_QK, numbers_QK = _put_last(scores_QK, numbers_QK, numbers_QK == own_Q1)
    return scores_QK[:, :k], numbers_QK[:, :k]


def _put_last(scores_QK: np.ndarray, numbers_QK: np.ndarray, out_QK: np.ndarray) -> Hits:
    """Move the places that are out behind all others, and empty them."""
    order_QK = np.argsort(out_QK, axis=1, kind="stable")
    scores = np.take_along_axis(np.where(out_QK, -np.inf, scores_QK), order_QK, 1)
    numbers = np.take_along_axis(np.where(out_QK, NOTHING, numbers_QK), order_QK, 1)
    return scores, numbers


def ranking_of(collection: Collection, scores_QK: np.ndarray, numbers_QK: np.ndarray) -> Ranking:
    """Name the documents that a search found, by query.

    Raises:
        BadModel: scores that are not numbers, by which nothing can be ranked.
    """
    if broken := int((np.isnan(scores_QK) & (numbers_QK != NOTHING)).any(axis=1).sum()):
        raise BadModel(
            f"the scores of {broken:,} of {len(scores_QK):,} queries are not numbers (nan)",
            fix="Try --precision fp32; if that is no help, the model's weights are broken.",
        )
    ids = collection.documents.ids
    return {
        query: {ids[n]: float(s) for n, s in zip(numbers_K, scores_K, strict=True) if n != NOTHING}
        for query, numbers_K, scores_K in zip(collection.queries, numbers_QK, scores_QK, strict=True)
    }


@phase("computing scores and intervals")
def score_hits(collection: Collection, hits: Hits) -> RankingScores:
    """Score what a search found for a collection's queries. Raises as `ranking_of`."""
    return score_ranking(ranking_of(collection, *hits), collection.judgements, collection.clusters)


def score_ranking(
    ranking: Ranking, judgements: Judgements, clusters: Mapping[str, str] | None = None
) -> RankingScores:
    """Score a ranking: score by query id and document id, higher is better.

    A query without relevant documents is left out, as trec_eval does; one without results scores 0. Ties are
    broken as trec_eval breaks them. Intervals are over queries, or over clusters of them.
    """
    import pytrec_eval

    relevant = {
        query: dict(grades)
        for query, grades in judgements.items()
        if any(grade > 0 for grade in grades.values())
    }
    assert relevant, "no query has a relevant document"
    results = {query: dict(ranking.get(query, {})) for query in relevant}
    full = pytrec_eval.RelevanceEvaluator(relevant, set(MEASURES.values())).evaluate(results)
    # trec_eval's reciprocal rank looks at the whole list: cut it to ten first.
    tops = {query: dict(_top(found, 10)) for query, found in results.items()}
    ranks = pytrec_eval.RelevanceEvaluator(relevant, {"recip_rank"}).evaluate(tops)
    by_query = {
        query: {ours: full.get(query, {}).get(theirs, 0.0) for ours, theirs in MEASURES.items()}
        | {MRR: ranks.get(query, {}).get("recip_rank", 0.0)}
        for query in relevant
    }
    names = ("ndcg_at_10", MRR, "map", "recall_at_10", "recall_at_100")
    names_Q = [clusters[query] for query in by_query] if clusters else None
    scores = tuple(_mean(name, by_query, names_Q) for name in names)
    return RankingScores(scores, by_query, clusters or {})


def _top(found: Mapping[str, float], k: int) -> list[tuple[str, float]]:
    """Return the best k as trec_eval orders them: by score, then by document id, both falling."""
    return sorted(found.items(), key=lambda item: (item[1], item[0]), reverse=True)[:k]


def _mean(name: str, by_query: Mapping[str, Mapping[str, float]], clusters: Clusters) -> Score:
    return mean_score(name, np.array([measures[name] for measures in by_query.values()]), clusters)
