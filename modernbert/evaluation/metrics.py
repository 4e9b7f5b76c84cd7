"""Metrics, computed in process, each with n and a 95 % interval.

`labels` and `predictions` are class indices (N,), zeros and ones (N, C), or numbers (N,).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats
from sklearn import metrics as sk

RESAMPLES = 1000
LEVEL = 0.95

Metric = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Score:
    """One measured value.

    Attributes:
        metric: its name.
        value: a share from 0 to 1, a correlation from -1 to 1, or an error in the label's unit.
        low, high: the 95 % interval over examples (seeds are another source of noise).
        n: examples.
        interval: how the interval was made.
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    interval: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of correct predictions."""
    return float((labels == predictions).mean())


def f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """F1 of class 1, as GLUE has it for MRPC and QQP."""
    return float(sk.f1_score(labels, predictions, zero_division=0.0))


def macro_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean over the classes' F1, of all classes that occur."""
    return float(sk.f1_score(labels, predictions, average="macro", zero_division=0.0))


def micro_f1(labels: np.ndarray, predictions: np.ndarray) -> float:
    """F1 over all label decisions of a multi-label task."""
    return float(sk.f1_score(labels, predictions, average="micro", zero_division=0.0))


def exact_match(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of multi-label rows with every label right."""
    return float((labels == predictions).all(axis=1).mean())


def matthews(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Matthews correlation; 0 when one class is predicted throughout."""
    return float(sk.matthews_corrcoef(labels, predictions))


def pearson(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Pearson correlation; 0 when either side is constant."""
    if len(labels) < 2 or np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float(np.corrcoef(labels.astype(np.float64), predictions.astype(np.float64))[0, 1])


def spearman(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Spearman rank correlation; 0 when either side is constant."""
    return pearson(stats.rankdata(labels), stats.rankdata(predictions))


def mean_absolute_error(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Mean absolute error, in the label's unit (smaller is better)."""
    return float(np.abs(labels - predictions).mean())


def root_mean_squared_error(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Root of the mean squared error, in the label's unit (smaller is better)."""
    return float(np.sqrt(_squares(labels, predictions).mean()))


def r2(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of the labels' variance that is explained; 0 is what their mean gives, and for equal labels."""
    if np.ptp(labels) == 0:
        return 0.0
    spread = _squares(labels, labels.astype(np.float64).mean()).sum()
    return float(1 - _squares(labels, predictions).sum() / spread)


def _squares(first: np.ndarray, second: np.ndarray | float) -> np.ndarray:
    return np.square(first.astype(np.float64) - second)


def average_precision(labels: np.ndarray, scores: np.ndarray) -> float:
    """Precision at each text that has a label, averaged; texts are ordered by one label's scores (N,)."""
    return float(sk.average_precision_score(labels, scores))


METRICS: dict[str, Metric] = {
    function.__name__: function
    for function in (
        accuracy, f1, macro_f1, micro_f1, exact_match, matthews, pearson, spearman, mean_absolute_error,
        root_mean_squared_error, r2,
    )
}  # fmt: skip


def score(name: str, labels: np.ndarray, predictions: np.ndarray) -> Score:
    """Compute the metric called `name` with its interval.

    A share of examples takes Wilson's interval (Wilson 1927), which holds near 0 and 1; everything else
    the percentile bootstrap over examples (Efron 1979), 1,000 resamples from a fixed seed.
    """
    assert len(labels) == len(predictions) > 0, "one prediction for each label"
    value = METRICS[name](labels, predictions)
    if name in ("accuracy", "exact_match"):
        low, high = wilson(value, len(labels))
        return Score(name, value, low, high, len(labels), "Wilson 95 %")
    low, high = bootstrap(METRICS[name], labels, predictions)
    return Score(name, value, low, high, len(labels), f"bootstrap 95 %, {RESAMPLES} resamples")


def ratio_score(name: str, parts: np.ndarray, wholes: np.ndarray) -> Score:
    """Return sum(parts) / sum(wholes) with a bootstrap interval over the texts that they were counted in.

    Args:
        parts, wholes: of each text, shape (N,), such as right guesses and guesses.
    """
    random = np.random.default_rng(0)
    share = np.full(len(parts), 1 / len(parts))
    drawn = (random.multinomial(len(parts), share) for _ in range(RESAMPLES))
    values = [(counts @ parts) / (counts @ wholes) for counts in drawn]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    value = float(parts.sum() / wholes.sum())
    interval = f"bootstrap 95 % over texts, {RESAMPLES} resamples"
    return Score(name, value, float(low), float(high), len(parts), interval)


def wilson(share: float, n: int) -> tuple[float, float]:
    """Return Wilson's interval of a share over n examples."""
    z = float(stats.norm.ppf(0.5 + LEVEL / 2))
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return float(centre - half), float(centre + half)


def bootstrap(metric: Metric, labels: np.ndarray, predictions: np.ndarray) -> tuple[float, float]:
    """Return the percentile interval of a metric over resampled examples."""
    random = np.random.default_rng(0)
    if labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer):
        values = _resample_confusion(metric, labels, predictions, random)
    else:
        draws = (random.integers(0, len(labels), len(labels)) for _ in range(RESAMPLES))
        values = [metric(labels[draw], predictions[draw]) for draw in draws]
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _resample_confusion(
    metric: Metric, labels: np.ndarray, predictions: np.ndarray, random: np.random.Generator
) -> list[float]:
    """Resample the cells of the confusion matrix: the same law as resampling examples, and much faster."""
    pairs, counts = np.unique(np.stack([labels, predictions]), axis=1, return_counts=True)
    draws = random.multinomial(len(labels), counts / counts.sum(), size=RESAMPLES)
    if metric is matthews:
        return [_matthews_of_counts(pairs, draw) for draw in draws]
    if metric in (f1, macro_f1):
        return [_f1_of_counts(pairs, draw, macro=metric is macro_f1) for draw in draws]
    return [metric(*np.repeat(pairs, draw, axis=1)) for draw in draws]


def _matthews_of_counts(pairs: np.ndarray, counts: np.ndarray) -> float:
    """Gorodkin 2004's generalisation, from counts of (label, prediction) pairs."""
    classes = np.unique(pairs)
    true = np.array([counts[pairs[0] == c].sum() for c in classes], dtype=float)
    predicted = np.array([counts[pairs[1] == c].sum() for c in classes], dtype=float)
    correct, n = counts[pairs[0] == pairs[1]].sum(), counts.sum()
    spread = (n**2 - (predicted**2).sum()) * (n**2 - (true**2).sum())
    return float((correct * n - true @ predicted) / np.sqrt(spread)) if spread > 0 else 0.0


def _f1_of_counts(pairs: np.ndarray, counts: np.ndarray, *, macro: bool) -> float:
    classes = np.unique(pairs[:, counts > 0]) if macro else [1]
    values = []
    for c in classes:
        hit = counts[(pairs[0] == c) & (pairs[1] == c)].sum()
        total = counts[pairs[0] == c].sum() + counts[pairs[1] == c].sum()
        values.append(2 * hit / total if total else 0.0)
    return float(np.mean(values))
