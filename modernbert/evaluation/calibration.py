"""Is a classifier right as often as it says? Expected calibration error and Brier score, with intervals.

Shape suffixes: N examples, C classes, B bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from modernbert.evaluation.predict import probabilities
from modernbert.evaluation.statistics import interval, method_of
from modernbert.evaluation.sums import Clusters, Sums, by_cluster
from modernbert.records.scores import Score

BINS = 10
ECE = "calibration_error"
BRIER = "brier"
LOWERED = "lower end for chance"


@dataclass(frozen=True)
class Calibration:
    """Ten bins of equal width by the probability of the answer; empty ones are left out.

    Attributes:
        confidence, accuracy: of each bin, shape (B,): mean probability of the answer, share of right answers.
        counts: examples in each bin, shape (B,).
        error: expected calibration error, the mean distance of both (Naeini et al. 2015).
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    counts: tuple[int, ...]
    error: float


def calibration(confidence_N: np.ndarray, right_N: np.ndarray) -> Calibration:
    """Put answers into ten bins of equal width by their confidence."""
    bins_N = _bins(confidence_N)
    members = [bins_N == b for b in range(BINS) if (bins_N == b).any()]
    confidence = tuple(float(confidence_N[m].mean()) for m in members)
    accuracy = tuple(float(right_N[m].mean()) for m in members)
    counts = tuple(int(m.sum()) for m in members)
    gaps = [n * abs(c - a) for n, c, a in zip(counts, confidence, accuracy, strict=True)]
    return Calibration(confidence, accuracy, counts, sum(gaps) / len(right_N))


def _bins(confidence_N: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum((confidence_N * BINS).astype(int), BINS - 1))


@dataclass(frozen=True)
class Answers:
    """One run's answers to a task of one label a text.

    Attributes:
        labels: shape (N,).
        shares: probabilities, shape (N, C).
        clusters: as in `sums.by_cluster`.
    """

    labels: np.ndarray
    shares: np.ndarray
    clusters: Clusters = None

    @classmethod
    def of(cls, labels: np.ndarray, logits_NC: np.ndarray, clusters: Clusters = None) -> Answers:
        """Return what a classifier's outputs say."""
        return cls(labels, probabilities(logits_NC, "single_label"), clusters)

    @property
    def confidence(self) -> np.ndarray:
        """The answer's probability, shape (N,)."""
        return np.asarray(self.shares.max(axis=1))

    def error_sums(self) -> Sums:
        """Return the expected calibration error as sums: how much too sure it is in each bin."""
        surplus_N = self.confidence - (self.shares.argmax(axis=1) == self.labels)
        parts_NB = np.eye(BINS)[_bins(self.confidence)] * surplus_N[:, None]
        parts = np.hstack([parts_NB, np.ones((len(surplus_N), 1))])
        return by_cluster(Sums(parts, _mean_distance, (0.0, 1.0), "bounded"), self.clusters)

    def brier_sums(self) -> Sums:
        """Return the Brier score (1950) as sums: squared distances over all classes, 0 to 2."""
        truth_NC = np.eye(self.shares.shape[1])[self.labels]
        squares_N = ((self.shares - truth_NC) ** 2).sum(axis=1)
        parts = np.stack([squares_N, np.ones(len(squares_N))], axis=1)
        return by_cluster(Sums(parts, _mean, (0.0, 2.0), "bounded"), self.clusters)

    def by_chance(self) -> tuple[float, float]:
        """Return what error a calibrated model with these probabilities has on so many examples.

        Returns:
            Its mean, and what it stays below in 97.5 %. A bin's distance is that of a normal variable from
            its mean: sqrt(2 / pi) deviations, with variance 1 - 2 / pi.
        """
        n = len(self.labels)
        variance_N = self.confidence * (1 - self.confidence)
        deviations_B = np.sqrt(np.bincount(_bins(self.confidence), variance_N, BINS)) / n
        mean = float(np.sqrt(2 / np.pi) * deviations_B.sum())
        return mean, mean + 1.96 * float(np.sqrt((1 - 2 / np.pi) * (deviations_B**2).sum()))


def _mean_distance(sums_RK: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(sums_RK[:, :-1]).sum(axis=1) / sums_RK[:, -1])


def _mean(sums_RK: np.ndarray) -> np.ndarray:
    return np.asarray(sums_RK[:, 0] / sums_RK[:, 1])


def calibration_scores(runs: Sequence[Answers]) -> tuple[Score, Score]:
    """Return expected calibration error and Brier score, each the mean over runs with its 95 % interval.

    The calibration error is never below 0, and so too high on few examples: its interval makes up for it.
    """
    errors, briers = [run.error_sums() for run in runs], [run.brier_sums() for run in runs]
    error = _score(ECE, errors, f"{method_of(errors[0])}, {LOWERED}")
    if error.low is not None:
        error = error.with_values(low=_lowered(error.value, error.low, runs))
    return error, _score(BRIER, briers, method_of(briers[0]))


def _lowered(value: float, low: float, runs: Sequence[Answers]) -> float:
    """Return the lower end without what chance may have added to the error.

    0 where a calibrated model could show as much. Above, chance adds the less the larger the true error is:
    all of its mean to 0, nothing worth naming to an error of three times that.
    """
    chance, most = np.mean([run.by_chance() for run in runs], axis=0)
    return 0.0 if value <= most else max(0.0, low - max(0.0, (3 * chance - value) / 2))


def _score(name: str, runs: Sequence[Sums], method: str) -> Score:
    low, high = interval(runs)
    value = float(np.mean([run.measured for run in runs]))
    return Score(metric=name, value=value, low=low, high=high, n=runs[0].n, interval=method)
