"""Metrics as sums, and how far they move: against scikit-learn, resampling and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from modernbert.evaluation.metrics import METRICS
from modernbert.evaluation.noise import (
    OF_A_DIFFERENCE,
    OF_A_MEAN,
    OF_TWO_TRAININGS,
    Noise,
    Part,
    noise_of_mean,
    unrelated_orders,
)
from modernbert.evaluation.sums import RANKED, sums_of


def example_of(metric: str, n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and predictions that a metric can be computed of."""
    if metric in ("pearson", "spearman", "mean_absolute_error", "root_mean_squared_error", "r2"):
        labels = random.integers(0, 6, n).astype(float)
        return labels, labels + random.normal(0, 2, n)
    if metric in RANKED:
        labels = random.integers(0, 2, n)
        return labels, (labels + random.normal(0, 1, n)).round(1)  # some are equal
    classes = {"f1": 2, "matthews": 3, "macro_f1": 4}.get(metric, 2)
    shape = (n, 3) if metric in ("micro_f1", "exact_match") else n
    labels = random.integers(0, classes, shape)
    return labels, np.where(random.random(shape) < 0.7, labels, random.integers(0, classes, shape))


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_sums_give_the_metric(metric):
    random = np.random.default_rng(0)
    labels, predictions = example_of(metric, 80, random)
    sums = sums_of(metric, labels, predictions)
    assert sums.measured == pytest.approx(METRICS[metric](labels, predictions))
    places = random.integers(0, 80, 80)
    resampled = sums.value(sums.parts_NK[places].sum(0, keepdims=True))[0]
    # Ranks stay those of the whole sample, but for what a changed example changes in them.
    tolerance = 0.01 if metric in ("spearman", *RANKED) else 1e-9
    assert resampled == pytest.approx(METRICS[metric](labels[places], predictions[places]), abs=tolerance)


def test_macro_f1_of_several_labels_is_scikit_learns():
    """It was the micro average, in comparisons alone."""
    random = np.random.default_rng(0)
    labels, predictions = example_of("micro_f1", 80, random)
    labels[:, 0] = random.random(80) < 0.05
    sums = sums_of("macro_f1", labels, predictions)
    expected = sk.f1_score(labels, predictions, average="macro")
    assert sums.measured == pytest.approx(expected)
    assert abs(expected - sk.f1_score(labels, predictions, average="micro")) > 0.01


@pytest.mark.parametrize("metric", sorted(METRICS))
def test_the_deviation_is_the_bootstraps(metric):
    """For 500 examples, where what an interval adds for small samples is small."""
    random = np.random.default_rng(1)
    labels, predictions = example_of(metric, 500, random)
    drawn = []
    for _ in range(200):
        places = random.integers(0, 500, 500)
        drawn.append(METRICS[metric](labels[places], predictions[places]))
    noise = noise_of_mean([sums_of(metric, labels, predictions)])
    assert noise.deviation == pytest.approx(np.std(drawn), rel=0.2)


@pytest.mark.parametrize("metric", ["spearman", "matthews", *RANKED])
def test_the_influence_is_the_jackknifes(metric):
    """Left out one by one, ranks are made anew; of tied ones too."""
    random = np.random.default_rng(2)
    labels, predictions = example_of(metric, 60, random)
    without = [METRICS[metric](np.delete(labels, i), np.delete(predictions, i)) for i in range(60)]
    expected = np.sqrt(59 / 60 * np.sum((np.array(without) - np.mean(without)) ** 2))
    assert noise_of_mean([sums_of(metric, labels, predictions)]).deviation == pytest.approx(
        expected, rel=0.06
    )


def test_one_answer_throughout_is_no_division_by_zero():
    labels, constant = np.array([0, 1, 0, 1]), np.zeros(4, int)
    for metric in ("matthews", "f1", "pearson", "spearman"):
        sums = sums_of(metric, labels, constant)
        assert sums.value(sums.parts_NK.sum(0, keepdims=True))[0] == 0.0


def known_noise(random, share, freedom, weigh, times=100_000):
    """Return how often a true mean lies within, by the formula alone: `share` of the variance is of seeds."""
    measured = share * random.chisquare(freedom, times) / freedom
    found = measured / (1 - share + measured)
    few, many = stats.t.ppf(0.975, freedom), stats.norm.ppf(0.975)
    errors = many + (few - many) * weigh(found)
    return np.mean(np.abs(random.normal(size=times)) <= errors * np.sqrt(1 - share + measured))


def test_the_weights_of_seeds_keep_their_promises():
    """The numbers beside the constants of `noise`, by simulation instead of integration."""
    random = np.random.default_rng(0)
    shares = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.95, 0.99, 0.997)
    weights = {
        1: lambda share: np.interp(share, *OF_TWO_TRAININGS),
        2: lambda share: share**OF_A_MEAN,
        4: lambda share: share**OF_A_MEAN,
    }
    found = {f: [known_noise(random, share, f, weigh) for share in shares] for f, weigh in weights.items()}
    against_none = [known_noise(random, share, 1, lambda x: x**OF_A_DIFFERENCE) for share in shares]
    assert (min(found[1]), max(found[1])) == pytest.approx((0.929, 0.961), abs=0.003)
    assert (min(found[2]), max(found[2])) == pytest.approx((0.943, 0.960), abs=0.003)
    assert (min(found[4]), max(found[4])) == pytest.approx((0.949, 0.956), abs=0.003)
    assert min(against_none) > 0.946


@pytest.mark.parametrize(("noise", "expected"), [
    # A quarter of the variance is of seeds: half of the way from 0.1 to 0.3 and more.
    (Noise(Part(3.0, np.inf), (Part(1.0, 1),)), 1.959964 + (12.706205 - 1.959964) * 0.375),
    (Noise(Part(3.0, np.inf), (Part(1.0, 2),)), 1.959964 + (4.302653 - 1.959964) * 0.25**1.5),
    (Noise(Part(3.0, np.inf), (Part(1.0, 1),), is_difference=True),
     1.959964 + (12.706205 - 1.959964) * 0.25**0.75),
    (Noise(Part(4.0, np.inf)), 1.959964),
])  # fmt: skip
def test_the_quantile_is_the_weighted_one(noise, expected):
    assert noise.quantile(0.975) == pytest.approx(expected, rel=1e-6)
    assert noise.tail(noise.quantile(0.975)) == pytest.approx(0.025, rel=1e-6)
    assert noise.tail(-noise.quantile(0.9)) == pytest.approx(0.9, rel=1e-6)


@pytest.mark.parametrize("number", [1, 2, 3, 5, 8])
def test_added_answers_say_nothing_of_whether_runs_err_together(number):
    orders = np.array([[answer == "r" for answer in order] for order in unrelated_orders(number)])
    assert (orders.mean(axis=1) == 0.5).all()
    centred = orders - 0.5
    assert (centred @ centred.T == np.eye(number) * orders.shape[1] / 4).all()


def test_runs_that_err_apart_are_not_taken_to_err_together():
    """Five runs of 100 examples with three errors each, none shared: a fifth of one run's variance."""
    labels = np.zeros(100, int)
    runs = [sums_of("accuracy", labels, np.isin(np.arange(100), range(3 * s, 3 * s + 3))) for s in range(5)]
    alone, together = noise_of_mean(runs[:1]), noise_of_mean(runs)
    assert together.variance / alone.variance == pytest.approx(1 / 5, rel=0.35)
