"""Examples that come in clusters: what an interval and a difference are made of then."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from modernbert.evaluation.metrics import score
from modernbert.evaluation.statistics import difference, interval
from modernbert.evaluation.sums import by_cluster, sums_of


def cluster_robust_error(values: np.ndarray, clusters: np.ndarray) -> float:
    """Return what statsmodels' OLS of a constant gives with `cov_type="cluster"` (Liang & Zeger 1986)."""
    names = np.unique(clusters)
    sums = np.array([(values - values.mean())[clusters == name].sum() for name in names])
    correction = len(names) / (len(names) - 1)
    return float(np.sqrt(correction * (sums**2).sum()) / len(values))


@pytest.fixture
def clusters():
    """Forty clusters of one to five examples."""
    return np.repeat(np.arange(40), np.random.default_rng(0).integers(1, 6, 40))


def test_a_mean_has_the_cluster_robust_interval(clusters):
    random = np.random.default_rng(1)
    errors = np.abs(random.normal(size=40)[clusters] + random.normal(size=len(clusters)))
    found = score("mean_absolute_error", np.zeros(len(clusters)), errors, clusters.tolist())
    half = stats.t.ppf(0.975, 39) * cluster_robust_error(errors, clusters)
    assert (found.low, found.high) == pytest.approx((errors.mean() - half, errors.mean() + half))
    assert found.n == len(clusters)
    assert found.interval == "Student's t 95 %, 40 clusters"


def test_a_difference_is_paired_by_cluster(clusters):
    random = np.random.default_rng(2)
    first, second = random.random((2, len(clusters)))
    sides = [[by_cluster(sums_of("ndcg_at_10", y, y), clusters.tolist())] for y in (first, second)]
    found = difference(*sides)
    apart = first - second
    errors = apart.mean() / cluster_robust_error(apart, clusters)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(errors), 39))
    assert (found.n, found.clusters) == (len(clusters), 40)


def test_an_example_each_is_no_cluster():
    labels, predictions = np.arange(30) % 2, np.arange(30) % 3 % 2
    alone = score("accuracy", labels, predictions)
    assert score("accuracy", labels, predictions, list(range(30))) == alone
    assert score("accuracy", labels, predictions, list(range(29, -1, -1))) == alone


def test_one_cluster_says_nothing_of_others():
    found = score("accuracy", np.zeros(9), np.zeros(9), ["a"] * 9)
    assert (found.low, found.high) == (None, None)


@pytest.mark.parametrize("metric", ["accuracy", "matthews", "spearman"])
def test_intervals_of_clusters_hold_the_truth(metric):
    """Four examples each that are mostly right or wrong together; taken one by one they hold it far less."""
    random = np.random.default_rng(3)
    held = {"clusters": 0, "alone": 0}
    names = np.repeat(np.arange(80), 4)
    truth = {"accuracy": 0.8, "matthews": 0.6, "spearman": 6 / np.pi * np.arcsin(0.6 / 2)}[metric]
    for _ in range(300):
        shared, own = random.normal(0, 0.8**0.5, 80)[names], random.normal(0, 0.2**0.5, 320)
        if metric == "spearman":
            labels = random.normal(0, 0.8**0.5, 80)[names] + random.normal(0, 0.2**0.5, 320)
            predictions = 0.6 * labels + 0.8 * (shared + own)
        else:
            labels = random.integers(0, 2, 320)
            predictions = np.where(shared + own < stats.norm.ppf(0.8), labels, 1 - labels)
        sums = sums_of(metric, labels, predictions)
        for name, found in (("clusters", by_cluster(sums, names.tolist())), ("alone", sums)):
            low, high = interval([found])
            held[name] += low <= truth <= high
    assert 0.92 <= held["clusters"] / 300 <= 0.98
    assert held["alone"] / 300 < 0.85
