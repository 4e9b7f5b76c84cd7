"""How similar pairs of texts are to each of two models, and which cut-off of one is which of the other.

Shape suffixes: N texts, D vector size, P pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

# All pairs of so many texts are about ten million.
TEXTS = 4_500
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
        pairs, share: how many that are, and of all pairs.
        same: share of the pairs above OLD's that are above NEW's too.
        old_for_new: share of the pairs that would be above, were OLD's number kept for NEW.
    """

    old: float
    new: float | None
    pairs: int
    share: float
    same: float | None
    old_for_new: float


def pair_similarities(vectors_ND: np.ndarray) -> np.ndarray:
    """Return the inner products of all pairs of different texts, fp32, shape (P,)."""
    rows, columns = np.triu_indices(len(vectors_ND), k=1)
    return np.asarray((vectors_ND @ vectors_ND.T)[rows, columns], np.float32)


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


def translate(cut: float, old_P: np.ndarray, new_P: np.ndarray) -> CutOff:
    """Return the similarity of NEW that as many pairs exceed as exceed OLD's `cut`: halfway between two."""
    above_P = old_P > cut
    count, share = int(above_P.sum()), float(above_P.mean())
    kept = float((new_P > cut).mean())
    if not 0 < count < len(old_P):
        return CutOff(cut, None, count, share, None, kept)
    place = len(new_P) - count
    ordered = np.partition(new_P, (place - 1, place))
    new = float((np.float64(ordered[place - 1]) + ordered[place]) / 2)
    return CutOff(cut, new, count, share, float((new_P > new)[above_P].mean()), kept)
