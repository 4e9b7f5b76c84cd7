"""How far a metric would move with other examples and other trainings.

Shape suffixes: N examples, S seeds (runs), K sums that a metric is made of, P examples and the added ones.

The examples are a sample: how far each moves a metric (its influence) gives the metric's variance (the
infinitesimal jackknife, Efron 1982). The trainings are a small sample: what differs from seed to seed has
few degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, zip_longest

import numpy as np
from scipy import optimize, special

from modernbert.evaluation.sums import Sums

# Made-up examples, half of them right: without them all right answers would have no variance (Agresti & Coull
# 1998; for pairs Agresti & Min 2005).
ADDED = 2.0
# A variance this small is one of rounding.
NOTHING = 1e-24
# The logarithm of the least chance that is told from 0.
SMALLEST = -200.0


# How the seeds' share of the variance weighs their own Student's t (see `Noise.quantile`): its power, found
# by numerical integration over every share. With three trainings an interval of a mean then holds the truth
# in 94.3 to 96.0 %, with five in 94.9 to 95.6 %; a difference of nothing is called one in 5 to 5.6 %.
OF_A_MEAN = 1.5
OF_A_DIFFERENCE = 0.75
# With two trainings no power does: this line through shares and weights gives 92.9 to 96.1 %.
OF_TWO_TRAININGS = ((0.0, 0.1, 0.3, 0.9, 1.0), (0.0, 0.0, 0.5, 0.5, 1.0))


@dataclass(frozen=True)
class Part:
    """An estimated variance and its degrees of freedom."""

    variance: float
    freedom: float


@dataclass(frozen=True)
class Noise:
    """The variance of a mean over runs, or of a difference of two, in independent parts.

    Attributes:
        examples: the part that all trainings share; all of it where there is one training.
        seeds: of each model, the part that differs from training to training; none where it was not measured.
        is_difference: of two means; what is safe for a verdict is wider than what a mean's interval needs.
    """

    examples: Part
    seeds: tuple[Part, ...] = ()
    is_difference: bool = False

    @property
    def variance(self) -> float:
        """All parts together."""
        return self.examples.variance + self._of_seeds

    @property
    def deviation(self) -> float:
        """The standard error."""
        return float(self.variance**0.5)

    @property
    def _of_seeds(self) -> float:
        return sum(part.variance for part in self.seeds)

    def quantile(self, level: float) -> float:
        """Return how many standard errors have this one-sided level."""
        return self._above(1 - level)

    def _above(self, chance: float) -> float:
        """Return how many standard errors are exceeded with this chance.

        It lies between the examples' Student's t and the seeds', the nearer to the seeds' the larger their
        share. Cochran and Cox (1950) weigh with the share itself, Satterthwaite (1946) adds up degrees of
        freedom: the first is too wide, the second too narrow where few trainings make most of the noise.
        """
        known = _exceeded(chance, self.examples.freedom)
        if not self._of_seeds:
            return known
        return known + (self._seeds_above(chance) - known) * self._weight()

    def _weight(self) -> float:
        share = self._of_seeds / self.variance
        if self.is_difference:
            return float(share**OF_A_DIFFERENCE)
        if min(part.freedom for part in self.seeds) < 2:
            return float(np.interp(share, *OF_TWO_TRAININGS))
        return float(share**OF_A_MEAN)

    def _seeds_above(self, chance: float) -> float:
        """Return the same for the seeds alone; the two models' seeds may scatter unlike each other.

        The lesser of two values: Cochran and Cox's, each model's t weighted by its variance, and the t of
        more degrees of freedom than the model with fewer seeds has, up to the square root of 2 as many where
        both variances are the same. (Welch has 2; his test errs in up to 10 % with two seeds and five.)
        """
        variances = np.array([part.variance for part in self.seeds])
        fewest = min(part.freedom for part in self.seeds)
        together = fewest * variances.sum() / np.sqrt((variances**2).sum())
        apart = [_exceeded(chance, part.freedom) for part in self.seeds]
        return min(float(np.average(apart, weights=variances)), _exceeded(chance, together))

    def tail(self, errors: float) -> float:
        """Return the one-sided chance of so many standard errors: the inverse of `quantile`."""
        if not self._of_seeds:
            return float(special.stdtr(self.examples.freedom, -errors))
        if errors <= 0:
            return 0.5 if errors == 0 else 1 - self.tail(-errors)
        below = -1.0
        while self._above(np.exp(below)) < errors:
            below *= 2
            if below < SMALLEST:
                return float(np.exp(SMALLEST))
        found = optimize.brentq(lambda x: self._above(np.exp(x)) - errors, below, np.log(0.5), xtol=1e-9)
        return float(np.exp(found))


def _exceeded(chance: float, freedom: float) -> float:
    """Return what Student's t exceeds with this chance (`stats.t.isf`, a hundred times as fast)."""
    return -float(special.stdtrit(freedom, chance))


