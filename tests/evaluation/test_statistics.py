"""Intervals and verdicts against scipy, and simulated models whose truth is known."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from modernbert.evaluation.metrics import score
from modernbert.evaluation.statistics import difference, holm, interval, mcnemar
from modernbert.evaluation.sums import sums_of


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


def compared(first_SN: np.ndarray, second_SN: np.ndarray, **options):
    """Compare two models by the mean of their answers."""
    sums = [[sums_of("mean", row, row) for row in rows] for rows in (first_SN, second_SN)]
    return difference(*sums, **options)


def test_one_run_each_is_scipys_paired_t_test():
    random = np.random.default_rng(0)
    first, second = random.random((1, 200)), random.random((1, 200)) * 1.1
    found = compared(first, second)
    expected = stats.ttest_rel(first[0], second[0])
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_the_p_value_is_near_scipys_permutation_test():
    first, second = answers(300, 1, better=0.15, random=np.random.default_rng(3))
    expected = stats.permutation_test(
        (first[0], second[0]), lambda a, b, axis: a.mean(axis) - b.mean(axis),
        permutation_type="samples", n_resamples=10_000, vectorized=True, rng=np.random.default_rng(1),
    ).pvalue  # fmt: skip
    assert compared(first, second).p == pytest.approx(expected, abs=0.03)
    assert 0.01 < expected < 0.9


def test_seeds_alone_are_welchs_t_with_fewer_degrees_of_freedom():
    """Where examples say nothing, two models of three seeds are Welch's t; alike, it has 2 times sqrt(2)."""
    scores = np.array([[0.8, 0.82, 0.87], [0.79, 0.74, 0.76]])
    first, second = (np.repeat(row[:, None], 50, axis=1) for row in scores)
    expected = stats.ttest_ind(*scores, equal_var=False)
    spread = scores.var(axis=1, ddof=1)
    freedom = 2 * spread.sum() / np.linalg.norm(spread)
    assert 2 < freedom < expected.df < 4
    assert compared(first, second).p == pytest.approx(2 * stats.t.sf(expected.statistic, freedom))


def test_seeds_of_one_side_alone_that_scatter_are_its_own_t_test():
    """The other side's seeds, however many, came out all the same: they lend no degrees of freedom."""
    scores = np.array([0.8, 0.82, 0.87])
    first, second = np.repeat(scores[:, None], 50, axis=1), np.full((9, 50), 0.78)
    found, expected = compared(first, second), stats.ttest_1samp(scores, 0.78)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx(
        tuple(x - 0.78 for x in stats.t.interval(0.95, 2, scores.mean(), stats.sem(scores)))
    )


def test_one_side_without_seeds_is_scipys_one_sample_test():
    scores = np.array([0.8, 0.82, 0.87])
    found = compared(np.repeat(scores[:, None], 50, axis=1), np.full((1, 50), 0.78), trained=(True, False))
    assert found.p == pytest.approx(stats.ttest_1samp(scores, 0.78).pvalue)
    assert not found.one_training


@pytest.mark.parametrize(("seeds", "trained", "once"), [
    ((1, 1), (True, True), True), ((1, 5), (True, True), True), ((1, 1), (True, False), True),
    ((2, 1), (True, False), False), ((1, 1), (False, False), False), ((2, 2), (True, True), False),
])  # fmt: skip
def test_one_training_is_said(seeds, trained, once):
    random = np.random.default_rng(0)
    first, second = (random.random((s, 40)) for s in seeds)
    assert compared(first, second, trained=trained).one_training is once


def test_two_seeds_that_came_out_alike_do_not_show_that_trainings_do():
    """As many right, by chance, but on other examples: what they share is not taken for nothing."""
    random = np.random.default_rng(0)
    first = random.permutation(np.repeat([1.0, 0.0], 50))
    second = random.permutation(first)
    alike = [sums_of("mean", run, run) for run in (first, second)]
    assert alike[0].measured == alike[1].measured
    low, high = interval(alike)
    assert high - low > 0.08


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
    """Every example differs by the same: the sign test's, as there is no variance."""
    found = compared(np.ones((1, 50)), np.zeros((1, 50)))
    assert found.p == pytest.approx(stats.binomtest(50, 50).pvalue)


def test_the_p_value_and_the_interval_agree():
    random = np.random.default_rng(0)
    for seeds in (1, 2, 3, 5):
        for better in (0.1, 0.3, 0.6):
            found = compared(*answers(300, seeds, better=better, random=random))
            assert (found.p <= 0.05) == found.is_shown


