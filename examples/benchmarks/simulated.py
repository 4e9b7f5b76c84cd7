"""Laws that simulated models' answers are drawn from, whose true scores are known (for `coverage.py`).

Shape suffixes: N examples, S trainings.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import stats

LEVELS = ("near chance", "middle", "near 1")
POSITIVE = 0.3
# The part of what decides an answer that is the example's own, the same in every training.
SHARED = 0.6
# What a ranking scores with the first relevant document at rank 1, 2, ... 10, or nowhere.
GAINS = np.append(1 / np.log2(np.arange(2, 12)), 0.0)
# Points and weights that turn an expectation over trainings into a sum.
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(21)
Draw = Callable[[np.random.Generator, int, np.ndarray], tuple[np.ndarray, list[np.ndarray]]]


@dataclass(frozen=True)
class Law:
    """What a metric's data are drawn from.

    Attributes:
        draw: (random, examples, each training's luck) -> labels and each training's predictions.
        truth: a training's luck -> its score over all examples.
        spread: deviation of the luck.
    """

    metric: str
    draw: Draw
    truth: Callable[[np.ndarray], np.ndarray]
    spread: float

    def mean(self) -> float:
        """Return the mean score over all trainings."""
        return float(self.truth(NODES * self.spread) @ WEIGHTS / WEIGHTS.sum())


def answers(random: np.random.Generator, n: int, luck_S: np.ndarray) -> np.ndarray:
    """Return how well each training does on each example, shape (S, N), normal with deviation 1."""
    hard_N = random.normal(0, SHARED**0.5, n)
    return luck_S[:, None] + hard_N + random.normal(0, (1 - SHARED) ** 0.5, (len(luck_S), n))


def classes(metric: str, accuracy: float, spread: float) -> Law:
    """Two classes; as much goes wrong with one as with the other."""
    threshold = stats.norm.ppf(accuracy)

    def draw(random: np.random.Generator, n: int, luck_S: np.ndarray):
        labels = (random.random(n) < POSITIVE).astype(int)
        right_SN = answers(random, n, luck_S) + threshold > 0
        return labels, [np.where(right_N, labels, 1 - labels) for right_N in right_SN]

    def truth(luck: np.ndarray) -> np.ndarray:
        a, p = stats.norm.cdf(threshold + luck), POSITIVE
        said = p * a + (1 - p) * (1 - a)
        return {
            "accuracy": a,
            "f1": 2 * p * a / (p + said),
            "matthews": (p * a - p * said) / np.sqrt(p * (1 - p) * said * (1 - said)),
        }[metric]

    return Law(metric, draw, truth, spread / stats.norm.pdf(threshold))


def rankings(first: float, found: float) -> Law:
    """Queries whose relevant document is first, at another of ten ranks alike, or not found."""
    shares = np.array([first, *np.full(9, (found - first) / 9), 1 - found])
    cuts = stats.norm.ppf(1 - np.cumsum(shares)[:-1])

    def draw(random: np.random.Generator, n: int, luck_S: np.ndarray):
        places_SN = (answers(random, n, luck_S)[..., None] < cuts).sum(-1)
        return np.zeros(n), list(GAINS[places_SN])

    def truth(luck: np.ndarray) -> np.ndarray:
        return stats.norm.sf(cuts[:, None] - luck).T @ -np.diff(GAINS)

    return Law("ndcg_at_10", draw, truth, 0.04)


def correlations(metric: str, correlation: float) -> Law:
    """Two normal numbers."""
    centre = np.arctanh(correlation)

    def draw(random: np.random.Generator, n: int, luck_S: np.ndarray):
        labels = random.normal(size=n)
        noise_SN = answers(random, n, np.zeros(len(luck_S)))
        r_S1 = np.tanh(centre + luck_S)[:, None]
        return labels, list(r_S1 * labels + np.sqrt(1 - r_S1**2) * noise_SN)

    def truth(luck: np.ndarray) -> np.ndarray:
        r = np.tanh(centre + luck)
        return r if metric == "pearson" else 6 / np.pi * np.arcsin(r / 2)

    return Law(metric, draw, truth, 0.02)


def laws() -> dict[tuple[str, str], Law]:
    """Return every metric's law on every level."""
    found = {}
    for level, accuracy, ranks, r in zip(
        LEVELS, (0.5, 0.8, 0.97), ((0.02, 0.1), (0.35, 0.75), (0.9, 0.99)), (0.05, 0.6, 0.95), strict=True
    ):
        spread = 0.01 if accuracy < 0.9 else 0.004
        for metric in ("accuracy", "f1", "matthews"):
            found[metric, level] = classes(metric, accuracy, spread)
        found["ndcg_at_10", level] = rankings(*ranks)
        for metric in ("pearson", "spearman"):
            found[metric, level] = correlations(metric, r)
    return found
