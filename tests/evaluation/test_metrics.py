"""Metrics against hand-worked values; intervals against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modernbert.evaluation import metrics
from modernbert.evaluation.metrics import METRICS, score
from modernbert.evaluation.statistics import wilson

LABELS = np.array([1, 1, 1, 0, 0, 1])
PREDICTIONS = np.array([1, 0, 1, 0, 1, 1])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 4 / 6),
        ("f1", 2 * 3 / (4 + 4)),
        ("macro_f1", (0.75 + 0.5) / 2),
        # 3 true positives, 1 true negative, 1 false positive, 1 false negative.
        ("matthews", (3 * 1 - 1 * 1) / np.sqrt(4 * 4 * 2 * 2)),
    ],
)
def test_classes(name, expected):
    assert METRICS[name](LABELS, PREDICTIONS) == pytest.approx(expected)


def test_several_labels():
    labels = np.array([[1, 0, 1], [0, 1, 0]], float)
    predictions = np.array([[1, 0, 0], [0, 1, 0]], float)
    assert metrics.micro_f1(labels, predictions) == pytest.approx(2 * 2 / (3 + 2))
    assert metrics.macro_f1(labels, predictions) == pytest.approx(2 / 3)
    assert metrics.exact_match(labels, predictions) == 0.5


def test_correlations():
    labels, predictions = np.array([1.0, 2, 3, 4]), np.array([1.0, 4, 9, 16])
    assert metrics.spearman(labels, predictions) == pytest.approx(1)
    assert metrics.pearson(labels, predictions) == pytest.approx(np.corrcoef(labels, predictions)[0, 1])
    assert metrics.mean_absolute_error(labels, predictions) == pytest.approx(20 / 4)


def test_predictions_that_tell_nothing_apart_score_zero_without_a_warning():
    constant = np.ones(6)
    assert metrics.pearson(np.arange(6.0), constant) == 0
    assert metrics.spearman(np.arange(6.0), constant) == 0
    assert metrics.matthews(LABELS, np.ones(6, int)) == 0
    assert metrics.f1(np.zeros(6, int), np.zeros(6, int)) == 0


def test_wilsons_interval_has_its_published_values():
    """Newcombe 1998, Statistics in Medicine 17, table I, method 3: 81/263, 15/148, 0/20, 1/29."""
    for hits, n, low, high in [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ]:
        assert wilson(hits / n, n) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("name", ["matthews", "f1", "macro_f1"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_fast_resampling_computes_the_metric_itself(name, seed):
    """One draw of the confusion matrix, spelled out as examples, gives what the metric gives."""
    random = np.random.default_rng(seed)
    labels, predictions = random.integers(0, 3 if name != "f1" else 2, (2, 40))
    pairs, counts = np.unique(np.stack([labels, predictions]), axis=1, return_counts=True)
    drawn = random.multinomial(40, counts / counts.sum())
    spelled = np.repeat(pairs, drawn, axis=1)
    fast = (
        metrics._matthews_of_counts(pairs, drawn)
        if name == "matthews"
        else metrics._f1_of_counts(pairs, drawn, macro=name == "macro_f1")
    )
    assert fast == pytest.approx(METRICS[name](*spelled), abs=1e-12)


@pytest.mark.parametrize(
    "name",
    [
        "accuracy",
        pytest.param("matthews", marks=pytest.mark.slow),
        pytest.param("pearson", marks=pytest.mark.slow),
    ],
)
def test_intervals_cover_the_truth_as_often_as_they_say(name):
    """Samples of 80 from a known law: 95 % intervals hold the true value in 88 to 100 % of 100 samples."""
    random = np.random.default_rng(0)

    def draw(n):
        if name == "pearson":
            x = random.normal(size=n)
            return x, 0.6 * x + 0.8 * random.normal(size=n)
        labels = random.integers(0, 2, n)
        return labels, np.where(random.random(n) < 0.8, labels, 1 - labels)

    truth = 0.8 if name == "accuracy" else 0.6
    scores = [score(name, *draw(80)) for _ in range(100)]
    assert 88 <= sum(s.low <= truth <= s.high for s in scores) <= 100


def test_a_score_says_how_it_was_made():
    found = score("matthews", LABELS, PREDICTIONS)
    assert found.n == 6
    assert found.low <= found.value <= found.high
    assert found.interval == "bootstrap 95 %, 1000 resamples"
    assert score("matthews", LABELS, PREDICTIONS) == found  # a fixed seed
