"""How similar pairs of texts are to each of two models, and which cut-off of one is which of the other.

Pairs are of different texts, or of a query and a text.

Shape suffixes: Q queries, N texts, D vector size, P pairs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from modernbert.evaluation.statistics import LEVEL

# All pairs of so many texts are about ten million; as many are those of half as many queries with them.
TEXTS, QUERIES = 4_500, 2_250
# Pairs whose order is compared.
RANKED = 200_000
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 0.999)


@dataclass(frozen=True)
class Shift:
    """The similarities of all pairs of different texts.

    Attributes:
        pairs: how many.
        quantiles: the share of pairs below, and the similarity of OLD and of NEW there.
        mean: of OLD and of NEW.
        rank_correlation: Spearman's, of both similarities.
    """

    pairs: int
    quantiles: tuple[tuple[float, float, float], ...]
    mean: tuple[float, float]
    rank_correlation: float


@dataclass(frozen=True)
class CutOff:
    """A similarity of OLD above which pairs count as alike, on NEW's scale.

    Attributes:
        old: as the user gave it.
        new: as many pairs are above it; None where no pair, or every pair, is above OLD's.
        low, high: its 95 % interval over texts (see `translate`); None where `new` is.
        pairs, share: how many that are, and of all pairs.
        same: share of the pairs above OLD's that are above NEW's too.
        old_for_new: share of the pairs that would be above, were OLD's number kept for NEW.
    """

    old: float
    new: float | None
    low: float | None
    high: float | None
    pairs: int
    share: float
    same: float | None
    old_for_new: float


@dataclass(frozen=True)
class Pairs:
    """Which texts the pairs are of.

    Attributes:
        first_P, second_P: places of a pair's texts; of a query and a text, where there are queries.
        queries: how many; 0 where both are of the same texts.
        texts: how many.
    """

    first_P: np.ndarray
    second_P: np.ndarray
    queries: int
    texts: int

    @classmethod
    def of(cls, texts: int, queries: int = 0) -> Pairs:
        """Return all pairs of different texts, or of each query with each text."""
        if not queries:
            return cls(*np.triu_indices(texts, k=1), 0, texts)
        first_QN, second_QN = np.indices((queries, texts))
        return cls(first_QN.ravel(), second_QN.ravel(), queries, texts)

    def similarities(self, vectors_ND: np.ndarray, queries_QD: np.ndarray | None = None) -> np.ndarray:
        """Return the inner products of the pairs, fp32, shape (P,)."""
        first = vectors_ND if queries_QD is None else queries_QD
        return np.asarray((first @ vectors_ND.T)[self.first_P, self.second_P], np.float32)

    def error(self, values_P: np.ndarray) -> float:
        """Return the standard error of the pairs' mean: pairs with a text in common are not independent.

        Texts (and queries) are a random sample. The mean over pairs of different texts is a U-statistic
        (Hoeffding 1948): it varies as twice the mean of each text's own mean. With queries, it varies as the
        means of queries and those of texts do. Both count twice what is of a single pair.
        """
        if not self.queries:
            sums_N = _sums(self.first_P, values_P, self.texts) + _sums(self.second_P, values_P, self.texts)
            means_N = sums_N / (self.texts - 1)
            expected_P, variance = means_N[self.first_P] + means_N[self.second_P], 4 * _variance(means_N)
        else:
            means_Q = _sums(self.first_P, values_P, self.queries) / self.texts
            means_N = _sums(self.second_P, values_P, self.texts) / self.queries
            expected_P = means_Q[self.first_P] + means_N[self.second_P]
            variance = _variance(means_Q) + _variance(means_N)
        of_pairs = float((values_P - expected_P).var()) / len(values_P)
        return math.sqrt(max(variance - of_pairs, of_pairs))


def _sums(places_P: np.ndarray, values_P: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(places_P, values_P, count)


def _variance(means: np.ndarray) -> float:
    """Return the variance of the mean of these; infinite for one alone."""
    return float(means.var(ddof=1)) / len(means) if len(means) > 1 else math.inf


def shift_of(old_P: np.ndarray, new_P: np.ndarray) -> Shift:
    """Compare two models' similarities of the same pairs."""
    cuts = [np.quantile(pairs, QUANTILES) for pairs in (old_P, new_P)]
    some = np.random.default_rng(0).permutation(len(old_P))[:RANKED]
    return Shift(
        pairs=len(old_P),
        quantiles=tuple((q, float(a), float(b)) for q, a, b in zip(QUANTILES, *cuts, strict=True)),
        mean=(float(old_P.mean()), float(new_P.mean())),
        rank_correlation=float(stats.spearmanr(old_P[some], new_P[some]).statistic),
    )


def translate(cut: float, old_P: np.ndarray, new_P: np.ndarray, pairs: Pairs) -> CutOff:
    """Return the similarity of NEW that as many pairs exceed as exceed OLD's `cut`: halfway between two.

    Its interval is Woodruff's (1952): how far the share above NEW's could be from that above OLD's in another
    sample of texts, read on NEW's scale.
    """
    above_P = old_P > cut
    count, share = int(above_P.sum()), float(above_P.mean())
    kept = float((new_P > cut).mean())
    if not 0 < count < len(old_P):
        return CutOff(cut, None, None, None, count, share, None, kept)
    ordered_P = np.sort(new_P)
    place = len(new_P) - count
    new = float((np.float64(ordered_P[place - 1]) + ordered_P[place]) / 2)
    half = float(stats.norm.ppf(LEVEL)) * pairs.error(above_P.astype(float) - (new_P > new))
    low = float(ordered_P[max(0, math.floor(place - half * len(new_P)) - 1)])
    high = float(ordered_P[min(len(new_P) - 1, math.ceil(place + half * len(new_P)))])
    same = float((new_P > new)[above_P].mean())
    return CutOff(cut, new, low, high, count, share, same, kept)
