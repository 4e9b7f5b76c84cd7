"""How far a metric would move with other examples and other trainings.

Shape suffixes: N examples, S seeds (runs), K sums that a metric is made of, P examples and the added ones.

The examples are a sample: how far each moves a metric (its influence) gives the metric's variance (the
infinitesimal jackknife, Efron 1982). The trainings are a small sample: what differs from seed to seed has
few degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from modernbert.evaluation.sums import Sums

# Made-up examples, half of them right: without them all right answers would have no variance (Agresti & Coull
# 1998; for pairs Agresti & Min 2005).
ADDED = 2.0
# A variance this small is one of rounding.
NOTHING = 1e-24
# The logarithm of the least chance that is told from 0.
SMALLEST = -300.0


@dataclass(frozen=True)
class Noise:
    """The variance of a mean over runs, or of a difference of two, in two independent parts.

    Attributes:
        examples: the part that all trainings share; all of it where there is one training.
        freedom: its degrees of freedom.
        seeds: the part that differs from training to training, as it was measured.
        more: its degrees of freedom; 0 where it was not measured.
    """

    examples: float
    freedom: float
    seeds: float = 0.0
    more: int = 0

    @property
    def variance(self) -> float:
        """Both together."""
        return self.examples + self.seeds

    @property
    def deviation(self) -> float:
        """The standard error."""
        return float(self.variance**0.5)

    def quantile(self, level: float) -> float:
        """Return how many standard errors have this one-sided level.

        Each part's Student's t, weighted by its variance (Cochran & Cox 1950): few trainings cannot show that
        they differ little.
        """
        known = float(stats.t.ppf(level, self.freedom))
        if not self.seeds:
            return known
        return (self.examples * known + self.seeds * float(stats.t.ppf(level, self.more))) / self.variance

    def tail(self, errors: float) -> float:
        """Return the one-sided chance of so many standard errors: the inverse of `quantile`."""
        if not self.seeds:
            return float(stats.t.sf(errors, self.freedom))
        if errors <= 0:
            return 0.5 if errors == 0 else 1 - self.tail(-errors)
        if errors >= self._at(SMALLEST):
            return float(np.exp(SMALLEST))
        found = optimize.brentq(lambda x: self._at(x) - errors, SMALLEST, np.log(0.5), xtol=1e-9)
        return float(np.exp(found))

    def _at(self, logarithm: float) -> float:
        """Return the quantile of a chance that is given by its logarithm."""
        chance = float(np.exp(logarithm))
        known, few = stats.t.isf(chance, [self.freedom, self.more])
        return float((self.examples * known + self.seeds * few) / self.variance)


@dataclass(frozen=True)
class _Side:
    """The runs of one model.

    Attributes:
        influence_SP: how far each example moves each run's metric, times the number of examples.
        weights_P: 1 for each example, less for the added ones.
        values_S: the metric of each run.
    """

    influence_SP: np.ndarray
    weights_P: np.ndarray
    values_S: np.ndarray

    @property
    def more(self) -> int:
        """Trainings beyond the first."""
        return len(self.values_S) - 1

    def between(self) -> float:
        """Return the sum of squares between seeds."""
        return float(((self.values_S - self.values_S.mean()) ** 2).sum())

    def within(self, n: int) -> float:
        """Return the part of it that comes from other answers to these examples alone."""
        if not self.more:
            return 0.0
        variance_P = self.influence_SP.var(axis=0, ddof=1)
        return float(self.more * np.average(variance_P, weights=self.weights_P) / n)


def noise_of_mean(runs: Sequence[Sums], small: float = 1.0) -> Noise:
    """Return the noise of a model's mean over its runs.

    Args:
        small: factor of the examples' variance that makes up for their small number.
    """
    n = len(runs[0].parts_NK)
    side = _side(runs, "rw")
    examples = small * _variance(side.influence_SP.mean(0), side.weights_P, n)
    # A share says itself how much it varies: nothing is estimated.
    freedom = np.inf if runs[0].scale == "share" else n - 1.0
    return _with_seeds(examples, freedom, [side], small, n)


def noise_of_difference(
    first: Sequence[Sums], second: Sequence[Sums], trained: tuple[bool, bool], small: float = 1.0
) -> Noise:
    """Return the noise of the first model's mean less the second's, on the same examples.

    The variance between seeds is pooled over both models.

    Args:
        trained: which of them another training would change.
        small: as in `noise_of_mean`.
    """
    n = len(first[0].parts_NK)
    # Each of the four pairs of right and wrong answers is added.
    sides = [_side(first, "rrww"), _side(second, "rwrw")]
    apart_P = sides[0].influence_SP.mean(0) - sides[1].influence_SP.mean(0)
    examples = small * _variance(apart_P, sides[0].weights_P, n)
    chosen = [side for side, by_chance in zip(sides, trained, strict=True) if by_chance]
    return _with_seeds(examples, max(n - 1.0, 1.0), chosen, small, n)


def _variance(influence_P: np.ndarray, weights_P: np.ndarray, n: int) -> float:
    return float(np.average(influence_P**2, weights=weights_P) / n)


def _with_seeds(examples: float, freedom: float, sides: Sequence[_Side], small: float, n: int) -> Noise:
    """Part the examples' variance from the seeds'.

    Some of what the examples explain differs from seed to seed, and is in the variance between seeds too: it
    counts once, there. Nothing is taken from the variance between seeds.
    """
    more = sum(side.more for side in sides)
    if not more:
        return Noise(examples, freedom)
    share = sum(1 / len(side.values_S) for side in sides) / more
    within = small * share * sum(side.within(n) for side in sides)
    between = share * sum(side.between() for side in sides)
    return Noise(max(examples - within, examples / 2), freedom, between, more)


def _side(runs: Sequence[Sums], order: str) -> _Side:
    added = [with_added(run, order) for run in runs]
    influence_SP = np.stack([_influence(run, *rows) for run, rows in zip(runs, added, strict=True)])
    return _Side(influence_SP, added[0][1], np.array([run.measured for run in runs]))


def _influence(run: Sums, rows_PK: np.ndarray, weights_P: np.ndarray) -> np.ndarray:
    sums_K = weights_P @ rows_PK
    step_K = 1e-5 * (weights_P @ np.abs(rows_PK))
    step_K[step_K == 0] = 1e-5 * weights_P.sum()
    steps_KK = np.diag(step_K)
    slope_K = (run.value(sums_K + steps_KK) - run.value(sums_K - steps_KK)) / (2 * step_K)
    influence_P = weights_P.sum() * (rows_PK @ slope_K)
    return np.asarray(influence_P - np.average(influence_P, weights=weights_P))


def with_added(run: Sums, order: str = "rw") -> tuple[np.ndarray, np.ndarray]:
    """Return the examples' parts and weights, with the added right (r) and wrong (w) answers."""
    n = len(run.parts_NK)
    if run.right_LK is None or run.wrong_LK is None:
        return run.parts_NK, np.ones(n)
    added = [run.right_LK if answer == "r" else run.wrong_LK for answer in order]
    rows_PK = np.concatenate([run.parts_NK, *added])
    more = len(rows_PK) - n
    return rows_PK, np.concatenate([np.ones(n), np.full(more, ADDED / more)])
