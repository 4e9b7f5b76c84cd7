"""How sure is a score, and is one model better than another? One method for every metric.

Two sources of noise count, the examples and the trainings (see `noise`). With one training only the examples
count, and a reader must be told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from scipy import special, stats

from modernbert.evaluation.noise import (
    NOTHING,
    Noise,
    noise_of_average,
    noise_of_difference,
    noise_of_mean,
    with_added,
)
from modernbert.evaluation.sums import Scale, Sums
from modernbert.wording import counted

# One-sided, for an interval that holds 95 %.
LEVEL = 0.975
# The chance with which a difference is to be found, for the least one that examples and seeds can show.
POWER = 0.8

METHODS: dict[Scale, str] = {
    "share": "Wilson 95 %",
    "bounded": "Wilson 95 %, effective n",
    "correlation": "Fisher z 95 %, variance from the data",
    "plain": "Student's t 95 %",
}
# Right and wrong answers that an interval of a share takes to be exact (the usual rule: n p and n (1 - p)).
# With fewer, scores move in steps: simulated, intervals hold the truth in 92 to 99 % (see coverage.py).
ENOUGH = 5
# How many examples an interval takes, where two are not enough.
FEWEST: dict[Scale, int] = {"correlation": 4}


# Of a score whose interval the data cannot say.
UNKNOWN = (None, None)
Interval = tuple[float, float] | tuple[None, None]


def interval(runs: Sequence[Sums]) -> Interval:
    """Return the 95 % interval of one model's mean over its runs; `UNKNOWN` where it cannot be estimated.

    A share of right answers of one run has Wilson's interval (1927). Any other metric with two bounds has
    Wilson's for as many examples as would give a share its variance; where few of a class make that variance
    (average precision), with Student's t of one degree less than these. Correlations have one on Fisher's z
    scale (1921), with their variance from the data, not a normal law's. What has no bounds has Student's t.

    Nothing is known from one example, of a correlation from three, nor where the metric is not defined (one
    answer throughout has no correlation) or where errors without bounds are all the same.
    """
    low, high = runs[0].bounds
    n = len(runs[0].parts_NK)
    value = float(np.mean([run.measured for run in runs]))
    if n < FEWEST.get(runs[0].scale, 2) or not all(run.known for run in runs):
        return UNKNOWN
    if runs[0].scale == "correlation":
        ends = _fisher(runs, value, n)
    elif runs[0].scale == "plain":
        noise = noise_of_mean(runs, n / (n - 1))
        if noise.variance <= NOTHING:
            return UNKNOWN
        ends = _around(value, noise.deviation * noise.quantile(LEVEL))
    else:
        ends = _effective(runs, value, n)
    return max(low, min(ends[0], value)), min(high, max(ends[1], value))


def noise_of_score(runs: Sequence[Sums]) -> Noise | None:
    """Return the noise of one model's mean over its runs; None where its interval cannot be estimated."""
    n = len(runs[0].parts_NK)
    return None if interval(runs) == UNKNOWN else noise_of_mean(runs, n / (n - 1))


def interval_of_average(
    values: Sequence[float], noises: Sequence[Noise | None], bounds: Sequence[tuple[float, float]]
) -> Interval:
    """Return the 95 % interval of a model's mean over tasks, by Student's t; `UNKNOWN` if one task's is.

    Args:
        values, noises, bounds: of each task the mean, its noise, the least and the greatest that can be.
    """
    known = [noise for noise in noises if noise is not None]
    if len(known) < len(noises):
        return UNKNOWN
    noise = noise_of_average(known)
    low, high = _around(float(np.mean(values)), noise.deviation * noise.quantile(LEVEL))
    least, greatest = np.mean(bounds, axis=0).tolist()
    return max(low, least), min(high, greatest)


def method_of(sums: Sums) -> str:
    """Return how the interval of such a metric is made."""
    clusters = f", {counted(len(sums.parts_NK), 'cluster')}" if sums.examples else ""
    return METHODS[sums.scale] + (", Student's t" if sums.degrees else "") + clusters


def is_rough(sums: Sums) -> bool:
    """Is a score with two bounds so near to one of them that few examples decide?"""
    low, high = sums.bounds
    if sums.scale not in ("share", "bounded"):
        return False
    rarer = min(sums.measured - low, high - sums.measured) / (high - low)
    return rarer * (sums.deciding or len(sums.parts_NK)) < ENOUGH


def _around(value: float, half: float) -> tuple[float, float]:
    return value - half, value + half


def _effective(runs: Sequence[Sums], value: float, n: float) -> tuple[float, float]:
    low, high = runs[0].bounds
    width = high - low
    noise = noise_of_mean(runs)
    smooth = float(np.mean([_smooth(run) for run in runs]) - low) / width
    if noise.variance > NOTHING and 0 < smooth < 1:
        n = smooth * (1 - smooth) * width**2 / noise.variance
    quantile = noise.quantile(LEVEL)
    if runs[0].degrees:
        quantile = max(quantile, float(stats.t.ppf(LEVEL, runs[0].degrees)))
    first, last = wilson((value - low) / width, n, quantile)
    return low + width * first, low + width * last


def _smooth(run: Sums) -> float:
    """Return the metric with the added right and wrong answers."""
    rows_PK, weights_P = with_added(run)
    return float(run.value((weights_P @ rows_PK)[None])[0])


