"""Metrics of classes, from how many examples of each are right, answered and true.

Shape suffixes: N examples, K sums that a metric is made of, R rows of sums.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def quotient(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Divide; nothing by nothing is 0."""
    known = bottom > 0
    return np.asarray(np.where(known, top / np.where(known, bottom, 1.0), 0.0))


def one_label(classes: np.ndarray, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Return each example's hits, answers and truths of these classes, shape (N, K)."""
    true, predicted = labels[:, None] == classes, predictions[:, None] == classes
    return np.concatenate([true & predicted, predicted, true], axis=1).astype(float)


def several_labels(metric: str, labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Return the same of several labels a text, added up where each decision counts alike."""
    counts = (labels * predictions, predictions, labels)
    if metric == "micro_f1":  # every decision counts, of whatever label
        return np.stack([count.sum(axis=1) for count in counts], axis=1).astype(float)
    return np.concatenate(counts, axis=1).astype(float)


def value_of(metric: str, *, several: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return a metric as a function of sums, (R, K) -> (R,)."""
    if several:
        return _first_f1 if metric == "micro_f1" else _every_f1
    known = {"f1": _first_f1, "precision": _precision_of, "recall": _recall_of, "matthews": _matthews_of}
    return known.get(metric, _occurring_f1)


def _precision_of(sums_RK: np.ndarray) -> np.ndarray:
    return quotient(sums_RK[:, 0], sums_RK[:, 1])


def _recall_of(sums_RK: np.ndarray) -> np.ndarray:
    return quotient(sums_RK[:, 0], sums_RK[:, 2])


def _f1_of(sums_RK: np.ndarray) -> np.ndarray:
    hits, predicted, true = np.split(sums_RK, 3, axis=1)
    return quotient(2 * hits, predicted + true)


def _first_f1(sums_RK: np.ndarray) -> np.ndarray:
    return np.asarray(_f1_of(sums_RK)[:, 0])


def _every_f1(sums_RK: np.ndarray) -> np.ndarray:
    return np.asarray(_f1_of(sums_RK).mean(1))


def _occurring_f1(sums_RK: np.ndarray) -> np.ndarray:
    _, predicted, true = np.split(sums_RK, 3, axis=1)
    occurs = predicted + true > 0
    return np.asarray((_f1_of(sums_RK) * occurs).sum(1) / occurs.sum(1))


def _matthews_of(sums_RK: np.ndarray) -> np.ndarray:
    """Gorodkin 2004."""
    hits, predicted, true = np.split(sums_RK, 3, axis=1)
    n = true.sum(1)
    covariance = hits.sum(1) * n - (predicted * true).sum(1)
    spread = (n**2 - (predicted**2).sum(1)) * (n**2 - (true**2).sum(1))
    return quotient(covariance, np.sqrt(np.maximum(0, spread)))
