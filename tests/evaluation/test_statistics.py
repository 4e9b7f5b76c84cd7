"""Statistics against scipy, scikit-learn, and simulated models whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from modernbert.evaluation.metrics import METRICS
from modernbert.evaluation.statistics import difference, holm, interval, mcnemar, sums_of


def answers(n: int, seeds: int, *, better: float = 0.0, spread: float = 0.1, random: np.random.Generator):
    """Return right (1) and wrong (0) answers of two models, (seeds, n) each.

    Examples differ in how hard they are, also from model to model, and trainings in how well they go.
    `better` moves the first model.
    """
    hard_N = random.normal(0, 1, n)
    models = []
    for shift in (better, 0.0):
        own_N = random.normal(0, 0.3, n)
        trained_S1 = random.normal(0, spread, (seeds, 1))
        noise_SN = random.normal(0, 0.6, (seeds, n))
        models.append((0.9 + shift + hard_N + own_N + trained_S1 + noise_SN > 0).astype(float))
    return models


def compared(first_SN: np.ndarray, second_SN: np.ndarray, *, resamples: int = 400, seed: int = 0):
    """Compare two models by the mean of their answers."""
    sums = [[sums_of("mean", row, row) for row in rows] for rows in (first_SN, second_SN)]
    return difference(*sums, resamples=resamples, seed=seed)


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_sums_give_the_metric(metric):
    random = np.random.default_rng(0)
    if metric in ("pearson", "spearman", "mean_absolute_error", "root_mean_squared_error", "r2"):
        labels, predictions = random.integers(0, 6, 80).astype(float), random.normal(size=80)
    elif metric in ("micro_f1", "exact_match"):
        labels, predictions = random.integers(0, 2, (80, 3)), random.integers(0, 2, (80, 3))
    else:
        labels, predictions = random.integers(0, 2 if metric == "f1" else 4, (2, 80))
    sums = sums_of(metric, labels, predictions)
    expected = METRICS[metric](labels, predictions)
    assert sums.value(sums.parts_NK.sum(0, keepdims=True))[0] == pytest.approx(expected)
    places = random.integers(0, 80, 80)
    resampled = sums.value(sums.parts_NK[places].sum(0, keepdims=True))[0]
    tolerance = 0.05 if metric == "spearman" else 1e-9  # whose ranks stay those of the whole sample
    assert resampled == pytest.approx(METRICS[metric](labels[places], predictions[places]), abs=tolerance)


def test_spearmans_fixed_ranks_give_the_interval_of_ranking_anew():
    random = np.random.default_rng(0)
    labels = random.integers(0, 6, 1000).astype(float)
    good, chance = labels + random.normal(0, 1, 1000), random.normal(0, 1, 1000)
    found = difference(*([sums_of("spearman", labels, p)] for p in (good, chance)), resamples=2000)
    anew = []
    for _ in range(2000):
        places = random.integers(0, 1000, 1000)
        anew.append(
            METRICS["spearman"](labels[places], good[places])
            - METRICS["spearman"](labels[places], chance[places])
        )
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(anew, [0.025, 0.975])), abs=0.006)


def test_one_answer_throughout_is_no_division_by_zero():
    labels, constant = np.array([0, 1, 0, 1]), np.zeros(4, int)
    for metric in ("matthews", "f1", "pearson", "spearman"):
        sums = sums_of(metric, labels, constant)
        assert sums.value(sums.parts_NK.sum(0, keepdims=True))[0] == 0.0


def test_the_interval_is_scipys_paired_bootstrap():
    first, second = answers(500, 1, better=0.2, random=np.random.default_rng(0))
    found = compared(first, second, resamples=10_000)
    expected = stats.bootstrap(
        (first[0], second[0]), lambda a, b, axis: a.mean(axis) - b.mean(axis),
        paired=True, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.002)


def test_the_p_value_is_scipys_permutation_test():
    first, second = answers(300, 1, better=0.15, random=np.random.default_rng(3))
    found = compared(first, second, resamples=10_000)
    expected = stats.permutation_test(
        (first[0], second[0]), lambda a, b, axis: a.mean(axis) - b.mean(axis),
        permutation_type="samples", n_resamples=10_000, vectorized=True, rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    assert found.p == pytest.approx(expected, abs=0.02)
    assert 0.01 < found.p < 0.9


def test_a_model_against_itself_is_no_difference():
    first, _ = answers(200, 3, random=np.random.default_rng(0))
    found = compared(first, first)
    assert found.value == 0
    assert found.p == 1
    assert not found.is_shown


def test_seeds_that_differ_widen_the_interval():
    random = np.random.default_rng(0)
    calm = compared(*answers(2000, 5, spread=0.0, random=random))
    wild = compared(*answers(2000, 5, spread=0.5, random=random))
    assert wild.high - wild.low > 2 * (calm.high - calm.low)


def test_the_p_value_is_never_zero():
    right, wrong = np.ones((1, 50)), np.zeros((1, 50))
    assert compared(right, wrong, resamples=99).p == pytest.approx(0.01)


@pytest.mark.parametrize("metric", ["matthews", "f1", "spearman"])
def test_unlike_numbers_of_seeds_compare(metric):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)

    def run(wrong):
        return sums_of(metric, labels, np.where(random.random(300) < wrong, 1 - labels, labels))

    found = difference([run(0.1) for _ in range(3)], [run(0.3), run(0.3)], resamples=500)
    assert found.seeds == (3, 2)
    assert found.value > 0.2
    assert found.low > 0
    assert found.p < 0.05


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("n", "seeds", "spread"), [(277, 1, 0.0), (277, 5, 0.05), (277, 5, 0.15), (872, 5, 0.1), (1043, 3, 0.1)]
)
def test_coverage_and_false_positives(n, seeds, spread):
    """Two models whose truth is the same: 95 % of the intervals hold 0, 5 % of the p-values are below 0.05.

    A thousand comparisons: the standard errors are 0.7 points each. The bounds for the p-values leave
    room for what the randomisation of few seeds costs in power, none for claiming too much.
    """
    random = np.random.default_rng(n + seeds)
    found = [compared(*answers(n, seeds, spread=spread, random=random), seed=i) for i in range(1000)]
    covered = np.mean([not d.is_shown for d in found])
    positive = np.mean([d.p <= 0.05 for d in found])
    assert 0.93 <= covered <= 0.975
    assert 0.02 <= positive <= 0.065


def test_an_interval_ends_where_the_metric_does():
    """Two seeds far apart: Student's t with one degree of freedom reaches beyond any accuracy."""
    labels = np.arange(50) % 2
    runs = [sums_of("accuracy", labels, labels), sums_of("accuracy", labels, np.zeros(50))]
    low, high = interval(runs)
    assert (low, high) == (0.0, 1.0)


@pytest.mark.slow
def test_power():
    """A difference of 4 points on 1,000 examples is nearly always found; of 1 point rarely."""
    random = np.random.default_rng(0)
    large, small = (
        np.mean([compared(*answers(1000, 5, better=b, random=random), seed=i).p <= 0.05 for i in range(100)])
        for b in (0.3, 0.05)
    )
    assert large > 0.9
    assert small < 0.5


def test_holm_is_stepwise():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


def test_mcnemar_counts_disagreements_alone():
    first = np.array([True] * 90 + [True] * 9 + [False] * 1 + [False] * 5)
    second = np.array([True] * 90 + [False] * 9 + [True] * 1 + [False] * 5)
    assert mcnemar(first, second) == pytest.approx(stats.binomtest(9, 10).pvalue)
    assert mcnemar(first, first) == 1.0