def test_what_is_detectable_is_what_statsmodels_formula_says():
    """(t(0.975) + t(0.8)) standard errors, of a paired t-test."""
    random = np.random.default_rng(0)
    first, second = random.random((2, 1, 100))
    error = stats.sem((first - second)[0])
    expected = (stats.t.ppf(0.975, 99) + stats.t.ppf(0.8, 99)) * error
    found = compared(first, second).detectable
    assert found == pytest.approx(expected)
    # The test's power for it, by the noncentral t distribution.
    threshold = stats.t.ppf(0.975, 99)
    power = stats.nct.sf(threshold, 99, found / error) + stats.nct.cdf(-threshold, 99, found / error)
    assert power == pytest.approx(0.8, abs=0.002)


def test_what_is_detectable_is_found_in_four_of_five():
    """With five seeds each; of 300, the standard error is 2.3 points."""
    random = np.random.default_rng(0)

    def drawn(better):
        hard = random.normal(0, 1, 200)
        scatter = random.normal(0, 0.2, (2, 5, 1)) + random.normal(0, 0.5, (2, 5, 200))
        return compared(hard + scatter[0] + better, hard + scatter[1])

    detectable = np.mean([drawn(0.0).detectable for _ in range(100)])
    assert 0.7 <= np.mean([drawn(detectable).is_shown for _ in range(300)]) <= 0.88


def test_equivalence_is_two_one_sided_tests_of_scipys():
    random = np.random.default_rng(0)
    first, second = random.random((2, 1, 400))
    apart = (first - second)[0]
    expected = max(
        stats.ttest_1samp(apart, -0.06, alternative="greater").pvalue,
        stats.ttest_1samp(apart, 0.06, alternative="less").pvalue,
    )
    assert compared(first, second, margin=0.06).p_equivalent == pytest.approx(expected)
    assert compared(first, second).p_equivalent is None


def test_many_examples_take_no_time():
    """As many as QQP has, five seeds each: a thousandth of what resampling takes."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 40_430)
    runs = [
        [sums_of("f1", labels, np.where(random.random(40_430) < share, labels, 1 - labels)) for _ in range(5)]
        for share in (0.9, 0.89)
    ]
    began = time.process_time()
    assert difference(*runs).is_shown
    assert time.process_time() - began < 5


@pytest.mark.parametrize("metric", ["matthews", "f1", "spearman"])
def test_unlike_numbers_of_seeds_compare(metric):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 300)

    def run(wrong):
        return sums_of(metric, labels, np.where(random.random(300) < wrong, 1 - labels, labels))

    found = difference([run(0.1) for _ in range(3)], [run(0.3), run(0.3)])
    assert found.seeds == (3, 2)
    assert found.value > 0.2
    assert found.low > 0
    assert found.p < 0.05


@pytest.mark.parametrize(
    ("n", "seeds", "spread"), [(277, 1, 0.0), (277, 5, 0.05), (277, 2, 0.15), (872, 5, 0.1), (1043, 3, 0.1)]
)
def test_coverage_and_false_positives(n, seeds, spread):
    """Two models whose truth is the same: at most 5 % of the comparisons say otherwise.

    Of 300, the standard error is 1.3 points.
    """
    random = np.random.default_rng(n + seeds)
    found = [compared(*answers(n, seeds, spread=spread, random=random)) for _ in range(300)]
    assert np.mean([d.is_shown for d in found]) <= 0.08
    assert np.mean([d.p <= 0.05 for d in found]) <= 0.08


@pytest.mark.parametrize(
    ("wrong", "n", "rough"), [(4, 100, True), (5, 100, False), (96, 100, True), (0, 9, True)]
)
def test_where_few_examples_decide_it_is_said(wrong, n, rough):
    """The usual rule of thumb for shares: n p and n (1 - p) are 5 at least."""
    labels, predictions = np.zeros(n, int), (np.arange(n) < wrong).astype(int)
    found = score("accuracy", labels, predictions).interval
    assert found.endswith("few examples decide") is rough


def test_an_interval_ends_where_the_metric_does():
    """Two seeds far apart: Student's t with one degree of freedom reaches beyond any accuracy."""
    labels = np.arange(50) % 2
    runs = [sums_of("accuracy", labels, labels), sums_of("accuracy", labels, np.zeros(50))]
    low, high = interval(runs)
    assert 0 <= low < 0.02
    assert 0.98 < high <= 1


@pytest.mark.slow
def test_power():
    """A difference of 4 points on 1,000 examples is nearly always found; of 1 point rarely."""
    random = np.random.default_rng(0)
    large, small = (
        np.mean([compared(*answers(1000, 5, better=b, random=random)).p <= 0.05 for _ in range(100)])
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