def noise_of_average(noises: Sequence[Noise]) -> Noise:
    """Return the noise of a mean over tasks, which are independent: other examples, other trainings.

    Degrees of freedom of each part are Satterthwaite's (1946).
    """
    sides = zip_longest(*(noise.seeds for noise in noises), fillvalue=Part(0.0, 1))
    seeds = tuple(_average(parts) for parts in sides)
    return Noise(_average([noise.examples for noise in noises]), seeds, noises[0].is_difference)


def _average(parts: Sequence[Part]) -> Part:
    total = sum(part.variance for part in parts)
    squares = sum(part.variance**2 / part.freedom for part in parts)
    freedom = total**2 / squares if squares else max(part.freedom for part in parts)
    return Part(total / len(parts) ** 2, freedom)


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
        """Return the variance between seeds."""
        return float(self.values_S.var(ddof=1))

    def within(self, n: int) -> float:
        """Return the part of it that comes from other answers to these examples alone."""
        variance_P = self.influence_SP.var(axis=0, ddof=1)
        return float(np.average(variance_P, weights=self.weights_P) / n)


def noise_of_mean(runs: Sequence[Sums], small: float = 1.0) -> Noise:
    """Return the noise of a model's mean over its runs.

    Args:
        small: factor of the examples' variance that makes up for their small number.
    """
    n = len(runs[0].parts_NK)
    # Whether runs err on the same examples is for the real ones to say: the added ones do not.
    side = _side(runs, unrelated_orders(len(runs)))
    # A share says itself how much it varies: nothing is estimated.
    freedom = np.inf if runs[0].scale == "share" else n - 1.0
    examples = Part(small * _variance(side.influence_SP.mean(0), side.weights_P, n), freedom)
    return _with_seeds(examples, [side], small, n)


def noise_of_difference(
    first: Sequence[Sums], second: Sequence[Sums], trained: tuple[bool, bool], small: float = 1.0
) -> Noise:
    """Return the noise of the first model's mean less the second's, on the same examples.

    Each model has its own variance between seeds; one that was trained once is taken to have the other's.

    Args:
        trained: which of them another training would change.
        small: as in `noise_of_mean`.
    """
    n = len(first[0].parts_NK)
    # Each of the four pairs of right and wrong answers is added.
    pairs = unrelated_orders(2)
    sides = [_side(runs, [order]) for runs, order in zip((first, second), pairs, strict=True)]
    apart_P = sides[0].influence_SP.mean(0) - sides[1].influence_SP.mean(0)
    examples = Part(small * _variance(apart_P, sides[0].weights_P, n), max(n - 1.0, 1.0))
    chosen = [side for side, by_chance in zip(sides, trained, strict=True) if by_chance]
    return _with_seeds(examples, chosen, small, n, is_difference=True)


def _variance(influence_P: np.ndarray, weights_P: np.ndarray, n: int) -> float:
    return float(np.average(influence_P**2, weights=weights_P) / n)


def _with_seeds(
    examples: Part, sides: Sequence[_Side], small: float, n: int, *, is_difference: bool = False
) -> Noise:
    """Part the examples' variance from the seeds'.

    Some of what the examples explain differs from seed to seed, and is in the variance between seeds too: it
    counts once, there. Nothing is taken from the variance between seeds.
    """
    measured = [side for side in sides if side.more]
    alone = float(len(sides) - len(measured))
    shares = [(side, 1 / len(side.values_S) + alone) for side in measured]
    within = small * sum(share * side.within(n) for side, share in shares)
    rest = max(examples.variance - within, examples.variance / 2)
    seeds = tuple(Part(share * side.between(), side.more) for side, share in shares)
    return Noise(Part(rest, examples.freedom), seeds, is_difference)


def _side(runs: Sequence[Sums], orders: Sequence[str]) -> _Side:
    """Return a model's runs, to which made-up answers are added in these orders, one after the other."""
    added = [with_added(run, order) for run, order in zip(runs, cycle(orders), strict=False)]
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


def unrelated_orders(number: int) -> list[str]:
    """Return so many orders of right (r) and wrong (w) answers; any two agree in half of the places.

    Of two: all four pairs. They are columns of a Hadamard matrix (Sylvester 1867).
    """
    places = range(2 ** number.bit_length())
    return ["".join("rw"[(place & k).bit_count() % 2] for place in places) for k in range(1, number + 1)]


def with_added(run: Sums, order: str = "rw") -> tuple[np.ndarray, np.ndarray]:
    """Return the examples' parts and weights, with the added right (r) and wrong (w) answers."""
    n = len(run.parts_NK)
    if run.right_LK is None or run.wrong_LK is None:
        return run.parts_NK, np.ones(n)
    added = [run.right_LK if answer == "r" else run.wrong_LK for answer in order]
    rows_PK = np.concatenate([run.parts_NK, *added])
    more = len(rows_PK) - n
    return rows_PK, np.concatenate([np.ones(n), np.full(more, ADDED / more)])
