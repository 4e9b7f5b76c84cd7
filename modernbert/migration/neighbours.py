"""Do two models find the same? Queries, or every text among all others: their results are compared.

Shape suffixes: N queries (or texts), D vector size, K results.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import stats

from modernbert.evaluation.search import exact_search
from modernbert.evaluation.statistics import LEVEL

# Results whose sets are compared, and how deep orders are.
TOP, DEPTH = 10, 50
# How soon a reader of results stops (Webber et al. 2010): the first ten ranks have 86 % of the weight.
PERSISTENCE = 0.9
# Texts that are compared at once: a table of DEPTH x DEPTH for each.
AT_ONCE = 1_000


@dataclass(frozen=True)
class Mean:
    """The mean of one number for each text, with its 95 % interval over texts."""

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values_N: np.ndarray) -> Mean:
        """Return the mean of numbers between 0 and 1, by Student's t."""
        n, value = len(values_N), float(values_N.mean())
        half = float(stats.t.ppf(LEVEL, n - 1)) * float(values_N.std(ddof=1)) / math.sqrt(n)
        return cls(value, max(0.0, value - half), min(1.0, value + half), n)


def nearest(vectors_ND: np.ndarray, depth: int = DEPTH) -> np.ndarray:
    """Return the nearest other texts of each text, nearest first, shape (N, K); never the text itself."""
    n = len(vectors_ND)
    numbers_NK = exact_search(vectors_ND, [vectors_ND], min(depth + 1, n))[1]
    others_NK = numbers_NK != np.arange(n)[:, None]
    # A text that is not among its own nearest (others have the same vector) loses its last result instead.
    others_NK[:, -1] &= ~others_NK.all(axis=1)
    return np.asarray(numbers_NK[others_NK].reshape(n, -1))


def found_for(queries_ND: np.ndarray, texts: np.ndarray, depth: int = DEPTH) -> np.ndarray:
    """Return the nearest texts of each query, nearest first, shape (N, K).

    Args:
        texts: their vectors, one a row.
    """
    return np.asarray(exact_search(queries_ND, [texts], min(depth, len(texts)))[1])


def overlap(first_NK: np.ndarray, second_NK: np.ndarray, top: int = TOP) -> np.ndarray:
    """Return the share of the first `top` results that both have, for each text, shape (N,)."""
    same_NKK = first_NK[:, :top, None] == second_NK[:, None, :top]
    return np.asarray(same_NKK.sum(axis=(1, 2)) / min(top, first_NK.shape[1]))


def rank_biased_overlap(
    first_NK: np.ndarray, second_NK: np.ndarray, persistence: float = PERSISTENCE
) -> np.ndarray:
    """Return how alike two orders are, the first ranks weighing most, for each text, shape (N,).

    It is the extrapolated RBO of Webber, Moffat and Zobel (2010), equation 32, for two lists of one length:
    beyond it, the agreement is taken to stay as it is at its end. 1 is the same order, 0 no common result.
    """
    parts = range(0, len(first_NK), AT_ONCE)
    return np.concatenate(
        [_biased(first_NK[i : i + AT_ONCE], second_NK[i : i + AT_ONCE], persistence) for i in parts]
    )


def _biased(first_NK: np.ndarray, second_NK: np.ndarray, p: float) -> np.ndarray:
    depth = first_NK.shape[1]
    ranks_K = np.arange(depth)
    common_NK = np.zeros(first_NK.shape)
    rows, one, other = np.nonzero(first_NK[:, :, None] == second_NK[:, None, :])
    # A result is common from the depth on at which the later of both orders has it.
    np.add.at(common_NK, (rows, np.maximum(one, other)), 1)
    agreement_NK = common_NK.cumsum(axis=1) / (ranks_K + 1)
    weighted_N = (1 - p) * (agreement_NK * p**ranks_K).sum(axis=1)
    return np.asarray(weighted_N + agreement_NK[:, -1] * p**depth)
