"""Is one model better than another? Paired statistics over examples and over seeds.

Shape suffixes: N examples, S seeds (runs), K sums that a metric is made of, R resamples.

Two sources of noise count. The examples are a sample: they are resampled, the same for both models. The
trainings are one too, but few: what seeds add to the variance beyond what the examples explain enters as
Student's t with S - 1 degrees of freedom. With one seed only the examples count, and a reader must be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

RESAMPLES = 10_000
# Resamples whose weights are in memory at once.
AT_ONCE = 500
LEVEL = 0.95
UNBOUNDED = (-np.inf, np.inf)
# The values that metrics can have.
BOUNDS = dict.fromkeys(("spearman", "pearson", "matthews"), (-1.0, 1.0)) | dict.fromkeys(
    ("accuracy", "exact_match", "f1", "micro_f1", "macro_f1"), (0.0, 1.0)
)


@dataclass(frozen=True)
class Sums:
    """A metric as a function of sums over examples.

    Attributes:
        parts_NK: what each example adds.
        value: (R, K) sums over any N examples -> (R,) values.
        bounds: the least and the greatest value that the metric can have; an interval ends there.
    """

    parts_NK: np.ndarray
    value: Callable[[np.ndarray], np.ndarray]
    bounds: tuple[float, float] = UNBOUNDED


def sums_of(metric: str, labels: np.ndarray, predictions: np.ndarray) -> Sums:
    """Return a metric of `evaluation.metrics` as sums, for one run's predictions.

    Spearman's ranks are those of the whole sample, also in a resample. Any other name stands for a mean
    of `predictions`, which are then each example's own score (a query's nDCG).
    """
    return replace(_sums_of(metric, labels, predictions), bounds=BOUNDS.get(metric, UNBOUNDED))


def _sums_of(metric: str, labels: np.ndarray, predictions: np.ndarray) -> Sums:
    if metric in ("accuracy", "exact_match"):
        right = labels == predictions
        return _mean(right if right.ndim == 1 else right.all(axis=1))
    if metric == "mean_absolute_error":
        return _mean(np.abs(labels - predictions))
    if metric in ("root_mean_squared_error", "r2"):
        return _squared_error(metric, labels.astype(float), predictions.astype(float))
    if metric == "spearman":
        return _correlation(stats.rankdata(labels), stats.rankdata(predictions))
    if metric == "pearson":
        return _correlation(labels.astype(float), predictions.astype(float))
    if metric in ("f1", "micro_f1", "macro_f1", "matthews"):
        return _confusion(metric, labels, predictions)
    return _mean(predictions)


def _mean(values: np.ndarray) -> Sums:
    parts = np.stack([values.astype(float), np.ones(len(values))], axis=1)
    return Sums(parts, lambda sums: sums[:, 0] / sums[:, 1])


def _squared_error(metric: str, labels: np.ndarray, predictions: np.ndarray) -> Sums:
    y = labels - labels.mean()  # against cancellation
    parts = np.stack([np.ones(len(y)), (labels - predictions) ** 2, y, y * y], axis=1)
    return Sums(parts, _r2_of if metric == "r2" else lambda sums: np.sqrt(sums[:, 1] / sums[:, 0]))


def _r2_of(sums_RK: np.ndarray) -> np.ndarray:
    n, error, y, yy = sums_RK.T
    spread = yy - y * y / n
    known = spread > 1e-12 * yy
    return np.where(known, 1 - error / np.where(known, spread, 1.0), 0.0)


def _correlation(x: np.ndarray, y: np.ndarray) -> Sums:
    x, y = x - x.mean(), y - y.mean()  # against cancellation
    parts = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)
    return Sums(parts, _correlation_of)


def _correlation_of(sums_RK: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = sums_RK.T
    spread = (n * xx - x * x) * (n * yy - y * y)
    known = spread > 1e-12 * np.maximum(1.0, (n * xx) * (n * yy))
    return np.where(known, (n * xy - x * y) / np.sqrt(np.where(known, spread, 1.0)), 0.0)


def _confusion(metric: str, labels: np.ndarray, predictions: np.ndarray) -> Sums:
    """Hits, predicted and true examples of each class."""
    if labels.ndim == 2:  # several labels: every decision counts, only class 1 matters
        parts = np.stack([(labels * predictions).sum(1), predictions.sum(1), labels.sum(1)], axis=1)
        return Sums(parts.astype(float), lambda sums: _f1_of(sums)[:, 0])
    classes = np.array([1]) if metric == "f1" else np.unique([labels, predictions])
    true, predicted = labels[:, None] == classes, predictions[:, None] == classes
    parts = np.concatenate([true & predicted, predicted, true], axis=1).astype(float)
    if metric == "matthews":
        return Sums(parts, _matthews_of)
    return Sums(parts, lambda sums: _f1_of(sums).mean(1) if metric == "f1" else _macro_of(sums))


def _f1_of(sums_RK: np.ndarray) -> np.ndarray:
    hits, predicted, true = np.split(sums_RK, 3, axis=1)
    total = predicted + true
    return np.where(total > 0, 2 * hits / np.where(total > 0, total, 1), 0.0)


def _macro_of(sums_RK: np.ndarray) -> np.ndarray:
    _, predicted, true = np.split(sums_RK, 3, axis=1)
    occurs = predicted + true > 0
    means: np.ndarray = (_f1_of(sums_RK) * occurs).sum(1) / occurs.sum(1)
    return means


def _matthews_of(sums_RK: np.ndarray) -> np.ndarray:
    """Gorodkin 2004."""
    hits, predicted, true = np.split(sums_RK, 3, axis=1)
    n = true.sum(1)
    covariance = hits.sum(1) * n - (predicted * true).sum(1)
    spread = (n**2 - (predicted**2).sum(1)) * (n**2 - (true**2).sum(1))
    return np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)


@dataclass(frozen=True)
class Difference:
    """How much better the first model is.

    Attributes:
        value: mean over its seeds of the first model's metric, less the second's.
        low, high: the 95 % paired bootstrap interval.
        p: two-sided, of a paired randomisation test.
        n: examples.
        seeds: runs of the first and of the second model.
    """

    value: float
    low: float
    high: float
    p: float
    n: int
    seeds: tuple[int, int]

    @property
    def is_shown(self) -> bool:
        """Does the interval leave out 0?"""
        return self.low > 0 or self.high < 0


def difference(
    first: Sequence[Sums], second: Sequence[Sums], *, resamples: int = 0, seed: int = 0
) -> Difference:
    """Compare the runs of two models on the same examples, in the same order.

    The interval is the percentile bootstrap's (Efron 1979), paired by example. The p-value comes from
    exchanging the two models' results on random halves of the examples (approximate randomisation, Noreen
    1989), with one added to both counts (Phipson & Smyth 2010). To both the seeds' share is added: their
    variance, less what resampled examples explain of it, as a t-distributed term.

    Args:
        first, second: a model's runs.
        resamples: of each kind; 0 for RESAMPLES.
        seed: of the resampling.
    """
    resamples = resamples or RESAMPLES
    groups = [list(first), list(second)]
    n = len(groups[0][0].parts_NK)
    assert all(len(run.parts_NK) == n for group in groups for run in group), "aligned by example"
    random = np.random.default_rng(seed)
    values = [_values(group, np.ones((1, n)))[:, 0] for group in groups]
    observed = float(values[0].mean() - values[1].mean())
    drawn = [
        np.concatenate(parts, axis=1) for parts in zip(*_resampled(groups, resamples, random), strict=True)
    ]
    noise = sum(
        (_seed_noise(v, d, random) for v, d in zip(values, drawn, strict=True)), start=np.zeros(resamples)
    )
    resampled = drawn[0].mean(0) - drawn[1].mean(0)
    low, high = np.quantile(resampled + noise, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    swapped = np.concatenate(list(_swapped(groups, resamples, random)))
    extreme = np.abs(swapped + random.permutation(noise)) >= abs(observed) - 1e-12
    p = (1 + int(extreme.sum())) / (resamples + 1)
    return Difference(observed, float(low), float(high), p, n, (len(first), len(second)))


def interval(runs: Sequence[Sums], *, resamples: int = 0, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % interval of one model's mean over its runs, made as in `difference`."""
    resamples = resamples or RESAMPLES
    random = np.random.default_rng(seed)
    values = _values(runs, np.ones((1, len(runs[0].parts_NK))))[:, 0]
    drawn = np.concatenate([part for (part,) in _resampled([runs], resamples, random)], axis=1)
    around = drawn.mean(0) + _seed_noise(values, drawn, random)
    low, high = np.quantile(around, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).clip(*runs[0].bounds)
    return float(low), float(high)