def _fisher(runs: Sequence[Sums], value: float, n: int) -> tuple[float, float]:
    noise = noise_of_mean(runs, n / (n - runs[0].lost))
    # A perfect order has no variance: it counts as if two neighbours had changed places, with the variance
    # of ranks (Bonett & Wright 2000).
    most = 1 - 12 / (n**3 - n)
    near = float(np.clip(value, -most, most))
    deviation = noise.deviation / (1 - near**2)
    if abs(value) > most:
        deviation = max(deviation, ((1 + near**2 / 2) / (n - 3)) ** 0.5)
    first, last = _around(float(np.arctanh(near)), deviation * noise.quantile(LEVEL))
    return float(np.tanh(first)), float(np.tanh(last))


def wilson(share: float, n: float, quantile: float = 0.0) -> tuple[float, float]:
    """Return Wilson's interval of a share over n examples; the quantile is the normal law's by default."""
    z = quantile or float(special.ndtri(LEVEL))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return float(centre - half), float(centre + half)


@dataclass(frozen=True)
class Difference:
    """How much better the first model is.

    Attributes:
        value: mean over its seeds of the first model's metric, less the second's.
        low, high: the 95 % interval, paired by example.
        p: two-sided, of the t-test that the interval belongs to.
        n: examples.
        clusters: clusters of examples, which are what was drawn then; None where each stands for itself.
        seeds: runs of the first and of the second model.
        one_training: a side was trained once: how much trainings differ is not in these numbers.
        detectable: the least true difference that such examples and seeds show with 80 % power (simulated: 72
            to 85 % with three seeds or more, about 60 % with two, whose scatter is hardly known).
        p_equivalent: of two one-sided tests (Schuirmann 1987) that the difference is below the margin;
            None without a margin.
        noise: the variance that all of it is computed from; None in a comparison that was kept.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    seeds: tuple[int, int]
    one_training: bool
    detectable: float
    p_equivalent: float | None
    clusters: int | None = None
    noise: Noise | None = field(default=None, compare=False)

    @classmethod
    def of(cls, value: float, noise: Noise, *, widest: float, margin: float, n: int, **more: Any) -> Self:
        """Return what a difference and its noise say; `widest` is the largest that there can be."""
        half = noise.deviation * noise.quantile(LEVEL)
        return cls(
            value=value,
            low=max(value - half, -widest),
            high=min(value + half, widest),
            p=_different(value, noise, n),
            n=n,
            detectable=(noise.quantile(LEVEL) + noise.quantile(POWER)) * noise.deviation,
            p_equivalent=_equivalent(value, noise, margin) if margin else None,
            noise=noise,
            **more,
        )

    @property
    def is_shown(self) -> bool:
        """Does the interval leave out 0?"""
        return self.low > 0 or self.high < 0


def difference(
    first: Sequence[Sums],
    second: Sequence[Sums],
    *,
    trained: tuple[bool, bool] = (True, True),
    margin: float = 0.0,
) -> Difference:
    """Compare the runs of two models on the same examples, in the same order.

    For means of scores, one run each, this is the paired t-test (of the clusters' sums where there are
    clusters). Where answers are right or wrong, half an example is added to each kind of pair for the
    variance (Agresti & Min 2005).

    Args:
        first, second: a model's runs.
        trained: whether another training of each could come out differently; TF-IDF and BM25 cannot.
        margin: differences below this do not matter; 0 for no test of equivalence.
    """
    n = len(first[0].parts_NK)
    assert all(len(run.parts_NK) == n for run in (*first, *second)), "aligned by example"
    value = float(np.mean([run.measured for run in first]) - np.mean([run.measured for run in second]))
    return Difference.of(
        value,
        noise_of_difference(first, second, trained, n / max(n - 1, 1)),
        widest=first[0].bounds[1] - first[0].bounds[0],
        margin=margin,
        n=first[0].n,
        clusters=n if first[0].examples else None,
        seeds=(len(first), len(second)),
        one_training=any(t and len(runs) == 1 for t, runs in zip(trained, (first, second), strict=True)),
    )


def average_difference(parts: Sequence[Difference], widest: float, margin: float = 0.0) -> Difference:
    """Return the difference of two models' means over tasks.

    Args:
        parts: their difference on each task.
        widest: the largest difference that there can be.
        margin: as in `difference`.
    """
    assert all(part.noise is not None for part in parts), "just computed, not read from a file"
    fewest = [min(part.seeds[side] for part in parts) for side in (0, 1)]
    return Difference.of(
        float(np.mean([part.value for part in parts])),
        noise_of_average([part.noise for part in parts if part.noise is not None]),
        widest=widest,
        margin=margin,
        n=sum(part.n for part in parts),
        seeds=(fewest[0], fewest[1]),
        one_training=any(part.one_training for part in parts),
    )


def _different(value: float, noise: Noise, n: int) -> float:
    """Return the t-test's p. Where every example differs by the same, the sign test's: no variance, no t."""
    if noise.variance <= NOTHING:
        return 1.0 if abs(value) <= NOTHING**0.5 else min(1.0, 2 * 0.5**n)
    return 2 * noise.tail(abs(value) / noise.deviation)


def _equivalent(value: float, noise: Noise, margin: float) -> float:
    if noise.variance <= NOTHING:
        return float(abs(value) >= margin)
    return noise.tail((margin - abs(value)) / noise.deviation)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values corrected for how many there are (Holm 1979)."""
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        corrected[place] = highest
    return corrected


def mcnemar(first_N: np.ndarray, second_N: np.ndarray) -> float:
    """Return the exact p-value of two models' right answers, one run each (McNemar 1947)."""
    only_first, only_second = int((first_N & ~second_N).sum()), int((~first_N & second_N).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)
