"""Metrics against hand-worked values; intervals against what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from modernbert.errors import BadData
from modernbert.evaluation import metrics
from modernbert.evaluation.metrics import METRICS, score
from modernbert.evaluation.shown import interval_text
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


def test_errors_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    labels = random.uniform(27, 208, 60).astype(np.float32)
    predictions = labels + random.normal(0, 20, 60).astype(np.float32)
    wide = labels.astype(float), predictions.astype(float)
    assert metrics.r2(labels, predictions) == pytest.approx(sk.r2_score(*wide))
    assert metrics.root_mean_squared_error(labels, predictions) == pytest.approx(
        sk.root_mean_squared_error(*wide)
    )
    assert metrics.r2(labels, np.full(60, labels.astype(float).mean())) == pytest.approx(0, abs=1e-9)
    assert metrics.r2(np.full(7, 0.1, np.float32), np.arange(7.0)) == 0  # nothing to explain
    assert metrics.root_mean_squared_error(np.float32([3e20, 0]), np.float32([0, 0])) > 1e20  # no overflow


def test_average_precision():
    """Texts in the order of their scores: yes, no, yes. Precision at each yes: 1 and 2/3."""
    assert metrics.average_precision(np.array([0, 1, 1]), np.array([0.4, 0.9, 0.1])) == pytest.approx(5 / 6)


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


@pytest.mark.parametrize("name", ["accuracy", "f1", "matthews", "exact_match", "micro_f1"])
def test_all_right_and_all_wrong_are_never_certain(name):
    labels = np.arange(30) % 2
    if name in ("exact_match", "micro_f1"):
        labels = np.stack([labels, 1 - labels], axis=1)
    right, wrong = score(name, labels, labels), score(name, labels, 1 - labels)
    assert right.high == right.value == 1
    assert right.low < 0.95
    assert wrong.low == wrong.value
    assert wrong.high > wrong.value + 0.05


@pytest.mark.parametrize("name", ["pearson", "spearman", "r2"])
def test_what_is_not_defined_has_no_interval(name):
    """It was shown as 0, and as certainly 0."""
    varied, constant = np.arange(30.0), np.full(30, 2.5)
    found = [score(name, constant, varied)] + [score(name, varied, constant)] * (name != "r2")
    for one in found:
        assert (one.value, one.low, one.high) == (0, None, None)


@pytest.mark.parametrize(
    ("name", "n"), [("accuracy", 1), ("matthews", 1), ("pearson", 3), ("mean_absolute_error", 1)]
)
def test_too_few_examples_have_no_interval(name, n):
    values = np.arange(n)
    assert score(name, values, values).low is None
    assert score(name, np.arange(n + 1), np.arange(n + 1)).low is not None or name == "mean_absolute_error"


def test_errors_that_are_all_the_same_have_no_interval():
    """None at all too: that the next text is met as exactly is not known."""
    for error in (0.0, 0.5):
        found = score("mean_absolute_error", np.arange(9.0), np.arange(9.0) + error)
        assert (found.value, found.low, found.high) == (error, None, None)


def test_an_interval_that_is_not_known_is_a_dash():
    assert interval_text(None, None) == "-"
    assert interval_text(0.25, 0.5, "+.2f") == "+0.25 to +0.50"


def test_no_unit_is_too_small_or_too_large_for_a_correlation():
    random = np.random.default_rng(0)
    x = random.normal(size=40)
    y = x + random.normal(size=40)
    expected = stats.pearsonr(x, y)
    for unit in (1e-250, 1e-9, 1e9, 1e250):
        found = score("pearson", x, y * unit)
        assert found.value == pytest.approx(expected.statistic)
        assert found.low == pytest.approx(score("pearson", x, y).low)
        assert score("pearson", x * unit, y * unit).value == pytest.approx(expected.statistic)
        assert score("spearman", x * unit, y * unit).value == pytest.approx(stats.spearmanr(x, y).statistic)
    assert metrics.pearson(x, y * 1e-250 + 1.0) == 0  # lost to rounding before it came here


@pytest.mark.parametrize("name", ["pearson", "spearman", "mean_absolute_error"])
def test_what_is_no_number_is_refused(name):
    labels, predictions = np.arange(9.0), np.arange(9.0)
    predictions[3] = np.nan
    with pytest.raises(BadData, match="1 of 9 predictions are not numbers"):
        score(name, labels, predictions)


def test_a_score_says_how_it_was_made():
    labels, predictions = np.tile(LABELS, 9), np.tile(PREDICTIONS, 9)
    found = score("matthews", labels, predictions)
    assert found.n == 54
    assert found.low <= found.value <= found.high
    assert found.interval == "Wilson 95 %, effective n"
    assert score("accuracy", labels, predictions).interval == "Wilson 95 %"