def _values(runs: Sequence[Sums], weights_RN: np.ndarray) -> np.ndarray:
    """Return each run's metric under each row of example weights, shape (S, R)."""
    return np.stack([run.value(weights_RN @ run.parts_NK) for run in runs])


def _blocks(resamples: int) -> Iterator[int]:
    for start in range(0, resamples, AT_ONCE):
        yield min(AT_ONCE, resamples - start)


def _resampled(
    groups: Sequence[Sequence[Sums]], resamples: int, random: np.random.Generator
) -> Iterator[tuple[np.ndarray, ...]]:
    n = len(groups[0][0].parts_NK)
    for size in _blocks(resamples):
        weights_RN = random.multinomial(n, np.full(n, 1 / n), size=size).astype(float)
        yield tuple(_values(group, weights_RN) for group in groups)


def _seed_noise(values_S: np.ndarray, drawn_SR: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return what the choice of seeds adds to a model's mean, shape (R,).

    Seeds differ on the examples at hand (variance v), partly because these are few. Resampling examples
    doubles that part: v* is the mean variance between seeds in a resample, so the rest is 2 v - v*.
    """
    seeds = len(values_S)
    if seeds == 1:
        return np.zeros(drawn_SR.shape[1])
    rest = 2 * values_S.var(ddof=1) - drawn_SR.var(axis=0, ddof=1).mean()
    noise: np.ndarray = random.standard_t(seeds - 1, drawn_SR.shape[1]) * np.sqrt(max(0.0, rest) / seeds)
    return noise


def _swapped(
    groups: Sequence[Sequence[Sums]], resamples: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """Yield differences after exchanging both models' results on examples chosen by a coin."""
    first, second = groups
    n = len(first[0].parts_NK)
    pairs = max(len(first), len(second))
    for size in _blocks(resamples):
        coins_RN = random.integers(0, 2, (size, n)).astype(float)
        total = np.zeros(size)
        for number in range(pairs):  # the shorter side starts again
            a, b = first[number % len(first)], second[number % len(second)]
            moved = coins_RN @ (b.parts_NK - a.parts_NK)
            total += a.value(a.parts_NK.sum(0) + moved) - b.value(b.parts_NK.sum(0) - moved)
        yield total / pairs


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
