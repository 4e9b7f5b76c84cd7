"""Metrics, computed in process, each with n and a 95 % interval.

`labels` and `predictions` are class indices (N,), zeros and ones (N, C), or numbers (N,).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import stats
from sklearn import metrics as sk

from modernbert.evaluation.shown import ROUGH
from modernbert.evaluation.statistics import interval, is_rough, method_of
from modernbert.evaluation.sums import (
    OF_ONE_CLASS,
    RANKED,
    Clusters,
    Sums,
    by_cluster,
    ratio_of,
    standardized,
    sums_of,
)
from modernbert.records.scores import Score

Metric = Callable[[np.ndarray, np.ndarray], float]


def accuracy(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of correct predictions."""
    return float((labels == predictions).mean())


def precision(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of the answers of class 1 that are right; 0 without any."""
    return float(sk.precision_score(labels, predictions, zero_division=0.0))


def recall(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Share of the examples of class 1 that are found; 0 without any."""
    return float(sk.recall_score(labels, predictions, zero_division=0.0))


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
    if len(np.unique(predictions)) < 2:
        return 0.0
    return float(sk.matthews_corrcoef(labels, predictions))


def pearson(labels: np.ndarray, predictions: np.ndarray) -> float:
    """Pearson correlation; 0 when either side is constant."""
    if len(labels) < 2 or np.ptp(labels) == 0 or np.ptp(predictions) == 0:
        return 0.0
    return float((standardized(labels) * standardized(predictions)).mean().clip(-1, 1))


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
    """Precision at each text that has a label, averaged; texts are ordered by one label's scores (N,).

    0 where none has it.
    """
    return float(sk.average_precision_score(labels, scores)) if labels.any() else 0.0


def roc_auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Share of pairs of a text of class 1 and another one that scores (N,) order rightly; equal ones half.

    0 where there are no such pairs.
    """
    return float(sk.roc_auc_score(labels, scores)) if 0 < labels.sum() < len(labels) else 0.0


METRICS: dict[str, Metric] = {
    function.__name__: function
    for function in (
        accuracy, precision, recall, f1, macro_f1, micro_f1, exact_match, matthews, average_precision,
        roc_auc, pearson, spearman, mean_absolute_error, root_mean_squared_error, r2,
    )
}  # fmt: skip


# Digits of logits that are kept with a run; scores are computed from no more.
DIGITS = 5


def measured(
    name: str, labels: np.ndarray, predictions: np.ndarray, logits_NC: np.ndarray | None, positive: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and answers as a metric takes them: of two classes, the positive one as 1.

    Args:
        labels, predictions: as a task has them.
        logits_NC: for metrics of ranks: the positive class's log-odds order the examples.
        positive: the positive class.
    """
    if name in RANKED:
        assert logits_NC is not None and logits_NC.shape[1] == 2, "of two classes"
        wide_NC = logits_NC.astype(np.float64).round(DIGITS)
        odds_N = (wide_NC[:, positive] - wide_NC[:, 1 - positive]).round(DIGITS)
        return (labels == positive).astype(int), odds_N
    if name in OF_ONE_CLASS:
        return (labels == positive).astype(int), (predictions == positive).astype(int)
    return labels, predictions


def score(name: str, labels: np.ndarray, predictions: np.ndarray, clusters: Clusters = None) -> Score:
    """Compute the metric called `name` with its interval (see `statistics.interval`).

    Args:
        clusters: which cluster each example belongs to; None where each stands for itself.

    Raises:
        BadData: labels or predictions that are not numbers.
    """
    assert len(labels) == len(predictions) > 0, "one prediction for each label"
    sums = by_cluster(sums_of(name, labels, predictions), clusters)
    return score_of(name, METRICS[name](labels, predictions), sums)


def mean_score(name: str, values: np.ndarray, clusters: Clusters = None) -> Score:
    """Return the mean of what each query (or text) scores."""
    return score_of(name, float(values.mean()), by_cluster(sums_of(name, values, values), clusters))


def ratio_score(name: str, parts: np.ndarray, wholes: np.ndarray) -> Score:
    """Return sum(parts) / sum(wholes); its interval is over the texts that they were counted in.

    Args:
        parts, wholes: of each text, shape (N,), such as right guesses and guesses.
    """
    return score_of(name, float(parts.sum() / wholes.sum()), ratio_of(name, parts, wholes))


def score_of(name: str, value: float, sums: Sums) -> Score:
    """Return a value with the interval of the sums that it is made of."""
    low, high = interval([sums])
    method = method_of(sums) + (f", {ROUGH}" if is_rough(sums) and low is not None else "")
    return Score(metric=name, value=value, low=low, high=high, n=sums.n, interval=method)
